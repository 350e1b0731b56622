"""Where a zone lies when nobody says: the sun of Sydney is not that of 50 degrees north."""

from cloud.stores.registry import ZoneRecord, read_registry


def test_a_zone_lies_where_the_city_of_its_clock_does() -> None:
    """Each half of what is told stands; the store keeps the numbers, for functions that know no cities."""
    sydney = ZoneRecord.model_validate({"id": "zone-1", "timezone": "Australia/Sydney"})
    assert (round(sydney.latitude), round(sydney.longitude)) == (-34, 151)
    told = ZoneRecord.model_validate({"id": "zone-1", "timezone": "Europe/Berlin", "latitude": 48.1, "longitude": 11.6})
    assert (told.latitude, told.longitude) == (48.1, 11.6)
    half = ZoneRecord.model_validate({"id": "zone-1", "timezone": "Europe/Berlin", "latitude": 48.1})
    assert (half.latitude, round(half.longitude, 1)) == (48.1, 13.4)
    nowhere = ZoneRecord.model_validate({"id": "zone-1", "timezone": "UTC"})
    assert (nowhere.latitude, nowhere.longitude) == (50.0, 10.0)


def test_a_stored_registry_keeps_the_place_that_it_was_stored_with() -> None:
    """A running market does not move when the software does."""
    stored = {"id": "zone-1", "timezone": "Australia/Sydney", "latitude": 50.0, "longitude": 10.0}
    assert read_registry({"zones": [stored]}, where="the store").zones[0].latitude == 50.0
    again = read_registry({"zones": [{"id": "zone-1", "timezone": "Australia/Sydney"}]}, where="test")
    assert again.model_dump(mode="json")["zones"][0]["latitude"] == again.zones[0].latitude < 0
