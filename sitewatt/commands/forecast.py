"""``sitewatt forecast``: forecasts from CSV files, and how good they would have been."""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sitewatt.output import BAD_INPUT, fail, print_json

if TYPE_CHECKING:
    from domain.forecasting.backtest import Score
    from domain.forecasting.quantiles import Quantiles
    from domain.forecasting.series import Series

app = typer.Typer(help="Forecasts of load, PV and price from measured series.", no_args_is_help=True)


class Kind(StrEnum):
    """What a series holds."""

    LOAD = "load"
    PV = "pv"
    PRICE = "price"


class InputError(ValueError):
    """A file cannot be read as a series."""


FileArgument = Annotated[Path, typer.Argument(help="CSV with a header; the first column is the start of each step.")]
ColumnOption = Annotated[str, typer.Option(help="The column to forecast; the second one by default.")]
KindOption = Annotated[Kind, typer.Option(help="What the column holds; PV may have either sign.")]
HoursOption = Annotated[int, typer.Option(min=1, max=168, help="How far to forecast.")]
OffsetOption = Annotated[float, typer.Option(min=-12, max=14, help="Local time minus the file's time, hours.")]
PlaceOption = Annotated[
    str, typer.Option(help="PV: latitude,longitude,tilt,azimuth in degrees; the file's time must be UTC.")
]
PeakOption = Annotated[float, typer.Option(min=0, help="PV: peak power; the largest value by default.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


@app.command()
def run(
    file: FileArgument,
    column: ColumnOption = "",
    kind: KindOption = Kind.LOAD,
    hours: HoursOption = 48,
    utc_offset_h: OffsetOption = 0.0,
    place: PlaceOption = "",
    peak: PeakOption = 0.0,
    at: Annotated[str, typer.Option(help="The origin (ISO 8601); the end of the series by default.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Forecast a series from its end on, or from an instant in it."""
    task = _task(file, column, kind=kind, utc_offset_h=utc_offset_h, place=place, peak=peak, as_json=as_json)
    origin = _origin(at, task, as_json=as_json)
    told = task.forecast(origin, hours * 3600 // task.series.step_s)
    if as_json:
        print_json(
            {
                "kind": kind,
                "column": task.column,
                "start": told.start.isoformat(),
                "step_s": told.step_s,
                "method": told.method,
                **{name: _rounded(getattr(told, name)) for name in ("p10", "p50", "p90")},
            }
        )
        return
    typer.echo(f"{task.column}: {told.method}, {len(told.p50)} steps of {told.step_s} s")
    typer.echo(f"{'start':20}{'p10':>12}{'p50':>12}{'p90':>12}")
    for index in range(len(told.p50)):
        start = told.start + timedelta(seconds=index * told.step_s)
        values = "".join(f"{values[index]:12.3f}" for values in (told.p10, told.p50, told.p90))
        typer.echo(f"{start:%Y-%m-%d %H:%M}    {values}")


@app.command()
def backtest(
    file: FileArgument,
    column: ColumnOption = "",
    kind: KindOption = Kind.LOAD,
    hours: HoursOption = 48,
    days: Annotated[int, typer.Option(min=1, max=1000, help="How many daily origins, the last ones of the file.")] = 28,
    utc_offset_h: OffsetOption = 0.0,
    place: PlaceOption = "",
    peak: PeakOption = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Forecast from each of the last days' local midnights as if it were then, and score against what came.

    A relative error below 1 is better than the same time one week before.
    """
    task = _task(file, column, kind=kind, utc_offset_h=utc_offset_h, place=place, peak=peak, as_json=as_json)
    scores = task.backtest(hours=hours, count=days)
    if not scores:
        fail(
            f"{file} holds {len(task.series.values)} steps, too few for one origin a day and {hours} h after it",
            code="too_short",
            as_json=as_json,
        )
    if as_json:
        print_json({"kind": kind, "column": task.column, "scores": [_score_fields(score) for score in scores]})
        return
    _print_scores({task.column: scores})


@app.command()
def report(
    file: FileArgument,
    kind: KindOption = Kind.LOAD,
    hours: HoursOption = 48,
    days: Annotated[int, typer.Option(min=1, max=1000, help="How many daily origins, the last ones of the file.")] = 28,
    utc_offset_h: OffsetOption = 0.0,
    place: PlaceOption = "",
    contains: Annotated[str, typer.Option(help="Only columns whose name contains this.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Backtest every column of a file and report them side by side."""
    try:
        columns = [name for name in _columns(file) if contains in name]
    except (OSError, InputError) as error:
        fail(f"{file} cannot be read: {error}", code="unreadable", as_json=as_json, exit_code=BAD_INPUT)
    found = {
        name: _task(file, name, kind=kind, utc_offset_h=utc_offset_h, place=place, peak=0.0, as_json=as_json).backtest(
            hours=hours, count=days
        )
        for name in columns
    }
    found = {name: scores for name, scores in found.items() if scores}
    if not found:
        fail(f"{file} has no column that is long enough for {hours} h", code="too_short", as_json=as_json)
    if as_json:
        print_json({"kind": kind, "columns": {name: [_score_fields(score) for score in found[name]] for name in found}})
        return
    _print_scores(found)


@dataclass(frozen=True, kw_only=True)
class _Task:
    """A series and how it is forecast."""

    series: "Series"
    column: str
    kind: Kind
    utc_offset_s: int
    place: tuple[float, float, float, float]
    peak: float

    def forecast(self, origin: datetime, steps: int) -> "Quantiles":
        """Forecast from an origin, with nothing of what came after."""
        from domain.forecasting.load import forecast_load
        from domain.forecasting.price import forecast_price
        from domain.forecasting.pv import PvPlant, forecast_pv

        known = self.series.before(origin)
        if self.kind is Kind.LOAD:
            return forecast_load(known, issued_at=origin, horizon_steps=steps, utc_offset_s=self.utc_offset_s)
        if self.kind is Kind.PRICE:
            return forecast_price(known, issued_at=origin, horizon_steps=steps, utc_offset_s=self.utc_offset_s)
        latitude, longitude, tilt, azimuth = self.place
        plant = PvPlant(
            latitude_deg=latitude, longitude_deg=longitude, tilt_deg=tilt, azimuth_deg=azimuth, peak_w=self.peak
        )
        return forecast_pv(known, plant=plant, issued_at=origin, horizon_steps=steps)

    def backtest(self, *, hours: int, count: int) -> "tuple[Score, ...]":
        """Score the last daily origins."""
        from domain.forecasting.backtest import backtest as score

        return score(
            self.series,
            self.forecast,
            horizon_steps=hours * 3600 // self.series.step_s,
            origins_max=count,
            utc_offset_s=self.utc_offset_s,
        )


def _task(file: Path, column: str, *, kind: Kind, utc_offset_h: float, place: str, peak: float, as_json: bool) -> _Task:
    """Read a column as what it is to be forecast as, or end the command with a sentence."""
    from domain.forecasting.series import Series

    try:
        name, series = _read(file, column)
        where = _place(place, kind)
    except (OSError, InputError) as error:
        fail(f"{file} cannot be read: {error}", code="unreadable", as_json=as_json, exit_code=BAD_INPUT)
    values = series.values
    if kind is Kind.PV:
        # A file may count generation either way; inside it is negative.
        values = -abs(values)
        series = Series(start=series.start, step_s=series.step_s, values=values)
    largest = max((abs(float(value)) for value in values if math.isfinite(value)), default=0.0)
    return _Task(
        series=series,
        column=name,
        kind=kind,
        utc_offset_s=round(utc_offset_h * 3600),
        place=where,
        peak=peak or largest or 1.0,
    )


def _place(place: str, kind: Kind) -> tuple[float, float, float, float]:
    if kind is not Kind.PV:
        return (0.0, 0.0, 0.0, 0.0)
    try:
        latitude, longitude, tilt, azimuth = (float(part) for part in place.split(","))
    except ValueError as error:
        raise InputError(f"--place {place!r} is not latitude,longitude,tilt,azimuth, which PV needs") from error
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise InputError(f"--place {place!r} is not on the globe")
    return latitude, longitude, tilt, azimuth


def _origin(at: str, task: _Task, *, as_json: bool) -> datetime:
    if not at:
        return task.series.end
    try:
        return _instant(at)
    except InputError as error:
        fail(f"--at: {error}", code="bad_instant", as_json=as_json, exit_code=BAD_INPUT)


def _instant(text: str) -> datetime:
    """Return an instant; one without a zone is in the file's own time, which is kept as if it were UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{text!r} is not an ISO 8601 instant") from error
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _columns(file: Path) -> list[str]:
    with file.open(newline="", encoding="utf-8") as lines:
        header = next(csv.reader(lines), [])
    if len(header) < 2:
        raise InputError("its first line does not name a time and a value")
    return header[1:]


def _read(file: Path, column: str) -> tuple[str, "Series"]:
    """Return a column's name and its values on a regular grid.

    Raises:
        InputError: The column does not exist, a line is not a number, or there are fewer than two steps.
        OSError: The file cannot be opened.
    """
    from domain.forecasting.series import regular

    columns = _columns(file)
    name = column or columns[0]
    if name not in columns:
        raise InputError(f"it has no column {name!r}, only {', '.join(columns[:12])}")
    samples = list(_samples(file, columns.index(name) + 1))
    if len(samples) < 2:
        raise InputError(f"it holds {len(samples)} steps, fewer than 2")
    step_s = min(round((later[0] - earlier[0]).total_seconds()) for earlier, later in pairwise(samples))
    try:
        return name, regular(samples, step_s=step_s)
    except (ValueError, ZeroDivisionError) as error:
        raise InputError(f"its steps of {step_s} s are no regular series: {error}") from error


def _samples(file: Path, position: int) -> Iterator[tuple[datetime, float | None]]:
    with file.open(newline="", encoding="utf-8") as lines:
        reader = csv.reader(lines)
        next(reader, None)
        for line in reader:
            if len(line) <= position:
                raise InputError(f"line {reader.line_num} has {len(line)} columns, fewer than {position + 1}")
            text = line[position].strip()
            try:
                yield _instant(line[0].strip()), float(text) if text else None
            except ValueError as error:
                raise InputError(f"line {reader.line_num}: {error}") from error


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 4) for value in values]


def _score_fields(score: "Score") -> dict[str, Any]:
    return {
        "lead": score.lead,
        "points": score.points,
        **{
            name: None if not math.isfinite(value) else round(value, 4)
            for name, value in (
                ("mae", score.mae),
                ("rmae_week", score.relative_mae),
                ("pinball", score.pinball),
                ("cover80", score.coverage),
            )
        },
    }


def _print_scores(found: "dict[str, tuple[Score, ...]]") -> None:
    typer.echo(f"{'column':24}{'lead':10}{'points':>8}{'mae':>12}{'rmae week':>11}{'pinball':>12}{'cover 80 %':>12}")
    for name, scores in found.items():
        for score in scores:
            typer.echo(
                f"{name:24}{score.lead:10}{score.points:8}{score.mae:12.4g}{score.relative_mae:11.3f}"
                f"{score.pinball:12.4g}{100 * score.coverage:11.0f}%"
            )
