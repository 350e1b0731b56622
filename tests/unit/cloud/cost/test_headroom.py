"""The bounds of AWS beside a fleet's load: they grow with it, and the page shows what the command prints."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud.cost.estimate import Activity
from cloud.cost.headroom import headroom, shards_for
from cloud.cost.volumes import Site
from cloud.infra.rules import Carrier
from edge.config import TelemetrySection
from edge.deploy.source_tree import ROOT
from sitewatt.commands import cloud

PAGE = Path(ROOT) / "docs" / "scale.md"


def test_no_load_falls_when_sites_are_added() -> None:
    """The first bound is found by growing a fleet."""
    few, many = ({bound.what: bound.share for bound in headroom(Site(), sites=sites)} for sites in (10_000, 1_000_000))
    assert all(many[what] >= share for what, share in few.items())
    grown = {what for what, share in few.items() if many[what] > 50 * share}
    assert {"MQTT connections of an account", "write units a second of a table"} <= grown


def test_the_tightest_bound_comes_first_and_a_wider_spread_loosens_it() -> None:
    """Readings that come over more seconds are fewer a second."""
    shares = [bound.share for bound in headroom(Site(), sites=100_000)]
    assert shares == sorted(shares, reverse=True)

    def readings(seconds: float) -> float:
        found = headroom(Site(), sites=100_000, does=Activity(interval_end_s=seconds))
        return next(bound.load for bound in found if "interval's end" in bound.what)

    assert readings(60.0) < readings(10.0)


def test_readings_are_spread_as_gateways_spread_them() -> None:
    """The bill and the streams' shards stand on what the gateway does without being told."""
    assert Activity().interval_end_s == TelemetrySection().reading_spread_s


def test_streams_carry_all_readings_of_an_interval_at_once() -> None:
    """A stack of one shard refused a part of them from ten thousand sites on."""
    assert shards_for(1_000) == {Carrier.TELEMETRY: 1, Carrier.MESSAGES: 1}
    assert shards_for(10_000) == {Carrier.TELEMETRY: 1, Carrier.MESSAGES: 1}
    assert shards_for(30_000) == {Carrier.TELEMETRY: 1, Carrier.MESSAGES: 2}
    assert shards_for(1_000_000)[Carrier.MESSAGES] * 1000 >= 1_000_000 / Activity().interval_end_s


@pytest.mark.parametrize("sites", [10_000, 100_000, 1_000_000])
def test_the_page_shows_what_the_command_prints(sites: int) -> None:
    """A table that nobody can make again is a story."""
    told = CliRunner().invoke(cloud.app, ["cost", "--sites", str(sites), "--headroom"])
    assert told.exit_code == 0
    assert told.stdout in PAGE.read_text()
