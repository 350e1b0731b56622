"""A market repeats in another process, whatever that process hashes texts with."""

import json
import os
import subprocess
import sys


def _hashes(seed: str) -> list[str]:
    command = [sys.executable, "-m", "sitewatt", "market", "simulate", "--agents", "30", "--intervals", "4", "--json"]
    environment = os.environ | {"PYTHONHASHSEED": seed}
    found = []
    for mechanism in ("call", "continuous+call"):
        done = subprocess.run(
            [*command, "--mechanism", mechanism], env=environment, capture_output=True, check=True, timeout=60
        )
        found.append(json.loads(done.stdout)["state_hash"])
    return found


def test_the_state_does_not_depend_on_the_hash_seed() -> None:
    """Law 10: sets and dictionaries of texts are where determinism gets lost in Python."""
    assert _hashes("1") == _hashes("2")
