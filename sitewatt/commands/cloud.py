"""``sitewatt cloud``: the cloud's functions on this machine."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from os import getpid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sitewatt.cloud_text import report_lines
from sitewatt.commands import (
    cloud_backup,
    cloud_bundle,
    cloud_deploy,
    cloud_features,
    cloud_page,
    cloud_persons,
    cloud_repair,
    cloud_stack,
)
from sitewatt.output import BAD_INPUT, fail, print_json, tell

if TYPE_CHECKING:
    from cloud.cost.volumes import Site

READY_TIMEOUT_S = 40.0
STOP_TIMEOUT_S = 5.0

app = typer.Typer(help="The cloud: run it here, look at what it keeps.", no_args_is_help=True)

app.add_typer(cloud_repair.set_aside, name="set-aside")
app.add_typer(cloud_repair.journal, name="journal")
cloud_stack.register(app)
cloud_bundle.register(app)
cloud_deploy.register_commands(app)
cloud_features.register_commands(app)
cloud_backup.register(app)
cloud_persons.register(app)
cloud_page.register(app)

_Config = Annotated[Path, typer.Option("--config", metavar="FILE", help="Settings of the local cloud, YAML.")]
_Json = Annotated[bool, typer.Option("--json", help="Answer for programs.")]


@app.command()
def local(
    config: _Config,
    clock: Annotated[str | None, typer.Option(metavar="SPEC", help="INSTANT@ORIGINxSPEED; default: real time.")] = None,
    tls: Annotated[
        bool, typer.Option("--tls", help="A private fleet: certificates of its own authority, provisioning, jobs.")
    ] = False,
    tls_port: Annotated[int, typer.Option(help="Where gateways with certificates connect.", min=1, max=65535)] = 8883,
    tables: Annotated[
        str | None, typer.Option(metavar="URL", help="postgresql://USER@HOST/DATABASE; default: a file.")
    ] = None,
    streams: Annotated[
        str | None, typer.Option(metavar="URL", help="nats://HOST:PORT/NAME (JetStream); default: a file.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Run a broker and the cloud's functions until Ctrl-C; the broker listens where the settings expect it.

    With --tls gateways connect with certificates, and provisioning, shadows and jobs are answered as AWS answers them;
    it needs mosquitto. `sitewatt fleet claim create --local DIR` makes the first claim. --tables and --streams do what
    the settings' keys of the same names do.
    """
    from cloud.errors import CloudError, SetupError
    from cloud.local.config import load_config
    from cloud.local.opening import remember

    try:
        settings = load_config(config, tables=tables, streams=streams)
        remember(settings.folder, settings.servers)
    except SetupError as error:
        fail(str(error), code="bad_config", as_json=as_json, exit_code=BAD_INPUT)
    except CloudError as error:
        fail(str(error), code="store", as_json=as_json)
    with contextlib.ExitStack() as processes:
        folder = str(settings.folder / "broker")
        broker = ["cloud.local.broker", "--port", str(settings.broker.port), "--dir", folder]
        if tls:
            fleet, place = str(settings.folder / "fleet"), str(settings.tables_path)
            ports = ["--port", str(settings.broker.port), "--tls-port", str(tls_port)]
            broker = [
                "cloud.local.fleet",
                "--dir",
                fleet,
                "--tables",
                place,
                *ports,
                *(["--clock", clock] if clock else []),
            ]
        functions = ["cloud.local", "--config", str(config), *(["--clock", clock] if clock else [])]
        functions += [*(["--tables", tables] if tables else []), *(["--streams", streams] if streams else [])]
        running = {}
        for name, arguments in (("broker", broker), ("functions", functions)):
            running[name] = processes.enter_context(_started(arguments, as_json=as_json))
            if not as_json:
                tell(f"{name} ready: {json.dumps(running[name][1])}")
        if as_json:
            print_json({"ready": True, **{name: answer for name, (_, answer) in running.items()}})
        with contextlib.suppress(KeyboardInterrupt):
            _wait_for_an_end([process for process, _ in running.values()])
            fail("a process of the local cloud ended by itself", code="ended", as_json=as_json)


@app.command()
def report(config: _Config, as_json: _Json = False) -> None:
    """Show what the tables of a local cloud prove: intervals, ledger, orders, telemetry, demand response."""
    from cloud.errors import CloudError, SetupError
    from cloud.local.config import load_config
    from cloud.local.report import read_report

    try:
        told = asdict(read_report(load_config(config).folder))
    except SetupError as error:
        fail(str(error), code="bad_config", as_json=as_json, exit_code=BAD_INPUT)
    except CloudError as error:
        fail(str(error), code="store", as_json=as_json)
    if as_json:
        print_json(told)
        return
    for line in report_lines(told):
        tell(line)


