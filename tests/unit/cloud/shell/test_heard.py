"""The list of a fleet says what the cloud last heard of each gateway."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cloud.shell.heard import Heard, heard_of
from cloud.stores import keys
from cloud.stores.sqlite import SqliteTables
from cloud.stores.tables import Put
from contracts.units import epoch_ms

NOW = datetime(2026, 1, 3, 12, tzinfo=UTC)


def test_a_gateway_is_online_since_heard_and_its_newest_event_is_told(tmp_path: Path) -> None:
    """Of last month's events the newest counts while this month has none."""
    tables = SqliteTables.open(tmp_path / "tables.db")
    assert heard_of(tables, "home-1", now=NOW) == Heard()
    assert Heard().words() == "never heard"
    december = NOW - timedelta(days=20)
    for seq, phrase in ((1, "device offline"), (2, "device online")):
        key = keys.site_event("home-1", december + timedelta(minutes=seq), 1, seq)
        tables.put(Put(key=key, body={"phrase": phrase, "fields": {}}))
    tables.put(Put(key=keys.site_state("home-1", keys.STATUS), body={"online": False, "software": "0.1.0"}))
    tables.put(Put(key=keys.site_state("home-1", keys.LATEST), body={"told_until": epoch_ms(NOW), "points": {}}))
    assert heard_of(tables, "home-1", now=NOW).alarms is None
    told = {"alarms": ["meter is silent", "trading waits: no plan"], "at": epoch_ms(december), "order": [1, 1, 1]}
    tables.put(Put(key=keys.site_state("home-1", keys.ALARMS), body=told))
    heard = heard_of(tables, "home-1", now=NOW)
    assert heard.words() == (
        "OFFLINE, values up to 2026-01-03 12:00:00 UTC, version 0.1.0; "
        "ALARM since 2025-12-14 12:00:00 UTC: meter is silent, and trading waits: no plan; "
        "last event 2025-12-14 12:02:00 UTC: device online"
    )
    assert heard.plain()["heard_at"] == "2026-01-03T12:00:00+00:00"
    assert heard.plain()["alarms"] == ("meter is silent", "trading waits: no plan")
    tables.close()
