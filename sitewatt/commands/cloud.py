"""``sitewatt cloud``: the cloud's functions on this machine."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from os import getpid
from pathlib import Path
from typing import Annotated, Any

import typer

from sitewatt.output import BAD_INPUT, fail, print_json

READY_TIMEOUT_S = 40.0
STOP_TIMEOUT_S = 5.0

app = typer.Typer(help="The cloud: run it here, look at what it keeps.", no_args_is_help=True)

_Config = Annotated[Path, typer.Option("--config", metavar="FILE", help="Settings of the local cloud, YAML.")]
_Json = Annotated[bool, typer.Option("--json", help="Answer for programs.")]


@app.command()
def local(
    config: _Config,
    clock: Annotated[str | None, typer.Option(metavar="SPEC", help="INSTANT@ORIGINxSPEED; default: real time.")] = None,
    as_json: _Json = False,
) -> None:
    """Run a broker and the cloud's functions until Ctrl-C; the broker listens where the settings expect it."""
    from cloud.errors import SetupError
    from cloud.local.config import load_config

    try:
        settings = load_config(config)
    except SetupError as error:
        fail(str(error), code="bad_config", as_json=as_json, exit_code=BAD_INPUT)
    with contextlib.ExitStack() as processes:
        folder = str(settings.folder / "broker")
        broker = ["cloud.local.broker", "--port", str(settings.broker.port), "--dir", folder]
        functions = ["cloud.local", "--config", str(config), *(["--clock", clock] if clock else [])]
        running = {}
        for name, arguments in (("broker", broker), ("functions", functions)):
            running[name] = processes.enter_context(_started(arguments, as_json=as_json))
            if not as_json:
                typer.echo(f"{name} ready: {json.dumps(running[name][1])}")
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
    for interval in told.pop("intervals"):
        price = "no price" if interval["price"] is None else f"{interval['price'] / 1000:.3f} ct/kWh"
        typer.echo(f"{interval['start']}  {interval['state']:<9}  {price}  {interval['volume_wh'] / 1000:.1f} kWh")
    for name, value in told.items():
        typer.echo(f"{name}: {json.dumps(value, default=str)}")


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
