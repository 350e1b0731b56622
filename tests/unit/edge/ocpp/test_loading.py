"""A gateway without a charging station carries nothing of the protocol."""

import subprocess
import sys

_CODE = """
import sys
import edge.site.control_process, edge.site.site_process, edge.setup.online
found = sorted({"ocpp", "websockets", "jsonschema"} & sys.modules.keys())
assert not found, found
"""


def test_the_library_is_loaded_only_where_a_station_is_configured() -> None:
    """Five megabytes of a small machine, and a port's worth of code, are for who has a station."""
    ended = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stderr