@app.command()
def cost(
    sites: Annotated[int, typer.Option(min=1, help="Sites that share what is shared.")] = 1000,
    devices: Annotated[int, typer.Option(min=1, max=100, help="Devices of one site.")] = 2,
    rate: Annotated[float, typer.Option(min=0.01, max=10, help="Samples a second of each point.")] = 1.0,
    points: Annotated[int, typer.Option(min=1, max=100, help="Points of one device.")] = 5,
    changed: Annotated[float, typer.Option(min=0.001, max=1, help="Share of samples outside their dead band.")] = 1.0,
    period: Annotated[float, typer.Option(min=1, max=3600, help="Longest seconds between two messages.")] = 300.0,
    months: Annotated[int, typer.Option(min=1, max=120, help="Which month of the stack: the market's books grow.")] = 1,
    backups: Annotated[bool, typer.Option("--backups", help="With the monthly copies of deploy --backups.")] = False,
    private_network: Annotated[
        bool, typer.Option("--private-network", help="With the endpoints of deploy --private-network.")
    ] = False,
    headroom: Annotated[bool, typer.Option("--headroom", help="How near so many sites come to AWS' quotas.")] = False,
    as_json: _Json = False,
) -> None:
    """Work out the AWS bill of one site-month from the real message sizes, beside one message for every sample."""
    from cloud.cost.estimate import GOAL_USD, Purpose, naive_bill, our_bill
    from cloud.cost.prices import READ_IN, REGION
    from cloud.cost.volumes import Site, telemetry_of

    site = Site(devices=devices, points_per_device=points, rate_hz=rate, changed=changed, period_s=period)
    if headroom:
        _headroom(site, sites, as_json=as_json)
        return
    told, naive = telemetry_of(site), naive_bill(site)
    ours = our_bill(site, sites=sites, months=months, copies=backups, private_network=private_network)
    if as_json:
        print_json(
            {
                "usd_per_site_month": ours.usd,
                "goal_usd": GOAL_USD,
                "dominant": asdict(ours.dominant),
                "by_service": ours.by_service(),
                "by_purpose": ours.by_purpose(),
                "lines": [asdict(line) for line in ours.lines],
                "naive": {"usd_per_site_month": naive.usd, "lines": [asdict(line) for line in naive.lines]},
                "message": asdict(told),
                "prices": {"region": REGION, "read_in": READ_IN},
            }
        )
        return
    tell(
        f"one site of {sites}: {site.points} points at {rate:g} Hz, {changed:.0%} of the samples sent; a message holds "
        f"{told.samples} samples of {told.span_s:.0f} s in {told.payload_bytes} bytes ({REGION}, {READ_IN})"
    )
    for line in ours.lines:
        tell(f"  {line.service:9} {line.what:52} {line.quantity:14,.1f} {line.usd:9.4f}")
    for purpose, usd in ours.by_purpose().items():
        tell(f"  {'part':9} {purpose:52} {'':14} {usd:9.4f}")
    tell(f"  {'sum':9} {'US dollars for a site-month':52} {'':14} {ours.usd:9.4f}")
    tell(f"  {'naive':9} {'one message, invocation and item for every sample':52} {'':14} {naive.usd:9.4f}")
    reported = ours.by_purpose()[Purpose.REPORTING]
    tell(
        f"what the site reports is {_within(reported, GOAL_USD)} the goal of {GOAL_USD:.2f}, all in it is "
        f"{_within(ours.usd, GOAL_USD)} (month {months}); the dearest part is {ours.dominant.service}, "
        f"{ours.dominant.what} ({ours.dominant.usd / ours.usd:.0%}); the naive design, which only reports, costs "
        f"{naive.usd / reported:.0f} times as much as our reporting"
    )


def _headroom(site: "Site", sites: int, *, as_json: bool) -> None:
    """Show which of AWS' bounds so many sites reach first."""
    from cloud.cost.headroom import headroom

    bounds = headroom(site, sites=sites)
    if as_json:
        print_json([{**asdict(bound), "share": bound.share} for bound in bounds])
        return
    tell(f"{sites:,} sites, beside what AWS allows by default:")
    for bound in bounds:
        kind = "can be raised" if bound.raised else "fixed"
        tell(f"  {bound.share:8.1%}  {bound.what:45} {bound.load:12,.1f} of {bound.bound:9,.0f} ({kind})")
    tell(f"first: {bounds[0].what}; {bounds[0].then}")


def _within(usd: float, goal_usd: float) -> str:
    return "within" if usd <= goal_usd else "above"


@contextlib.contextmanager
def _started(arguments: list[str], *, as_json: bool) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Start a process, wait until it is ready, and end it with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments, "--parent-pid", str(getpid())], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            code = process.wait(STOP_TIMEOUT_S)
            exit_code = BAD_INPUT if code == BAD_INPUT else 1
            fail(f"{arguments[0]} did not start", code="not_started", as_json=as_json, exit_code=exit_code)
        yield process, json.loads(line)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_an_end(processes: list[subprocess.Popen[str]]) -> None:
    """Return when one of the processes has ended."""
    while all(process.poll() is None for process in processes):
        with contextlib.suppress(subprocess.TimeoutExpired):
            processes[0].wait(0.2)
