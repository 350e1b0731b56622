"""What a person names to be searched: a host, ``HOST:PORT``, a network, a serial line, or a whole address."""

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from edge.devices.scan import PORTS, UNITS, Found, check_host, hosts_of, scan, scan_bus, why_nobody
from edge.errors import ConfigError
from edge.modbus.url import PORT_MAX, Endpoint, Scheme, host_and_port, parse_url, without_brackets

_SERIAL = tuple(f"{scheme}:" for scheme in Scheme if scheme.is_serial)


@dataclass(frozen=True, kw_only=True)
class Target:
    """Who is asked.

    Args:
        hosts: Asked at ``ports`` over Modbus/TCP; empty where ``endpoint`` says it all.
        endpoint: A serial line, or an address with a way of framing of its own.
        units: Asked one after another.
    """

    hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    endpoint: Endpoint | None = None
    units: tuple[int, ...] = UNITS


def target_of(
    text: str,
    *,
    ports: Sequence[int] = (),
    units: Sequence[int] = (),
    baud: int = 9600,
    parity: str = "N",
) -> Target:
    """Return who a text names. Does not ask anybody, not even for the address of a name.

    Args:
        text: ``HOST``, ``HOST:PORT``, ``[ADDRESS]:PORT``, ``NETWORK/BITS``, ``/dev/NAME``, or a URL of a device.
        ports: Tried at each host, unless the text names one; those of Modbus/TCP where none are given.
        units: Asked, unless the text names one; those that devices commonly have where none are given.
        baud: Speed of a serial line that is named by its path alone.
        parity: Of such a line.

    Raises:
        ConfigError: It is none of these.
    """
    for port in ports:
        if not 0 < port <= PORT_MAX:
            raise ConfigError(f"port {port} is outside 1 to {PORT_MAX}; nobody was asked")
    asked = tuple(units) or UNITS
    if text.startswith("/"):
        return Target(endpoint=parse_url(f"rtu://{text}?baud={baud}&parity={parity}"), units=asked)
    if "://" in text or text.startswith(_SERIAL):
        endpoint = parse_url(text)
        if "unit" in parse_qs(urlsplit(text).query):
            asked = (endpoint.unit,)
        if endpoint.scheme is not Scheme.TCP:
            return Target(endpoint=endpoint, units=asked)
        named = urlsplit(text).port is not None or not ports
        return Target(hosts=(endpoint.host,), ports=(endpoint.port,) if named else tuple(ports), units=asked)
    if (named_port := host_and_port(text)) is not None:
        return Target(hosts=(named_port[0],), ports=(named_port[1],), units=asked)
    host, colon, port_text = text.rpartition(":")
    if colon and ":" not in host and host:
        raise ConfigError(f"{text!r} names port {port_text!r}, not a number from 1 to {PORT_MAX}; nobody was asked")
    return Target(hosts=hosts_of(without_brackets(text)), ports=tuple(ports) or PORTS, units=asked)


async def search(target: Target, *, on_progress: Callable[[str], None] = lambda _: None) -> AsyncIterator[Found]:
    """Yield every unit that answers, as it is found. Everything asked is a read.

    Args:
        on_progress: Called with how far it is, in words.

    Raises:
        DeviceSilent: A name stands for no address, or a serial port cannot be opened; nobody was asked.
    """

    def on_unit(endpoint: Endpoint, unit: int) -> None:
        on_progress(f"{endpoint.bus}: unit {unit}, {target.units.index(unit) + 1} of {len(target.units)}")

    if target.endpoint is not None:
        found = scan_bus(target.endpoint, units=target.units, on_unit=on_unit)
    elif len(target.hosts) == 1:
        await check_host(target.hosts[0])
        found = scan(target.hosts, ports=target.ports, units=target.units, on_unit=on_unit)
    else:
        done = itertools.count(1)
        found = scan(
            target.hosts,
            ports=target.ports,
            units=target.units,
            on_host=lambda _: on_progress(f"{next(done)} of {len(target.hosts)} hosts asked"),
        )
    async for one in found:
        yield one


async def hints_where_nobody_answers(target: Target) -> list[str]:
    """Return what to try where a port of a single host is open and nobody was found behind it."""
    return await why_nobody(target.hosts, target.ports, unit=target.units[0])
