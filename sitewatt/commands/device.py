"""``sitewatt device``: the installer's tools. Reading is careful, writing says what it saw and puts things back."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from sitewatt import device_offline
from sitewatt.device_tools import JsonOption, ProfileOption, ProfilesOption, Progress, load, run
from sitewatt.output import BAD_INPUT, FAILED, as_told, fail, print_json, tell

app = typer.Typer(help="Find, read and write devices.", no_args_is_help=True)

WATCH_S = 1.0
# Ctrl-C, a supervisor, a terminal that was closed; Windows, which reads this file too, has no word for the last.
STOPS = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in signal.Signals.__members__)

UrlArgument = Annotated[
    str, typer.Argument(metavar="URL", help="HOST:PORT, tcp://HOST:502?unit=1, rtu:///dev/ttyUSB0?baud=9600, …")
]


@app.command()
def scan(
    *,
    target: Annotated[str, typer.Argument(metavar="HOST|HOST:PORT|CIDR|SERIAL", help="What to ask.")],
    port: Annotated[list[int] | None, typer.Option(min=1, max=65_535, help="TCP ports to try.")] = None,
    unit: Annotated[list[int] | None, typer.Option(min=0, max=255, help="Unit ids to try.")] = None,
    baud: Annotated[int, typer.Option(help="Speed of a serial line.")] = 9600,
    parity: Annotated[str, typer.Option(help="N, E or O.")] = "N",
    as_json: JsonOption = False,
) -> None:
    """Ask who answers: read-only, one probe at a time for each host."""
    from edge.devices.target import hints_where_nobody_answers, search, target_of

    progress = Progress()
    hints: list[str] = []

    async def look() -> list[dict[str, Any]]:
        who = target_of(target, ports=port or (), units=unit or (), baud=baud, parity=parity)
        answers = []
        async for one in search(who, on_progress=progress.show):
            progress.clear()
            if not as_json:
                models = f", SunSpec models {', '.join(map(str, one.models))}" if one.models else ""
                ignores = "; it ignores the unit id: any would do" if one.ignores_unit else ""
                tell(f"{one.url} answers {one.answered}{models}{ignores}")
            answers.append(
                {
                    "url": one.url,
                    "answered": one.answered,
                    "sunspec_models": list(one.models),
                    "ignores_unit": one.ignores_unit,
                }
            )
        if not answers:
            hints.extend(await hints_where_nobody_answers(who))
        return answers

    try:
        answers = run(look, as_json)
    finally:
        progress.clear()
    if as_json:
        print_json({"found": answers, **({"hints": hints} if hints else {})})
    elif not answers:
        tell(f"nobody answers at {target}{'; '.join(['', *hints])}", err=True)
    if not answers:
        raise typer.Exit(FAILED)


@app.command()
def identify(*, url: UrlArgument, profiles: ProfilesOption = None, as_json: JsonOption = False) -> None:
    """Say which profiles fit a device, and why."""
    from edge.devices.catalogue import list_profiles
    from edge.devices.identify import identify as find

    matches = run(lambda: find(url, list_profiles(profiles), profiles), as_json)
    if as_json:
        print_json({"matches": [{"profile": m.profile, "score": m.score, "evidence": m.evidence} for m in matches]})
    elif not matches:
        tell(f"no profile fits {url}", err=True)
    for match in () if as_json else matches:
        tell(f"{match.profile:22} {match.score:5.1f}  {'; '.join(match.evidence)}")
    if not matches:
        raise typer.Exit(FAILED)


@app.command()
def read(
    *,
    url: UrlArgument,
    profile: ProfileOption,
    point: Annotated[list[str] | None, typer.Option(metavar="X", help="A point; all by default.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Read every second until stopped.")] = False,
    profiles: ProfilesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read points of a device."""
    from edge.devices.session import open_session
    from edge.errors import DeviceSilent

    known = load(profile, profiles, as_json)

    async def look() -> None:
        async with open_session(known, url) as session:
            while True:
                try:
                    answers = await session.read(point)
                    _show(answers, session.names(point), session.missing, as_json)
                except DeviceSilent as error:
                    if not watch:
                        raise
                    _show_silence(error, as_json)
                if not watch:
                    if not answers:
                        raise typer.Exit(1)
                    return
                await asyncio.sleep(WATCH_S)

    with contextlib.suppress(KeyboardInterrupt):
        run(look, as_json)


