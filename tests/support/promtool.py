"""Prometheus's own checker of names, units and help, from Debian's package."""

import shutil
import subprocess


def complaints(metrics: bytes) -> str:
    """Return what ``promtool check metrics`` says of a page of figures; empty where it has nothing to say."""
    promtool = shutil.which("promtool")
    assert promtool is not None, "promtool is missing: sh tests/support/debian.sh"
    done = subprocess.run([promtool, "check", "metrics"], input=metrics, capture_output=True, timeout=60, check=False)
    said = (done.stdout + done.stderr).decode()
    assert bool(said) == bool(done.returncode), f"promtool ended with {done.returncode} and said {said!r}"
    return said
