"""The installer's tools where things are odd: they repeat, they say why, and they end with 1 where nothing fits."""

import asyncio
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from edge.devices.catalogue import list_profiles, load_profile
from edge.devices.facts import Facts
from edge.devices.identify import identify
from edge.modbus.bus import Bus
from edge.modbus.point import LinkLimits, Table
from edge.modbus.sunspec import Model, SunSpecMap, UnreadHeader
from sitewatt.commands import device
from tests.support.modbus.maps import empty
from tests.support.modbus.server import Bank, Request, Sending, tcp_device
from tests.support.modbus.server import Device as Server

SUNS = {40000: 0x5375, 40001: 0x6E53, 40002: 1, 40003: 66} | dict.fromkeys(range(40004, 40070), 0)
CHAIN = SUNS | {40070: 0xFFFF, 40071: 0}


async def _ask(server: Server, *words: str) -> Any:
    """Run a tool against a device; ``PORT`` stands for where it answers."""
    async with tcp_device(server) as port:
        arguments = [word.replace("PORT", str(port)) for word in words]
        return await asyncio.to_thread(lambda: CliRunner().invoke(device.app, arguments))


def _refusing(code: int, *, first: int) -> Callable[[Server, Request, bytes | None], Sending]:
    def fault(server: Server, request: Request, payload: bytes | None) -> Sending:
        if request.number < first:
            payload = bytes((request.pdu[0] | 0x80, code))
        return [] if payload is None else [(0.0, server.frame(request, payload))]

    return fault


async def test_unit_0_is_found() -> None:
    """An inverter on its own port may be unit 0 and no other."""
    result = await _ask(Server({0: Bank(holding={0: 7})}), "scan", "127.0.0.1", "--port", "PORT", "--unit", "0")
    assert result.exit_code == 0 and "unit=0" in result.output


async def test_a_marker_that_is_refused_while_the_device_boots_is_asked_again() -> None:
    """Exception 4 once made the tool say that there was no SunSpec marker."""
    server = Server({1: Bank(holding=dict(CHAIN))}, fault=_refusing(4, first=1))
    url = "tcp://127.0.0.1:PORT?unit=1"
    result = await _ask(server, "read", url, "--profile", "sunspec_generic_int", "--point", "sunspec_id")
    assert result.exit_code == 0 and "1400204883" in result.output


async def test_a_gateway_without_its_target_says_so() -> None:
    """Exception 11 is the gateway's: there is nothing wrong with the profile."""
    server = Server({1: Bank(holding=dict(CHAIN))}, fault=_refusing(11, first=10_000))
    for words in (("read", "--profile", "sunspec_generic_int"), ("identify",)):
        result = await _ask(server, words[0], "tcp://127.0.0.1:PORT?unit=1", *words[1:])
        assert result.exit_code == 1 and "gateway target does not answer" in result.output + result.stderr


async def test_a_port_that_is_open_and_silent_is_told_with_what_to_try() -> None:
    """Serial frames on a TCP port answer nothing that is asked by Modbus/TCP."""

    def silent(*_: Any) -> Sending:
        return []

    server = Server({1: Bank()}, fault=silent)
    result = await _ask(server, "scan", "127.0.0.1", "--port", "PORT", "--unit", "1")
    assert result.exit_code == 1 and "is open and silent: try rtuovertcp://127.0.0.1:" in result.stderr


async def test_a_gateway_whose_target_missed_one_request_is_asked_again() -> None:
    """One lost frame on the serial side of a gateway is no reason to give up."""
    server = Server({1: Bank(holding=dict(CHAIN))}, fault=_refusing(11, first=1))
    url = "tcp://127.0.0.1:PORT?unit=1"
    result = await _ask(server, "read", url, "--profile", "sunspec_generic_int", "--point", "sunspec_id")
    assert result.exit_code == 0 and "1400204883" in result.output


async def test_a_scan_tells_a_gateway_without_devices_from_a_silent_port() -> None:
    """The installer looks behind the gateway, not for another framing."""
    server = Server({1: Bank()}, fault=_refusing(10, first=10_000))
    result = await _ask(server, "scan", "127.0.0.1", "--port", "PORT", "--unit", "1")
    assert result.exit_code == 1 and "exception 10 (gateway path unavailable); a gateway is there" in result.stderr


