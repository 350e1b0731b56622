"""Prices out of a provider's answer or out of a file, decoded by the reader of all series.

Nothing is averaged, taken out or filled, as money needs: a price is that of a row, or not known. Of a provider's answer
the form and the unit must be those that it documents; a saved answer is a file like any other.
"""

from collections.abc import Mapping
from typing import Final

from domain.prices.source import Provider
from domain.prices.steps import PriceFault, PriceStep, ends_of, from_per_mwh
from domain.series.column_unit import column_unit
from domain.series.columns import Options, column_named, table_of, time_column, value_columns
from domain.series.errors import SeriesError
from domain.series.exact import Row, exact_rows
from domain.series.table import Table
from domain.series.units import Measures, own_price_unit

# The form that the reader tells an answer by, and its unit.
DOCUMENTED: Final[Mapping[Provider, tuple[str, str]]] = {
    Provider.ENERGY_CHARTS: ("Energy-Charts", "{currency}/MWh"),
    Provider.ENTSOE: ("ENTSO-E", "{currency}/MWh"),
    Provider.AWATTAR: ("aWATTar", "{currency}/MWh"),
    Provider.TIBBER: ("Tibber", "{currency}/kWh"),
    Provider.OCTOPUS: ("Octopus", "p/kWh"),
}
TIBBER_QUERY: Final = (
    "{ viewer { homes { currentSubscription { priceInfo(resolution: QUARTER_HOURLY) {"
    " today { energy startsAt currency } tomorrow { energy startsAt currency } } } } } }"
)
_PER_MWH: Final = {"mwh": 1.0, "kwh": 1000.0}
_CENTS: Final = {"ct": 10.0, "mct": 0.01}  # A hundredth of any currency per kWh, per MWh.
_SIGNS: Final = {"€": ("EUR",), "£": ("GBP",)}
_HUNDREDTHS: Final = {"p": ("GBP",), "pence": ("GBP",), "öre": ("SEK",), "øre": ("DKK", "NOK"), "ore": ("SEK", "NOK")}


def answered_prices(body: bytes, provider: Provider, *, currency: str) -> list[PriceStep]:
    """Decode a provider's answer.

    Raises:
        PriceFault: It is not what the provider documents, or in another unit or currency; nothing of it is used.
    """
    try:
        table, _ = table_of(body)
        form, unit = DOCUMENTED[provider]
        if table.form != form:
            raise SeriesError(f"it is {table.form or 'a table'}, no answer of {form}")
        expected = unit.format(currency=currency)
        told = dict(table.units).get(table.price, "")
        if table.rows and told.lower() != expected.lower():
            raise SeriesError(f"prices in {told[:40]!r}, expected {expected}")
        return _steps(table, table.price, Options(), unit=expected, currency=currency, where=provider)
    except SeriesError as error:
        raise PriceFault(f"{provider}: {error}; the answer is not used") from error


def filed_prices(data: bytes, options: Options, *, currency: str) -> list[PriceStep]:
    """Decode a file of prices: any table or export that the reader knows, or a saved answer.

    Args:
        data: The file.
        options: What is said about it: column, unit, time zone.
        currency: Of the zone.

    Raises:
        PriceFault: It cannot be read, names no unit or another currency, or leaves open which column is meant; the
            sentence names line or column. Nothing of it is used.
    """
    where = "price file"
    try:
        table, _ = table_of(data)
        column = _column(table, options)
        own = (
            None
            if options.column or options.unit
            else own_price_unit(column)
            if table.time.lower() == "start"
            else None
        )
        if own is not None:
            return _from_rows(exact_rows(table, [column], options), factor=own, where=where)
        unit = options.unit if _factor(options.unit, currency) is not None else _unit(table, column, options)
        return _steps(table, column, options, unit=unit, currency=currency, where=where)
    except SeriesError as error:
        raise PriceFault(f"{where}: {error}; the file is not used") from error


def _column(table: Table, options: Options) -> str:
    if options.column:
        return column_named(table, options.column, table.header)
    if table.price:
        return table.price
    values = value_columns(table, time_column(table, options.time_column))
    priced = [name for name in values if _is_price(table, name)]
    if len(priced) > 1:
        raise SeriesError(f"{', '.join(priced[:8])} may be meant; say which column")
    if priced or (options.unit and len(values) == 1):
        return (priced or values)[0]
    raise SeriesError(f"of its columns {', '.join(values[:8])} each names no unit of a price, as EUR/MWh or ct/kWh is")


def _is_price(table: Table, name: str) -> bool:
    unit = column_unit(table, name, asked="", others=())
    return unit is not None and unit.measures is Measures.PRICE


def _unit(table: Table, column: str, options: Options) -> str:
    unit = column_unit(table, column, asked=options.unit, others=())
    if unit is None:
        raise SeriesError(f"column {column!r} names no unit of a price, as EUR/MWh or ct/kWh is; say which unit")
    return unit.name


def _steps(table: Table, column: str, options: Options, *, unit: str, currency: str, where: str) -> list[PriceStep]:
    factor = _factor(unit, currency)
    if factor is None:
        raise SeriesError(f"prices in {unit[:40]!r}, the zone's currency is {currency}")
    return _from_rows(exact_rows(table, [column], options), factor=factor, where=where)


def _factor(unit: str, currency: str) -> float | None:
    """Return what one of a unit is in the zone's currency per MWh, ``None`` where it is of another currency."""
    money, _, energy = unit.lower().partition("/")
    per_mwh = _PER_MWH.get(energy)
    if per_mwh is None:
        return None
    if money in _CENTS:
        return _CENTS[money] * per_mwh / 1000.0
    if currency in _HUNDREDTHS.get(money, ()):
        return per_mwh / 100
    return per_mwh if currency in {money.upper(), *_SIGNS.get(money, ())} else None


def _from_rows(rows: list[Row], *, factor: float, where: str) -> list[PriceStep]:
    known: dict[object, Row] = {}
    for row in rows:
        before = known.setdefault(row.start, row)
        if before.values != row.values:
            raise SeriesError(f"line {row.line}: two prices of {row.start:%Y-%m-%dT%H:%MZ}")
    rows = list(known.values())
    ends = ends_of([row.start for row in rows]) if any(row.end is None for row in rows) else [row.end for row in rows]
    return [
        PriceStep(start=row.start, end=end, price_mct_per_kwh=from_per_mwh(value * factor, where=where))
        for row, end in zip(rows, ends, strict=True)
        for value in row.values
        if value is not None and end is not None
    ]
