"""A market repeats in another process, whatever that process hashes texts with."""

import os
import subprocess
import sys

PROGRAM = """
from cloud.market.rules import Mechanism
from cloud.market.tools.simulation import simulate
for mechanism in sorted(set(Mechanism) - {Mechanism.SHARING}):  # Where nobody orders there is nothing to simulate.
    print(simulate(agents=30, intervals=4, seed=7, mechanism=mechanism).engine.state_hash())
"""


def _hashes(seed: str) -> bytes:
    environment = os.environ | {"PYTHONHASHSEED": seed}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, check=True, timeout=60
    ).stdout


def test_the_state_does_not_depend_on_the_hash_seed() -> None:
    """Law 10: sets and dictionaries of texts are where determinism gets lost in Python."""
    assert _hashes("1") == _hashes("2")
