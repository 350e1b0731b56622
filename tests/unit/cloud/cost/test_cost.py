"""The bill: its quantities are those of the real handlers and messages, and it grows as it should."""

import json
from collections.abc import Sequence
from datetime import timedelta
from math import ceil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cloud.cost import volumes
from cloud.cost.estimate import GOAL_USD, WRITE_BYTES, Activity, Bill, Purpose, naive_bill, our_bill, shards
from cloud.cost.prices import Prices
from cloud.cost.volumes import ITEM_OVERHEAD_BYTES, Site, item_bytes, telemetry_of
from cloud.handlers import telemetry
from cloud.infra.rules import Carrier, Stream
from cloud.shell.services import current
from cloud.stores.lake import RawSample
from cloud.stores.parquet import encode
from cloud.stores.sqlite import SqliteTables
from cloud.stores.tables import Put
from contracts.telemetry import MESSAGE_BYTES_MAX, samples_of
from contracts.topics import Up
from sitewatt.commands import cloud
from tests.support.cloud.sites import START, batch, context, house_in
from tests.support.cloud.sites import telemetry as message

sites = st.builds(
    Site,
    devices=st.integers(1, 12),
    points_per_device=st.integers(1, 10),
    rate_hz=st.sampled_from([0.2, 1.0, 2.0]),
    changed=st.floats(0.05, 1),
    period_s=st.sampled_from([30.0, 60.0, 300.0]),
)


@given(sites)
@settings(max_examples=8, deadline=None)
def test_a_message_is_as_full_as_a_gateway_would_fill_it(site: Site) -> None:
    """The bill stands on messages that fit one metered unit and waste little of it."""
    told = telemetry_of(site)
    assert told.payload_bytes <= MESSAGE_BYTES_MAX
    assert told.span_s <= max(site.period_s, 1 / (site.rate_hz * site.changed))
    full = told.payload_bytes + 30 * site.points > MESSAGE_BYTES_MAX
    assert full or told.span_s >= site.period_s


