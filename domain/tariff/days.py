"""Which days are public holidays where a tariff holds."""

from datetime import date

import holidays

from domain.tariff.model import Tariff
from domain.tariff.price import IsHoliday, no_holidays


class UnknownPlace(ValueError):
    """A tariff names a country or subdivision whose holidays nobody lists."""


def holidays_of(tariff: Tariff) -> IsHoliday:
    """Return what says of a local day whether it is a public holiday where a tariff holds.

    Raises:
        UnknownPlace: Its country or subdivision is not known.
    """
    place = tariff.holidays
    if place is None:
        return no_holidays
    try:
        known = holidays.country_holidays(place.country, subdiv=place.subdivision)
    except NotImplementedError as error:
        raise UnknownPlace(f"holidays of {place.country} {place.subdivision or ''} are not known: {error}") from error

    def is_holiday(day: date) -> bool:
        return day in known

    return is_holiday
