"""About where a time zone lies: the place of the city that names it.

Source: ``zone.tab`` of the IANA time zone database, as the package tzdata holds it.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

# Degrees and minutes, with or without seconds: +5230+01322, -3352+15113, +404251-0740023.
_PLACE: Final = re.compile(r"([+-]\d{2})(\d{2})(\d{2})?([+-]\d{3})(\d{2})(\d{2})?")


@dataclass(frozen=True, kw_only=True)
class ZonePlace:
    """A place, in degrees north and east."""

    latitude_deg: float
    longitude_deg: float


def place_of_zone(zone: str) -> ZonePlace | None:
    """Return the place of an IANA time zone's city, ``None`` where it is of none, as UTC is, or an old name."""
    return _places().get(zone)


@cache
def _places() -> dict[str, ZonePlace]:
    table = resources.files("tzdata.zoneinfo").joinpath("zone.tab").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in table.splitlines() if line and not line.startswith("#"))
    return {row[2]: place for row in rows if len(row) > 2 and (place := _place(row[1])) is not None}


def _place(text: str) -> ZonePlace | None:
    found = _PLACE.fullmatch(text)
    if found is None:
        return None
    parts = found.groups()
    return ZonePlace(latitude_deg=_degrees(*parts[:3]), longitude_deg=_degrees(*parts[3:]))


def _degrees(degrees: str, minutes: str, seconds: str | None) -> float:
    size = abs(int(degrees)) + int(minutes) / 60 + int(seconds or 0) / 3600
    return -size if degrees.startswith("-") else size
