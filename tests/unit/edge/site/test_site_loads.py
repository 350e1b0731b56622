"""What the site process loads: nothing of what reads and steers devices, which is control's and takes memory."""

import subprocess
import sys

PARTS = (
    "edge.site.site_process, edge.site.site_build, edge.site.house_part, edge.site.fleet_part, edge.site.page_part,"
    "edge.site.page_settings, edge.site.recorder, edge.web.server, edge.agent.own_history, edge.trading.own_forecast"
)
# Register maps, buses, lines; the decisions of a cycle.
OF_CONTROL = ("edge.devices.device", "edge.modbus.bus", "edge.loop.loop", "edge.control.dispatch", "pymodbus", "serial")


def test_the_site_process_loads_no_device_and_no_bus() -> None:
    """It has both for an answer that somebody asks, never for its own work: some 5 MB of its share of 150."""
    code = f"import sys, {PARTS}; print(sorted(set({OF_CONTROL}) & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


def test_control_has_what_the_site_has_not() -> None:
    """Else the names above would say nothing."""
    code = f"import sys, edge.site.control_process; print(sorted(set({OF_CONTROL}) - set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"
