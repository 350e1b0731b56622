"""What the tables keep of telemetry: once, in minutes, whatever the order of arrival."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.errors import StoreError
from cloud.handlers import events, lake, status, telemetry
from cloud.handlers.minutes import PointMinute, Span, held_mean
from cloud.local.report import channel_counts
from cloud.stores import keys
from cloud.stores.tables import Put, Table
from contracts.telemetry import EventMessage, Sample, StatusMessage
from contracts.topics import Up
from contracts.units import Quality, epoch_ms
from tests.support.cloud_sites import FEEDER, START, ZONE, batch, context, house_in
from tests.support.cloud_sites import telemetry as message

POWER = "meter/active_power_w"


def _store(*messages: Any) -> dict[str, Any]:
    return telemetry.handler(batch(Up.TELEMETRY, *messages, at=START), context())


def test_a_message_becomes_minutes_by_device(tmp_path: Path) -> None:
    """The last day of one site is one query, and the connection point is kept apart from what stands behind it."""
    with house_in(tmp_path) as (house, _):
        values: dict[str, list[float | None]] = {POWER: [100.0, 200.0, None], "inverter/pv_power_w": [-50.0]}
        assert _store(message("farm", 1, START + timedelta(seconds=59), values)) == {"batchItemFailures": []}
        day = house.stores.tables.query(Table.ENERGY_METRICS, keys.energy_day("farm", keys.minute_of(START)))
        assert [item.body["points"]["active_power_w"]["n"] for item in day] == [1, 1]
        second = epoch_ms(START + timedelta(seconds=60))
        assert day[1].body["points"]["active_power_w"] == {
            "n": 1, "mean": 200, "min": 200, "max": 200, "last": 200, "last_at": second, "unusable": 1,
            "spans": [[second, second + 1000, None, 200_000, 1000]],
        }  # fmt: skip
        asset = keys.asset_minute(Table.PRODUCER_METRICS, "farm", "inverter", keys.minute_of(START), "minute")
        inverter = house.stores.tables.get(asset)
        assert inverter is not None and inverter.body["points"]["pv_power_w"]["mean"] == -50


def test_a_repeated_message_is_counted_and_changes_nothing(tmp_path: Path) -> None:
    """At least once on the way must be exactly once in the tables."""
    with house_in(tmp_path) as (house, _):
        first = message("home-1", 1, START, {POWER: [100.0, 300.0]})
        _store(first, first)
        _store(first, message("home-1", 2, START + timedelta(seconds=2), {POWER: [500.0]}))
        item = house.stores.tables.get(keys.energy_minute("home-1", keys.minute_of(START)))
        assert item is not None and item.body["points"]["active_power_w"]["mean"] == (100 + 300 + 58 * 500) / 60
        counts = channel_counts(house.stores.tables, house.registry, Up.TELEMETRY)
        assert counts == {"published": 2, "stored": 2, "lost": 0, "duplicated": 2}


def test_a_gap_counts_as_lost_until_it_is_filled(tmp_path: Path) -> None:
    """The proof that nothing was lost must be able to fail."""
    with house_in(tmp_path) as (house, _):
        _store(*(message("home-1", seq, START, {POWER: [1.0]}) for seq in (1, 4)))
        assert channel_counts(house.stores.tables, house.registry, Up.TELEMETRY)["lost"] == 2
        _store(*(message("home-1", seq, START, {POWER: [1.0]}) for seq in (3, 2)))
        assert channel_counts(house.stores.tables, house.registry, Up.TELEMETRY)["lost"] == 0


def test_a_backlog_of_hours_is_stored_and_may_be_repeated(tmp_path: Path) -> None:
    """After an outage one message may touch more minutes than one transaction can."""
    with house_in(tmp_path) as (house, _):
        backlog = message("home-1", 1, START, {POWER: [float(n) for n in range(180)]}, step_s=60.0)
        _store(backlog)
        _store(backlog)
        day = house.stores.tables.query(Table.ENERGY_METRICS, keys.energy_day("home-1", keys.minute_of(START)))
        assert len(day) == 180
        assert all(item.body["points"]["active_power_w"]["n"] == 1 for item in day)


def test_an_older_value_never_replaces_a_newer_one(tmp_path: Path) -> None:
    """Back-fill arrives while the site is live; what the grid agent sees must stay the newest."""
    with house_in(tmp_path) as (house, _):
        _store(message("home-1", 2, START + timedelta(minutes=5), {POWER: [500.0]}))
        _store(message("home-1", 1, START, {POWER: [100.0], "meter/voltage_v": [230.0]}))
        item = house.stores.tables.get(keys.site_state("home-1", "LATEST"))
        assert item is not None
        assert item.body["points"][POWER][1] == 500
        assert item.body["points"]["meter/voltage_v"][1] == 230


def test_a_message_in_another_name_is_refused(tmp_path: Path) -> None:
    """The topic is proven by the broker, the payload by nobody."""
    with house_in(tmp_path) as (house, _):
        event = batch(Up.TELEMETRY, message("home-1", 1, START, {POWER: [1.0]}), at=START, zone="zone-9")
        assert telemetry.handler(event, context()) == {"batchItemFailures": []}
        assert channel_counts(house.stores.tables, house.registry, Up.TELEMETRY)["stored"] == 0
        refused = house.stores.tables.get(keys.site_state("home-1", "REFUSED#TelemetryMessage"))
        assert refused is not None and "zone-9" in refused.body["reason"]


def test_a_record_that_cannot_be_stored_is_named_for_another_delivery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One throttled item must not cost the whole batch, nor be passed over."""
    with house_in(tmp_path) as (house, _):
        real = house.stores.tables.transact

        def throttled(writes: Any) -> None:
            if any(isinstance(write, Put) and "home-2" in write.key.pk for write in writes):
                raise StoreError("throttled")
            real(writes)

        monkeypatch.setattr(house.stores.tables, "transact", throttled)
        answer = _store(*(message(site, 1, START, {POWER: [1.0]}) for site in ("home-1", "home-2", "farm")))
        assert [int(failure["itemIdentifier"]) for failure in answer["batchItemFailures"]] == [2]
        assert channel_counts(house.stores.tables, house.registry, Up.TELEMETRY)["stored"] == 2


