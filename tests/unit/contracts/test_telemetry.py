"""Packing by column and back."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from contracts.telemetry import Sample, TelemetryMessage, columns, samples_of
from contracts.units import Quality

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
