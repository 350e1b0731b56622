"""``sitewatt edge``: the gateway."""

from pathlib import Path
from typing import Annotated

import typer

from contracts.clock import SystemClock
from edge.errors import StatusUnavailable
from sitewatt.commands import edge_history, edge_page, edge_setup
from sitewatt.commands.edge_config import ConfigOption, load_site
from sitewatt.commands.edge_setup import DEFAULT_CONFIG
from sitewatt.durations import duration
from sitewatt.output import BAD_INPUT, fail, print_json, tell

app = typer.Typer(
    help="The gateway: run it, set it up, check a configuration, look at it, lock it.", no_args_is_help=True
)
edge_setup.register(app)
app.add_typer(edge_page.app, name="page")


@app.command()
def run(
    config: ConfigOption,
    clock: Annotated[str | None, typer.Option(metavar="SPEC", help="A scaled clock; the machine's by default.")] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    log_format: Annotated[str, typer.Option(help="text, or otlp: lines of OTLP/JSON for a collector.")] = "text",
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C."""
    from edge.__main__ import main

    arguments = ["run", "--config", str(config), "--log-level", log_level, "--log-format", log_format]
    raise typer.Exit(main(arguments + (["--clock", clock] if clock else [])))


@app.command()
def status(
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="Answer for programs.")] = False,
) -> None:
    """Ask the running gateway: devices, who won the last cycle and what clipped it, commands, limits, link, outbox.

    Exit 0 it answered, 1 none runs or this user may not ask, 2 the configuration cannot be used.
    """
    from edge.site.status import ask_status

    settings = load_site(config, as_json=as_json)
    try:
        found = ask_status(settings.state_dir)
    except StatusUnavailable as error:
        fail(f"{error}; {config} names that folder", code="not_running", as_json=as_json)
    if as_json:
        print_json(found)
        return
    from sitewatt.edge_status import lines

    for line in lines(found):
        tell(line)


@app.command()
def history(
    config: ConfigOption = DEFAULT_CONFIG,
    first: edge_history.FromOption = "",
    last: edge_history.ToOption = "",
    step: edge_history.StepOption = "",
    point: edge_history.PointOption = "",
    as_csv: edge_history.CsvOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Answer for programs.")] = False,
) -> None:
    """Show what the gateway kept of its site: power, charge, energy, supply; also while it does not run."""
    settings = load_site(config, as_json=as_json)
    edge_history.show(settings, first=first, last=last, step=step, point=point, as_csv=as_csv, as_json=as_json)


@app.command()
def plan(
    config: ConfigOption = DEFAULT_CONFIG,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw it as well.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer for programs, step by step.")] = False,
) -> None:
    """Ask the running gateway what came of its plan in 4 hours and what it plans for 20, each step with its reason.

    Exit 0 it answered, 1 none runs, it has no plan or this user may not ask, 2 the configuration cannot be used.
    """
    from edge.site.status import ask_status
    from sitewatt.plan_text import plan_lines

    settings = load_site(config, as_json=as_json)
    try:
        trading = ask_status(settings.state_dir)["trading"]
    except StatusUnavailable as error:
        fail(f"{error}; {config} names that folder", code="not_running", as_json=as_json)
    if trading is None or trading.get("plan") is None:
        nothing = "it neither trades nor names trading.tariff or trading.spot, or its agent is monitor"
        why = nothing if trading is None else "the first is not made yet"
        fail(f"{settings.site.id} has no plan: {why}", code="no_plan", as_json=as_json)
    if plot is not None and trading["plan"]["steps"]:
        from sitewatt.plan_plot import plan_svg

        plot.write_text(plan_svg(trading["plan"]), encoding="utf-8")
    if as_json:
        print_json(trading["plan"])
        return
    for line in plan_lines(trading["plan"]):
        tell(line)


@app.command()
def lock(
    config: ConfigOption = DEFAULT_CONFIG,
    lasts: Annotated[str | None, typer.Option("--for", metavar="TIME", help="2h, 30m, 90s; until unlocked.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer for programs.")] = False,
) -> None:
    """Lock the site for maintenance: batteries rest, remote orders are refused, also after a restart."""
    from edge.inputs.lock import lock as lock_site

    settings = load_site(config, as_json=as_json)
    try:
        until_at = None if lasts is None else SystemClock().now() + duration(lasts)
        lock_site(settings.state_dir, until_at=until_at)
    except ValueError as error:
        fail(str(error), code="bad_duration", as_json=as_json, exit_code=BAD_INPUT)
    except OSError as error:
        fail(f"{settings.state_dir}: {error.strerror}; not locked", code="not_locked", as_json=as_json)
    until = None if until_at is None else until_at.isoformat(timespec="seconds")
    if as_json:
        print_json({"site": settings.site.id, "locked": True, "until": until})
    else:
        tell(f"{settings.site.id} is locked {f'until {until}' if until else 'until it is unlocked'}")


@app.command()
def unlock(
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="Answer for programs.")] = False,
) -> None:
    """Take the local maintenance lock away; one that came as a command, or by a wired switch, stays."""
    from edge.inputs.lock import unlock as unlock_site

    settings = load_site(config, as_json=as_json)
    try:
        was_locked = unlock_site(settings.state_dir)
    except OSError as error:
        fail(f"{settings.state_dir}: {error.strerror}; still locked", code="still_locked", as_json=as_json)
    if as_json:
        print_json({"site": settings.site.id, "locked": False, "was_locked": was_locked})
    else:
        tell(f"{settings.site.id} is unlocked" if was_locked else f"{settings.site.id} was not locked")