def test_the_feeder_keeps_its_loading_beside_its_limit(tmp_path: Path) -> None:
    """The grid operator asks what the transformer carried at a second, and what it may carry."""
    with house_in(tmp_path) as (house, _):
        _store(message(FEEDER, 1, START, {POWER: [100_000.0 + n for n in range(20)]}))
        pk = keys.feeder_sample(FEEDER, START).pk
        items = house.stores.tables.query(Table.GRID_METRICS, pk)
        assert [item.body for item in items] == [
            {"power_w": 100_009, "limit_w": 200_000},
            {"power_w": 100_019, "limit_w": 200_000},
        ]


def test_raw_samples_reach_the_lake_once_by_name(tmp_path: Path) -> None:
    """Analysts need every sample; a batch that is delivered again must not double them."""
    with house_in(tmp_path) as (house, _):
        event = batch(Up.TELEMETRY, message("home-1", 7, START, {POWER: [1.0, None]}), at=START)
        lake.handler(event, context())
        lake.handler(event, context())
        samples = house.stores.lake.read(zone=ZONE, day=START)
        assert [(sample.seq, sample.value, sample.quality) for sample in samples] == [
            (7, 1.0, "good"),
            (7, None, "invalid"),
        ]


def test_events_and_status_are_kept(tmp_path: Path) -> None:
    """An operator looks for what a gateway said about itself."""
    with house_in(tmp_path) as (house, _):
        said = EventMessage(
            site="home-1", epoch=1, seq=1, sent_at=START, at=START, phrase="device silent", fields={"n": 1}
        )
        events.handler(batch(Up.EVENTS, said, said, at=START), context())
        status.handler(batch(Up.STATUS, StatusMessage(site="home-1", online=False), at=START), context())
        kept = house.stores.tables.query(Table.ENERGY_METRICS, keys.site_event("home-1", START, 1, 1).pk)
        assert [item.body["phrase"] for item in kept] == ["device silent"]
        state = house.stores.tables.get(keys.site_state("home-1", "STATUS"))
        assert state is not None and state.body["online"] is False


_SAMPLES = st.lists(
    st.tuples(
        st.integers(0, 59),
        st.one_of(st.none(), st.integers(-(10**6), 10**6)),
        st.sampled_from([Quality.GOOD, Quality.STALE]),
    ),
    min_size=1,
    max_size=30,
    unique_by=lambda drawn: drawn[0],
)


@given(_SAMPLES, st.integers(0, 30))
@settings(max_examples=60)
def test_a_minute_is_the_same_however_it_was_split(drawn: list[tuple[int, int | None, Quality]], cut: int) -> None:
    """A minute comes in several messages, in any order."""
    samples = [
        Sample(point="p", at=START + timedelta(seconds=second), value=value, quality=quality)
        for second, value, quality in drawn
    ]

    ordered = sorted(samples, key=lambda sample: sample.at)
    parts = [PointMinute.of(part) for part in (ordered[:cut], ordered[cut:]) if part]
    whole = PointMinute.of(samples)
    merged = parts[0].merged(parts[-1]) if len(parts) > 1 else parts[0]
    assert len(parts) == 1 or parts[-1].merged(parts[0]) == merged
    assert replace(merged, spans=()) == replace(whole, spans=())
    assert merged.mean == pytest.approx(whole.mean) == pytest.approx(_held(ordered))
    good = [sample for sample in samples if sample.value is not None and sample.quality is Quality.GOOD]
    assert whole.count == len(good)
    assert whole.unusable == len(samples) - len(good)
    assert PointMinute.from_body(merged.body()) == merged


def _held(samples: list[Sample]) -> float | None:
    """Return the mean second by second: each value holds until the next sample."""
    seconds: list[float | int] = []
    for second in range(60):
        until = [sample for sample in samples if sample.at <= START + timedelta(seconds=second)]
        if until and until[-1].value is not None and until[-1].quality is Quality.GOOD:
            seconds.append(until[-1].value)
    return sum(seconds) / len(seconds) if seconds else None


def test_a_value_holds_for_five_minutes_of_silence_and_not_longer() -> None:
    """Within its dead band a gateway is silent; after so long it is only silent."""
    span = Span(first_ms=0, last_ms=0, last=100.0)
    assert held_mean([span], begin_ms=0, end_ms=900_000) == 100.0
    assert held_mean([span], begin_ms=0, end_ms=900_000, known_ms_min=300_001) is None
    assert held_mean([span], begin_ms=240_000, end_ms=900_000, known_ms_min=60_000) == 100.0
    assert held_mean([span], begin_ms=300_000, end_ms=900_000) is None
    later = Span(first_ms=300_000, last_ms=300_000, last=400.0)
    assert held_mean([later, span], begin_ms=0, end_ms=600_000) == 250.0


def test_what_has_no_number_ends_what_held_before() -> None:
    """A value that the gateway itself disowns must not live on in a mean."""
    good, bad = Span(first_ms=0, last_ms=0, last=100.0), Span(first_ms=60_000, last_ms=60_000, last=None)
    assert held_mean([good, bad], begin_ms=0, end_ms=120_000) == 100.0
    assert held_mean([good, bad], begin_ms=0, end_ms=120_000, known_ms_min=60_001) is None
