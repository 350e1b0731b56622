"""URLs name a connection and a unit, or are refused in one sentence."""

import pytest

from edge.errors import ConfigError
from edge.modbus.pool import BusPool
from edge.modbus.url import Scheme, parse_url


def test_each_form_names_its_endpoint() -> None:
    """These forms are written into site configurations."""
    tcp = parse_url("tcp://inverter.local:1502?unit=3")
    assert (tcp.scheme, tcp.host, tcp.port, tcp.unit, tcp.wire_baud) == (Scheme.TCP, "inverter.local", 1502, 3, None)
    assert parse_url("tcp://10.0.0.5").port == 502
    assert parse_url("tls://10.0.0.5?ca=/etc/ca.pem").port == 802
    rtu = parse_url("rtu:///dev/ttyUSB0?baud=19200&parity=e&unit=7&stop=1")
    assert (rtu.path, rtu.baud, rtu.parity, rtu.unit, rtu.char_bits) == ("/dev/ttyUSB0", 19200, "E", 7, 11)
    assert parse_url("rtuovertcp://10.0.0.9:8899?unit=2&line_baud=9600").wire_baud == 9600
    assert parse_url("ascii:///dev/ttyS0?baud=38400").scheme is Scheme.ASCII
    assert parse_url("tcp://[::1]:502").host == "::1"
    assert parse_url("10.0.0.5:1502") == parse_url("tcp://10.0.0.5:1502")
    assert parse_url("inverter.local") == parse_url("tcp://inverter.local")


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://host", "starts with none of"),
        ("/dev/ttyUSB0", "starts with none of"),
        ("host:70000", "starts with none of"),
        ("tcp://", "names no host"),
        ("tcp://host:70000", "port outside"),
        ("tcp://host:0", "port 0"),
        ("tcp://host/path", "path"),
        ("tcp://host?unit=256", "unit='256', not a whole number from 0 to 255"),
        ("tcp://host?unit=x", "unit='x'"),
        ("tcp://host?units=1", "unknown option 'units'"),
        ("tcp://host?cert=x", "unknown option 'cert'"),
        ("rtu://", "names no serial port"),
        ("rtu://dev/ttyUSB0", "three slashes"),
        ("rtu:///dev/ttyUSB0?parity=Q", "parity 'Q'"),
        ("rtu:///dev/ttyUSB0?baud=5", "baud='5'"),
    ],
)
def test_a_wrong_url_is_refused_with_the_part_that_is_wrong(url: str, complaint: str) -> None:
    """The installer reads this sentence, not the code."""
    with pytest.raises(ConfigError, match="device url") as refusal:
        parse_url(url)
    assert complaint in str(refusal.value)


async def test_units_behind_one_host_and_port_share_one_bus() -> None:
    """Most inverters take a single connection."""
    async with BusPool() as buses:
        first, unit = buses.get("tcp://Host:502?unit=1")
        second, other = buses.get("tcp://host?unit=2")
        assert first is second
        assert (unit, other) == (1, 2)
        assert buses.get("tcp://host:503")[0] is not first
        with pytest.raises(ConfigError, match="named twice"):
            buses.get("rtuovertcp://host:502")
