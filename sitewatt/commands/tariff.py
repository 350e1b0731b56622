"""``sitewatt tariff``: ready tariffs and one's own, checked, shown, and priced for a day."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.reasons import reason_of
from sitewatt.output import BAD_INPUT, FIRST_YEAR, LAST_YEAR, fail, print_json, tell

if TYPE_CHECKING:
    from domain.forecasting.series import Series
    from domain.tariff.model import Peak, Tariff
    from domain.tariff.price import IsHoliday, PricePoint

app = typer.Typer(help="Tariffs: list, show, check, and price a day.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="A ready tariff's name, or a YAML file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
BLOCKS = " ▁▂▃▄▅▆▇█"
SPOT_PER_MWH_MAX = 1_000_000  # Far above what any market admits.
PRICE_PER_MWH_MIN, PRICE_PER_MWH_MAX = 10, 20_000  # From a cent to crowns a kWh.
MCT_PER_UNIT = {"EUR/MWh": 100, "EUR/kWh": 100_000, "ct/kWh": 1000, "mct/kWh": 1}
SPOT_HELP = "The market's price in the currency per MWh: one number, or a file of times and prices."


@app.command("list")
def list_tariffs(as_json: JsonOption = False) -> None:
    """Show the ready tariffs."""
    import tariffs

    found = [_load(name, as_json) for name in tariffs.names()]
    if as_json:
        print_json({"tariffs": [_head(tariff) for tariff in found]})
        return
    for tariff in found:
        tell(f"{tariff.name:<24} {tariff.currency}  {tariff.values.value:<9}  {tariff.title}")


@app.command()
def show(name: NameArgument, as_json: JsonOption = False) -> None:
    """Show a tariff: its parts, its sources, and whether its numbers are published ones or examples."""
    tariff = _load(name, as_json)
    if as_json:
        print_json(tariff.model_dump(mode="json", by_alias=True, exclude_none=True))
        return
    unit = tariff.unit.value if tariff.currency == "EUR" else f"{tariff.unit.value} ({tariff.currency})"
    tell(f"{tariff.name}: {tariff.title}\n  in {unit}, {tariff.time_zone}, numbers: {tariff.values.value}")
    for word, side in (("import", tariff.imports), ("export", tariff.exports)):
        if side is None:
            continue
        bounds = " nothing while the market's price is negative" if side.zero_when_spot_negative else ""
        tell(f"  {word}, {side.vat_percent} % tax{bounds}")
        for part in side.parts:
            tell(f"    {part.name}: {_part(part)}")
    if tariff.peak is not None:
        rule = tariff.peak
        tell(f"  highest {rule.interval_min} min of a {rule.period.value}: {_power(rule, tariff.currency)}")
    if (cap := tariff.feed_in_cap) is not None and (cap_w := cap.limit_w(10_000)) is not None:
        tell(f"  feed-in cap: {cap_w} W where 10000 W of generation stand")
    for source in tariff.sources:
        tell(f"  source: {source}")


@app.command()
def check(name: NameArgument, as_json: JsonOption = False) -> None:
    """Check a tariff's file: exit 2 and one sentence where it is none."""
    tariff = _load(name, as_json)
    _holidays(tariff, as_json)
    words = _doubt(tariff)
    if as_json:
        print_json({"valid": True, **_head(tariff), **({"warnings": [words]} if words else {})})
        return
    if words:
        tell(f"note: {words}", err=True)
    tell(f"{tariff.name} is a valid tariff{', which follows the market' if tariff.is_dynamic else ''}")