async def test_a_device_that_fails_at_everything_is_told_with_its_exception() -> None:
    """Neither "no profile fits" nor "no marker" would lead to the fault."""
    server = Server({1: Bank()}, fault=_refusing(4, first=10_000))
    for words in (("read", "--profile", "sunspec_generic_int"), ("identify",)):
        result = await _ask(server, words[0], "tcp://127.0.0.1:PORT?unit=1", *words[1:])
        assert result.exit_code == 1 and "exception 4 (device failure)" in result.output + result.stderr


async def test_a_device_that_fails_at_what_it_does_not_have_is_named_though_it_fails_once_at_what_it_has() -> None:
    """It says plainly that it is no SunSpec device, and refuses some twenty registers more as if it were broken."""
    failed: set[tuple[int, int]] = set()

    def failing(server: Server, request: Request, payload: bytes | None) -> Sending:
        assert payload is not None
        key = (request.pdu[0], request.address)
        if key not in MARKERS and (payload[0] & 0x80 or key not in failed):
            failed.add(key)
            payload = bytes((request.pdu[0] | 0x80, 4))
        return [(0.0, server.frame(request, payload))]

    bank = empty("eastron_sdm120")
    for name, value in (("voltage", 230.0), ("frequency", 50.0)):
        address = load_profile("eastron_sdm120").points[name].address or 0
        bank.input[address], bank.input[address + 1] = struct.unpack(">2H", struct.pack(">f", value))
    others = [name for name in list_profiles() if not name.startswith("eastron")][:10]
    server = Server({1: bank}, fault=failing)
    async with tcp_device(server) as port:
        first, *_ = await identify(f"tcp://127.0.0.1:{port}?unit=1", [*others, "eastron_sdm120"])
    assert first.profile == "eastron_sdm120"
    asked = Counter((request.pdu[0], request.address) for request in server.requests)
    assert sum(asked.values()) <= 2 * len(asked) + 10, asked


MARKERS = {(3, 40000), (3, 50000), (3, 0)}


async def test_a_device_that_ignores_the_unit_is_listed_once() -> None:
    """Ten lines for one meter once looked like ten meters."""

    class AnyUnit(dict[int, Bank]):
        def get(self, key: int, default: Any = None) -> Any:
            return self[1]

    server = Server({1: Bank(holding=dict(CHAIN))})
    server.units = AnyUnit(server.units)
    result = await _ask(server, "scan", "127.0.0.1", "--port", "PORT")
    (line,) = result.stdout.splitlines()
    assert "unit=1 " in line and "SunSpec models 1; it ignores the unit id" in line


async def test_a_device_that_also_answers_as_unit_0_and_255_is_listed_once() -> None:
    """On a network both mean whoever is there."""
    bank = Bank(holding={0: 7})
    result = await _ask(Server({3: bank, 0: bank, 255: bank}), "scan", "127.0.0.1", "--port", "PORT")
    (line,) = result.stdout.splitlines()
    assert "unit=3 " in line and "ignores" not in line


async def test_two_devices_behind_one_gateway_are_two() -> None:
    """They differ by what they hold; only whoever answers to every number is one."""
    server = Server({1: Bank(holding={0: 7}), 2: Bank(holding={0: 7})})
    result = await _ask(server, "scan", "127.0.0.1", "--port", "PORT")
    assert len(result.stdout.splitlines()) == 2


async def test_a_scan_finds_a_device_that_is_deaf_after_the_connection_opens() -> None:
    """Huawei drops what comes in the first second; each connection opened anew would be as deaf."""
    heard_at_s: dict[int, float] = {}

    def deaf(server: Server, request: Request, payload: bytes | None) -> Sending:
        now_s = asyncio.get_running_loop().time()
        since_s = heard_at_s.setdefault(server.connections, now_s)
        return [] if payload is None or now_s - since_s < 1.0 else [(0.0, server.frame(request, payload))]

    server = Server({1: Bank(holding={0: 7})}, fault=deaf)
    result = await _ask(server, "scan", "127.0.0.1", "--port", "PORT", "--unit", "1")
    assert result.exit_code == 0 and "unit=1 answers" in result.output


