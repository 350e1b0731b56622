"""Prices from a person's file: CSV, ``start`` and one price column whose name says the unit."""

import csv
from datetime import datetime
from typing import Final

from domain.prices.steps import PriceFault, PriceStep, ends_of, from_per_mwh, instant_of

# Of the column's unit, in units of money per MWh.
UNITS: Final = {"eur_per_mwh": 1.0, "per_mwh": 1.0, "ct_per_kwh": 10.0, "eur_per_kwh": 1000.0, "mct_per_kwh": 0.01}


def price_file(text: str) -> list[PriceStep]:
    """Decode a file with a header such as ``start,price_eur_per_mwh``; an empty price is not known.

    Raises:
        PriceFault: A line cannot be read; the sentence names it and why.
    """
    lines = csv.reader(text.lstrip("\ufeff").splitlines())
    header = [name.strip().lower() for name in next(lines, [])]
    if len(header) < 2 or header[0] != "start":
        raise PriceFault("price file: its first line is not start,price_<unit>; it is not used")
    factor = next((UNITS[unit] for unit in sorted(UNITS, key=len, reverse=True) if header[1].endswith(unit)), None)
    if factor is None:
        raise PriceFault(f"price file: column {header[1][:40]!r} names no unit of {', '.join(UNITS)}; it is not used")
    rows: list[tuple[datetime, int | None]] = []
    for cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        where = f"price file line {lines.line_num}"
        if len(cells) < 2:
            raise PriceFault(f"{where}: {len(cells)} column, fewer than 2; the file is not used")
        rows.append((instant_of(cells[0].strip(), where=where), _price(cells[1].strip(), factor, where=where)))
    starts = [start for start, _ in rows]
    return [
        PriceStep(start=start, end=end, price_mct_per_kwh=price)
        for (start, price), end in zip(rows, ends_of(starts), strict=True)
        if price is not None
    ]


def _price(text: str, factor: float, *, where: str) -> int | None:
    if not text:
        return None
    try:
        return from_per_mwh(float(text) * factor, where=where)
    except PriceFault:
        raise
    except ValueError as error:
        raise PriceFault(f"{where}: price {text[:20]!r} is no number; the file is not used") from error
