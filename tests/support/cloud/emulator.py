"""MiniStack, which answers as AWS does, in an environment of its own with the functions' Python.

It needs another botocore than ours, so it is installed apart, from its own lock; it runs functions with the Python that
it runs on, so that is the runtime's.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3

from edge.deploy.lock import FOLDER
from edge.deploy.source_tree import ROOT
from sitewatt.bundles.build import PYTHON
from tests.support.brokers.broker import free_port

ACCOUNT: Final = "111122223333"
REGION: Final = "eu-central-1"
# Whoever has these may do everything, as the account's root.
ROOT_USER: Final = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}
START_S: Final = 60.0
ENVIRONMENT: Final = ROOT / "build" / "emulator"


@dataclass(frozen=True, kw_only=True)
class Emulator:
    """A running emulator at its address, and the file that it logs to."""

    endpoint: str
    log: Path

    def client(self, service: str, *, region: str = REGION) -> Any:
        """Return a client of one of its services, as the account's root."""
        make: Any = boto3.client
        return make(
            service,
            endpoint_url=self.endpoint,
            region_name=region,
            aws_access_key_id=ROOT_USER["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ROOT_USER["AWS_SECRET_ACCESS_KEY"],
        )


def runtime_python() -> str:
    """Return a Python of the functions' version.

    Raises:
        AssertionError: There is none on this machine.
    """
    home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [shutil.which(f"python{PYTHON}"), *map(str, sorted(home.glob(f"versions/{PYTHON}.*/bin/python{PYTHON}")))]
    for python in filter(None, found):
        asked = subprocess.run([python, "-V"], capture_output=True, text=True, check=False)
        if asked.stdout.startswith(f"Python {PYTHON}."):
            return python
    raise AssertionError(f"Python {PYTHON}, which the functions run on, is not installed")


def installed() -> str:
    """Return the Python of the emulator's environment, made where it is missing or its lock has changed."""
    lock, mark = FOLDER / "emulator.txt", ENVIRONMENT / ".lock"
    python = str(ENVIRONMENT / "bin" / "python")
    if not mark.exists() or mark.read_bytes() != lock.read_bytes():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", runtime_python(), str(ENVIRONMENT)], check=True)
        install = [uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", str(lock)]
        subprocess.run(install, check=True)
        mark.write_bytes(lock.read_bytes())
    return python


@contextmanager
def emulator(folder: Path, **more: str) -> Iterator[Emulator]:
    """Run an emulator for the block, bound to this machine alone.

    Args:
        folder: Its files and log.
        more: Variables of its environment.
    """
    port = free_port()
    environment: Mapping[str, str] = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        **ROOT_USER,
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "MINISTACK_REGION": REGION,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "LOG_LEVEL": "WARNING",
        "TMPDIR": str(folder),
        **more,
    }
    running = Emulator(endpoint=f"http://127.0.0.1:{port}", log=folder / "emulator.log")
    with running.log.open("wb") as log:
        # The processes of functions are its children, and outlive it: they end with its group.
        process = subprocess.Popen(
            [installed(), "-m", "ministack"],
            env=dict(environment),
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _await(running, process)
            yield running
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _await(running: Emulator, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + START_S
    while True:
        assert process.poll() is None, f"the emulator ended: {running.log.read_text()[-2000:]}"
        try:
            with urllib.request.urlopen(f"{running.endpoint}/_ministack/health", timeout=2):
                return
        except OSError:
            assert time.monotonic() < deadline_s, "the emulator does not answer"
            time.sleep(0.2)
