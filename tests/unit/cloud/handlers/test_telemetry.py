"""What the tables keep of telemetry: once, in quarters, whatever the order of arrival."""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.errors import StoreError
from cloud.handlers import events, lake, status, telemetry
from cloud.infra.rules import Stream
from cloud.local.events import fields_of, forwarded, kinesis_event
from cloud.local.report import channel_counts
from cloud.local.streams import StreamRecord
from cloud.shell.aggregates import HOLD_S_MAX, PointSummary, Span, held_mean, mean_of, merged_body, point_in
from cloud.shell.alarms import Alarms, alarm_counts, alarms_of
from cloud.shell.quotas import stamps
from cloud.stores import keys
from cloud.stores.sequence import Seen
from cloud.stores.tables import Put, Table
from contracts.alarms import ALARMS_CHANGED, alarm_fields
from contracts.telemetry import EventMessage, Sample, StatusMessage
from contracts.topics import Up, parse, site_topic
from contracts.units import Quality, epoch_ms
from tests.support.cloud.sites import FEEDER, START, ZONE, batch, context, house_in
from tests.support.cloud.sites import telemetry as message

POWER = "meter/active_power_w"


def _store(*messages: Any) -> dict[str, Any]:
    """Take messages that arrive with their newest sample."""
    at = max([START, *(stamp for message in messages for stamp in stamps(message))])
    return telemetry.handler(batch(Up.TELEMETRY, *messages, at=at), context())


def test_a_message_becomes_quarters_by_device(tmp_path: Path) -> None:
    """The last day of one site is one query, and the connection point is kept apart from what stands behind it."""
    with house_in(tmp_path) as (services, _):
        values: dict[str, list[float | None]] = {POWER: [100.0, 200.0, None], "inverter/pv_power_w": [-50.0]}
        assert _store(message("farm", 1, START + timedelta(seconds=899), values)) == {"batchItemFailures": []}
        day = services.stores.tables.query(Table.ENERGY_METRICS, keys.energy_day("farm", epoch_ms(START)))
        assert [told.count for item in day for told in point_in(item.body, "active_power_w")] == [1, 1]
        second = epoch_ms(START + timedelta(seconds=900))
        assert day[1].body == {
            "begin_ms": second,
            "runs": [[1, 1, 1, {"active_power_w": [1, 200, 200, 200, 0, 1, 0, 1000, None, 200, 1000]}]],
        }
        asset = keys.asset_quarter(Table.PRODUCER_METRICS, "farm", "inverter", epoch_ms(START), "quarter")
        inverter = services.stores.tables.get(asset)
        assert inverter is not None and mean_of(inverter.body, "pv_power_w") == -50


def test_a_repeated_message_is_counted_and_changes_nothing(tmp_path: Path) -> None:
    """At least once on the way must be exactly once in the tables."""
    with house_in(tmp_path) as (services, _):
        first = message("home-1", 1, START, {POWER: [100.0, 300.0]})
        _store(first, first)
        _store(first, message("home-1", 2, START + timedelta(seconds=602), {POWER: [500.0]}))
        item = services.stores.tables.get(keys.energy_quarter("home-1", epoch_ms(START)))
        # The second value held for five minutes; of what was silent longer nothing is known.
        assert item is not None and len(item.body["runs"]) == 1
        assert mean_of(item.body, "active_power_w") == (100 + 300 * 300 + 298 * 500) / 599
        counts = channel_counts(services.stores.tables, services.registry, Up.TELEMETRY)
        assert counts == {"published": 2, "stored": 2, "lost": 0, "duplicated": 2}


