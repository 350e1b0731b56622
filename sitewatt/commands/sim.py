"""``sitewatt sim``: devices that answer on a real socket or serial line, to try a gateway or a profile against."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts.reasons import file_reason_of, reason_of
from sitewatt.commands.sim_station import station
from sitewatt.commands.sim_swarm import swarm
from sitewatt.output import BAD_INPUT, FAILED, fail, print_json, tell

app = typer.Typer(
    help="Simulated devices on real sockets; a whole neighbourhood under drawn faults.", no_args_is_help=True
)
app.command()(swarm)
app.command()(station)

_Json = Annotated[bool, typer.Option("--json", help="Answer for programs.")]
_Host = Annotated[str, typer.Option(help="Address to listen on.")]
_Port = Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 lets the machine choose.")]
_Unit = Annotated[int, typer.Option(min=1, max=247, help="Unit id.")]
_Quirk = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME[=VALUE]", help="A habit of real devices; `--quirk list` names them. May be repeated."),
]
_Clock = Annotated[str | None, typer.Option(metavar="SPEC", help="INSTANT@ORIGINxSPEED; default: the machine's own.")]


@app.command()
def run(
    *,
    plant: Annotated[Path, typer.Argument(help="The plant, YAML.")],
    clock: _Clock = None,
    truth: Annotated[Path | None, typer.Option(help="Append the plant's state to this file, JSON lines.")] = None,
    truth_every_s: Annotated[float, typer.Option(min=0.1, help="Seconds between those lines.")] = 1.0,
    as_json: _Json = False,
) -> None:
    """Serve every device of a plant until stopped."""
    from firmware_sim.errors import PlantError
    from firmware_sim.plant_config import load_plant
    from firmware_sim.serve import serve_plant

    def say(answer: dict[str, Any]) -> None:
        if as_json:
            print_json(answer)
            return
        for name, port in answer["ports"].items():
            tell(f"{name} answers on {config.host}:{port}")

    try:
        config = load_plant(plant)
    except PlantError as error:
        fail(str(error), code="bad_plant", as_json=as_json, exit_code=BAD_INPUT)
    _serve(serve_plant(config, _clock(clock, as_json), announce=say, truth=truth, truth_every_s=truth_every_s), as_json)


@app.command()
def device(
    *,
    profile_like: Annotated[
        str, typer.Option(help="sunspec, sunspec_pv, sunspec_hybrid, sunspec_meter, sdm630, relay.")
    ] = "sunspec",
    profile: Annotated[
        str | None,
        typer.Option(metavar="ID|FILE", help="Play a profile instead, a file of your own too: plumbing, no witness."),
    ] = None,
    port: _Port = 0,
    unit: _Unit = 1,
    host: _Host = "127.0.0.1",
    rtu: Annotated[bool, typer.Option("--rtu", help="Answer on a serial line: a pseudo-terminal.")] = False,
    rtu_over_tcp: Annotated[bool, typer.Option("--rtu-over-tcp", help="Serial frames on the TCP port.")] = False,
    baud: Annotated[int, typer.Option(min=300, max=4_000_000, help="Speed of the line.")] = 9600,
    turnaround_ms: Annotated[float, typer.Option(min=0, max=10_000, help="How long the device thinks.")] = 5.0,
    faults: Annotated[Path | None, typer.Option(help="What goes wrong on the wire, YAML or JSON.")] = None,
    quirk: _Quirk = None,
    seed: Annotated[int | None, typer.Option(help="Makes the faults repeatable; printed in any case.")] = None,
    clock: _Clock = None,
    as_json: _Json = False,
) -> None:
    """Serve one device over a small plant of its own until stopped."""
    import secrets

    from firmware_sim.errors import PlantError
    from firmware_sim.fault_rules import load_faults
    from firmware_sim.rtu import Pace
    from firmware_sim.serve import serve_plant, serve_rtu
    from firmware_sim.single import DEVICE, SITE, single_device

    habits = _quirks(quirk, as_json)
    seed = secrets.randbelow(2**31) if seed is None else seed
    if profile is not None:
        pace = Pace(baud=baud, turnaround_s=turnaround_ms / 1000) if rtu_over_tcp else None
        try:
            rules = (*(load_faults(faults).rules if faults else ()), *habits)
        except PlantError as error:
            fail(str(error), code="bad_device", as_json=as_json, exit_code=BAD_INPUT)
        if rtu:
            sentence = "--profile answers on TCP; --rtu-over-tcp carries serial frames there"
            fail(sentence, code="bad_argument", as_json=as_json, exit_code=BAD_INPUT)
        _play(
            profile,
            _clock(clock, as_json),
            as_json,
            host=host,
            port=port,
            unit=unit,
            faults=rules,
            seed=seed,
            pace=pace,
        )
        return

    def say(answer: dict[str, Any]) -> None:
        answered_port = answer["ports"][f"{SITE}/{DEVICE}"] if "ports" in answer else answer.get("port")
        url = _url(host=host, port=answered_port, path=answer.get("path"), unit=unit, baud=baud, over_tcp=rtu_over_tcp)
        if as_json:
            print_json({"ready": True, "url": url, "port": answered_port, "path": answer.get("path"), "seed": seed})
        else:
            tell(f"{profile_like} answers at {url}, seed {seed}")

    try:
        rules = (*(load_faults(faults).rules if faults else ()), *habits)
        config = single_device(profile_like, port=port, unit=unit, host=host, faults=rules, seed=seed)
    except PlantError as error:
        fail(str(error), code="bad_device", as_json=as_json, exit_code=BAD_INPUT)
    time = _clock(clock, as_json)
    if rtu or rtu_over_tcp:
        pace = Pace(baud=baud, turnaround_s=turnaround_ms / 1000)
        _serve(serve_rtu(config, time, announce=say, pace=pace, tcp_port=port if rtu_over_tcp else None), as_json)
    else:
        _serve(serve_plant(config, time, announce=say), as_json)


def _play(
    name: str, clock: Any, as_json: bool, *, host: str, port: int, unit: int, faults: Any, seed: int, pace: Any
) -> None:
    """Serve the device of a profile, ours or a file."""
    from edge.devices.catalogue import load_profile, parse_profile
    from sitewatt.bench.serve import NO_WITNESS, serve_profile
    from sitewatt.device_tools import checked

    path = Path(name)
    if path.suffix == ".yaml":
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            fail(f"{path} cannot be read: {reason_of(error)}", code="bad_file", as_json=as_json, exit_code=BAD_INPUT)
        known = checked(lambda: parse_profile(path.stem, text), as_json)
    else:
        known = checked(lambda: load_profile(name), as_json)

    def say(answer: dict[str, Any]) -> None:
        url = _url(host=host, port=answer["port"], path=None, unit=unit, baud=0, over_tcp=pace is not None)
        if as_json:
            print_json({"ready": True, "url": url, "port": answer["port"], "seed": seed, "witness": False})
        else:
            tell(f"{known.id} answers at {url}, seed {seed}; {NO_WITNESS}")

    _serve(
        serve_profile(
            known, clock, announce=say, host=host, port=port, unit=unit, faults=faults, seed=seed, over_tcp=pace
        ),
        as_json,
    )


@app.command()
def replay(
    *,
    dump: Annotated[Path, typer.Argument(help="Registers with time, JSON.")],
    port: _Port = 0,
    unit: Annotated[int, typer.Option(min=0, max=255, help="Unit id.")] = 1,
    host: _Host = "127.0.0.1",
    rtu_over_tcp: Annotated[bool, typer.Option("--rtu-over-tcp", help="Serial frames on the TCP port.")] = False,
    quirk: _Quirk = None,
    clock: _Clock = None,
    as_json: _Json = False,
) -> None:
    """Serve what was read from a real device until stopped, with its bad habits where they are named."""
    from firmware_sim.rtu import Pace
    from firmware_sim.serve import serve_dump

    habits = _quirks(quirk, as_json)

    def say(answer: dict[str, Any]) -> None:
        url = _url(host=host, port=answer["port"], path=None, unit=unit, baud=0, over_tcp=rtu_over_tcp)
        if as_json:
            print_json(answer | {"url": url})
        else:
            tell(f"{dump} ({answer['frames']} frames) answers at {url}")

    work = serve_dump(
        dump,
        _clock(clock, as_json),
        announce=say,
        host=host,
        port=port,
        unit=unit,
        faults=habits,
        over_tcp=Pace() if rtu_over_tcp else None,
    )
    _serve(work, as_json)


def _url(*, host: str, port: int | None, path: str | None, unit: int, baud: int, over_tcp: bool) -> str:
    if path is not None:
        return f"rtu://{path}?baud={baud}&parity=N&unit={unit}"
    return f"{'rtuovertcp' if over_tcp else 'tcp'}://{host}:{port}?unit={unit}"


def _quirks(texts: list[str] | None, as_json: bool) -> tuple[Any, ...]:
    """Return the rules of the quirks that were named; ``list`` shows them all and ends the command."""
    from firmware_sim.errors import PlantError
    from firmware_sim.quirks import QUIRKS, quirk_rules, quirk_table

    if "list" in (texts or ()):
        if as_json:
            print_json({"quirks": [{"form": one.form, "does": one.does} for one in QUIRKS.values()]})
        else:
            tell(quirk_table())
        raise typer.Exit
    try:
        return quirk_rules(texts or ())
    except PlantError as error:
        fail(str(error), code="bad_quirk", as_json=as_json, exit_code=BAD_INPUT)


def _clock(spec: str | None, as_json: bool) -> Any:
    from contracts.clock import parse_clock

    try:
        return parse_clock(spec)
    except ValueError as error:
        fail(str(error), code="bad_clock", as_json=as_json, exit_code=BAD_INPUT)


def _serve(work: Coroutine[Any, Any, None], as_json: bool) -> None:
    """Run until stopped; what cannot be served ends the command with a sentence."""
    from firmware_sim.errors import PlantError, SimulatorError

    try:
        asyncio.run(work)
    except PlantError as error:
        fail(str(error), code="bad_file", as_json=as_json, exit_code=BAD_INPUT)
    except SimulatorError as error:
        fail(str(error), code="port_taken", as_json=as_json, exit_code=BAD_INPUT)
    except OSError as error:
        fail(file_reason_of(error), code="failed", as_json=as_json, exit_code=FAILED)
