"""``sitewatt sim station``: a charging station with a car that calls a central system over OCPP."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts.reasons import file_reason_of
from sitewatt.output import BAD_INPUT, fail, print_json


def station(
    *,
    url: Annotated[str, typer.Option(help="Where the central system answers, without the station's name.")],
    password_file: Annotated[Path, typer.Option(help="A file that holds the station's password.")],
    name: Annotated[str, typer.Option(help="Its identity.")] = "CP1",
    version: Annotated[str, typer.Option(help="1.6 or 2.0.1.")] = "1.6",
    phases: Annotated[int, typer.Option(min=1, max=3, help="Over how many the car charges.")] = 3,
    most_a: Annotated[float, typer.Option(min=6, max=80, help="What station and car can, per phase.")] = 16.0,
    plugged: Annotated[bool, typer.Option("--car/--no-car", help="Whether a car is plugged in.")] = True,
    refuses: Annotated[bool, typer.Option("--refuses-profiles", help="It says no to every limit.")] = False,
    waits: Annotated[bool, typer.Option("--waits", help="A car charges only once it is asked to.")] = False,
    switches: Annotated[bool, typer.Option("--switches-phases", help="It can use one phase of three.")] = False,
    ca_file: Annotated[Path | None, typer.Option(help="Whom it trusts on wss://; else the machine's own.")] = None,
    truth: Annotated[Path | None, typer.Option(help="Append its state to this file, JSON lines.")] = None,
    clock: Annotated[str | None, typer.Option(metavar="SPEC", help="INSTANT@ORIGINxSPEED.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer for programs.")] = False,
) -> None:
    """Charge until stopped, and play charging profiles, their end too; it is no witness of the protocol."""
    from contracts.clock import parse_clock

    try:
        from firmware_sim.station import NO_WITNESS, ChargingStation, StationConfig, trusting
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed: sitewatt[ocpp]", code="missing", as_json=as_json, exit_code=BAD_INPUT)
    if version not in ("1.6", "2.0.1"):
        fail(f"version is {version!r}; 1.6 or 2.0.1", code="bad_argument", as_json=as_json, exit_code=BAD_INPUT)
    try:
        password = password_file.read_text(encoding="utf-8").strip()
        tls = trusting(str(ca_file)) if ca_file is not None else None
        time = parse_clock(clock)
        file = truth.open("a", encoding="utf-8", buffering=1) if truth is not None else None
    except (OSError, ValueError) as error:
        fail(file_reason_of(error), code="bad_argument", as_json=as_json, exit_code=BAD_INPUT)

    said: list[tuple[Any, ...]] = []

    def note(state: dict[str, Any]) -> None:
        if file is not None:
            file.write(json.dumps(state) + "\n")
        now = (state["connected"], state["transaction"], state["limit_a"], state["limit_of"], state["error"])
        if said[-1:] == [now]:
            return
        said[:] = [now]
        if as_json:
            print_json(state)
        else:
            where = "connected" if state["connected"] else f"alone ({state['error'] or 'calling'})"
            typer.echo(f"{state['at']} {where}: {state['limit_a']:g} A by {state['limit_of']}")

    config = StationConfig(
        url=url, name=name, password=password, version=version, phases=phases, most_a=most_a, plugged=plugged,
        refuses_profiles=refuses, waits=waits, switches_phases=switches,
    )  # fmt: skip
    if as_json:
        print_json({"ready": True, "station": name, "version": version, "witness": False})
    else:
        typer.echo(f"{name} calls {url} as OCPP {version}; {NO_WITNESS}")
    try:
        asyncio.run(ChargingStation(config, time, tls=tls, note=note).run())
    except KeyboardInterrupt:
        raise typer.Exit from None
    finally:
        if file is not None:
            file.close()