def test_a_message_whose_note_was_lost_is_taken_again_without_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writes of a message are no transaction: a function that dies between two of them is called again."""
    told = message("farm", 1, START, {POWER: [100.0, 300.0], "inverter/pv_power_w": [-50.0]})
    with house_in(tmp_path) as (services, _):
        real, left = services.stores.tables.put, 0

        def dying(puts: Sequence[Put]) -> None:
            nonlocal left
            for put in puts:
                if not left:
                    raise StoreError("the function is gone")
                left -= 1
                real(put)

        monkeypatch.setattr(services.stores.tables, "put_each", dying)
        for survives in range(3):
            left = survives
            with pytest.raises(StoreError):
                _store(told)
        left = 4
        _store(told)
        item = services.stores.tables.get(keys.energy_quarter("farm", epoch_ms(START)))
        assert item is not None and point_in(item.body, "active_power_w")[0].count == 2
        counts = channel_counts(services.stores.tables, services.registry, Up.TELEMETRY)
        assert counts == {"published": 1, "stored": 1, "lost": 0, "duplicated": 0}


def test_a_gap_counts_as_lost_until_it_is_filled(tmp_path: Path) -> None:
    """The proof that nothing was lost must be able to fail."""
    with house_in(tmp_path) as (services, _):
        _store(*(message("home-1", seq, START, {POWER: [1.0]}) for seq in (1, 4)))
        assert channel_counts(services.stores.tables, services.registry, Up.TELEMETRY)["lost"] == 2
        _store(*(message("home-1", seq, START, {POWER: [1.0]}) for seq in (3, 2)))
        assert channel_counts(services.stores.tables, services.registry, Up.TELEMETRY)["lost"] == 0


def test_a_backlog_of_hours_is_stored_and_may_be_repeated(tmp_path: Path) -> None:
    """After an outage one thinned message may touch many quarters."""
    with house_in(tmp_path) as (services, _):
        backlog = message("home-1", 1, START, {POWER: [float(n) for n in range(180)]}, step_s=60.0)
        _store(backlog)
        _store(backlog)
        day = services.stores.tables.query(Table.ENERGY_METRICS, keys.energy_day("home-1", epoch_ms(START)))
        assert [point_in(item.body, "active_power_w")[0].count for item in day] == [15] * 12


def test_an_older_value_never_replaces_a_newer_one(tmp_path: Path) -> None:
    """Back-fill arrives while the site is live; what the grid agent sees must stay the newest."""
    with house_in(tmp_path) as (services, _):
        _store(message("home-1", 2, START + timedelta(minutes=5), {POWER: [500.0]}))
        _store(message("home-1", 1, START, {POWER: [100.0], "meter/voltage_v": [230.0]}))
        item = services.stores.tables.get(keys.site_state("home-1", "LATEST"))
        assert item is not None
        assert item.body["points"][POWER][1] == 500
        assert item.body["points"]["meter/voltage_v"][1] == 230


def test_a_message_in_another_name_is_refused(tmp_path: Path) -> None:
    """The topic is proven by the broker, the payload by nobody."""
    with house_in(tmp_path) as (services, _):
        event = batch(Up.TELEMETRY, message("home-1", 1, START, {POWER: [1.0]}), at=START, zone="zone-9")
        assert telemetry.handler(event, context()) == {"batchItemFailures": []}
        assert channel_counts(services.stores.tables, services.registry, Up.TELEMETRY)["stored"] == 0
        refused = services.stores.tables.get(keys.site_state("home-1", "REFUSED#TelemetryMessage"))
        assert refused is not None and "zone-9" in refused.body["reason"]


def test_a_message_came_when_its_rule_took_it(tmp_path: Path) -> None:
    """However long the way to the stream takes, a gate is held against that; and its sender cannot say when it was."""
    said = StatusMessage(site="home-1", online=True)
    late = START + timedelta(minutes=10)
    topic = parse(site_topic(zone=ZONE, site="home-1", channel=Up.STATUS))
    assert topic is not None
    lying = {**fields_of(said.encode()), "topic_at": epoch_ms(late)}
    by_rule = forwarded(topic, lying, at=START)
    by_an_earlier_rule = json.dumps({**json.loads(by_rule), "topic_at": None}).encode()
    with house_in(tmp_path) as (services, _):
        for data, came_at in ((by_rule, START), (by_an_earlier_rule, late)):
            record = StreamRecord(seq=1, partition_key="home-1", arrived_at=late, data=data)
            assert status.handler(kinesis_event(Stream.STATUS, 0, [record]), context()) == {"batchItemFailures": []}
            kept = services.stores.tables.get(keys.site_state("home-1", keys.STATUS))
            assert kept is not None and kept.body["arrived_at"] == epoch_ms(came_at)


def test_a_record_that_cannot_be_stored_is_named_for_another_delivery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One throttled item must not cost the whole batch, nor be passed over."""
    with house_in(tmp_path) as (services, _):
        real = services.stores.tables.put_each

        def throttled(puts: Sequence[Put]) -> None:
            if any("home-2" in put.key.pk for put in puts):
                raise StoreError("throttled")
            real(puts)

        monkeypatch.setattr(services.stores.tables, "put_each", throttled)
        answer = _store(*(message(site, 1, START, {POWER: [1.0]}) for site in ("home-1", "home-2", "farm")))
        assert [int(failure["itemIdentifier"]) for failure in answer["batchItemFailures"]] == [2]
        assert channel_counts(services.stores.tables, services.registry, Up.TELEMETRY)["stored"] == 2


def test_the_feeder_keeps_its_loading_beside_its_limit(tmp_path: Path) -> None:
    """The grid operator asks what the transformer carried at a second, and what it may carry."""
    with house_in(tmp_path) as (services, _):
        _store(message(FEEDER, 1, START, {POWER: [100_000.0 + n for n in range(20)]}))
        pk = keys.feeder_sample(FEEDER, START).pk
        items = services.stores.tables.query(Table.GRID_METRICS, pk)
        assert [item.body for item in items] == [
            {"power_w": 100_009, "limit_w": 200_000},
            {"power_w": 100_019, "limit_w": 200_000},
        ]


