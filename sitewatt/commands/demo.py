"""``sitewatt demo``: a neighbourhood on this machine."""

import asyncio
import contextlib
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from sitewatt.output import BAD_INPUT, FAILED, INTERRUPTED, TERMINATED, TOO_SLOW, fail, tell

if TYPE_CHECKING:
    from cloud.local.opening import Servers
    from sitewatt.demo.deployed import Deployed
    from sitewatt.demo.neighbourhood import Neighbourhood
    from sitewatt.demo.page_server import DemoPage
    from sitewatt.demo.report import Report
    from sitewatt.demo.run import Options

DURATION_S = 180.0
STACK_SPEED: Final = 5.0  # An emulator calls one function after the other.
# Its event may come in the last minutes of the story, and an answer takes seconds that are minutes in time-lapse.
STACK_STORY_S: Final = 3600.0


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
    page: Annotated[bool, typer.Option(help="Show the neighbourhood in a browser, at a URL printed first.")] = True,
    page_port: Annotated[
        int, typer.Option(help="Port of the page on 127.0.0.1; 0 is a free one.", min=0, max=65_535)
    ] = 0,
    tables: Annotated[
        str | None, typer.Option(metavar="URL", help="postgresql://USER@HOST/DATABASE, an empty one; default: a file.")
    ] = None,
    streams: Annotated[
        str | None, typer.Option(metavar="URL", help="nats://HOST:PORT/NAME, a name of its own; default: a file.")
    ] = None,
    cloud: Annotated[str, typer.Option(help="Where the cloud is: here, or aws, a stack in an emulator.")] = "here",
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="With --cloud aws: the emulator, http://127.0.0.1:4566.")
    ] = None,
    stack_name: Annotated[str, typer.Option("--stack", help="With --cloud aws: the stack's name.")] = "sitewatt",
    region: Annotated[str, typer.Option(help="With --cloud aws: the stack's Region.")] = "eu-central-1",
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Run a neighbourhood that trades and answers a demand-response event.

    Simulated devices on real sockets, one gateway process a site, an MQTT broker, the cloud's functions and the market,
    in time-lapse. Exit 0 only when an interval was settled, the ledger sums to zero, nothing was lost and the event
    became effective at the meters; 1 when one of these did not hold, 3 when this machine could not keep up.
    """
    from cloud.local.opening import Servers
    from firmware_sim.series import Week
    from sitewatt.demo.neighbourhood import neighbourhood

    servers = Servers(tables=tables, streams=streams)
    _check_servers(servers, as_json=as_json)
    deployed = _deployed(cloud, endpoint, stack_name, region, servers, as_json=as_json)
    if week not in set(Week):
        fail(f"--week is {week!r}, must be one of {', '.join(Week)}", code="bad_week", as_json=as_json, exit_code=2)
    if report is not None and not os.access(report.parent, os.W_OK):
        # Better said now than after three minutes.
        fail(f"--report is {report}, its folder cannot be written", code="file", as_json=as_json, exit_code=BAD_INPUT)
    if keep is not None and keep.exists() and not (keep.is_dir() and not any(keep.iterdir())):
        fail(f"--keep is {keep}, which is not an empty folder", code="file", as_json=as_json, exit_code=BAD_INPUT)
    try:
        place = neighbourhood(sites=sites, week=Week(week))
    except ValueError as error:
        fail(str(error), code="bad_sites", as_json=as_json, exit_code=BAD_INPUT)
    if deployed is not None:
        from sitewatt.demo.deployed import moved

        tell("starting the stack's functions", err=True)
        deployed.warm()
        place = moved(place)
        speed = STACK_SPEED if speed is None else speed
        duration = STACK_STORY_S / speed if duration is None else duration
    with contextlib.ExitStack() as stack:
        shown = stack.enter_context(_page(page_port, as_json=as_json)) if page else None
        from sitewatt.demo.run import Options  # The address is told first; this takes another second.

        pace, duration_s = _pace(place, speed=speed, duration_s=duration)
        options = Options(
            duration_s=duration_s,
            speed=pace,
            headless=headless or as_json or not has_terminal(),
            report=report,
            keep=keep,
            as_json=as_json,
            embedded_broker=embedded_broker,
            page=shown,
            servers=servers,
            deployed=deployed,
        )
        outcome = _run(place, options)
    if not outcome.kept_up and not outcome.lost:
        raise typer.Exit(TOO_SLOW)
    if not outcome.passed:
        raise typer.Exit(FAILED)


def _deployed(
    cloud: str, endpoint: str | None, name: str, region: str, servers: "Servers", *, as_json: bool
) -> "Deployed | None":
    """Return the stack that is to be the cloud, ``None`` where it runs here."""
    from cloud.errors import CloudError

    def refuse(sentence: str, code: str) -> NoReturn:
        fail(sentence, code=code, as_json=as_json, exit_code=BAD_INPUT)

    if cloud not in ("here", "aws"):
        refuse(f"--cloud is {cloud!r}, must be here or aws", "bad_cloud")
    if cloud == "here":
        if endpoint is not None:
            refuse("--endpoint is for --cloud aws", "bad_cloud")
        return None
    if endpoint is None:
        refuse("--cloud aws needs --endpoint: time-lapse is for an emulator; on AWS gateways join as docs/aws.md says",
               "bad_cloud")  # fmt: skip
    if servers.named:
        refuse(f"--{servers.named[0]} is for --cloud here: a stack has its own", "bad_cloud")
    from cloud.infra.deployment.account import Account
    from sitewatt.demo.deployed import Deployed

    try:
        deployed = Deployed(account=Account(stack=name, region=region, endpoint=endpoint))
        deployed.check()
    except CloudError as error:
        refuse(str(error), "stack")
    return deployed


def _check_servers(servers: "Servers", *, as_json: bool) -> None:
    """End the command where a server does not answer, or holds another cloud, whose books would become part of ours."""
    from cloud.errors import CloudError, SetupError
    from cloud.local.opening import LAKE_FOLDER
    from cloud.stores.registry import load_registry
    from cloud.stores.setup import open_database

    if servers.tables is None:
        return
    try:
        tables = open_database(servers.tables, lake=LAKE_FOLDER).tables
        try:
            load_registry(tables)
        except SetupError:
            return  # Nobody takes part there yet.
        finally:
            tables.close()
    except CloudError as error:
        fail(f"--tables: {error}", code="store", as_json=as_json, exit_code=BAD_INPUT)
    fail(
        "--tables names a database that holds a cloud: take an empty one",
        code="store",
        as_json=as_json,
        exit_code=BAD_INPUT,
    )


def _page(port: int, *, as_json: bool) -> "DemoPage":
    from sitewatt.demo.page_server import DemoPage

    try:
        page = DemoPage(port)
    except OSError as error:
        fail(
            f"--page-port is {port}: {error.strerror}; 0 takes a free port, --no-page goes without a page",
            code="page_port",
            as_json=as_json,
            exit_code=BAD_INPUT,
        )
    tell(f"open {page.url} in a browser of this machine", err=True)
    return page


def has_terminal() -> bool:
    """Return whether a live view can be drawn; a pipe and a terminal without cursor get lines."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _pace(place: "Neighbourhood", *, speed: float | None, duration_s: float | None) -> tuple[float, float]:
    """Return speed and duration, measured and computed where not told, and say what was chosen."""
    from sitewatt.demo.neighbourhood import STORY_S
    from sitewatt.demo.pace import measured_rounds_per_s, speed_for

    if speed is None:
        tell("measuring for two seconds how fast this machine can go", err=True)
        speed = speed_for(gateways=len(place.sites) + 1, rounds_per_s=measured_rounds_per_s())
        tell(f"speed {speed:g}: one minute here is {speed:g} minutes there", err=True)
    if duration_s is None:
        duration_s = max(DURATION_S, math.ceil(STORY_S / speed))
        tell(f"running for {duration_s:.0f} s", err=True)
    if duration_s * speed < STORY_S:
        tell(
            f"{duration_s:.0f} s at speed {speed:g} end before the event; --duration {STORY_S / speed:.0f} sees it "
            "settled and effective, what comes too late is said to have FAILED",
            err=True,
        )
    return speed, duration_s


def _run(place: "Neighbourhood", options: "Options") -> "Report":
    from sitewatt.demo.processes import ProcessFailed
    from sitewatt.demo.run import run

    try:
        return asyncio.run(run(place, options))
    except ProcessFailed as error:
        fail(str(error), code="process_failed", as_json=options.as_json)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", code="file", as_json=options.as_json, exit_code=BAD_INPUT)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except asyncio.CancelledError:
        raise typer.Exit(TERMINATED) from None