async def test_a_device_that_closes_in_the_pause_after_connecting_is_asked_sooner() -> None:
    """The pause that suits a Huawei is too long for the dongle before it."""
    server = Server({1: Bank(holding=dict(CHAIN))}, patience_s=0.4)
    async with tcp_device(server) as port, Bus(f"tcp://127.0.0.1:{port}?unit=1") as bus:
        bus.unit(1, limits=LinkLimits(delay_after_connect_s=1.2))
        assert await bus.read(1, Table.HOLDING, 40000, 2) == (0x5375, 0x6E53)
        assert bus.connects == 2, "the first was closed by the device in the pause"


async def test_a_silent_port_is_told_with_what_to_try_when_it_is_read() -> None:
    """The tool that reads knows as much as the one that scans."""

    def silent(*_: Any) -> Sending:
        return []

    url = "tcp://127.0.0.1:PORT?unit=1"
    for words in (("read", url, "--profile", "eastron_sdm630"), ("identify", url)):
        result = await _ask(Server({1: Bank()}, fault=silent), *words)
        assert result.exit_code == 1 and "the port is open: try rtuovertcp://127.0.0.1:" in result.stderr


async def test_a_converter_with_numbers_of_its_own_is_told_with_what_to_try() -> None:
    """Each answer bears the number after the request's, so none is believed. Source: kellerza/sunsynk issue 680."""

    def own_numbers(server: Server, request: Request, payload: bytes | None) -> Sending:
        answer = payload or bytes((request.pdu[0] | 0x80, 2))
        return [(0.0, server.frame(request, answer, transaction=request.transaction + 1))]

    server = Server({1: Bank(input=dict.fromkeys(range(400), 0))}, fault=own_numbers)
    result = await _ask(server, "read", "tcp://127.0.0.1:PORT?unit=1", "--profile", "eastron_sdm630")
    assert result.exit_code == 1 and "set it to transparent and try rtuovertcp://127.0.0.1:" in result.stderr


async def test_an_inverter_without_grid_is_named_by_the_value_that_it_has() -> None:
    """In a blackout its voltages are zero, and its dongle tells the frequency in other steps than its own port."""
    bank = Bank(input=dict.fromkeys(range(4989, 5100), 0) | {5035: 5009})
    result = await _ask(Server({1: bank}), "identify", "tcp://127.0.0.1:PORT?unit=1")
    assert result.exit_code == 0 and result.output.startswith("sungrow_s") and "reads 50.09 Hz" in result.output


async def test_a_sunspec_meter_without_an_inverter_is_named() -> None:
    """A meter behind an inverter has models of its own and none of an inverter's."""
    meter = {40070: 203, 40071: 105, 40078: 2301, 40085: 0xFFFF}  # 230.1 V of the first phase.
    meter = dict.fromkeys(range(40072, 40177), 0) | meter
    bank = Bank(holding=SUNS | meter | {40177: 0xFFFF, 40178: 0})
    result = await _ask(Server({200: bank}), "identify", "tcp://127.0.0.1:PORT?unit=200")
    assert result.exit_code == 0 and result.output.startswith("sunspec_generic_int"), result.output


async def test_no_single_value_rules_a_profile_out() -> None:
    """One register that reads nonsense, and one that a firmware does not have, lower the score and are named."""
    profile = load_profile("janitza_umg")
    bank = empty("janitza_umg")
    for name, value in (("voltage_l1", 230.0), ("voltage_l2", 231.0), ("voltage_l3", 5e6), ("frequency", 50.0)):
        address = profile.points[name].address or 0
        bank.holding[address], bank.holding[address + 1] = struct.unpack(">2H", struct.pack(">f", value))
    result = await _ask(Server({1: bank}), "identify", "tcp://127.0.0.1:PORT?unit=1")
    assert result.output.startswith("janitza_umg") and "voltage_l3 reads 5e+06 V, which cannot be" in result.output
    del bank.holding[profile.points["voltage_l2"].address or 0]
    result = await _ask(Server({1: bank}), "identify", "tcp://127.0.0.1:PORT?unit=1")
    assert result.output.startswith("janitza_umg") and "no voltage_l2" in result.output


