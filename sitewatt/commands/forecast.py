"""``sitewatt forecast``: forecasts from CSV files, and how good they would have been."""

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from datetime import timezone as timezone_of
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.reasons import reason_of
from domain.series.errors import SeriesError
from domain.series.numbers import Decimal
from domain.series.times import DayOrder, zone_named
from domain.series.units import Measures
from sitewatt.output import BAD_INPUT, fail, print_json, tell

if TYPE_CHECKING:
    from domain.forecasting.backtest import Score
    from domain.forecasting.blend import Covariates
    from domain.forecasting.pv import Weather
    from domain.forecasting.quantiles import Quantiles
    from domain.forecasting.series import Series
    from domain.series.columns import Options
    from domain.series.read import Reading

app = typer.Typer(help="Forecasts of load, PV and price from measured series.", no_args_is_help=True)


REMOVED_WIDENS = 1.1
BEYOND_MAX = timedelta(days=14)


class Kind(StrEnum):
    """What a series holds."""

    LOAD = "load"
    PV = "pv"
    PRICE = "price"


FileArgument = Annotated[Path, typer.Argument(help="A series: CSV, JSON, XML; docs/files.md lists what is recognised.")]
ColumnOption = Annotated[str, typer.Option(help="The column to forecast; the first that fits by default.")]
KindOption = Annotated[Kind, typer.Option(help="What the column holds; PV may have either sign.")]
HoursOption = Annotated[int, typer.Option(min=1, max=168, help="How far to forecast.")]
OffsetOption = Annotated[float, typer.Option(min=-12, max=14, help="Local time minus the file's time, hours.")]
PlaceOption = Annotated[
    str, typer.Option(help="PV: latitude,longitude,tilt,azimuth in degrees; the file's time must be UTC.")
]
PeakOption = Annotated[float, typer.Option(min=0, help="PV: peak power; the largest value by default.")]
TimezoneOption = Annotated[str, typer.Option(help="IANA zone of times without one, and of local days.")]
UnitOption = Annotated[str, typer.Option(help="W, kW, MW, Wh, kWh, MWh, EUR/MWh, EUR/kWh or ct/kWh.")]
MeasuresOption = Annotated[Measures | None, typer.Option(help="What the column holds, where it cannot be told.")]
TimeColumnOption = Annotated[str, typer.Option(help="The column of times; found by default.")]
DecimalOption = Annotated[Decimal | None, typer.Option(help="What stands before the fraction of a number.")]
DatesOption = Annotated[DayOrder | None, typer.Option(help="Which number of 03/04/2025 is the day.")]
WeatherOption = Annotated[
    Path | None,
    typer.Option(help="PV: hourly weather over past and horizon; CSV with start, ghi_w_m2, air_temperature_c."),
]
CovariatesOption = Annotated[
    Path | None,
    typer.Option(help="Load, price: what is known in advance, over past and horizon; CSV with start and numbers."),
]
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
    timezone: TimezoneOption = "",
    unit: UnitOption = "",
    measures: MeasuresOption = None,
    time_column: TimeColumnOption = "",
    decimal: DecimalOption = None,
    dates: DatesOption = None,
    weather: WeatherOption = None,
    covariates: CovariatesOption = None,
    at: Annotated[str, typer.Option(help="The origin (ISO 8601); the end of the series by default.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Forecast a series from its end on, or from an instant in it."""
    options = _options(
        kind, column, time_column, timezone=timezone, unit=unit, measures=measures, decimal=decimal, dates=dates
    )
    task = _task(file, options, kind=kind, utc_offset_h=utc_offset_h, place=place, peak=peak, as_json=as_json)
    task = _given(task, weather=weather, covariates=covariates, as_json=as_json)
    origin = _origin(at, task, as_json=as_json)
    told = task.forecast_utc(origin, max(1, hours * 3600 // task.series.step_s))
    if as_json:
        print_json(
            {
                "kind": kind,
                "column": task.column,
                **task.said(),
                "start": told.start.isoformat(),
                "step_s": told.step_s,
                "method": told.method,
                **{name: _rounded(getattr(told, name)) for name in ("p10", "p50", "p90")},
            }
        )
        return
    tell(f"read: {task.reading.understood}")
    tell(f"{task.column}: {told.method}, {len(told.p50)} steps of {told.step_s} s")
    tell(f"{'start':20}{'p10':>12}{'p50':>12}{'p90':>12}")
    for index in range(len(told.p50)):
        start = told.start + timedelta(seconds=index * told.step_s)
        values = "".join(f"{values[index]:12.3f}" for values in (told.p10, told.p50, told.p90))
        tell(f"{start:%Y-%m-%d %H:%M}    {values}")


@app.command()
def backtest(
    file: FileArgument,
    column: ColumnOption = "",
    kind: KindOption = Kind.LOAD,
    hours: HoursOption = 48,
    weather: WeatherOption = None,
    covariates: CovariatesOption = None,
    days: Annotated[int, typer.Option(min=1, max=1000, help="How many daily origins, the last ones of the file.")] = 28,
    utc_offset_h: OffsetOption = 0.0,
    place: PlaceOption = "",
    peak: PeakOption = 0.0,
    timezone: TimezoneOption = "",
    unit: UnitOption = "",
    measures: MeasuresOption = None,
    time_column: TimeColumnOption = "",
    decimal: DecimalOption = None,
    dates: DatesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forecast from each of the last days' local midnights as if it were then, and score against what came.

    A relative error below 1 is better than the same time one week before.
    """
    options = _options(
        kind, column, time_column, timezone=timezone, unit=unit, measures=measures, decimal=decimal, dates=dates
    )
    task = _task(file, options, kind=kind, utc_offset_h=utc_offset_h, place=place, peak=peak, as_json=as_json)
    task = _given(task, weather=weather, covariates=covariates, as_json=as_json)
    scores = task.backtest(hours=hours, count=days)
    if not scores:
        fail(
            f"{file} holds {len(task.series.values)} steps, too few for one origin a day and {hours} h after it",
            code="too_short",
            as_json=as_json,
        )
    if as_json:
        fields = [_score_fields(score) for score in scores]
        print_json({"kind": kind, "column": task.column, **task.said(), "scores": fields})
        return
    tell(f"read: {task.reading.understood}")
    _print_scores({task.column: scores})


@app.command()
def report(
    file: FileArgument,
    kind: KindOption = Kind.LOAD,
    hours: HoursOption = 48,
    days: Annotated[int, typer.Option(min=1, max=1000, help="How many daily origins, the last ones of the file.")] = 28,
    utc_offset_h: OffsetOption = 0.0,
    place: PlaceOption = "",
    timezone: TimezoneOption = "",
    unit: UnitOption = "",
    measures: MeasuresOption = None,
    time_column: TimeColumnOption = "",
    decimal: DecimalOption = None,
    dates: DatesOption = None,
    contains: Annotated[str, typer.Option(help="Only columns whose name contains this.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Backtest every column of a file and report them side by side."""
    from domain.series.read import columns_of

    options = _options(
        kind, "", time_column, timezone=timezone, unit=unit, measures=measures, decimal=decimal, dates=dates
    )
    try:
        columns = [name for name in columns_of(file.read_bytes(), options) if contains in name]
    except (OSError, SeriesError) as error:
        fail(f"{file} cannot be read: {reason_of(error)}", code="unreadable", as_json=as_json, exit_code=BAD_INPUT)
    found = {}
    for name in columns:
        of_column = replace(options, column=name)
        task = _task(file, of_column, kind=kind, utc_offset_h=utc_offset_h, place=place, peak=0.0, as_json=as_json)
        found[name] = task.backtest(hours=hours, count=days)
        if not as_json:
            tell(f"{name}: {task.reading.understood}")
    found = {name: scores for name, scores in found.items() if scores}
    if not found:
        fail(f"{file} has no column that is long enough for {hours} h", code="too_short", as_json=as_json)
    if as_json:
        print_json({"kind": kind, "columns": {name: [_score_fields(score) for score in found[name]] for name in found}})
        return
    _print_scores(found)


@dataclass(frozen=True, kw_only=True)
class _Task:
    """A series and how it is forecast: load and price by the clock on the wall, PV by the sun."""

    reading: "Reading"
    series: "Series"
    wall: "Series"
    kind: Kind
    zone: tzinfo
    place: tuple[float, float, float, float]
    peak: float
    weather: "Weather | None" = None
    covariates: "Covariates | None" = None

    @property
    def column(self) -> str:
        """Return the column's name."""
        return self.reading.column

    def said(self) -> dict[str, Any]:
        """Return what was understood of the file, as fields of an answer."""
        return {"understood": self.reading.understood, "notes": list(self.reading.notes), "unit": self.reading.unit}

    def forecast_utc(self, origin: datetime, steps: int) -> "Quantiles":
        """Forecast from an instant, one value for each step of UTC."""
        from domain.calendar.wall import on_wall_values, wall_places, wall_time
        from domain.forecasting.series import first_step

        if self.kind is Kind.PV:
            return self.forecast(origin, steps)
        start = first_step(origin, step_s=self.series.step_s)
        # An hour more: of a long day the last hour lies beyond the steps of the wall.
        told = self.forecast(wall_time(start, self.zone), steps + max(1, 3600 // self.series.step_s))
        places = wall_places(start, count=steps, step_s=told.step_s, zone=self.zone, wall_start=told.start)
        low, middle, high = (on_wall_values(values, places) for values in (told.p10, told.p50, told.p90))
        return replace(told, start=start, p10=low, p50=middle, p90=high)

    def forecast(self, origin: datetime, steps: int) -> "Quantiles":
        """Forecast from an origin on the series' own clock, with nothing of what came after."""
        from domain.forecasting.load import forecast_load
        from domain.forecasting.price import forecast_price
        from domain.forecasting.pv import PvPlant, forecast_pv

        if self.kind is Kind.LOAD:
            floor = None if self.reading.net else 0.0
            told = forecast_load(
                self.wall.before(origin), issued_at=origin, horizon_steps=steps, floor=floor, covariates=self.covariates
            )
            return _widened(told, self.reading.removed, floor=floor)
        if self.kind is Kind.PRICE:
            told = forecast_price(
                self.wall.before(origin), issued_at=origin, horizon_steps=steps, covariates=self.covariates
            )
            return _widened(told, self.reading.removed, floor=None)
        latitude, longitude, tilt, azimuth = self.place
        plant = PvPlant(
            latitude_deg=latitude, longitude_deg=longitude, tilt_deg=tilt, azimuth_deg=azimuth, peak_w=self.peak
        )
        return forecast_pv(
            self.series.before(origin), plant=plant, issued_at=origin, horizon_steps=steps, weather=self.weather
        )

    def backtest(self, *, hours: int, count: int) -> "tuple[Score, ...]":
        """Score the last daily origins, local midnights."""
        from domain.forecasting.backtest import backtest as score

        offset = self.zone.utcoffset(self.series.end.replace(tzinfo=None)) if self.kind is Kind.PV else None
        return score(
            self.series if self.kind is Kind.PV else self.wall,
            self.forecast,
            horizon_steps=max(1, hours * 3600 // self.series.step_s),
            origins_max=count,
            utc_offset_s=round(offset.total_seconds()) if offset is not None else 0,
        )


def _options(
    kind: Kind,
    column: str,
    time_column: str,
    *,
    timezone: str,
    unit: str,
    measures: Measures | None,
    decimal: Decimal | None,
    dates: DayOrder | None,
) -> "Options":
    """Return how a file is to be read, as the command line said."""
    from domain.series.columns import Options

    return Options(
        column=column,
        time_column=time_column,
        timezone=timezone,
        unit=unit,
        measures=measures or "",
        decimal=decimal or "",
        dates=dates or "",
        wanted=kind,
    )


def _widened(told: "Quantiles", removed: float, *, floor: float | None) -> "Quantiles":
    """Return a wider band where values were taken out: with fewer errors known, it is never the surer for it."""
    if not removed:
        return told
    factor = REMOVED_WIDENS + removed
    low, high = told.p50 - factor * (told.p50 - told.p10), told.p50 + factor * (told.p90 - told.p50)
    return replace(told, p10=low if floor is None else low.clip(min=floor), p90=high)


def _task(
    file: Path, options: "Options", *, kind: Kind, utc_offset_h: float, place: str, peak: float, as_json: bool
) -> _Task:
    """Read a column as what it is to be forecast as, or end the command with a sentence."""
    from domain.calendar.wall import to_wall
    from domain.forecasting.series import Series
    from domain.series.read import read

    try:
        reading = read(file.read_bytes(), options)
        where = _place(place, kind)
        zone = _zone(reading.zone, utc_offset_h, asked=options.timezone)
    except (OSError, SeriesError) as error:
        fail(f"{file} cannot be read: {reason_of(error)}", code="unreadable", as_json=as_json, exit_code=BAD_INPUT)
    series = reading.series
    if kind is Kind.PV:
        # A file may count generation either way; inside it is negative.
        series = Series(start=series.start, step_s=series.step_s, values=-abs(series.values))
    largest = max((abs(float(value)) for value in series.values if math.isfinite(value)), default=0.0)
    return _Task(
        reading=reading,
        series=series,
        wall=to_wall(series, zone),
        kind=kind,
        zone=zone,
        place=where,
        peak=peak or largest or 1.0,
    )


def _given(task: _Task, *, weather: Path | None, covariates: Path | None, as_json: bool) -> _Task:
    """Return a task with what is given beside the series, or end the command with a sentence."""
    import numpy as np

    from domain.calendar.wall import to_wall
    from domain.forecasting.blend import Covariates
    from domain.forecasting.given import covariates_of, weather_on_grid
    from domain.series.columns import Options
    from domain.weather.answers import filed_weather

    for path, wrong in ((weather, task.kind is not Kind.PV), (covariates, task.kind is Kind.PV)):
        if path is not None and wrong:
            option = "--weather is of PV" if path is weather else "--covariates are of load and price"
            fail(f"{option}, not of {task.kind}", code="bad_option", as_json=as_json, exit_code=BAD_INPUT)
    step_s = task.series.step_s
    path = weather or covariates
    try:
        if weather is not None:
            hours = filed_weather(weather.read_bytes(), Options(timezone=task.reading.zone))
            latitude, longitude = task.place[:2]
            sky = weather_on_grid(hours, latitude_deg=latitude, longitude_deg=longitude, step_s=step_s)
            return replace(task, weather=sky)
        if covariates is not None:
            columns = covariates_of(covariates.read_bytes(), Options(timezone=task.reading.zone), step_s=step_s)
            walls = [to_wall(column, task.zone) for column in columns.values()]
            values = np.stack([wall.values for wall in walls], axis=1)
            return replace(task, covariates=Covariates(start=walls[0].start, values=values))
    except (OSError, ValueError) as error:
        fail(f"{path} cannot be used: {reason_of(error)}", code="unreadable", as_json=as_json, exit_code=BAD_INPUT)
    return task


def _zone(named: str, utc_offset_h: float, *, asked: str) -> tzinfo:
    """Return whose days count: the zone that was asked for or that the file tells, else the offset."""
    if named and (asked or not utc_offset_h or _has_offset(zone_named(named), utc_offset_h)):
        return zone_named(named)
    return timezone_of(timedelta(hours=utc_offset_h))


def _has_offset(zone: tzinfo, utc_offset_h: float) -> bool:
    """Return whether a zone is at an offset in winter or in summer."""
    offsets = {zone.utcoffset(datetime(2025, month, 15)) for month in (1, 7)}  # noqa: DTZ001 - local by its nature
    return timedelta(hours=utc_offset_h) in offsets


def _place(place: str, kind: Kind) -> tuple[float, float, float, float]:
    if kind is not Kind.PV:
        return (0.0, 0.0, 0.0, 0.0)
    try:
        latitude, longitude, tilt, azimuth = (float(part) for part in place.split(","))
    except ValueError as error:
        raise SeriesError(f"--place {place!r} is not latitude,longitude,tilt,azimuth, which PV needs") from error
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise SeriesError(f"--place {place!r} is not on the globe")
    return latitude, longitude, tilt, azimuth


def _origin(at: str, task: _Task, *, as_json: bool) -> datetime:
    """Return the instant to forecast from: within what the file holds, or at most some days after."""
    if not at:
        return task.series.end
    try:
        origin = _instant(at, task.zone if task.reading.zone else UTC)
        first, last = task.series.start + timedelta(seconds=task.series.step_s), task.series.end
        if not first <= origin <= last + BEYOND_MAX:
            raise SeriesError(
                f"{at} is far from the file, which runs from {task.series.start:%Y-%m-%d %H:%M} to "
                f"{last:%Y-%m-%d %H:%M} UTC; an origin lies in it or at most {BEYOND_MAX.days} days after"
            )
    except SeriesError as error:
        fail(f"--at: {error}", code="bad_instant", as_json=as_json, exit_code=BAD_INPUT)
    return origin


def _instant(text: str, zone: tzinfo) -> datetime:
    """Return an instant; one without a zone is in the file's own time."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise SeriesError(f"{text!r} is not an ISO 8601 instant") from error
    try:
        return (at.replace(tzinfo=zone) if at.tzinfo is None else at).astimezone(UTC)
    except OverflowError as error:
        raise SeriesError(f"{text!r} is beyond the calendar") from error


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
    tell(f"{'column':24}{'lead':10}{'points':>8}{'mae':>12}{'rmae week':>11}{'pinball':>12}{'cover 80 %':>12}")
    for name, scores in found.items():
        for score in scores:
            tell(
                f"{name:24}{score.lead:10}{score.points:8}{score.mae:12.4g}{score.relative_mae:11.3f}"
                f"{score.pinball:12.4g}{100 * score.coverage:11.0f}%"
            )
