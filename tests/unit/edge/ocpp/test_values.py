"""What stations measure, in the forms of both versions, becomes our names and units; nonsense becomes nothing."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.ocpp.values import instant, mean_voltage, newest, number, values_of


def test_the_text_of_1_6_and_the_numbers_of_2_0_1_are_the_same_values() -> None:
    """A kilowatt is a thousand watts in either version."""
    old = [
        {"value": "7.25", "measurand": "Power.Active.Import", "unit": "kW"},
        {"value": "1234.5", "unit": "kWh"},
        {"value": "10.5", "measurand": "Current.Import", "phase": "L1"},
        {"value": "231", "measurand": "Voltage", "phase": "L1-N", "unit": "V"},
        {"value": "80", "measurand": "SoC", "location": "EV", "unit": "Percent"},
    ]
    new = [
        {"value": 725, "measurand": "Power.Active.Import", "unitOfMeasure": {"unit": "W", "multiplier": 1}},
        {"value": 1234500, "measurand": "Energy.Active.Import.Register"},
        {"value": 10.5, "measurand": "Current.Import", "phase": "L1", "unitOfMeasure": {"unit": "A"}},
        {"value": 231, "measurand": "Voltage", "phase": "L1-N"},
        {"value": 80, "measurand": "SoC", "location": "EV"},
    ]
    expected = {
        "active_power_w": 7250.0,
        "energy_import_wh": 1_234_500.0,
        "current_l1_a": 10.5,
        "voltage_l1_v": 231.0,
        "ev_soc_pct": 80.0,
    }
    assert values_of(old) == pytest.approx(expected) and values_of(new) == pytest.approx(expected)


def test_a_total_is_made_of_its_phases_and_what_flows_back_is_taken_off() -> None:
    """A car that feeds the house draws a negative power."""
    phases = [{"value": "1000", "measurand": "Power.Active.Import", "phase": f"L{n}"} for n in (1, 2, 3)]
    assert values_of(phases)["active_power_w"] == 3000.0
    back = [*phases, {"value": "3500", "measurand": "Power.Active.Export"}]
    assert values_of(back)["active_power_w"] == -500.0
    assert mean_voltage({"voltage_l1_v": 230.0, "voltage_l2_v": 234.0}) == 232.0 and mean_voltage({}) is None


@pytest.mark.parametrize(
    "sample",
    [
        {"value": "nan", "measurand": "Power.Active.Import"},
        {"value": "1e300", "measurand": "Power.Active.Import"},
        {"value": "5", "measurand": "Power.Active.Import", "unit": "Wh"},
        {"value": "5", "measurand": "Power.Active.Import", "location": "Body"},
        {"value": "5", "measurand": "Temperature"},
        {"value": "5", "measurand": ["Power.Active.Import"]},
        {"value": True, "measurand": "Power.Active.Import"},
        {"value": "0xff", "format": "SignedData"},
        {"value": "5", "phase": "L1"},
        {"value": "-3"},
        {"measurand": "Voltage"},
        "nonsense",
    ],
)
def test_what_is_no_value_is_left_out(sample: Any) -> None:
    """A station's nonsense must not become a number that steers."""
    assert values_of([sample]) == {}


def test_of_a_message_with_several_instants_the_newest_counts() -> None:
    """Stations send what they kept in one message, in any order."""
    entries = [
        {"timestamp": "2026-06-01T12:01:00Z", "sampledValue": [{"value": "200"}]},
        {"timestamp": "2026-06-01T13:00:30+01:00", "sampledValue": [{"value": "100"}]},
        {"timestamp": "nonsense", "sampledValue": [{"value": "50"}]},
        {"sampledValue": "nonsense"},
        7,
    ]
    assert newest(entries) == (datetime(2026, 6, 1, 12, 1, tzinfo=UTC), {"energy_import_wh": 200.0})
    assert newest([]) == (None, {})
    assert instant("2026-06-01T12:00:00") == datetime(2026, 6, 1, 12, tzinfo=UTC) and instant(5) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(JSON | st.fixed_dictionaries({"value": JSON, "measurand": JSON, "unitOfMeasure": JSON}), max_size=4))
def test_nothing_that_a_station_sends_raises(samples: list[Any]) -> None:
    """A broken sample costs itself, not the connection."""
    values_of(samples)
    newest(samples)
    number(samples)
