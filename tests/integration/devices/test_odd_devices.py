"""The installer's tools where things are odd: they repeat, they say why, and they end with 1 where nothing fits."""

import asyncio
from collections.abc import Callable
from typing import Any

from typer.testing import CliRunner

from sitewatt.commands import device
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
