"""Packing by column and back."""

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from zlib import compress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.packing import UNPACKED_BYTES_MAX, pack, unpack
from contracts.telemetry import Sample, Series, TelemetryMessage, columns, samples_of
from contracts.units import MEASURED_MAX, Quality, measured
from contracts.wire import WireError

AT = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)

SAMPLES = st.builds(
    Sample,
    point=st.sampled_from(["meter/power_w", "battery/soc_percent", "pv/power_w"]),
    at=st.integers(0, 120_000).map(lambda offset_ms: AT + timedelta(milliseconds=offset_ms)),
    value=st.one_of(st.none(), st.integers(-(10**7), 10**7).map(lambda thousandths: thousandths / 1000)),
    quality=st.sampled_from(Quality),
)


@given(samples=st.lists(SAMPLES, min_size=1, max_size=60, unique_by=lambda sample: (sample.point, sample.at)))
def test_unpacking_undoes_packing(samples: list[Sample]) -> None:
    """What the cloud stores is what the site sampled, to three decimals."""
    base_at, series = columns(samples)
    message = TelemetryMessage(site="site-1", epoch=1, seq=1, sent_at=AT, base_at=base_at, series=series)
    got = list(samples_of(TelemetryMessage.decode(message.encode())))

    def order(sample: Sample) -> tuple[str, datetime]:
        return sample.point, sample.at

    assert sorted(got, key=order) == sorted(samples, key=order)


@given(samples=st.lists(SAMPLES, min_size=1, max_size=60))
def test_columns_are_in_time_order_and_never_step_back(samples: list[Sample]) -> None:
    """A reader may rely on rising time within a point."""
    base_at, series = columns(samples)
    assert base_at == min(sample.at for sample in samples)
    assert all(delta >= 0 for column in series for delta in column.at)


def test_packing_by_column_is_much_smaller_than_sample_by_sample() -> None:
    """The bill is by started 5 KB; this is the reason for the format."""
    samples = [
        Sample(point="meter/power_w", at=AT + timedelta(seconds=second), value=float(second), quality=Quality.GOOD)
        for second in range(60)
    ]
    base_at, series = columns(samples)
    packed = TelemetryMessage(site="site-1", epoch=1, seq=1, sent_at=AT, base_at=base_at, series=series)
    assert len(packed.encode()) < 1000


WHOLES = st.integers(-(10**10), 10**10).map(lambda thousandths: thousandths / 1000)
SERIES = st.integers(0, 30).flatmap(
    lambda count: st.builds(
        Series,
        p=st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=12),
        at=st.tuples(*[st.integers(-(10**9), 10**9)] * count),
        x=st.tuples(
            *[st.one_of(st.none(), st.floats(-MEASURED_MAX, MEASURED_MAX).filter(lambda x: measured(x) == x), WHOLES)]
            * count
        ),
        q=st.just("g"),
    )
)


@given(series=st.lists(SERIES, max_size=5))
def test_a_packed_column_is_the_column_bit_for_bit(series: list[Series]) -> None:
    """Packing saves bytes, never digits: a float that has no short form stands as it is."""
    rows = [Series(**column) for column in unpack(pack((one.p, one.at, one.x, one.q) for one in series))]
    assert rows == series


@given(text=st.one_of(st.text(max_size=80), st.binary(max_size=80).map(lambda raw: b64encode(raw).decode())))
def test_a_damaged_packing_is_refused(text: str) -> None:
    """Whatever a sender writes there, a reader answers with the one error that it expects."""
    raw = {"v": 1, "site": "site-1", "epoch": 1, "seq": 1, "sent_at": AT.isoformat(), "base_at": AT.isoformat()}
    with pytest.raises(WireError):
        TelemetryMessage.decode(json.dumps({**raw, "packed": text}).encode())


@pytest.mark.parametrize("rows", [7, [7], [["p"]], [["p", 9, "g", [], []]], [["p", "1", "g", [1], [1]]], [[1] * 5]])
def test_columns_of_another_shape_are_refused(rows: object) -> None:
    """Deflated nonsense is nonsense still."""
    raw = {"v": 1, "site": "site-1", "epoch": 1, "seq": 1, "sent_at": AT.isoformat(), "base_at": AT.isoformat()}
    packed = b64encode(compress(json.dumps(rows).encode())).decode()
    with pytest.raises(WireError):
        TelemetryMessage.decode(json.dumps({**raw, "packed": packed}).encode())


def test_a_small_text_that_unpacks_to_very_much_is_refused() -> None:
    """A few kilobytes on the wire must not fill a function's memory."""
    bomb = b64encode(compress(b"[" + b" " * (2 * UNPACKED_BYTES_MAX) + b"]")).decode()
    with pytest.raises(ValueError, match="more than"):
        unpack(bomb)


def test_plain_columns_are_read_as_well() -> None:
    """A message of an earlier gateway, or of a few samples, carries its columns plain."""
    base_at, series = columns([Sample(point="meter/power_w", at=AT, value=1.5, quality=Quality.GOOD)])
    message = TelemetryMessage(site="site-1", epoch=1, seq=1, sent_at=AT, base_at=base_at, series=series)
    assert b'"series"' in message.encode() and TelemetryMessage.decode(message.encode()) == message
    plain = message.model_dump_json().encode()
    assert TelemetryMessage.decode(plain) == message
