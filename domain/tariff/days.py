"""Which days are public holidays where a tariff holds."""

from domain.calendar.holidays import Holidays, NoSuchCalendar
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
        return Holidays(country=place.country, subdivision=place.subdivision or "").__contains__
    except NoSuchCalendar as error:
        raise UnknownPlace(str(error)) from error
