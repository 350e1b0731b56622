"""``sitewatt profile new``: the first map of a device that nobody mapped yet, from a list or by looking at it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from contracts.reasons import reason_of
from sitewatt.device_tools import Progress, checked, run
from sitewatt.output import BAD_INPUT, fail, print_json, tell

_Seen = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="What its display shows now, as active_power_w=1234; with --scan."),
]


def new(
    *,
    profile: Annotated[str, typer.Argument(metavar="ID", help="Its id: small letters, digits, underscores.")],
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Its registers: a line each, with name, address, type; see docs/devices.md."),
    ] = None,
    scan: Annotated[str | None, typer.Option(metavar="URL", help="A device to look at, tcp://HOST:502?unit=1.")] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help="inverter, battery, meter, charger, heat_pump, relay or controller.")
    ] = None,
    vendor: Annotated[str, typer.Option(help="Who makes it.")] = "unknown vendor",
    model: Annotated[list[str] | None, typer.Option(help="Which models it is for.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="Where the registers are from, with the revision.")] = None,
    addresses: Annotated[
        str, typer.Option(help="How the list counts: wire (as sent), one-based, modicon (40001, 30001).")
    ] = "wire",
    framing: Annotated[str, typer.Option(help="tcp, rtu, rtu_over_tcp or ascii.")] = "tcp",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Its TCP port.")] = 502,
    unit: Annotated[int, typer.Option(min=0, max=255, help="Its unit id.")] = 1,
    baud: Annotated[int, typer.Option(min=300, max=4_000_000, help="Speed of its serial line.")] = 9600,
    line: Annotated[str, typer.Option(help="Parity and bits of its serial line.")] = "8N1",
    first: Annotated[int, typer.Option(min=0, max=65_535, help="First address to look at, with --scan.")] = 0,
    last: Annotated[int, typer.Option(min=0, max=65_535, help="Last address to look at, with --scan.")] = 255,
    seen: _Seen = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="What is written; ID.yaml by default.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Answer for programs.")] = False,
) -> None:
    """Make a profile from a vendor's list of registers (--csv), or by looking at a device (--scan, read-only).

    What is guessed is named: look at each canonical name and sign before the profile steers anything.
    """
    from edge.devices.catalogue import parse_profile
    from edge.devices.draft import Heading, profile_text
    from edge.devices.points import Kind
    from edge.devices.register_list import Numbering

    path = out or Path(f"{profile}.yaml")
    if (csv is None) == (scan is None):
        fail("give one of --csv FILE and --scan URL", code="bad_argument", as_json=as_json, exit_code=BAD_INPUT)
    if path.stem != profile:
        sentence = f"--out is {path}: the file of a profile has its id as name, {profile}.yaml"
        fail(sentence, code="bad_argument", as_json=as_json, exit_code=BAD_INPUT)
    if path.exists() and not force:
        fail(f"{path} is there already; --force replaces it", code="exists", as_json=as_json, exit_code=BAD_INPUT)
    try:
        kinds = tuple(Kind(one) for one in kind or ["meter"])
        numbering = Numbering(addresses)
    except ValueError as error:
        fail(f"{error}", code="bad_argument", as_json=as_json, exit_code=BAD_INPUT)
    if csv is not None:
        registers, comments = _from_list(csv, kinds, numbering, as_json), list[str]()
    else:
        assert scan is not None, "one of both is given"
        registers, comments = _from_device(scan, first, last, seen or [], as_json)
        framing, unit, port = _wires(scan, framing, port, as_json)
    heading = Heading(
        id=profile,
        vendor=vendor,
        models=tuple(model or ["unknown model"]),
        kinds=kinds,
        sources=tuple(source or [f"registers of {csv.name}" if csv is not None else "values of a device"]),
        framing=framing,
        port=port,
        unit=unit,
        baud=baud,
        line=line,
    )
    text = checked(lambda: profile_text(heading, registers, left_over=comments), as_json)
    known = checked(lambda: parse_profile(profile, text), as_json)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}", code="bad_file", as_json=as_json, exit_code=BAD_INPUT)
    _say(path, known, registers.guessed, as_json)


def _from_list(path: Path, kinds: Any, numbering: Any, as_json: bool) -> Any:
    from edge.devices.register_list import read_list

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{path} cannot be read: {reason_of(error)}", code="bad_file", as_json=as_json, exit_code=BAD_INPUT)
    return checked(lambda: read_list(text, kinds=kinds, numbering=numbering), as_json)


def _from_device(url: str, first: int, last: int, seen: list[str], as_json: bool) -> tuple[Any, list[str]]:
    from edge.devices.survey import REGISTERS_MAX, survey
    from edge.devices.value_guess import guess, left_over
    from edge.modbus.point import Table

    if not first <= last < first + REGISTERS_MAX:
        sentence = f"--first {first} to --last {last} is not 1 to {REGISTERS_MAX} registers"
        fail(sentence, code="bad_argument", as_json=as_json, exit_code=BAD_INPUT)
    values = {name: _number(name, value, as_json) for name, _, value in (text.partition("=") for text in seen)}
    progress = Progress()
    try:
        tables = run(
            lambda: survey(
                url,
                tables=(Table.INPUT, Table.HOLDING),
                first=first,
                last=last,
                on_block=lambda table, at: progress.show(f"{table} {at} of {last}"),
            ),
            as_json,
        )
    finally:
        progress.clear()
    registers = guess(tables, seen=values)
    if not registers.points:
        held = sum(len(words) for words in tables.values())
        fail(
            f"{held} registers answer between {first} and {last}, and none looks like a voltage or a frequency;"
            " give what its display shows with --seen, or other addresses",
            code="nothing_found",
            as_json=as_json,
        )
    return registers, left_over(tables, registers.points)


def _number(name: str, text: str, as_json: bool) -> float:
    try:
        return float(text)
    except ValueError:
        fail(f"--seen {name}={text}: no number", code="bad_argument", as_json=as_json, exit_code=BAD_INPUT)


def _wires(url: str, framing: str, port: int, as_json: bool) -> tuple[str, int, int]:
    """Return how a device that was looked at is reached."""
    from edge.modbus.url import Scheme, parse_url

    endpoint = checked(lambda: parse_url(url), as_json)
    framings = {Scheme.TCP: "tcp", Scheme.RTU_OVER_TCP: "rtu_over_tcp", Scheme.RTU: "rtu", Scheme.ASCII: "ascii"}
    return framings.get(endpoint.scheme, framing), endpoint.unit, endpoint.port or port


def _say(path: Path, profile: Any, guessed: list[str], as_json: bool) -> None:
    """Name what was made, what was guessed, and what comes next."""
    steps = [
        f"sitewatt profile check {path}",
        f"sitewatt sim device --profile {path}",
        f"sitewatt device read URL --profiles {path.parent} --profile {profile.id}",
    ]
    if as_json:
        levers = [lever.value for lever in profile.capabilities]
        answer = {"profile": profile.id, "file": str(path), "points": len(profile.points), "capabilities": levers}
        print_json(answer | {"guessed": guessed, "next": steps})
        return
    tell(f"{path} is written: {len(profile.points)} points")
    for name in guessed:
        spec = profile.points[name]
        sign = ", sign unconfirmed" if spec.sign == "unconfirmed" else ""
        tell(f"  a guess: {name} is {spec.canonical}{sign}")
    tell("Next: " + "\n      ".join(steps))