@app.command()
def dump(
    *,
    url: UrlArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the registers go.")],
    profile: ProfileOption,
    profiles: ProfilesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the registers of a device to a file, for replay and for bug reports."""
    import json
    from datetime import UTC, datetime

    from edge.devices.session import open_session

    known = load(profile, profiles, as_json)

    async def take() -> dict[str, dict[str, int]]:
        async with open_session(known, url) as session:
            return await session.dump()

    tables = run(take, as_json)
    at_ms = int(datetime.now(UTC).timestamp() * 1000)
    try:
        file.write_text(json.dumps({"at": at_ms, **tables}) + "\n", encoding="utf-8")
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}", code="bad_file", as_json=as_json, exit_code=BAD_INPUT)
    count = sum(len(words) for words in tables.values())
    if as_json:
        print_json({"file": str(file), "registers": count})
    else:
        tell(f"{count} registers of {url} are in {file}")


@app.command()
def write(
    *,
    url: UrlArgument,
    profile: ProfileOption,
    point: Annotated[str, typer.Option(metavar="X", help="The point to write.")],
    value: Annotated[str, typer.Option(metavar="V", help="As the device means it, in the unit of the point.")],
    lease: Annotated[float | None, typer.Option(min=1, help="Put the old value back after so many seconds.")] = None,
    profiles: ProfilesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write one value, read it back, and with a lease put the old one back when it ends (or when you stop)."""
    from edge.devices.session import Written, open_session

    known = load(profile, profiles, as_json)
    if lease is not None and point in known.points and known.points[point].access == "w":
        fail(
            f"{point} cannot be read, so its old value cannot be put back; write it without --lease",
            code="no_restore",
            as_json=as_json,
            exit_code=BAD_INPUT,
        )

    async def put() -> dict[str, Any]:
        async with open_session(known, url) as session:
            if lease is None:
                return _answer(await session.write(point, value), restored=None)
            with _stopped() as stopped:
                lent = await session.lend(point, value, lease_s=lease, stopped=stopped, on_written=announce)
            return _answer(lent.written, restored=lent.restored)

    def announce(written: Written) -> None:
        if not as_json:
            seen = _answer(written, restored=None)
            tell(f"{point} reads {seen['read_back']}, was {seen['before']}; back in {lease:g} s")

    answer = run(put, as_json)
    if as_json:
        print_json(answer)
    else:
        restored = {None: "", True: "; the old value is back", False: "; THE OLD VALUE IS NOT BACK"}[answer["restored"]]
        tell(f"{point} was {answer['before']}, written {value}, reads {answer['read_back']}{restored}")
    if not answer["equal"] or answer["restored"] is False:
        raise typer.Exit(FAILED)


for command in (device_offline.plan, device_offline.decode, device_offline.encode):
    app.command()(command)


@contextlib.contextmanager
def _stopped() -> Iterator[asyncio.Event]:
    """Yield what is set when the command is told to stop, so that it puts things back before it ends."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in STOPS:
        loop.add_signal_handler(number, stopped.set)
    try:
        yield stopped
    finally:
        for number in STOPS:
            loop.remove_signal_handler(number)


def _answer(written: Any, *, restored: bool | None) -> dict[str, Any]:
    """Return for programs what came of a write."""
    return {
        "point": written.point,
        "written": written.value,
        "before": None if written.before is None else written.before.value,
        "read_back": None if written.after is None else written.after.value,
        "equal": written.equal,
        "restored": restored,
    }


def _show_silence(error: Exception, as_json: bool) -> None:
    """Say that a device which is watched does not answer now."""
    if as_json:
        print_json({"error": {"code": "device_silent", "message": str(error)}})
    else:
        tell(str(error), err=True)


def _show(answers: dict[str, Any], asked: list[str], missing: dict[str, bool], as_json: bool) -> None:
    """Print what was read, and to a person also which points the device refused to tell, or was silent about."""
    if as_json:
        print_json({name: one.as_dict() for name, one in answers.items()})
        return
    for name, one in answers.items():
        shown = "-" if one.value is None else as_told(one.value)
        turned = f"  = {as_told(one.canonical_value)} {one.unit}" if one.canonical_value != one.value else ""
        quality = "" if one.quality == "good" else f"  ({one.quality})"
        tell(f"{name:32} {shown} {one.unit}{quality}{turned}")
    left_out = [name for name in asked if name not in answers]
    if refused := [name for name in left_out if not missing.get(name)]:
        tell(f"refused by the device: {', '.join(refused)}", err=True)
    if silent := [name for name in left_out if missing.get(name)]:
        tell(f"not answered by the device, which answers others: {', '.join(silent)}", err=True)
    sys.stdout.flush()