@app.command()
def price(
    name: NameArgument,
    day: Annotated[str | None, typer.Option(help="The local day, like 2026-11-29; today without it.")] = None,
    spot: Annotated[str | None, typer.Option(help=SPOT_HELP)] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a day costs and brings by delivery interval, as numbers and as a plot."""
    from domain.tariff.price import SpotMissing, local_day, prices

    tariff = _load(name, as_json)
    local = _day(day, tariff, as_json)
    begin, end = local_day(tariff, local)
    if tariff.valid_from is not None and local < tariff.valid_from:
        tell(f"note: {tariff.name} holds from {tariff.valid_from}; {local} lies before", err=True)
    try:
        points = prices(
            tariff,
            start=begin,
            end=end,
            spot_mct_per_kwh=_spot(spot, begin, end, tariff, as_json),
            is_holiday=_holidays(tariff, as_json),
        )
    except SpotMissing as error:
        fail(f"{error}; give --spot", code="spot_missing", as_json=as_json, exit_code=BAD_INPUT)
    if as_json:
        print_json({**_head(tariff), "unit": "mct/kWh", "intervals": [_point(point, tariff) for point in points]})
        return
    tell("\n".join(_plot(tariff, points)))


def _doubt(tariff: "Tariff") -> str:
    """Return what is odd about a tariff's numbers: prices that nobody pays are mostly in another unit."""
    parts = tariff.imports.parts
    told = [part.time_of_use.default if part.time_of_use is not None else part.fixed for part in parts]
    fixed = [value for value in told if value is not None]
    per_mwh = sum(fixed, Decimal()) * MCT_PER_UNIT[tariff.unit.value] / 100
    if tariff.is_dynamic or not fixed or PRICE_PER_MWH_MIN <= per_mwh <= PRICE_PER_MWH_MAX:
        return ""
    return f"a kWh costs {per_mwh / 1000:g} {tariff.currency} before tax; is the unit {tariff.unit.value} right?"


def _load(name: str, as_json: bool) -> "Tariff":
    import tariffs
    from domain.tariff.read import BadTariff, read_tariff

    path = Path(name)
    try:
        if path.is_file():
            return read_tariff(path.read_text(encoding="utf-8"), where=name)
        text = tariffs.text(name)
        if text is None:
            known = ", ".join(tariffs.names())
            fail(f"{name} is neither a file nor one of {known}", code="unknown", as_json=as_json, exit_code=BAD_INPUT)
        return read_tariff(text, where=name)
    except (OSError, UnicodeDecodeError) as error:
        sentence = f"{path} cannot be read: {reason_of(error)}"
        fail(sentence, code="bad_tariff", as_json=as_json, exit_code=BAD_INPUT)
    except BadTariff as error:
        fail(str(error), code="bad_tariff", as_json=as_json, exit_code=BAD_INPUT)


def _head(tariff: "Tariff") -> dict[str, Any]:
    return {
        "name": tariff.name,
        "title": tariff.title,
        "currency": tariff.currency,
        "time_zone": tariff.time_zone,
        "values": tariff.values.value,
        "follows_market": tariff.is_dynamic,
    }


def _power(rule: "Peak", currency: str) -> str:
    if rule.steps:
        steps = (f"{step.price} below {step.kw_below} kW" for step in rule.steps[:-1])
        return f"{', '.join((*steps, f'{rule.steps[-1].price} above'))} {currency}"
    seasons = "".join(
        f", {season.price_per_kw} in months {', '.join(map(str, season.months))}" for season in rule.seasons
    )
    return f"{rule.price_per_kw} {currency}/kW{seasons}"


def _part(part: Any) -> str:
    tax = "" if part.vat else ", without tax"
    if part.fixed is not None:
        return f"{part.fixed}{tax}"
    if part.dynamic is not None:
        return f"market × {part.dynamic.factor} + {part.dynamic.adder}{tax}"
    periods = "; ".join(
        f"{period.price} from {period.begin:%H:%M} to {period.end:%H:%M}"
        + (f" on {', '.join(period.days)}" if period.days else "")
        + (f" in months {', '.join(map(str, period.months))}" if period.months else "")
        for period in part.time_of_use.periods
    )
    return f"{periods}; else {part.time_of_use.default}{tax}"


def _day(text: str | None, tariff: "Tariff", as_json: bool) -> date:
    from zoneinfo import ZoneInfo

    if text is None:
        return datetime.now(ZoneInfo(tariff.time_zone)).date()
    try:
        local = date.fromisoformat(text)
        if FIRST_YEAR <= local.year <= LAST_YEAR:
            return local
        raise ValueError(text)
    except ValueError:
        fail(f"day is {text!r}, not like 2026-11-29", code="bad_input", as_json=as_json, exit_code=BAD_INPUT)


def _spot(
    text: str | None, begin: datetime, end: datetime, tariff: "Tariff", as_json: bool
) -> Mapping[datetime, int] | None:
    """Return the market's prices by interval: one number, or those of a file of times and prices."""
    from contracts.units import DELIVERY_INTERVAL

    if text is None:
        return None
    starts = [begin + step * DELIVERY_INTERVAL for step in range((end - begin) // DELIVERY_INTERVAL)]
    if not Path(text).is_file():
        if not _is_number(text):
            sentence = f"spot is {text!r}: neither a number nor a file of times and prices"
            fail(sentence, code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
        return dict.fromkeys(starts, int(Decimal(text) * 100))
    series, factor = _spot_file(Path(text), tariff, as_json)
    found: dict[datetime, int] = {}
    for at in starts:
        place = int((at - series.start).total_seconds() // series.step_s)
        if 0 <= place < len(series.values) and series.values[place] == series.values[place]:
            found[at] = round(float(series.values[place]) * factor)
    return found


def _spot_file(path: Path, tariff: "Tariff", as_json: bool) -> "tuple[Series, int]":
    """Return the prices of a file in any form that is read, and how many mct/kWh one of them is."""
    from domain.series.columns import Options
    from domain.series.errors import SeriesError
    from domain.series.read import read

    try:
        reading = read(path.read_bytes(), Options(wanted="price", timezone=tariff.time_zone))
    except (SeriesError, OSError) as error:
        fail(f"{path} cannot be read: {reason_of(error)}", code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
    # A file may be in the tariff's own currency, whose hundredths are mct/kWh times a thousand.
    known = MCT_PER_UNIT | {f"{tariff.currency}/MWh": 100, f"{tariff.currency}/kWh": 100_000}
    if tariff.currency == "GBP":
        known |= {"p/kWh": 1000}
    if reading.unit and reading.unit not in known:
        sentence = f"{path} holds {reading.unit}, no prices of the tariff; they are in {', '.join(known)}"
        fail(sentence, code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
    tell(f"read: {reading.understood}", err=True)
    return reading.series, known.get(reading.unit, MCT_PER_UNIT["EUR/MWh"])


def _is_number(text: str) -> bool:
    try:
        return Decimal(text.strip()).is_finite() and abs(Decimal(text.strip())) < SPOT_PER_MWH_MAX
    except InvalidOperation:
        return False


def _holidays(tariff: "Tariff", as_json: bool) -> "IsHoliday":
    from domain.tariff.days import UnknownPlace, holidays_of

    try:
        return holidays_of(tariff)
    except UnknownPlace as error:
        fail(f"{tariff.name}: {error}", code="bad_tariff", as_json=as_json, exit_code=BAD_INPUT)


def _point(point: "PricePoint", tariff: "Tariff") -> dict[str, Any]:
    from zoneinfo import ZoneInfo

    return {
        "start": point.start.astimezone(ZoneInfo(tariff.time_zone)).isoformat(),
        "import_mct_per_kwh": point.import_mct_per_kwh,
        "export_mct_per_kwh": point.export_mct_per_kwh,
    }


def _plot(tariff: "Tariff", points: "list[PricePoint]") -> list[str]:
    """Return a day as one column per delivery interval, and a line per hour in which a price changes."""
    from zoneinfo import ZoneInfo

    zone = ZoneInfo(tariff.time_zone)
    imports, exports = [one.import_mct_per_kwh for one in points], [one.export_mct_per_kwh for one in points]
    low, high = min([*imports, *exports, 0]), max([*imports, *exports, 1])
    first = points[0].start.astimezone(zone)
    span = f"{low / 1000:g} to {high / 1000:g} ct/kWh ({tariff.currency})"
    rows = [
        f"{tariff.name}, {first:%Y-%m-%d} {tariff.time_zone}, {span}",
        f"import {_bars(imports, low, high)}",
        f"export {_bars(exports, low, high)}",
    ]
    before: tuple[int, int] | None = None
    for point in points:
        pair = (point.import_mct_per_kwh, point.export_mct_per_kwh)
        if pair != before:
            at = point.start.astimezone(zone)
            rows.append(f"  from {at:%H:%M} import {pair[0] / 1000:9.3f}  export {pair[1] / 1000:9.3f} ct/kWh")
        before = pair
    return rows


def _bars(values: list[int], low: int, high: int) -> str:
    steps = len(BLOCKS) - 1
    return "".join(BLOCKS[(value - low) * steps // (high - low)] for value in values)
