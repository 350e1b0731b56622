"""Machines of a small network as Linux network namespaces on one bridge, whose cables can be pulled.

Each machine has an address of its own, so its servers use the ports that they use everywhere. A pulled cable loses
packets silently, as a switch that dies does: no connection is refused or reset. Needs root and iproute2.
Source: ip-netns(8), veth(4), bridge(8): a port in the state 0 (disabled) forwards nothing.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

_SUBNETS: Final = range(200, 250)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One machine: ``inside`` stands before a command that is to run on it."""

    namespace: str
    address: str
    port: str

    @property
    def inside(self) -> tuple[str, ...]:
        """Return what runs a command there; the command takes its place, so it keeps its process id and parent."""
        return ("ip", "netns", "exec", self.namespace)

    def cut(self) -> None:
        """Pull its cable."""
        _run("bridge", "link", "set", "dev", self.port, "state", "0")

    def heal(self) -> None:
        """Put its cable back."""
        _run("bridge", "link", "set", "dev", self.port, "state", "3")


@dataclass(frozen=True, kw_only=True)
class Lan:
    """The machines, and the address under which they find who runs the test."""

    address: str
    subnet: str
    machines: tuple[Machine, ...]


@contextmanager
def lan(count: int) -> Iterator[Lan]:
    """Make a network of so many machines for the block."""
    tag = f"sw{os.getpid() % 100_000}"
    bridge, subnet = f"{tag}b", _free_subnet()
    machines = tuple(
        Machine(namespace=f"{tag}-{number}", address=f"{subnet}.{number}", port=f"{tag}p{number}")
        for number in range(1, count + 1)
    )
    try:
        _run("ip", "link", "add", bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0")
        _run("ip", "address", "add", f"{subnet}.254/24", "dev", bridge)
        _run("ip", "link", "set", bridge, "up")
        for machine in machines:
            space = machine.namespace
            _run("ip", "netns", "add", space)
            _run("ip", "link", "add", machine.port, "type", "veth", "peer", "name", "eth0", "netns", space)
            _run("ip", "link", "set", machine.port, "master", bridge, "up")
            _run("ip", "-n", space, "address", "add", f"{machine.address}/24", "dev", "eth0")
            _run("ip", "-n", space, "link", "set", "eth0", "up")
            _run("ip", "-n", space, "link", "set", "lo", "up")
        yield Lan(address=f"{subnet}.254", subnet=f"{subnet}.0/24", machines=machines)
    finally:
        for machine in machines:
            subprocess.run(["ip", "netns", "delete", machine.namespace], check=False, capture_output=True)
        subprocess.run(["ip", "link", "delete", bridge], check=False, capture_output=True)


def _free_subnet() -> str:
    taken = subprocess.run(["ip", "-o", "-4", "address"], check=True, capture_output=True, text=True).stdout
    return next(net for number in _SUBNETS if f" {(net := f'10.199.{number}')}." not in taken)


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()} (machines of a network need root)"
