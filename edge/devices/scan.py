"""Who answers at a host, a network or a serial line: read-only, on demand, one probe at a time for each host."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from edge.errors import ConfigError, DeviceImplausible, DeviceRefused, DeviceSilent
from edge.modbus.bus import Bus
from edge.modbus.faults import Fault, NoReply
from edge.modbus.learned import Learned
from edge.modbus.point import Priority, Table
from edge.modbus.sunspec import discover
from edge.modbus.url import Endpoint, parse_url

PORTS = (502, 1502)
UNITS = (1, 0, 2, 3, 71, 100, 126, 200, 247, 255)  # What the profiles and vendors use.
HOSTS_AT_ONCE = 8  # Source: Victron, dbus-modbus-client scan.
CONNECT_S = 0.25  # Source: as above.
HOSTS_MAX = 1024
NOBODY_THERE = (0x0A, 0x0B)  # Source: Modbus application protocol 1.1b3, 7: a gateway's path, its target.


@dataclass(frozen=True, kw_only=True)
class Found:
    """A unit that answers."""

    url: str
    models: tuple[int, ...]
    answered: str


async def check_host(name: str) -> None:
    """Check that a name stands for an address, so that a slip of the pen is not taken for a silent network.

    Raises:
        DeviceSilent: It stands for none.
    """
    try:
        await asyncio.get_running_loop().getaddrinfo(name, None)
    except (OSError, UnicodeError) as error:
        raise DeviceSilent(f"{name} is the name of no host: {error}; nobody was asked") from error


def hosts_of(target: str) -> tuple[str, ...]:
    """Return the hosts that a name, an address or a network stands for.

    Raises:
        ConfigError: The network is too large to be asked one by one.
    """
    if "/" not in target:
        return (target,)
    try:
        network = ip_network(target, strict=False)
    except ValueError as error:
        raise ConfigError(f"{target!r} is neither a host nor a network: {error}") from error
    if network.num_addresses > HOSTS_MAX:
        raise ConfigError(f"{target} has {network.num_addresses} addresses, above {HOSTS_MAX}; scan a part of it")
    return tuple(str(address) for address in network.hosts()) or (str(network.network_address),)


async def scan(
    hosts: Sequence[str],
    *,
    ports: Sequence[int] = PORTS,
    units: Sequence[int] = UNITS,
    on_host: Callable[[str], None] = lambda _: None,
    on_unit: Callable[[Endpoint, int], None] = lambda _endpoint, _unit: None,
) -> AsyncIterator[Found]:
    """Yield every unit that answers, as it is found; at most ``HOSTS_AT_ONCE`` hosts are asked at a time.

    Args:
        on_host: Called with each host when it has been asked for everything.
        on_unit: Called with each unit before it is asked.
    """
    found: asyncio.Queue[Found | str] = asyncio.Queue(maxsize=len(hosts) * len(ports) * len(units) + len(hosts))
    gate = asyncio.Semaphore(HOSTS_AT_ONCE)

    async def ask(host: str) -> None:
        try:
            async with gate:
                for port in ports:
                    if await _is_open(host, port):
                        async for one in scan_bus(parse_url(f"tcp://{host}:{port}"), units=units, on_unit=on_unit):
                            found.put_nowait(one)
        finally:
            found.put_nowait(host)

    async with asyncio.TaskGroup() as tasks:
        for host in hosts:
            tasks.create_task(ask(host), name=f"scan {host}")
        left = len(hosts)
        while left:
            one = await found.get()
            if isinstance(one, str):
                left -= 1
                on_host(one)
            else:
                yield one


async def scan_bus(
    endpoint: Endpoint,
    *,
    units: Sequence[int] = UNITS,
    on_unit: Callable[[Endpoint, int], None] = lambda _endpoint, _unit: None,
) -> AsyncIterator[Found]:
    """Yield the units that answer behind one connection or on one line, asked one after another.

    Args:
        on_unit: Called with each unit before it is asked.

    Raises:
        DeviceSilent: The serial port cannot be opened, or is gone; the message says who was not asked.
    """
    async with Bus(endpoint) as bus:
        for number, unit in enumerate(units):
            on_unit(endpoint, unit)
            if not endpoint.scheme.is_serial:
                bus.unit(unit, learned=Learned(turnaround_s=CONNECT_S / 4))
            try:
                answered = await _answer(bus, unit)
            except NoReply as lost:
                if endpoint.scheme.is_serial and lost.fault in (Fault.UNCONNECTED, Fault.LOST):
                    left = "nobody was asked" if number == 0 else f"not asked: {', '.join(map(str, units[number:]))}"
                    raise DeviceSilent(f"{lost}; {left}") from lost
                continue
            if answered is None:
                continue
            models: tuple[int, ...] = ()
            with contextlib.suppress(NoReply, DeviceImplausible, DeviceRefused):
                sunspec = await discover(bus, unit)
                models = () if sunspec is None else tuple(model.model_id for model in sunspec.models)
            yield Found(url=_url(endpoint, unit), models=models, answered=answered)


async def silent_ports(hosts: Sequence[str], ports: Sequence[int]) -> list[str]:
    """Return what to try where a port is open and nothing that was asked was answered; for a single host."""
    if len(hosts) != 1:
        return []
    return [
        f"port {port} of {hosts[0]} is open and silent: try rtuovertcp://{hosts[0]}:{port}?unit=1, or another unit"
        for port in ports
        if await _is_open(hosts[0], port)
    ]


async def _is_open(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def _answer(bus: Bus, unit: int) -> str | None:
    """Return what came of one small read; None where a gateway says that nobody is there.

    Raises:
        NoReply: Nothing answers.
    """
    for table in (Table.HOLDING, Table.INPUT):
        try:
            await bus.read(unit, table, 0, 1, priority=Priority.BACKGROUND)
        except DeviceRefused as refusal:
            if refusal.exception_code in NOBODY_THERE:
                return None
            answered = f"exception {refusal.exception_code} to a read of {table} registers"
            continue
        return f"a read of {table} registers"
    return answered


def _url(endpoint: Endpoint, unit: int) -> str:
    if endpoint.scheme.is_serial:
        return f"{endpoint.scheme}://{endpoint.path}?baud={endpoint.baud}&parity={endpoint.parity}&unit={unit}"
    return f"{endpoint.scheme}://{endpoint.host}:{endpoint.port}?unit={unit}"
