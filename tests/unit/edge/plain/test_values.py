"""Plain values are text that a shell can read; what nobody measured is unknown, never zero."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.units import Quality
from edge.modbus.point import Reading
from edge.plain.discovery import everything
from edge.plain.settings import Control, HomeAssistantSettings
from edge.plain.values import GAP_S_MAX, EnergyCounters, messages, payload


def _reading(value: float | str | bool | None, quality: Quality = Quality.GOOD) -> Reading:
    return Reading(value=value, quality=quality)


@pytest.mark.parametrize(
    ("reading", "text"),
    [
        (_reading(1500.0), b"1500"),
        (_reading(-0.25), b"-0.25"),
        (_reading(123_456_789.0), b"123456789"),
        (_reading(True), b"on"),
        (_reading("running"), b"running"),
        (_reading("x" * 900), b"x" * 255),
        (_reading(1500.0, Quality.STALE), b"None"),
        (_reading(None), b"None"),
    ],
)
def test_a_reading_is_one_text(reading: Reading, text: bytes) -> None:
    """Home Assistant, a shell and a spreadsheet read the same."""
    assert payload(reading) == text


def test_a_silent_device_is_offline_and_its_values_unknown() -> None:
    """The last number of a dead inverter would go on feeding somebody's automation."""
    readings = {"inverter": {"active_power_w": _reading(-3000.0)}, "meter": {"active_power_w": _reading(10.0)}}
    assert messages(readings, offline=("inverter",), topic="sitewatt-house", site="home") == {
        "sitewatt-house/home/inverter/online": b"offline",
        "sitewatt-house/home/inverter/active_power_w": b"None",
        "sitewatt-house/home/meter/online": b"online",
        "sitewatt-house/home/meter/active_power_w": b"10",
    }


@given(powers=st.lists(st.floats(-5000, 5000), min_size=1, max_size=40))
def test_counted_energy_never_falls_and_charge_less_discharge_is_what_flowed(powers: list[float]) -> None:
    """A counter that falls would be taken for one that was reset."""
    counters, before = EnergyCounters(), 0.0
    for second, power_w in enumerate([0.0, *powers]):
        counters.count({"b": {"battery_power_w": _reading(power_w)}}, taken_s=second * 10.0)
        charged = counters.wh.get(("b", "battery_charge_counted_wh"), 0.0)
        assert charged >= before
        before = charged
    net_wh = charged - counters.wh["b", "battery_discharge_counted_wh"]
    assert net_wh == pytest.approx(sum(powers) * 10 / 3600, abs=1e-6)


def test_a_long_silence_counts_nothing() -> None:
    """Nobody knows what flowed while the gateway was not told."""
    counters = EnergyCounters()
    for taken_s in (0.0, GAP_S_MAX + 1.0):
        counters.count({"b": {"pv_power_w": _reading(-1000.0)}}, taken_s=taken_s)
    assert counters.wh == {}


def test_home_assistant_learns_unit_class_and_where_the_value_is() -> None:
    """A counter without ``total_increasing`` is not offered by its energy dashboard."""
    settings = HomeAssistantSettings(controls=(Control.LOCK,))
    points = [("meter", "energy_import_wh"), ("meter", "active_power_w"), ("battery", "soc_pct"), ("battery", "mode")]
    found = everything(settings, site="home", profiles={"meter": "eastron_sdm630"}, points=points, most={})
    told = {topic: json.loads(text) for topic, text in found.items()}
    energy = told["homeassistant/sensor/sitewatt/home_meter_energy_import_wh/config"]
    assert (energy["device_class"], energy["unit_of_measurement"], energy["state_class"]) == (
        "energy", "Wh", "total_increasing",
    )  # fmt: skip
    assert energy["state_topic"] == "sitewatt-house/home/meter/energy_import_wh"
    assert energy["device"]["model"] == "eastron_sdm630"
    assert "device_class" not in told["homeassistant/sensor/sitewatt/home_battery_mode/config"]
    assert told["homeassistant/switch/sitewatt/home_lock/config"]["command_topic"] == "sitewatt-house/home/lock/set"
    assert len({config["unique_id"] for config in told.values()}) == len(told)


def test_nothing_can_be_set_unless_the_site_file_says_so() -> None:
    """Whoever may publish on the house's broker would be an operator."""
    found = everything(HomeAssistantSettings(), site="home", profiles={}, points=[("meter", "active_power_w")], most={})
    assert not any("switch" in topic or b"command_topic" in text for topic, text in found.items())
