"""The device commands that need no device: the plan of a profile, registers decoded, a value encoded."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts.reasons import reason_of
from sitewatt.device_tools import JsonOption, ProfileOption, ProfilesOption, checked, load
from sitewatt.output import BAD_INPUT, FAILED, fail, print_json, tell


def plan(
    *,
    profile: ProfileOption,
    url: Annotated[str | None, typer.Option(help="The connection to plan for; SunSpec models are looked up.")] = None,
    baud: Annotated[int | None, typer.Option(min=300, max=4_000_000, help="A serial line of that speed.")] = None,
    turnaround_ms: Annotated[float | None, typer.Option(min=0, help="How long the device thinks.")] = None,
    profiles: ProfilesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the requests that read a whole profile, and the bus time that they take.

    For a URL the silences that the device needs count too; for a bare --baud or --turnaround-ms the line alone.
    """
    import json

    from edge.devices.offline import plan_profile
    from edge.devices.options import link_limits
    from edge.errors import DeviceError
    from edge.modbus.cost import RTU_TURNAROUND_S, TCP_TURNAROUND_S, cost_of, rtu_cost, tcp_cost
    from edge.modbus.url import parse_url

    known = load(profile, profiles, as_json)
    turnaround_s = None if turnaround_ms is None else turnaround_ms / 1000
    resolved = None
    if url is not None:
        endpoint = checked(lambda: parse_url(url), as_json)
        gap_s = link_limits(known, endpoint).min_gap_s
        cost = cost_of(endpoint, turnaround_s=turnaround_s, min_gap_s=gap_s)
        if known.sunspec is not None:
            try:
                resolved = asyncio.run(_layout(known, url))
            except DeviceError as error:
                tell(f"planned for the worked example: {error}", err=True)
    elif baud is not None or (known.link.serial is not None and known.link.framing in ("rtu", "ascii")):
        line = known.link.serial.baud if baud is None else baud
        cost = rtu_cost(baud=line, turnaround_s=RTU_TURNAROUND_S if turnaround_s is None else turnaround_s)
    else:
        cost = tcp_cost(turnaround_s=TCP_TURNAROUND_S if turnaround_s is None else turnaround_s)
    answer = plan_profile(known, cost, resolved=resolved).as_dict()
    if as_json:
        print_json(answer)
    else:
        tell(json.dumps(answer, indent=1))


def decode(
    *,
    profile: ProfileOption,
    registers: Annotated[Path, typer.Option(metavar="FILE", help='{"holding": {"40083": 14152}, "input": {}, …}')],
    profiles: ProfilesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what registers mean, without a device."""
    import json

    from edge.devices.offline import decode_registers, parse_registers
    from edge.errors import DeviceImplausible

    known = load(profile, profiles, as_json)
    try:
        text = registers.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{registers} cannot be read: {reason_of(error)}", code="bad_file", as_json=True, exit_code=BAD_INPUT)
    image = checked(lambda: parse_registers(text), True)
    try:
        answers = {name: one.as_dict() for name, one in decode_registers(known, image).items()}
    except DeviceImplausible as error:
        fail(str(error), code="bad_registers", as_json=True)
    if as_json:
        print_json(answers)
    else:
        tell(json.dumps(answers, indent=1))


def encode(
    *,
    profile: ProfileOption,
    point: Annotated[str, typer.Option(metavar="X", help="The point to write.")],
    value: Annotated[str, typer.Option(metavar="V", help="As the device means it, in the unit of the point.")],
    scale_factor: Annotated[int | None, typer.Option(metavar="N", help="What its SunSpec scale factor reads.")] = None,
    profiles: ProfilesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which registers a value would be written to; exit 1 where it does not fit."""
    from edge.devices.offline import encode_value, refusal
    from edge.errors import ValueRefused

    known = load(profile, profiles, as_json)
    try:
        writes = checked(lambda: encode_value(known, point, value, scale_factor=scale_factor), True)
    except ValueRefused as error:
        print_json(refusal(error))
        raise typer.Exit(FAILED) from error
    print_json({"writes": [{"table": w.table.value, "address": w.address, "words": list(w.words)} for w in writes]})


async def _layout(profile: Any, url: str) -> Any:
    from edge.devices.session import open_session

    async with open_session(profile, url) as session:
        return session.resolved