async def test_a_device_that_keeps_silent_about_other_registers_is_named() -> None:
    """Some meters refuse nothing: they do not answer what they do not have, the SunSpec marker among it."""

    def no_refusals(server: Server, request: Request, payload: bytes | None) -> Sending:
        return [] if payload is None or payload[0] & 0x80 else [(0.0, server.frame(request, payload))]

    profile = load_profile("eastron_sdm120")
    bank = empty("eastron_sdm120")
    for name, value in (("voltage", 230.0), ("frequency", 50.0)):
        address = profile.points[name].address or 0
        bank.input[address], bank.input[address + 1] = struct.unpack(">2H", struct.pack(">f", value))
    async with tcp_device(Server({1: bank}, fault=no_refusals)) as port:
        names = ("eastron_sdm120", "eastron_sdm630", "sunspec_generic_int")
        first, *_ = await identify(f"tcp://127.0.0.1:{port}?unit=1", names)
    assert first.profile == "eastron_sdm120"


async def test_nothing_that_fits_ends_with_1() -> None:
    """A script goes on with another device."""
    bank = Bank(holding=dict.fromkeys(range(200), 0))
    result = await _ask(Server({1: bank}), "identify", "tcp://127.0.0.1:PORT?unit=1")
    assert result.exit_code == 1 and "no profile fits" in result.stderr


async def test_what_a_device_is_silent_about_is_named_and_the_rest_is_told() -> None:
    """One silent register once cost all the others."""

    def silent(server: Server, request: Request, payload: bytes | None) -> Sending:
        touches = request.address <= 12 < request.address + request.count
        return [] if touches or payload is None else [(0.0, server.frame(request, payload))]

    bank = empty("eastron_sdm120")
    url = "tcp://127.0.0.1:PORT?unit=1"
    result = await _ask(Server({1: bank}, fault=silent), "read", url, "--profile", "eastron_sdm120")
    assert result.exit_code == 0 and "frequency" in result.stdout, result.output
    told = [name for name in load_profile("eastron_sdm120").points if f"{name} " in result.stdout]
    left_out = result.stderr.partition("not answered by the device, which answers others: ")[2].split()
    assert told and left_out and len(told) + len(left_out) == len(load_profile("eastron_sdm120").points)


async def test_a_device_that_boots_while_it_is_identified_is_asked_again() -> None:
    """Its SunSpec marker was refused six times, and no profile fitted."""
    inverter = dict.fromkeys(range(40072, 40122), 0) | {40070: 103, 40071: 50, 40080: 2301, 40083: 0xFFFF}
    bank = Bank(holding=SUNS | inverter | {40122: 0xFFFF, 40123: 0})
    result = await _ask(Server({1: bank}, fault=_refusing(4, first=6)), "identify", "tcp://127.0.0.1:PORT?unit=1")
    assert result.exit_code == 0 and result.output.startswith("sunspec_generic_int"), result.output


async def test_a_device_that_is_deaf_for_a_while_is_read() -> None:
    """A second connection was deaf again, and so was the third."""
    opened: list[float] = []

    def deaf(server: Server, request: Request, payload: bytes | None) -> Sending:
        opened.append(asyncio.get_running_loop().time())
        return [] if opened[-1] - opened[0] < 2.0 or payload is None else [(0.0, server.frame(request, payload))]

    url, words = "tcp://127.0.0.1:PORT?unit=1", ("--profile", "sunspec_generic_int", "--point", "sunspec_id")
    result = await _ask(Server({1: Bank(holding=dict(CHAIN))}, fault=deaf), "read", url, *words)
    assert result.exit_code == 0 and "1400204883" in result.output, result.output


def _refusing_at(code: int, address: int) -> Callable[[Server, Request, bytes | None], Sending]:
    def fault(server: Server, request: Request, payload: bytes | None) -> Sending:
        if request.address == address and request.pdu[0] == 3:
            payload = bytes((request.pdu[0] | 0x80, code))
        return [] if payload is None else [(0.0, server.frame(request, payload))]

    return fault


INVERTER = SUNS | {40070: 103, 40071: 50} | dict.fromkeys(range(40072, 40122), 0) | {40084: 2_500, 40085: 0}


