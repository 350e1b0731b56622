"""Who answers at a host, a network or a serial line: read-only, on demand, one probe at a time for each host."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from edge.errors import ConfigError, DeviceImplausible, DeviceRefused, DeviceSilent
from edge.modbus.bus import Bus, open_patiently
from edge.modbus.faults import Fault, NoReply
from edge.modbus.learned import Learned
from edge.modbus.patience import GATEWAY, PASSING, read_patiently
from edge.modbus.pdu import exception_name
from edge.modbus.point import Priority, Table
from edge.modbus.sunspec import SunSpecMap, discover, read_model
from edge.modbus.url import Endpoint, Scheme, in_url, parse_url

PORTS = (502, 1502)
UNITS = (1, 2, 3, 71, 100, 126, 200, 247, 0, 255)  # What the profiles and vendors use.
HOSTS_AT_ONCE = 8  # Source: Victron, dbus-modbus-client scan.
CONNECT_S = 0.25  # Source: as above.
HOSTS_MAX = 1024
NAMELESS = (0, 255)  # Units by which a device on a network may be reached besides its own.
UNLIKELY_UNITS = (163, 211)  # No device of a profile is delivered with them.
COMMON_MODEL = 1
DEAF_S = 2.0  # Source: field practice, Huawei SUN2000: whatever comes in the first second of a connection is dropped.


@dataclass(frozen=True, kw_only=True)
class Found:
    """A unit that answers."""

    url: str
    models: tuple[int, ...]
    answered: str
    ignores_unit: bool = False


async def check_host(name: str) -> None:
    """Check that a name stands for an address, so that a slip of the pen is not taken for a silent network.

    Raises:
        DeviceSilent: It stands for none.
    """
    try:
        await asyncio.get_running_loop().getaddrinfo(name, None)
    except (OSError, UnicodeError) as error:
        raise DeviceSilent(f"{name} is the name of no host that this machine can find; nobody was asked") from error


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
        raise ConfigError(
            f"{target!r} is neither a host nor a network; a network is an address and its bits, as 192.168.1.0/24"
        ) from error
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
                        async for one in scan_bus(
                            parse_url(f"tcp://{in_url(host)}:{port}"), units=units, on_unit=on_unit
                        ):
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

    Where nobody answers on a network, all are asked again on the same connection: some devices are deaf for a second
    or two after it opens. A device that answers to whatever unit is yielded once.

    Args:
        on_unit: Called with each unit before it is asked.

    Raises:
        DeviceSilent: The serial port cannot be opened, or is gone; the message says who was not asked.
    """
    async with open_patiently(endpoint) as bus:
        asker = _Asker(bus, units, on_unit)
        heard_at_s = asyncio.get_running_loop().time() + DEAF_S
        found = 0
        async for one in asker.round():
            found += 1
            yield one
        if found or endpoint.scheme.is_serial or asker.is_refused:
            return
        await asyncio.sleep(max(0.0, heard_at_s - asyncio.get_running_loop().time()))
        async for one in asker.round():
            yield one


