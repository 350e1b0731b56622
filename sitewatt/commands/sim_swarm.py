"""``sitewatt sim swarm``: a neighbourhood, faults and a time from one seed, judged from outside."""

import asyncio
import json
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.reasons import file_reason_of
from sitewatt.output import BAD_INPUT, FAILED, INTERRUPTED, TERMINATED, TOO_SLOW, fail, print_json, tell

if TYPE_CHECKING:
    from sitewatt.swarm.campaign import Options
    from sitewatt.swarm.coverage import Coverage


def swarm(
    seed: Annotated[int | None, typer.Option(help="Of the first run; fresh by default. Printed in any case.")] = None,
    minutes: Annotated[float, typer.Option(min=0.25, max=120, help="Real minutes of one run.")] = 2.0,
    hours: Annotated[
        float | None, typer.Option(min=0.01, max=240, help="Go on with the next seeds for so long; default: one run.")
    ] = None,
    sites: Annotated[int | None, typer.Option(min=2, max=6, help="Sites; drawn by default.")] = None,
    speed: Annotated[
        float | None, typer.Option(min=1, max=60, help="How fast time runs. Default: as fast as this machine can.")
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="N,N,...", help="These faults of the schedule alone; '' for none.")
    ] = None,
    shrink: Annotated[int, typer.Option(min=0, max=100, help="Runs that may shrink a failure; 0: none.")] = 8,
    without: Annotated[str, typer.Option(metavar="KIND,...", help="Kinds of faults that are not drawn.")] = "",
    keep: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep what each run leaves there.")] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write what was covered there as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was covered as JSON.")] = False,
) -> None:
    """Run drawn neighbourhoods while drawn faults happen, and let independent judges look for broken promises.

    Real processes, sockets, stores and devices under one scaled clock, trading on. A failure prints its seed, is shrunk
    to its smallest schedule, and names the command that replays it. Exit 0 when every promise held, 1 when one was
    broken, 3 when this machine stood still too long in every run to judge what is promised in time. A run that it could
    not judge is run again first at half the speed, and at a quarter.
    """
    from sitewatt.swarm.campaign import Options
    from sitewatt.swarm.plan import FaultKind

    kinds = [one for one in without.split(",") if one]
    if unknown := sorted(set(kinds) - set(FaultKind)):
        known = ", ".join(FaultKind)
        reason = f"--without names {', '.join(unknown)}; there are {known}"
        fail(reason, code="bad_without", as_json=as_json, exit_code=BAD_INPUT)
    try:
        numbers = None if only is None else frozenset(int(one) for one in only.split(",") if one.strip())
    except ValueError:
        fail(f"--only is {only!r}, must be numbers with commas", code="bad_only", as_json=as_json, exit_code=BAD_INPUT)
    options = Options(
        seed=secrets.randbelow(1_000_000) if seed is None else seed,
        minutes=minutes,
        ends_s=time.monotonic() + 3600 * (hours or 0),
        sites=sites,
        speed=speed,
        only=numbers,
        shrink=shrink,
        keep=keep,
        without=frozenset(FaultKind(kind) for kind in kinds),
    )
    _report(options, report, as_json)


def _report(options: "Options", report: Path | None, as_json: bool) -> None:
    from sitewatt.demo.run import ended_by_sigterm
    from sitewatt.swarm.campaign import campaign

    async def whole() -> "Coverage":
        with ended_by_sigterm():
            return await campaign(options, say=lambda sentence: tell(sentence, err=True))

    try:
        coverage = asyncio.run(whole())
        if report is not None:
            report.write_text(json.dumps(coverage.as_dict(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        where = file_reason_of(error)
        fail(where, code="file", as_json=as_json, exit_code=BAD_INPUT)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except asyncio.CancelledError:
        raise typer.Exit(TERMINATED) from None
    if as_json:
        print_json(coverage.as_dict())
    else:
        for line in coverage.lines():
            tell(line)
    if coverage.failed:
        raise typer.Exit(FAILED)
    if coverage.undecided:
        raise typer.Exit(TOO_SLOW)
