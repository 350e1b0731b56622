"""``sitewatt edge history``: what the gateway kept of its site, as a table, CSV or JSON."""

import csv
import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.clock import SystemClock
from sitewatt.output import BAD_INPUT, fail, print_json, tell

if TYPE_CHECKING:
    from edge.config import SiteConfig
    from edge.telemetry.history_file import Row

FromOption = Annotated[str, typer.Option("--from", metavar="TIME", help="ISO 8601; a day ago by default.")]
ToOption = Annotated[str, typer.Option("--to", metavar="TIME", help="ISO 8601; now by default.")]
StepOption = Annotated[
    str, typer.Option("--step", help="10s (kept a day), 1m (7 days) or 15m (5 years); the finest that reaches back.")
]
PointOption = Annotated[str, typer.Option("--point", help="Only points whose name contains this.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV: the start of each step in UTC, a column a point.")]

_STEPS = {"10s": 10, "1m": 60, "15m": 900}


def show(settings: "SiteConfig", *, first: str, last: str, step: str, point: str, as_csv: bool, as_json: bool) -> None:
    """Print a span of the history."""
    from edge.telemetry.history_file import FILE, read_history

    now = SystemClock().now()
    first_at = _instant(first, "--from", as_json=as_json) if first else now - timedelta(days=1)
    last_at = _instant(last, "--to", as_json=as_json) if last else now
    if last_at <= first_at:
        fail(f"--to {last_at.isoformat()} is not after --from", code="bad_span", as_json=as_json, exit_code=BAD_INPUT)
    if step and step not in _STEPS:
        fail(
            f"--step {step!r} is not one of {', '.join(_STEPS)}", code="bad_step", as_json=as_json, exit_code=BAD_INPUT
        )
    step_s = _STEPS[step] if step else _reaching(now - first_at)
    path = settings.state_dir / FILE
    try:
        rows = read_history(path, step_s=step_s, first_s=int(first_at.timestamp()), last_s=int(last_at.timestamp()))
    except sqlite3.Error as error:
        fail(f"history {path} cannot be read: {error}", code="no_history", as_json=as_json)
    points = sorted({name for row in rows for name in row.values if point in name})
    if as_csv:
        _print_csv(rows, points)
    elif as_json:
        print_json({"site": settings.site.id, "step_s": step_s, "points": points, "rows": _plain(rows, points)})
    else:
        _print_table(rows, points, step_s=step_s)


def _reaching(age: timedelta) -> int:
    if age <= timedelta(days=1, minutes=1):
        return 10
    return 60 if age <= timedelta(days=7, minutes=1) else 900


def _instant(text: str, option: str, *, as_json: bool) -> datetime:
    try:
        # Without an offset it is this machine's local time.
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        fail(f"{option} {text!r} is no ISO 8601 instant", code="bad_instant", as_json=as_json, exit_code=BAD_INPUT)


def _plain(rows: "list[Row]", points: list[str]) -> list[dict[str, Any]]:
    return [
        {"start": _text(row.start_s), **{name: round(row.values[name], 3) for name in points if name in row.values}}
        for row in rows
    ]


def _print_csv(rows: "list[Row]", points: list[str]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["start", *points])
    for row in rows:
        cells = [f"{row.values[name]:.3f}".rstrip("0").rstrip(".") if name in row.values else "" for name in points]
        writer.writerow([_text(row.start_s), *cells])


def _print_table(rows: "list[Row]", points: list[str], *, step_s: int) -> None:
    if not rows:
        tell("nothing was kept of this span")
        return
    tell(f"{len(rows)} steps of {step_s} s, {_text(rows[0].start_s)} to {_text(rows[-1].start_s)}")
    tell(f"{'point':40}{'least':>14}{'mean':>14}{'greatest':>14}")
    for name in points:
        values = [row.values[name] for row in rows if name in row.values]
        tell(f"{name:40}{min(values):14.1f}{sum(values) / len(values):14.1f}{max(values):14.1f}")


def _text(start_s: int) -> str:
    return f"{datetime.fromtimestamp(start_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
