"""``sitewatt device``: the installer's tools. Reading is careful, writing says what it saw and puts things back."""

import asyncio
import contextlib
import itertools
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from sitewatt.output import BAD_INPUT, FAILED, fail, print_json

app = typer.Typer(help="Find, read and write devices.", no_args_is_help=True)

WATCH_S = 1.0

_Json = Annotated[bool, typer.Option("--json", help="Answer for programs.")]
_Profile = Annotated[str, typer.Option("--profile", metavar="P", help="Its register map; see `sitewatt profile list`.")]
_Profiles = Annotated[Path | None, typer.Option("--profiles", help="A folder whose profiles go before ours.")]
_Url = Annotated[str, typer.Argument(metavar="URL", help="tcp://HOST:502?unit=1, rtu:///dev/ttyUSB0?baud=9600, …")]


def _is_watched() -> bool:
    """Return whether a person sees what is said beside the answer."""
    return sys.stderr.isatty()


def _progress(whole: int, what: str) -> Callable[[object], None]:
    """Return what to call with each one that is done; a person at a terminal sees how many are."""
    done = itertools.count(1)

    def advance(_: object) -> None:
        count = next(done)
        if whole > 1 and _is_watched():
            typer.echo(f"\r{count} of {whole} {what}", nl=count == whole, err=True)

    return advance


@app.command()
def scan(
    *,
    target: Annotated[str, typer.Argument(metavar="HOST|CIDR|SERIAL", help="What to ask.")],
    port: Annotated[list[int] | None, typer.Option(help="TCP ports to try.")] = None,
    unit: Annotated[list[int] | None, typer.Option(help="Unit ids to try.")] = None,
    baud: Annotated[int, typer.Option(help="Speed of a serial line.")] = 9600,
    parity: Annotated[str, typer.Option(help="N, E or O.")] = "N",
    as_json: _Json = False,
) -> None:
    """Ask who answers: read-only, one probe at a time for each host."""
    from edge.devices import search
    from edge.modbus.url import parse_url

    async def look() -> list[dict[str, Any]]:
        units = tuple(unit or search.UNITS)
        if target.startswith(("/", "rtu:", "ascii:")):
            url = target if ":" in target else f"rtu://{target}?baud={baud}&parity={parity}"
            found = search.scan_bus(parse_url(url), units=units)
        else:
            hosts = search.hosts_of(target)
            await search.check_host(hosts[0])
            found = search.scan(
                hosts, ports=tuple(port or search.PORTS), units=units, on_host=_progress(len(hosts), "hosts asked")
            )
        answers = []
        async for one in found:
            if not as_json:
                models = f", SunSpec models {', '.join(map(str, one.models))}" if one.models else ""
                typer.echo(f"{one.url} answers {one.answered}{models}")
            answers.append({"url": one.url, "answered": one.answered, "sunspec_models": list(one.models)})
        return answers

    answers = _run(look, as_json)
    if as_json:
        print_json({"found": answers})
    elif not answers:
        typer.echo(f"nobody answers at {target}", err=True)


@app.command()
def identify(*, url: _Url, profiles: _Profiles = None, as_json: _Json = False) -> None:
    """Say which profiles fit a device, and why."""
    from edge.devices.catalogue import list_profiles
    from edge.devices.search import identify as find

    matches = _run(lambda: find(url, list_profiles(profiles), profiles), as_json)
    if as_json:
        print_json({"matches": [{"profile": m.profile, "score": m.score, "evidence": m.evidence} for m in matches]})
    elif not matches:
        typer.echo(f"no profile fits {url}", err=True)
    for match in () if as_json else matches:
        typer.echo(f"{match.profile:22} {match.score:5.1f}  {'; '.join(match.evidence)}")


@app.command()
def read(
    *,
    url: _Url,
    profile: _Profile,
    point: Annotated[list[str] | None, typer.Option(metavar="X", help="A point; all by default.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Read every second until stopped.")] = False,
    profiles: _Profiles = None,
    as_json: _Json = False,
) -> None:
    """Read points of a device."""
    from edge.devices.session import open_session

    known = _load(profile, profiles, as_json)

    async def look() -> None:
        async with open_session(known, url) as session:
            while True:
                answers = await session.read(point)
                if as_json:
                    print_json({name: one.as_dict() for name, one in answers.items()})
                else:
                    _print_points(answers)
                if not watch:
                    return
                await asyncio.sleep(WATCH_S)

    with contextlib.suppress(KeyboardInterrupt):
        _run(look, as_json)


