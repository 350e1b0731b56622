"""What Prometheus reads can be parsed, is named as its conventions ask, and shows no number that nobody measured."""

import re
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge.web.metrics import exposition
from tests.support.promtool import complaints

BASE_UNITS = (
    "alarms",
    "watts",
    "seconds",
    "ratio",
    "messages",
    "cycles",
    "writes",
    "failures",
    "online",
    "up",
    "running",
)


def _status(**changes: Any) -> dict[str, Any]:
    asset = {"id": "battery", "kind": "battery", "online": True, "power_w": 500.0, "soc_percent": 40.0}
    flow = {"grid_w": 1200.0, "pv_w": None, "battery_w": 500.0, "loads_w": 0.0, "house_w": None, "assets": [asset]}
    device = {"id": 'odd "name"\n', "profile": "p", "online": False, "latency_ms": None}
    return {
        "cycle": {"flow": flow, "import_excess_w": 120.0, "export_excess_w": 0.0}, "devices": [device], "trading": None,
        "loop": {"cycles": 7, "late": 1, "writes": 3, "failed_writes": 0}, "processes": {}, "device_clocks": [],
        "outbox": {"waiting": 4, "dropped": 0}, "link": {"state": "connected"}, "commands": [],
        "grid_limits": {"import": {"limit_w": 4200.0}, "export": {"limit_w": None}},
        "parts": [{"name": "link", "failures": 2, "state": "running"}], **changes,
    }  # fmt: skip


def _samples(status: dict[str, Any] | None) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(exposition(status).decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_the_figures_are_those_of_the_status() -> None:
    """Read back by Prometheus' own parser."""
    samples = _samples(_status())
    assert samples["sitewatt_up", ()] == 1
    assert samples["sitewatt_power_watts", (("part", "grid"),)] == 1200
    assert samples["sitewatt_battery_charge_ratio", (("asset", "battery"),)] == 0.4
    assert samples["sitewatt_control_cycles_total", ()] == 7
    assert samples["sitewatt_grid_limit_watts", (("direction", "import"),)] == 4200
    assert samples["sitewatt_device_online", (("device", 'odd "name"\n'), ("profile", "p"))] == 0
    assert samples["sitewatt_active_alarms", ()] == 2, "a silent device and too much import; no part that runs again"
    assert samples["sitewatt_part_failures_total", (("part", "link"),)] == 2


def test_what_nobody_measured_is_absent_not_zero() -> None:
    """A zero would draw a line in somebody's dashboard."""
    samples = _samples(_status())
    assert ("sitewatt_power_watts", (("part", "pv"),)) not in samples
    assert ("sitewatt_grid_limit_watts", (("direction", "export"),)) not in samples


def test_a_site_without_a_broker_has_no_link_that_could_be_down() -> None:
    """Nobody is called at night for a link that nobody wanted."""
    assert ("sitewatt_link_up", ()) in _samples(_status())
    assert ("sitewatt_link_up", ()) not in _samples(_status(link={"state": "none"}))


def test_the_end_of_the_links_certificate_is_an_instant() -> None:
    """An alarm a month before is one line of a rule; without a certificate there is nothing to end."""
    link = {"state": "connected", "certificate_ends_at": "2026-03-17T12:00:00+00:00"}
    name = "sitewatt_link_certificate_end_timestamp_seconds", ()
    assert _samples(_status(link=link))[name] == 1_773_748_800
    assert name not in _samples(_status())


def test_a_gateway_that_is_gone_is_down() -> None:
    """The scrape answers; what it says is that nothing runs."""
    assert _samples(None) == {("sitewatt_up", ()): 0.0}


def test_names_follow_the_conventions() -> None:
    """Snake case, one prefix, a base unit at the end, counters with ``_total``."""
    for family in text_string_to_metric_families(exposition(_status()).decode()):
        assert re.fullmatch(r"sitewatt_[a-z_]+", family.name)
        assert family.name.rpartition("_")[2] in BASE_UNITS
        assert family.documentation.endswith(".")
        for sample in family.samples:
            assert (family.type == "counter") == sample.name.endswith("_total")


@pytest.mark.parametrize("status", [_status(), None], ids=["runs", "does not run"])
def test_promtool_finds_nothing_to_complain_of(status: dict[str, Any] | None) -> None:
    """The conventions as those who wrote them check them."""
    assert complaints(exposition(status)) == ""
