"""Public holidays of a country or a part of one: days on which people live as on a Sunday.

Source: the package ``holidays``, which names the law behind each day.
"""

from collections.abc import Container, Iterable
from datetime import date
from typing import Any, Protocol


class NoSuchCalendar(ValueError):
    """No calendar is known of a country or of its part; the message names it."""


class HolidayRule(Protocol):
    """Whose holidays, and local days beside them."""

    @property
    def country(self) -> str:
        """Return the country, ISO 3166-1 alpha-2; empty where only the days count."""

    @property
    def subdivision(self) -> str:
        """Return the part of the country, ISO 3166-2 without the country."""

    @property
    def days(self) -> tuple[date, ...]:
        """Return further days."""


class Holidays(Container[date]):
    """The holidays of a place in any year, worked out when a day is asked for."""

    def __init__(self, *, country: str = "", subdivision: str = "", days: Iterable[date] = ()) -> None:
        """Look the calendar up.

        Raises:
            NoSuchCalendar: The country or its part is not known, or the package is not installed.
        """
        self.days = frozenset(days)
        self._country: Any = _calendar(country, subdivision) if country else frozenset()

    def __contains__(self, day: object) -> bool:
        """Return whether a local day is a holiday."""
        return day in self.days or day in self._country


def split(text: str) -> tuple[str, str]:
    """Return country and part of a code like ``DE`` or ``DE-BY``."""
    country, _, part = text.partition("-")
    return country.strip().upper(), part.strip().upper()


def _calendar(country: str, subdivision: str) -> Any:
    try:
        import holidays
    except ImportError as error:
        raise NoSuchCalendar(f"holidays of {country} need the package holidays, which is not installed") from error
    try:
        return holidays.country_holidays(country, subdiv=subdivision or None)
    except NotImplementedError as error:  # How the package says that it knows no such country or part.
        place = f"{country}-{subdivision}" if subdivision else country
        raise NoSuchCalendar(f"no holidays are known of {place[:80]!a}; give ISO 3166 codes, as DE or DE-BY") from error
