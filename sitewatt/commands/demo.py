"""``sitewatt demo``: a neighbourhood on this machine."""

import asyncio
import math
import os
from pathlib import Path
from typing import Annotated

import typer

from sitewatt.output import BAD_INPUT, FAILED, INTERRUPTED, TERMINATED, TOO_SLOW, fail

DURATION_S = 180.0


def demo(
    headless: Annotated[bool, typer.Option("--headless", help="No live view: progress on standard error.")] = False,
    duration: Annotated[
        float | None,
        typer.Option(help="Seconds of real time to run. Default 180, or what the event needs.", min=10, max=86_400),
    ] = None,
    sites: Annotated[int, typer.Option(help="Solar farm, factory and homes, 2 to 20.")] = 5,
    speed: Annotated[
        float | None,
        typer.Option(help="How fast time runs; 1 is real time. Default: up to 30, as measured.", min=0.1, max=60),
    ] = None,
    week: Annotated[str, typer.Option(help="Which measured week: sunny, changing or dark.")] = "sunny",
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report there as JSON.")] = None,
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep configurations, journals, tables and logs there.")
    ] = None,
    embedded_broker: Annotated[
        bool,
        typer.Option("--embedded-broker", help="Use the broker that needs no installation, also beside mosquitto."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Run a neighbourhood that trades and answers a demand-response event.

    Simulated devices on real sockets, one gateway process a site, an MQTT broker, the cloud's functions and the market,
    in time-lapse. Exit 0 only when an interval was settled, the ledger sums to zero, nothing was lost and the event
    became effective at the meters; 1 when one of these did not hold, 3 when this machine could not keep up.
    """
    from firmware_sim.series import Week
    from sitewatt.demo.neighbourhood import STORY_S, neighbourhood
    from sitewatt.demo.pace import measured_rounds_per_s, speed_for
    from sitewatt.demo.processes import ProcessFailed
    from sitewatt.demo.run import Options, run

    if week not in set(Week):
        fail(f"--week is {week!r}, must be one of {', '.join(Week)}", code="bad_week", as_json=as_json, exit_code=2)
    if report is not None and not os.access(report.parent, os.W_OK):
        # Better said now than after three minutes.
        fail(f"--report is {report}, its folder cannot be written", code="file", as_json=as_json, exit_code=BAD_INPUT)
    try:
        place = neighbourhood(sites=sites, week=Week(week))
    except ValueError as error:
        fail(str(error), code="bad_sites", as_json=as_json, exit_code=BAD_INPUT)
    pace = speed
    if pace is None:
        typer.echo("measuring for two seconds how fast this machine can go", err=True)
        pace = speed_for(gateways=sites + 1, rounds_per_s=measured_rounds_per_s())
        typer.echo(f"speed {pace:g}: one minute here is {pace:g} minutes there", err=True)
    if duration is None:
        duration = max(DURATION_S, math.ceil(STORY_S / pace))
        typer.echo(f"running for {duration:.0f} s", err=True)
    if duration * pace < STORY_S:
        typer.echo(
            f"{duration:.0f} s at speed {pace:g} end before the event; --duration {STORY_S / pace:.0f} sees it settled "
            "and effective, what comes too late is said to have FAILED",
            err=True,
        )
    options = Options(
        duration_s=duration,
        speed=pace,
        headless=headless or as_json,
        report=report,
        keep=keep,
        as_json=as_json,
        embedded_broker=embedded_broker,
    )
    try:
        report_of_run = asyncio.run(run(place, options))
    except ProcessFailed as error:
        fail(str(error), code="process_failed", as_json=as_json)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", code="file", as_json=as_json, exit_code=BAD_INPUT)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except asyncio.CancelledError:
        raise typer.Exit(TERMINATED) from None
    if not report_of_run.kept_up and not report_of_run.lost:
        raise typer.Exit(TOO_SLOW)
    if not report_of_run.passed:
        raise typer.Exit(FAILED)