def test_writes_are_those_of_the_real_handler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bill that the handlers do not pay is a story: an hour of a site's messages is stored and its units counted."""
    site = Site()
    told = telemetry_of(site)
    written: list[Put] = []
    real = SqliteTables.put_each

    def counted(self: SqliteTables, puts: Sequence[Put]) -> None:
        written.extend(puts)
        real(self, puts)

    monkeypatch.setattr(SqliteTables, "put_each", counted)
    shown = volumes.full_message(site, told.samples // site.points)
    values = {series.p: list(series.x) for series in shown.series}
    count = round(3600 / told.span_s)
    with house_in(tmp_path):
        assert current() is not None
        messages = [
            message("farm", seq, START + (seq - 0.5) * _span(told.span_s), values) for seq in range(1, count + 1)
        ]
        for one in messages:
            telemetry.handler(batch(Up.TELEMETRY, one, at=one.sent_at), context())
    units = sum(_units(put) for put in written) / count
    lines = {line.what: line.quantity for line in our_bill(site, sites=1).lines}
    billed = lines["writes: quarters of the devices"] + lines["writes: newest values, numbers that have come"]
    assert units == pytest.approx(billed / (30 * 86_400 / told.span_s), rel=0.2)


def test_an_item_is_as_large_as_the_service_says() -> None:
    """A unit of writing ends at 1 KB: an estimate that is a third too large makes a bill that is twice too large."""
    assert item_bytes({"ab": [1234, -1.5, None, True, "héllo", {}]}) == 3 + 1 + 2 + 3 + 6 + 3 + 3 + 1 + 1 + 6 + 3
    assert [item_bytes(number) for number in (0, 7, 1200, 99_999, -0.25, 1e12)] == [2, 2, 2, 4, 3, 2]


def _span(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def _units(put: Put) -> int:
    return ceil((item_bytes(dict(put.body)) + ITEM_OVERHEAD_BYTES) / WRITE_BYTES)


def test_a_raw_sample_takes_what_the_encoder_makes_of_it() -> None:
    """The lake's bytes are measured on the encoder that writes it, not guessed."""
    samples = [
        RawSample(site=f"site-{site}", epoch=1, seq=1, point=one.point, at=one.at, value=one.value, quality="good")
        for site in range(20)
        for one in samples_of(volumes.full_message(Site(), 32))
    ]
    assert len(encode(samples)) / len(samples) < Activity().lake_bytes


@given(sites, st.integers(1, 50_000))
@settings(max_examples=8, deadline=None)
def test_more_sites_never_make_one_dearer_and_packing_always_pays(site: Site, count: int) -> None:
    """What is shared is shared; the naive design is dearer than ours, whatever the site."""
    one, many = our_bill(site, sites=count), our_bill(site, sites=count * 10)
    assert many.usd <= one.usd * 1.01
    assert one.usd == pytest.approx(sum(one.by_service().values()))
    assert one.dominant.usd == max(line.usd for line in one.lines)
    full = Site(devices=site.devices, points_per_device=site.points_per_device)
    assert naive_bill(full).usd > our_bill(full, sites=1000).usd


def test_every_service_that_the_design_uses_is_on_the_bill() -> None:
    """What is left out is not cheap, it is forgotten."""
    bill = our_bill(Site(), sites=1000)
    paid = {"iot", "kinesis", "lambda", "dynamodb", "s3", "appconfig", "kms", "secretsmanager", "cloudwatch"}
    assert set(bill.by_service()) == paid
    whole = our_bill(Site(), sites=1000, copies=True, private_network=True)
    assert set(whole.by_service()) == {*paid, "backup", "vpc"}
    free = our_bill(Site(), sites=1000, prices=Prices(**dict.fromkeys(vars(Prices()), 0.0)))
    assert free.usd == 0


def test_what_the_goal_speaks_of_is_within_it_and_the_parts_are_the_whole() -> None:
    """Ten points at 1 Hz, all told of: reporting holds the goal at a thousand sites, for every service it uses."""
    bill = our_bill(Site(), sites=1000)
    parts = bill.by_purpose()
    assert sum(parts.values()) == pytest.approx(bill.usd)
    assert min(parts.values()) > 0
    assert parts[Purpose.REPORTING] <= GOAL_USD < bill.usd
    reporting = {line.service for line in bill.lines if line.purpose is Purpose.REPORTING}
    assert reporting == {"iot", "kinesis", "lambda", "dynamodb", "s3"}


def test_basic_ingest_saves_the_messages_from_the_site() -> None:
    """The rules take what the broker would bill."""
    direct, brokered = (our_bill(Site(), sites=1000, basic_ingest=basic) for basic in (True, False))
    assert brokered.usd - direct.usd == pytest.approx(_ups(brokered) - _ups(direct)) and _ups(brokered) > 0.015


def _ups(bill: Bill) -> float:
    return next(line.usd for line in bill.lines if line.what.startswith("messages from the site"))


def test_a_stream_has_room_for_all_its_readers() -> None:
    """A shard gives twice what it takes, and telemetry has three readers: reading sets the count."""
    told = telemetry_of(Site())
    up = dict.fromkeys(Stream, 30 * 86_400 * 1.2e6 / told.payload_bytes / 5_000)
    found = shards(told, up, 5_000 * 3)
    assert found[Carrier.TELEMETRY] == 6 and found[Carrier.MESSAGES] == 6


def test_the_command_prints_the_bill_and_says_what_dominates() -> None:
    """An operator reads one sentence; a program reads every line."""
    told = CliRunner().invoke(cloud.app, ["cost", "--sites", "1000", "--devices", "2", "--rate", "1"])
    assert told.exit_code == 0 and "the dearest part is" in told.output and "naive" in told.output
    answer = json.loads(CliRunner().invoke(cloud.app, ["cost", "--changed", "0.2", "--json"]).output)
    assert answer["usd_per_site_month"] == pytest.approx(sum(line["usd"] for line in answer["lines"]))
    assert answer["naive"]["usd_per_site_month"] > 20 * answer["usd_per_site_month"]