class _Asker:
    """Asks the units of one bus, one after another."""

    def __init__(self, bus: Bus, units: Sequence[int], on_unit: Callable[[Endpoint, int], None]) -> None:
        self._bus = bus
        self._units = units
        self._on_unit = on_unit
        self._endpoint = bus.endpoint
        self.is_refused = False  # Somebody is there, and says that no device is.

    async def round(self) -> AsyncIterator[Found]:
        """Yield who answers now; a device that ignores the unit, or has no name but 0 and 255 besides its own, once."""
        listed: list[_Answer] = []
        for number, unit in enumerate(self._units):
            answer = await self._ask(number, unit)
            if answer is None or (unit in NAMELESS and any(one.is_like(answer) for one in listed)):
                continue
            ignores = not listed and await self._ignores_unit(answer)
            listed.append(answer)
            yield Found(
                url=_url(self._endpoint, unit), models=answer.models, answered=answer.text, ignores_unit=ignores
            )
            if ignores:
                return

    async def _ask(self, number: int, unit: int) -> "_Answer | None":
        self._on_unit(self._endpoint, unit)
        is_serial = self._endpoint.scheme.is_serial
        if not is_serial:
            self._bus.unit(unit, learned=Learned(turnaround_s=CONNECT_S / 4)).excuse()
        try:
            answer = await _answer(self._bus, unit)
        except NoReply as lost:
            if is_serial and lost.fault in (Fault.UNCONNECTED, Fault.LOST):
                rest = ", ".join(map(str, self._units[number:]))
                left = "nobody was asked" if number == 0 else f"not asked: {rest}"
                raise DeviceSilent(f"{lost}; {left}") from lost
            return None
        self.is_refused = self.is_refused or answer is None
        return answer

    async def _ignores_unit(self, first: "_Answer") -> bool:
        """Return whether whatever unit is asked answers the same: two that no device of ours has."""
        for unit in UNLIKELY_UNITS:
            answer = None
            with contextlib.suppress(NoReply):
                self._bus.unit(unit, learned=Learned(turnaround_s=CONNECT_S / 4))
                answer = await _answer(self._bus, unit)
            if answer is None or not first.is_like(answer):
                return False
        return True


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What a unit answers, and enough of it to know it again."""

    text: str
    words: tuple[int, ...]
    models: tuple[int, ...]

    def is_like(self, other: "_Answer") -> bool:
        """Return whether two answers are those of one device."""
        return (self.text, self.words, self.models) == (other.text, other.words, other.models)


async def _answer(bus: Bus, unit: int) -> _Answer | None:
    """Return what came of a small read and of looking for SunSpec models; None where a gateway says nobody is there.

    Raises:
        NoReply: Nothing answers.
    """
    words: tuple[int, ...] = ()
    text = ""
    for table in (Table.HOLDING, Table.INPUT):
        try:
            words = await read_patiently(bus, unit, table, 0, 1, tries=2)
        except DeviceRefused as refusal:
            if refusal.exception_code in GATEWAY:
                return None
            text = f"{_named(refusal.exception_code)} to a read of {table} registers"
            continue
        except NoReply as lost:
            if lost.fault is not Fault.LENGTH:
                raise
            bus.unit(unit).excuse()
            text = f"a reply of another length to a read of {table} registers"
            continue
        text = f"a read of {table} registers"
        break
    models: tuple[int, ...] = ()
    with contextlib.suppress(NoReply, DeviceImplausible, DeviceRefused):
        sunspec = await discover(bus, unit)
        if sunspec is not None:
            models = tuple(model.model_id for model in sunspec.models)
            words += await _nameplate(bus, unit, sunspec)
    return _Answer(text=text, words=words, models=models)


async def _nameplate(bus: Bus, unit: int, sunspec: SunSpecMap) -> tuple[int, ...]:
    """Return the common model, which holds the serial number; empty where the device has none."""
    common = sunspec.find(COMMON_MODEL)
    if common is None:
        return ()
    image = await read_model(bus, unit, common)
    return tuple(image[at] for at in sorted(image))


def _named(code: int) -> str:
    return f"exception {code} ({exception_name(code)})" if code in PASSING else f"exception {code}"


async def why_nobody(hosts: Sequence[str], ports: Sequence[int], *, unit: int) -> list[str]:
    """Return what to try where a port of a single host is open and nobody was found behind it.

    Args:
        unit: One of those that were asked; it is asked once more, to tell silence from a gateway.
    """
    hints = []
    for port in ports if len(hosts) == 1 else ():
        if not await _is_open(hosts[0], port):
            continue
        endpoint = parse_url(f"tcp://{in_url(hosts[0])}:{port}")
        try:
            async with Bus(endpoint) as bus:
                await bus.read(unit, Table.HOLDING, 0, 1, priority=Priority.BACKGROUND)
        except DeviceRefused as refusal:
            hints.append(f"port {port}: {refusal}; a gateway is there, the device behind it is off or another unit")
        except NoReply:
            hints.append(f"port {port} of {hosts[0]} is open and silent: {_serial_instead(endpoint, unit)}")
    return hints


def framing_hint(endpoint: Endpoint, lost: NoReply) -> str:
    """Return what to try where an open port does not answer what it was asked over Modbus/TCP; empty elsewhere."""
    if endpoint.scheme is Scheme.TCP and lost.fault is Fault.MISMATCH:
        return (
            f"; a converter that does not repeat a request's number can pass frames as they are: {_through(endpoint)}"
        )
    if endpoint.scheme is not Scheme.TCP or lost.fault not in (Fault.TIMEOUT, Fault.FRAMING, Fault.WAITING):
        return ""
    return f"; the port is open: {_serial_instead(endpoint, endpoint.unit)}"


def _through(endpoint: Endpoint) -> str:
    return f"set it to transparent and try rtuovertcp://{in_url(endpoint.host)}:{endpoint.port}?unit={endpoint.unit}"


def _serial_instead(endpoint: Endpoint, unit: int) -> str:
    return f"try rtuovertcp://{in_url(endpoint.host)}:{endpoint.port}?unit={unit}, or another unit"


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


def _url(endpoint: Endpoint, unit: int) -> str:
    if endpoint.scheme.is_serial:
        return f"{endpoint.scheme}://{endpoint.path}?baud={endpoint.baud}&parity={endpoint.parity}&unit={unit}"
    return f"{endpoint.scheme}://{in_url(endpoint.host)}:{endpoint.port}?unit={unit}"