async def test_a_chain_whose_header_fails_for_ever_is_used_as_far_as_it_goes() -> None:
    """What lies behind it may be a model of the vendor's own; the power lies before it."""
    server = Server({1: Bank(holding=INVERTER | {40122: 120, 40123: 26})}, fault=_refusing_at(4, 40122))
    url = "tcp://127.0.0.1:PORT?unit=1"
    result = await _ask(server, "read", url, "--profile", "sunspec_generic_int", "--point", "m103.W")
    assert result.exit_code == 0 and "2500" in result.output, result.output + result.stderr
    result = await _ask(server, "identify", url)
    assert result.exit_code == 0
    assert "header at 40122 is refused each time" in " ".join(result.output.split()), result.output


@pytest.mark.parametrize(("address", "found"), [(40070, "models before it: 1"), (40002, "models before it: none")])
async def test_a_header_that_fails_before_any_power_is_named(address: int, found: str) -> None:
    """Which header, why, and what was found before it: the installer tells the vendor."""
    server = Server({1: Bank(holding=dict(INVERTER))}, fault=_refusing_at(4, address))
    url = "tcp://127.0.0.1:PORT?unit=1"
    result = await _ask(server, "read", url, "--profile", "sunspec_generic_int", "--point", "m103.W")
    assert result.exit_code == 1
    assert f"SunSpec header at {address} is refused each time" in result.stderr
    assert "exception 4 (device failure)" in result.stderr and found in result.stderr


async def test_a_header_that_fails_while_a_device_is_read_takes_no_model_from_it() -> None:
    """A busy second must not cost a battery its lever."""
    whole, cut = SunSpecMap(base=40000, models=MODELS), SunSpecMap(base=40000, models=MODELS[:1], unread=UNREAD)
    moved = replace(cut, models=(replace(MODELS[0], length=66),))
    profile = load_profile("sunspec_generic_int")
    before = Facts(sunspec=whole, told={})
    assert Facts(sunspec=cut, told={}).reads_like(before, profile)
    assert not Facts(sunspec=moved, told={}).reads_like(before, profile)
    assert not Facts(sunspec=whole, told={}).reads_like(Facts(sunspec=cut, told={}), profile), "it is whole again"


MODELS = (
    Model(model_id=1, instance=1, address=40002, length=65),
    Model(model_id=103, instance=1, address=40069, length=50),
)
UNREAD = UnreadHeader(address=40069, exception_code=6, why="busy")


async def test_a_device_whose_answers_are_too_short_is_told_by_that() -> None:
    """That no profile fits is true and helps nobody; that the port is open and silent is not true."""

    def short(server: Server, request: Request, payload: bytes | None) -> Sending:
        if payload is not None and payload[0] in (3, 4):
            payload = bytes((payload[0], payload[1] - 2)) + payload[2:-2]
        return [] if payload is None else [(0.0, server.frame(request, payload))]

    server = Server({1: Bank(holding=dict.fromkeys(range(400), 1), input=dict.fromkeys(range(400), 1))}, fault=short)
    result = await _ask(server, "identify", "tcp://127.0.0.1:PORT?unit=1")
    assert result.exit_code == 1 and "bytes where" in result.stderr, result.stderr
    assert "no profile fits what else it answers" in result.stderr and "rtuovertcp" not in result.stderr
    result = await _ask(server, "scan", "127.0.0.1", "--port", "PORT", "--unit", "1")
    assert result.exit_code == 0 and "a reply of another length" in result.output


async def test_a_device_that_fails_at_what_would_tell_it_is_told_by_that() -> None:
    """Exception 4 of the registers that name it, and a plain refusal of the others."""

    def failing(server: Server, request: Request, payload: bytes | None) -> Sending:
        code = 4 if request.pdu[0] == 4 and request.address < 20 else 2
        return [(0.0, server.frame(request, bytes((request.pdu[0] | 0x80, code))))]

    result = await _ask(Server({1: Bank()}, fault=failing), "identify", "tcp://127.0.0.1:PORT?unit=1")
    assert result.exit_code == 1
    assert "exception 4 (device failure); no profile fits what else it answers" in result.stderr, result.stderr