@app.command()
def dump(
    *,
    url: _Url,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the registers go.")],
    profile: _Profile,
    profiles: _Profiles = None,
    as_json: _Json = False,
) -> None:
    """Write the registers of a device to a file, for replay and for bug reports."""
    import json
    from datetime import UTC, datetime

    from edge.devices.session import open_session

    known = _load(profile, profiles, as_json)

    async def take() -> dict[str, dict[str, int]]:
        async with open_session(known, url) as session:
            return await session.dump()

    tables = _run(take, as_json)
    at_ms = int(datetime.now(UTC).timestamp() * 1000)
    try:
        file.write_text(json.dumps({"at": at_ms, **tables}) + "\n", encoding="utf-8")
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}", code="bad_file", as_json=as_json, exit_code=BAD_INPUT)
    count = sum(len(words) for words in tables.values())
    if as_json:
        print_json({"file": str(file), "registers": count})
    else:
        typer.echo(f"{count} registers of {url} are in {file}")


@app.command()
def plan(
    *,
    profile: _Profile,
    url: Annotated[str | None, typer.Option(help="The connection to plan for; SunSpec models are looked up.")] = None,
    baud: Annotated[int | None, typer.Option(min=300, max=4_000_000, help="A serial line of that speed.")] = None,
    turnaround_ms: Annotated[float | None, typer.Option(min=0, help="How long the device thinks.")] = None,
    profiles: _Profiles = None,
    as_json: _Json = False,
) -> None:
    """Print the requests that read a whole profile, and the bus time that they take."""
    import json

    from edge.devices.offline import plan_profile
    from edge.errors import DeviceError
    from edge.modbus.cost import RTU_TURNAROUND_S, TCP_TURNAROUND_S, cost_of, rtu_cost, tcp_cost
    from edge.modbus.url import parse_url

    known = _load(profile, profiles, as_json)
    turnaround_s = None if turnaround_ms is None else turnaround_ms / 1000
    resolved = None
    if url is not None:
        cost = cost_of(_checked(lambda: parse_url(url), as_json), turnaround_s=turnaround_s)
        if known.sunspec is not None:
            try:
                resolved = asyncio.run(_layout(known, url))
            except DeviceError as error:
                typer.echo(f"planned for the worked example: {error}", err=True)
    elif baud is not None or (known.link.serial is not None and known.link.framing in ("rtu", "ascii")):
        line = known.link.serial.baud if baud is None else baud
        cost = rtu_cost(baud=line, turnaround_s=RTU_TURNAROUND_S if turnaround_s is None else turnaround_s)
    else:
        cost = tcp_cost(turnaround_s=TCP_TURNAROUND_S if turnaround_s is None else turnaround_s)
    answer = plan_profile(known, cost, resolved=resolved).as_dict()
    if as_json:
        print_json(answer)
    else:
        typer.echo(json.dumps(answer, indent=1))


@app.command()
def decode(
    *,
    profile: _Profile,
    registers: Annotated[Path, typer.Option(metavar="FILE", help='{"holding": {"40083": 14152}, "input": {}, …}')],
    profiles: _Profiles = None,
    as_json: _Json = False,
) -> None:
    """Say what registers mean, without a device."""
    import json

    from edge.devices.offline import decode_registers, parse_registers
    from edge.errors import DeviceImplausible

    known = _load(profile, profiles, as_json)
    try:
        text = registers.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{registers} cannot be read: {error}", code="bad_file", as_json=True, exit_code=BAD_INPUT)
    image = _checked(lambda: parse_registers(text), True)
    try:
        answers = {name: one.as_dict() for name, one in decode_registers(known, image).items()}
    except DeviceImplausible as error:
        fail(str(error), code="bad_registers", as_json=True)
    if as_json:
        print_json(answers)
    else:
        typer.echo(json.dumps(answers, indent=1, ensure_ascii=False))


@app.command()
def encode(
    *,
    profile: _Profile,
    point: Annotated[str, typer.Option(metavar="X", help="The point to write.")],
    value: Annotated[str, typer.Option(metavar="V", help="As the device means it, in the unit of the point.")],
    scale_factor: Annotated[int | None, typer.Option(metavar="N", help="What its SunSpec scale factor reads.")] = None,
    profiles: _Profiles = None,
    as_json: _Json = False,
) -> None:
    """Say which registers a value would be written to; exit 1 where it does not fit."""
    from edge.devices.offline import encode_value, refusal
    from edge.errors import ValueRefused

    known = _load(profile, profiles, as_json)
    try:
        writes = _checked(lambda: encode_value(known, point, value, scale_factor=scale_factor), True)
    except ValueRefused as error:
        print_json(refusal(error))
        raise typer.Exit(FAILED) from error
    print_json({"writes": [{"table": w.table.value, "address": w.address, "words": list(w.words)} for w in writes]})


