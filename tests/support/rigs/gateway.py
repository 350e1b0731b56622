"""One gateway under test: its configuration changed, its command line asked, its status awaited."""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import yaml

from edge.errors import StatusUnavailable
from edge.site.status import ask_status
from sitewatt.demo import files
from tests.support.rigs.fault_rig import SAFETY_S, ZONE, FaultRig

Answer = tuple[int, str, str]


async def cli(*arguments: str) -> Answer:
    """Run ``sitewatt`` as its users do, and return its exit code and what it wrote to its two outputs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sitewatt",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), SAFETY_S)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def broker_arguments(place: FaultRig) -> list[str]:
    """Return what leads a command to the broker, on the site's clock."""
    return ["--broker", f"mqtt://127.0.0.1:{place.broker_port}", "--clock", place.clock.spec()]


async def command(place: FaultRig, *arguments: str) -> tuple[int, Any]:
    """Run ``sitewatt command … --json`` on the broker of the rig; return its exit code and its answer."""
    zone = ["--zone", ZONE] if arguments[0] == "send" else []
    code, out, err = await cli("command", *arguments, *broker_arguments(place), *zone, "--json")
    assert out, err
    return code, json.loads(out)


def config_file(place: FaultRig, site: str) -> str:
    """Return a gateway's configuration file."""
    return str(files.gateway(place.folder, site))


def change_config(place: FaultRig, site: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a gateway's configuration; it is read at the next start."""
    path = files.gateway(place.folder, site)
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


async def restart(place: FaultRig, site: str, change: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
    """Stop a gateway, change its configuration, start it again."""
    await place.processes.stop([site])
    change_config(place, site, change)
    await place.start(site)


async def status(place: FaultRig, site: str) -> dict[str, Any] | None:
    """Return what a gateway says of itself, ``None`` while it does not answer."""
    try:
        return await asyncio.to_thread(ask_status, files.state(place.folder, site))
    except StatusUnavailable:
        return None


async def until_status(
    place: FaultRig, site: str, holds: Callable[[dict[str, Any]], bool], what: str, *, within_s: float = SAFETY_S
) -> dict[str, Any]:
    """Wait until a gateway's status says something, and return it.

    Raises:
        AssertionError: It did not within the safety bound.
    """
    found: dict[str, Any] | None = None
    try:
        async with asyncio.timeout(within_s):
            while True:
                found = await status(place, site)
                if found is not None and holds(found):
                    return found
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise AssertionError(f"not within {within_s:.0f} s: {what}; the gateway says {found}") from error


async def devices_read(place: FaultRig, *sites: str) -> None:
    """Wait until gateways have read their devices; before that a site can promise nothing and refuses orders.

    Raises:
        AssertionError: One has not within the safety bound.
    """
    for site in sites:
        await until_status(
            place, site, lambda said: said["cycle"] is not None and not said["cycle"]["alarms"], "its devices are read"
        )