def test_raw_samples_reach_the_lake_once_by_name(tmp_path: Path) -> None:
    """Analysts need every sample; a batch that is delivered again must not double them."""
    with house_in(tmp_path) as (services, _):
        event = batch(Up.TELEMETRY, message("home-1", 7, START, {POWER: [1.0, None]}), at=START)
        lake.handler(event, context())
        lake.handler(event, context())
        samples = services.stores.lake.read(zone=ZONE, day=START)
        assert [(sample.seq, sample.value, sample.quality) for sample in samples] == [
            (7, 1.0, "good"),
            (7, None, "invalid"),
        ]


def test_events_and_status_are_kept(tmp_path: Path) -> None:
    """An operator looks for what a gateway said about itself."""
    with house_in(tmp_path) as (services, _):
        said = EventMessage(
            site="home-1", epoch=1, seq=1, sent_at=START, at=START, phrase="device silent", fields={"n": 1}
        )
        events.handler(batch(Up.EVENTS, said, said, at=START), context())
        status.handler(batch(Up.STATUS, StatusMessage(site="home-1", online=False), at=START), context())
        kept = services.stores.tables.query(Table.ENERGY_METRICS, keys.site_event("home-1", START, 1, 1).pk)
        assert [item.body["phrase"] for item in kept] == ["device silent"]
        state = services.stores.tables.get(keys.site_state("home-1", "STATUS"))
        assert state is not None and state.body["online"] is False


_SAMPLES = st.lists(
    st.tuples(
        st.integers(0, 899),
        st.one_of(st.none(), st.integers(-(10**6), 10**6)),
        st.sampled_from([Quality.GOOD, Quality.STALE]),
    ),
    min_size=1,
    max_size=30,
    unique_by=lambda drawn: drawn[0],
)


@given(_SAMPLES, st.integers(1, 8), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_a_quarter_is_the_same_however_it_was_split_and_in_whatever_order_it_came(
    drawn: list[tuple[int, int | None, Quality]], size: int, order: Random
) -> None:
    """Back-fill and live messages meet in one quarter; the mean is that of the samples, second by second."""
    ordered = [
        Sample(point="p", at=START + timedelta(seconds=second), value=value, quality=quality)
        for second, value, quality in sorted(drawn, key=lambda one: one[0])
    ]
    numbered = list(enumerate((ordered[at : at + size] for at in range(0, len(ordered), size)), start=1))
    order.shuffle(numbered)
    body: dict[str, Any] | None = None
    seen, begin_ms = Seen(), epoch_ms(START)
    for seq, samples in numbered:
        seen, points = seen.with_new(seq), {"p": PointSummary.of(samples)}
        body = merged_body(body, points, epoch=1, seq=seq, seen=seen, begin_ms=begin_ms)
        assert body is not None
        assert merged_body(body, points, epoch=1, seq=seq, seen=seen, begin_ms=begin_ms) is None
    assert body is not None
    (told,) = point_in(body, "p")
    usable = [float(sample.value) for sample in ordered if sample.value is not None and sample.quality is Quality.GOOD]
    assert (told.count, told.unusable) == (len(usable), len(ordered) - len(usable))
    if usable:
        assert (told.least, told.greatest, told.last) == (min(usable), max(usable), usable[-1])
    assert mean_of(body, "p") == pytest.approx(_held(ordered), abs=1e-3)


def _held(samples: list[Sample]) -> float | None:
    """Return the mean second by second: each value holds until the next sample, or for five minutes."""
    seconds: list[float] = []
    for second in range(900):
        at = START + timedelta(seconds=second)
        until = [sample for sample in samples if sample.at <= at]
        newest = until[-1] if until else None
        if newest is None or newest.value is None or newest.quality is not Quality.GOOD:
            continue
        if at - newest.at < timedelta(seconds=HOLD_S_MAX):
            seconds.append(float(newest.value))
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


def test_the_newest_alarms_of_a_gateway_are_kept(tmp_path: Path) -> None:
    """By its own time: what an outage held back does not undo what came since, and another event leaves them."""
    minute = timedelta(minutes=1)

    def told(seq: int, *alarms: str, phrase: str = ALARMS_CHANGED) -> EventMessage:
        at = START + seq * minute
        return EventMessage(
            site="home-1", epoch=1, seq=seq, sent_at=at, at=at, phrase=phrase, fields={**alarm_fields(alarms)}
        )

    with house_in(tmp_path) as (services, _):
        tables = services.stores.tables
        assert alarms_of(tables, "home-1") is None
        late, now = told(1, "meter is silent"), told(2, "battery is silent")
        for said in (now, late, late, told(3, "not an alarm", phrase="device online")):
            assert events.handler(batch(Up.EVENTS, said, at=START + 9 * minute), context()) == {"batchItemFailures": []}
        assert alarms_of(tables, "home-1") == Alarms(texts=("battery is silent",), at=START + 2 * minute)
        assert alarm_counts(tables, ["farm", "home-1"]) == {"home-1": 1}
        events.handler(batch(Up.EVENTS, told(4), at=START + 9 * minute), context())
        assert alarms_of(tables, "home-1") == Alarms(texts=(), at=START + 4 * minute)
        assert alarm_counts(tables, ["home-1"]) == {"home-1": 0}