@app.command()
def write(
    *,
    url: _Url,
    profile: _Profile,
    point: Annotated[str, typer.Option(metavar="X", help="The point to write.")],
    value: Annotated[str, typer.Option(metavar="V", help="As the device means it, in the unit of the point.")],
    lease: Annotated[float | None, typer.Option(min=1, help="Put the old value back after so many seconds.")] = None,
    profiles: _Profiles = None,
    as_json: _Json = False,
) -> None:
    """Write one value, read it back, and with a lease put the old one back when it ends (or when you stop)."""
    from edge.devices.session import Session, open_session
    from edge.errors import ValueRefused

    known = _load(profile, profiles, as_json)
    if lease is not None and point in known.points and known.points[point].access == "w":
        fail(
            f"{point} cannot be read, so its old value cannot be put back; write it without --lease",
            code="no_restore",
            as_json=as_json,
            exit_code=BAD_INPUT,
        )

    async def put(session: Session) -> dict[str, Any]:
        done = await session.write(point, value)
        answer: dict[str, Any] = {
            "point": point,
            "written": value,
            "before": None if done.before is None else done.before.value,
            "read_back": None if done.after is None else done.after.value,
            "equal": done.equal,
            "restored": None,
        }
        if lease is None or done.before is None or done.before.value is None:
            return answer
        if not as_json:
            typer.echo(f"{point} reads {answer['read_back']}, was {answer['before']}; back in {lease:g} s")
        try:
            await asyncio.sleep(lease)
        finally:
            old = done.before.raw if known.points[point].type.startswith("enum") else done.before.value
            assert old is not None
            back = await asyncio.shield(session.write(point, old))
            answer["restored"] = back.equal
        return answer

    async def run() -> dict[str, Any]:
        async with open_session(known, url) as session:
            return await put(session)

    try:
        answer = _run(run, as_json)
    except ValueRefused as error:
        fail(str(error), code=error.code, as_json=as_json)
    if as_json:
        print_json(answer)
    else:
        restored = {None: "", True: "; the old value is back", False: "; THE OLD VALUE IS NOT BACK"}[answer["restored"]]
        typer.echo(f"{point} was {answer['before']}, written {value}, reads {answer['read_back']}{restored}")
    if not answer["equal"] or answer["restored"] is False:
        raise typer.Exit(FAILED)


async def _layout(profile: Any, url: str) -> Any:
    from edge.devices.session import open_session

    async with open_session(profile, url) as session:
        return session.resolved


def _load(name: str, profiles: Path | None, as_json: bool) -> Any:
    from edge.devices.catalogue import load_profile

    return _checked(lambda: load_profile(name, profiles), as_json)


def _checked(work: Callable[[], Any], as_json: bool) -> Any:
    """Return what the work returns; a wrong argument ends the command with a sentence."""
    from edge.errors import ConfigError

    try:
        return work()
    except ConfigError as error:
        fail(str(error), code="bad_argument", as_json=as_json, exit_code=BAD_INPUT)


def _run(work: Callable[[], Coroutine[Any, Any, Any]], as_json: bool) -> Any:
    """Run what talks to devices; what goes wrong on the way ends the command with a sentence."""
    from edge.errors import ConfigError, DeviceError, DeviceRefused

    try:
        return asyncio.run(work())
    except ConfigError as error:
        fail(str(error), code="bad_argument", as_json=as_json, exit_code=BAD_INPUT)
    except DeviceRefused as error:
        fail(str(error), code="device_refused", as_json=as_json, exception_code=error.exception_code)
    except DeviceError as error:
        fail(str(error), code="device_silent", as_json=as_json)


def _print_points(answers: dict[str, Any]) -> None:
    for name, one in answers.items():
        shown = one.value if one.value is not None else "-"
        turned = f"  = {one.canonical_value} {one.unit}" if one.canonical_value != one.value else ""
        quality = "" if one.quality == "good" else f"  ({one.quality})"
        typer.echo(f"{name:32} {shown} {one.unit}{quality}{turned}")
    sys.stdout.flush()
