"""Power and energy as people write them: 9600, ``9.6 kW``, ``10,5 kWp``, ``10 kWh``. Pure."""

import re

_AMOUNT = re.compile(r"(\d{1,9}(?:[.,]\d{1,3})?)\s*(k|M)?(Wp?|Wh|)", re.IGNORECASE)
_FACTOR = {"": 1, "k": 1_000, "m": 1_000_000}


def amount(text: str, *, unit: str) -> int | None:
    """Return a power in W, or an energy in Wh; ``None`` where the text is none.

    Args:
        text: A number, with or without its unit; the decimal mark may be a point or a comma.
        unit: ``W`` or ``Wh``.
    """
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        return None
    number, prefix, said = found[1].replace(",", "."), (found[2] or "").lower(), found[3].lower()
    if (prefix and not said) or (said and (said == "wh") != (unit == "Wh")):
        return None
    value = float(number) * _FACTOR[prefix]
    return round(value) if value == round(value) else None


def complaint(text: str, *, unit: str, low: int) -> str | None:
    """Return what is wrong with an answer; ``None`` where it is an amount from ``low`` on."""
    value = amount(text, unit=unit)
    if value is None or value < low:
        return f"a whole number of {unit} from {low}, or with its unit: 10 k{unit}"
    return None
