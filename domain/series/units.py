"""Units of a column: from its header, a unit column, or an option; and what kind of quantity a unit is of."""

import re
from dataclasses import dataclass
from enum import StrEnum

from domain.series.errors import SeriesError


class Measures(StrEnum):
    """What a column holds: power, energy of each step, a counter that rises, or a price."""

    POWER = "power"
    ENERGY = "energy"
    COUNTER = "counter"
    PRICE = "price"


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A unit, the kind of quantity that it is of, and the power that an energy of it an hour is."""

    name: str
    measures: Measures | None
    hourly: str = ""


UNITS = {
    unit.name: unit
    for unit in (
        Unit(name="W", measures=Measures.POWER),
        Unit(name="kW", measures=Measures.POWER),
        Unit(name="MW", measures=Measures.POWER),
        Unit(name="Wh", measures=Measures.ENERGY, hourly="W"),
        Unit(name="kWh", measures=Measures.ENERGY, hourly="kW"),
        Unit(name="MWh", measures=Measures.ENERGY, hourly="MW"),
        Unit(name="EUR/MWh", measures=Measures.PRICE),
        Unit(name="EUR/kWh", measures=Measures.PRICE),
        Unit(name="ct/kWh", measures=Measures.PRICE),
    )
}
_FOLDED = {re.sub(r"[^a-z/]", "", name.lower()): unit for name, unit in UNITS.items()} | {
    "€/mwh": UNITS["EUR/MWh"],
    "€/kwh": UNITS["EUR/kWh"],
    "c/kwh": UNITS["ct/kWh"],
    "cent/kwh": UNITS["ct/kWh"],
    "cents/kwh": UNITS["ct/kWh"],
}
_PRICE = re.compile(r"(eur|€|ct|cents?|c)\s*(?:/|_?per_?|\s)\s*([mk]wh)", re.IGNORECASE)
# A quotient by energy is no energy: other currencies, grams of CO2.
_RATE = re.compile(r"([^\W\d_][^\W_]{0,5}|[€£$¥¢])\s*(?:/|\s+per\s+|_per_)\s*([mk]?wh)(?![a-z])", re.IGNORECASE)
_AN_HOUR = re.compile(r"(?<![A-Za-z])([kKM]?)[wW]h\s*(?:/|_per_)\s*h(?![A-Za-z])")
_WORD = re.compile(r"(?<![A-Za-z])([kKmM]?[wW][hH]?)(?![A-Za-z])")


def unit_named(text: str) -> Unit:
    """Return a unit that a person named.

    Raises:
        SeriesError: It is none that is known.
    """
    found = _FOLDED.get(re.sub(r"\s", "", text.lower()))
    if found is None:
        raise SeriesError(f"--unit {text!r} is none of {', '.join(UNITS)}")
    return found


def unit_in(header: str) -> Unit | None:
    """Return the unit that a header names, as in ``load_kw``, ``Leistung [kW]``, ``Price (EUR/MWh)`` or ``öre/kWh``."""
    price = _PRICE.search(header)
    if price:
        return _FOLDED.get(f"{price[1]}/{price[2]}".lower())
    hourly = _AN_HOUR.search(header)
    if hourly:
        return _FOLDED[f"{hourly[1]}w".lower()]
    rate = _RATE.search(header)
    if rate:
        return Unit(name=f"{rate[1]}/{rate[2]}", measures=Measures.PRICE)
    words = _WORD.findall(header)
    # ``mW`` is a thousandth of a watt, ``mw`` somebody's megawatt.
    return _FOLDED.get(words[-1].lower()) if words and not words[-1].startswith("mW") else None
