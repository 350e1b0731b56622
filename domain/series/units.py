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
        Unit(name="GW", measures=Measures.POWER),
        Unit(name="Wh", measures=Measures.ENERGY, hourly="W"),
        Unit(name="kWh", measures=Measures.ENERGY, hourly="kW"),
        Unit(name="MWh", measures=Measures.ENERGY, hourly="MW"),
        Unit(name="GWh", measures=Measures.ENERGY, hourly="GW"),
        Unit(name="EUR/MWh", measures=Measures.PRICE),
        Unit(name="EUR/kWh", measures=Measures.PRICE),
        Unit(name="ct/kWh", measures=Measures.PRICE),
        Unit(name="mct/kWh", measures=Measures.PRICE),
    )
}
_FOLDED = {re.sub(r"[^a-z/]", "", name.lower()): unit for name, unit in UNITS.items()} | {
    "€/mwh": UNITS["EUR/MWh"],
    "€/kwh": UNITS["EUR/kWh"],
    "c/kwh": UNITS["ct/kWh"],
    "cent/kwh": UNITS["ct/kWh"],
    "cents/kwh": UNITS["ct/kWh"],
}
# Of ``Electric kWh`` the c is no cent.
_PRICE = re.compile(r"(eur|€|(?<![^\W\d_])(?:mct|ct|cents?|c))\s*(?:/|_?per_?|\s)\s*([mk]wh)", re.IGNORECASE)
# A quotient by energy is no energy: other currencies, grams of CO2.
_RATE = re.compile(r"([^\W\d_][^\W_]{0,5}|[€£$¥¢])\s*(?:/|\s+per\s+|_per_)\s*([mk]?wh)(?![a-z])", re.IGNORECASE)
_AN_HOUR = re.compile(r"(?<![^\W\d_])([kKMG]?)[wW]h\s*(?:/|_per_)\s*h(?![^\W\d_])")
_WORD = re.compile(r"(?<![^\W\d_])([kKmMgG]?[wW][hH]?)(?![^\W\d_])")
# What is counted in units that are none of ours, by their small letters.
_OTHERS = {
    "reactive energy": ("varh", "kvarh", "mvarh"),
    "reactive power": ("kvar", "mvar"),
    "apparent power": ("kva", "mva"),
    "apparent energy": ("vah", "kvah", "mvah"),
    "a volume": ("m³", "nm³", "nm3", "ft³", "ft3", "ccf", "litre", "litres", "liter", "liters", "gallons"),
    "energy in another unit than Wh": ("kj", "mj", "gj", "tj", "btu", "kbtu", "mmbtu", "therms", "kcal"),
    "a temperature": ("°c", "°f", "degc", "degf"),
    "an irradiance": ("w/m²", "w/m2", "w/m^2", "kw/m²", "kw/m2", "wh/m²", "wh/m2", "kwh/m²", "kwh/m2"),
    "a yield": ("kwh/kwp", "wh/wp"),
    "a share": ("percent",),
    "a mass": ("kg", "kgco2", "gco2"),
}
# These are units only in brackets, those of one letter in square ones: a phase, a meter and a word have letters too.
_IN_BRACKETS = {
    "reactive power": ("var",),
    "apparent power": ("va",),
    "a volume": ("l", "cf", "gal", "m3"),
    "energy in another unit than Wh": ("therm",),
    "a temperature": ("c", "f", "k"),
    "a frequency": ("hz",),
    "a voltage": ("v", "mv", "kv"),
    "a current": ("a", "ma", "ka"),
    "a share": ("%",),
    "a mass": ("g", "t"),
    "a thousandth of a W": ("mw",),
}
_QUANTITIES = {name: quantity for quantity, names in _OTHERS.items() for name in names}
_BRACKETED = _QUANTITIES | {name: quantity for quantity, names in _IN_BRACKETS.items() for name in names}
_LONGEST_FIRST = "|".join(re.escape(name) for name in sorted(_QUANTITIES, key=len, reverse=True))
_OTHER = re.compile(rf"(?<![^\W\d_])({_LONGEST_FIRST})(?![^\W_])", re.IGNORECASE)
_BRACKETS = re.compile(r"\[\s*([^\[\]]{1,12}?)\s*\]|\(\s*([^()]{2,12}?|%)\s*\)")
_GAS_OR_WATER = re.compile(r"(?:gas|water|wasser|volume)[\s_]+(m3)(?![^\W_])", re.IGNORECASE)


# How the second column of ``start,price_<unit>`` ends, and what one of it is in units of money per MWh.
OWN_PRICE_UNITS = {"eur_per_mwh": 1.0, "per_mwh": 1.0, "ct_per_kwh": 10.0, "eur_per_kwh": 1000.0, "mct_per_kwh": 0.01}


def own_price_unit(name: str) -> float | None:
    """Return what one of a price column is in units of money per MWh, ``None`` if its name ends in no unit."""
    ends = sorted(OWN_PRICE_UNITS, key=len, reverse=True)
    return next((OWN_PRICE_UNITS[end] for end in ends if name.lower().endswith(end)), None)


@dataclass(frozen=True, kw_only=True)
class OtherUnit:
    """A unit of a quantity that is neither power nor energy in Wh nor a price, as a header wrote it."""

    name: str
    quantity: str


def other_unit_in(text: str) -> OtherUnit | None:
    """Return the unit of another quantity that a header names, as in ``Zähler [kvarh]`` or ``gas_m3``."""
    for pair in _BRACKETS.findall(text):
        name = pair[0] or pair[1]
        quantity = _BRACKETED.get(name.lower())
        if quantity is not None and (name.lower() != "mw" or name.startswith("m")):
            return OtherUnit(name=name, quantity=quantity)
    found = _OTHER.search(text) or _GAS_OR_WATER.search(text)
    return None if found is None else OtherUnit(name=found[1], quantity=_BRACKETED[found[1].lower()])


def _areal(header: str) -> bool:
    found = other_unit_in(header)
    return found is not None and "/" in found.name


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
    if _areal(header):
        return None
    words = _WORD.findall(header)
    # ``mW`` is a thousandth of a watt, ``mw`` somebody's megawatt.
    return _FOLDED.get(words[-1].lower()) if words and not words[-1].startswith("mW") else None
