"""A limit becomes a charging profile that ends by itself, and never one that is more than was asked."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from edge.ocpp.frames import CALL, FrameRefused, check_payload
from edge.ocpp.limits import (
    CLOCK_SLACK_S,
    PHASE_V,
    Limit,
    composite_a,
    current_of,
    fallback_v16,
    fallback_v201,
    lease_v16,
    lease_v201,
    power_of,
)
from edge.ocpp.settings import LEAST_A, Version

NOW = datetime(2026, 6, 1, 12, 0, 0, 700_000, tzinfo=UTC)
LIMIT = Limit(current_a=10.1, phases=3)


@given(
    power_w=st.floats(0, 50_000),
    phases=st.integers(1, 3),
    voltage_v=st.one_of(st.none(), st.floats(0, 400)),
    max_a=st.floats(6, 80),
)
def test_a_current_never_passes_the_power_and_is_none_that_no_car_takes(
    power_w: float, phases: int, voltage_v: float | None, max_a: float
) -> None:
    """Rounding up would pass a fuse; 5 A would be taken as a pause by one car and as 6 A by another."""
    current_a = current_of(power_w, phases=phases, voltage_v=voltage_v, max_a=max_a)
    assert current_a == 0 or LEAST_A <= current_a <= max_a + 1e-9
    if current_a == 0:
        event("pause")
        assert power_w < LEAST_A * phases * PHASE_V
    elif current_a > LEAST_A:
        event("limited")
        assert power_of(current_a, phases=phases, voltage_v=voltage_v) <= power_w + 0.01 * phases


def test_a_power_that_is_enough_at_the_nominal_voltage_is_no_pause_at_a_high_one() -> None:
    """Control lets a car run from 4140 W on; a station that then paused it would be turned on and off for ever."""
    assert current_of(4_140.0, phases=3, voltage_v=245.0, max_a=16.0) == LEAST_A
    assert current_of(4_139.0, phases=3, voltage_v=245.0, max_a=16.0) == 0.0
    assert current_of(7_000.0, phases=3, voltage_v=240.0, max_a=16.0) == pytest.approx(9.7)


def test_a_lease_of_a_transaction_ends_when_it_was_told_and_began_before_it_was_sent() -> None:
    """A station whose clock is a little behind must not wait with a limit."""
    request = lease_v16(LIMIT, connector=2, transaction=7, now=NOW, lease_s=90.0)
    profile = request["csChargingProfiles"]
    schedule = profile["chargingSchedule"]
    assert (profile["chargingProfilePurpose"], profile["transactionId"], profile["stackLevel"]) == ("TxProfile", 7, 1)
    begins_at = datetime.fromisoformat(schedule["startSchedule"])
    assert begins_at == NOW.replace(microsecond=0) - timedelta(seconds=CLOCK_SLACK_S)
    ends_at = begins_at + timedelta(seconds=schedule["duration"])
    assert timedelta(seconds=89) < ends_at - NOW <= timedelta(seconds=90)
    assert "validTo" not in profile
    assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 10.1, "numberPhases": 3}]


def test_a_lease_without_a_car_ends_for_the_one_that_comes_too() -> None:
    """A default profile without an end would be the fallback for ever."""
    profile = lease_v201(LIMIT, evse=1, transaction=None, now=NOW, lease_s=90.0)["chargingProfile"]
    assert profile["chargingProfilePurpose"] == "TxDefaultProfile" and profile["stackLevel"] == 1
    ends_at = datetime.fromisoformat(profile["validTo"])
    assert timedelta(seconds=89) < ends_at - NOW <= timedelta(seconds=90)
    permanent = fallback_v201(LIMIT, evse=1)["chargingProfile"]
    assert permanent["stackLevel"] == 0 and "validTo" not in permanent and permanent["id"] != profile["id"]
    assert "duration" not in permanent["chargingSchedule"][0]


@pytest.mark.parametrize("in_watts", [False, True])
def test_every_request_fits_the_schemas_of_the_standard(in_watts: bool) -> None:
    """What a station's own check refuses never limits a car."""
    limit = Limit(current_a=10.1, phases=3, in_watts=in_watts)
    for version, request in (
        (Version.V16, fallback_v16(limit, connector=1)),
        (Version.V16, lease_v16(limit, connector=1, transaction=None, now=NOW, lease_s=90.0)),
        (Version.V16, lease_v16(limit, connector=1, transaction=3, now=NOW, lease_s=0.2)),
        (Version.V201, fallback_v201(limit, evse=1)),
        (Version.V201, lease_v201(limit, evse=1, transaction=None, now=NOW, lease_s=90.0)),
        (Version.V201, lease_v201(limit, evse=1, transaction="t-1", now=NOW, lease_s=90.0)),
    ):
        check_payload(version, CALL, "SetChargingProfile", request)
    broken = fallback_v16(limit, connector=1)
    del broken["csChargingProfiles"]["stackLevel"]
    with pytest.raises(FrameRefused, match="stackLevel"):
        check_payload(Version.V16, CALL, "SetChargingProfile", broken)


def _schedule(unit: str, *periods: dict[str, Any]) -> dict[str, Any]:
    return {"chargingRateUnit": unit, "chargingSchedulePeriod": list(periods)}


@pytest.mark.parametrize(
    ("answer", "current_a"),
    [
        ({"status": "Accepted", "chargingSchedule": _schedule("A", {"limit": 9.5})}, 9.5),
        ({"status": "Accepted", "schedule": _schedule("W", {"limit": 6900})}, 10.0),
        ({"status": "Accepted", "schedule": _schedule("W", {"limit": 2300, "numberPhases": 1})}, 10.0),
        ({"status": "Accepted", "chargingSchedule": _schedule("A")}, None),
        ({"status": "Accepted"}, None),
        ({"status": "Rejected"}, None),
        ({}, None),
        ({"status": "Accepted", "schedule": _schedule("A", {"limit": "x"})}, None),
    ],
)
def test_what_is_in_force_is_read_in_either_unit_and_version(answer: dict[str, Any], current_a: float | None) -> None:
    """A station that tells nothing usable is one that cannot be read back."""
    assert composite_a(answer, phases=3) == current_a
