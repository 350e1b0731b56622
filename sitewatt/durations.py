"""How long something lasts, as people write it: ``90s``, ``30m``, ``2h``, ``1d``."""

import re
from datetime import timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_TEXT = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)([smhd])")


def duration(text: str) -> timedelta:
    """Return the duration that a text names.

    Raises:
        ValueError: It is not a number with one of the units s, m, h, d, or is zero.
    """
    found = _TEXT.fullmatch(text.strip())
    if found is None or not float(found[1]):
        raise ValueError(f"{text!r} is no duration; write a number above zero and s, m, h or d, such as 30m")
    return timedelta(**{_UNITS[found[2]]: float(found[1])})
