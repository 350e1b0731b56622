"""What a person names to be searched is read in one way by ``device scan`` and by set-up."""

import pytest

from edge.devices.scan import PORTS, UNITS
from edge.devices.target import target_of
from edge.errors import ConfigError
from edge.modbus.url import Scheme, parse_url


@pytest.mark.parametrize(
    ("text", "hosts", "ports", "units"),
    [
        ("192.0.2.7", ("192.0.2.7",), PORTS, UNITS),
        ("inverter.local", ("inverter.local",), PORTS, UNITS),
        ("192.0.2.7:1502", ("192.0.2.7",), (1502,), UNITS),
        ("tcp://192.0.2.7:1502", ("192.0.2.7",), (1502,), UNITS),
        ("tcp://192.0.2.7?unit=7", ("192.0.2.7",), (502,), (7,)),
        ("192.0.2.0/30", ("192.0.2.1", "192.0.2.2"), PORTS, UNITS),
        ("[fd00::7]:1502", ("fd00::7",), (1502,), UNITS),
        ("[fd00::7]", ("fd00::7",), PORTS, UNITS),
        ("fd00::7", ("fd00::7",), PORTS, UNITS),
    ],
)
def test_hosts_are_named_in_every_way_that_people_write_them(
    text: str, hosts: tuple[str, ...], ports: tuple[int, ...], units: tuple[int, ...]
) -> None:
    """An address that was copied from another program should do."""
    found = target_of(text)
    assert (found.hosts, found.ports, found.units, found.endpoint) == (hosts, ports, units, None)


def test_a_serial_line_and_a_framing_of_its_own_are_searched_as_they_stand() -> None:
    """A line's speed is told beside its path, or in its address."""
    line = target_of("/dev/ttyUSB0", baud=19_200, parity="E", units=(3,))
    assert line.endpoint is not None and line.units == (3,)
    assert (line.endpoint.path, line.endpoint.baud, line.endpoint.parity) == ("/dev/ttyUSB0", 19_200, "E")
    converter = target_of("rtuovertcp://192.0.2.7:4196?unit=5")
    assert converter.endpoint is not None and converter.endpoint.scheme is Scheme.RTU_OVER_TCP
    assert converter.units == (5,)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("192.0.2.7:99999", "names port '99999', not a number from 1 to 65535"),
        ("192.0.2.7:x", "names port 'x'"),
        ("http://192.0.2.7", "starts with none of tcp://"),
        ("farm/house", "neither a host nor a network; a network is an address and its bits"),
        ("192.0.2.0/20", "4096 addresses, above 1024"),
        ("tcp://[fd00::7", "bracket"),
    ],
)
def test_what_names_nobody_is_refused_before_anybody_is_asked(text: str, complaint: str) -> None:
    """A slip of the pen must not look like a silent device."""
    with pytest.raises(ConfigError) as refusal:
        target_of(text)
    assert complaint in str(refusal.value)


def test_a_port_that_is_none_is_refused() -> None:
    """Sockets would end it with an overflow."""
    with pytest.raises(ConfigError, match="port 99999 is outside 1 to 65535"):
        target_of("192.0.2.7", ports=(99_999,))


def test_an_address_of_ipv6_comes_back_as_it_was_written() -> None:
    """It stands in brackets in a site's file, and without them in a socket."""
    endpoint = parse_url("[FD00::7]:1502")
    assert (endpoint.host, endpoint.port, endpoint.bus) == ("fd00::7", 1502, "[fd00::7]:1502")
