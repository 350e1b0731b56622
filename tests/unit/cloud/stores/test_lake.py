"""One set of promises, held by every implementation of the lake."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cloud.stores.lake import Lake, RawSample
from cloud.stores.parquet import FolderLake
from tests.support.cloud.aws import moto_lake

MIDNIGHT = datetime(2026, 3, 18, tzinfo=UTC)


@pytest.fixture(params=["folder", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lake]:
    """Both implementations, one after the other."""
    if request.param == "folder":
        yield FolderLake(tmp_path / "lake")
    else:
        with moto_lake() as bucket:
            yield bucket


def _sample(seconds: int, *, value: float | None = 1.5, quality: str = "good") -> RawSample:
    return RawSample(
        site="site-1",
        epoch=7,
        seq=3,
        point="meter/active_power_w",
        at=MIDNIGHT + timedelta(seconds=seconds),
        value=value,
        quality=quality,
    )


def test_samples_are_read_back_as_they_were_written(lake: Lake) -> None:
    """A missing number must stay missing, or an analyst averages zeros."""
    samples = [_sample(0), _sample(1, value=None, quality="invalid"), _sample(2, value=-3.25)]
    lake.write(zone="zone-1", name="a", samples=samples)
    assert list(lake.read(zone="zone-1", day=MIDNIGHT)) == samples
    assert list(lake.read(zone="zone-2", day=MIDNIGHT)) == []


def test_samples_are_filed_under_their_own_day(lake: Lake) -> None:
    """A backlog that arrives days late belongs to the day that it describes."""
    lake.write(zone="zone-1", name="a", samples=[_sample(-1), _sample(1)])
    assert list(lake.read(zone="zone-1", day=MIDNIGHT - timedelta(days=1))) == [_sample(-1)]
    assert list(lake.read(zone="zone-1", day=MIDNIGHT)) == [_sample(1)]


def test_writing_the_same_file_again_changes_nothing(lake: Lake) -> None:
    """A batch is delivered again when a function dies after it has written."""
    lake.write(zone="zone-1", name="a", samples=[_sample(1)])
    lake.write(zone="zone-1", name="a", samples=[_sample(1)])
    lake.write(zone="zone-1", name="b", samples=[_sample(2)])
    assert list(lake.read(zone="zone-1", day=MIDNIGHT)) == [_sample(1), _sample(2)]


def test_a_site_is_forgotten_in_every_file_and_the_others_stay(lake: Lake) -> None:
    """Raw samples tell a household's day better than anything else that is kept."""
    other = replace(_sample(1), site="site-10")
    lake.write(zone="zone-1", name="both", samples=[_sample(1), other, _sample(2)])
    lake.write(zone="zone-2", name="own", samples=[_sample(3)])
    assert sorted(sample.at for sample in lake.of_site("site-1")) == [_sample(number).at for number in (1, 2, 3)]
    assert lake.forget("site-1") == 3
    assert list(lake.of_site("site-1")) == [] and lake.forget("site-1") == 0
    assert list(lake.read(zone="zone-1", day=MIDNIGHT)) == [other]
    assert list(lake.read(zone="zone-2", day=MIDNIGHT)) == []
