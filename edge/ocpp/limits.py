"""From a limit with an end to a charging profile, and from what a station says back to a limit. Pure.

Two profiles stand at a connector. The permanent one (``FALLBACK``) is the current that the station goes on with alone.
The lease (``LEASE``) stands above it and carries its own end, so a station that hears nothing more falls to the first
by itself. Both are absolute: a schedule without a start would begin with the car instead.

Source: OCPP 1.6 edition 2, 3.13 smart charging, 7.8 ChargingProfile; OCPP 2.0.1 edition 2 part 2, K and 2.10.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import floor
from typing import Any

from edge.ocpp.settings import LEAST_A

PHASE_V = 230.0  # Source: IEC 60038, nominal voltage of the low-voltage network.
VOLTAGE_V = (180.0, 270.0)  # A measured voltage outside is none of a phase.
FALLBACK_LEVEL, LEASE_LEVEL = 0, 1
TX_DEFAULT, TX = "TxDefaultProfile", "TxProfile"
# A station whose clock is behind ours by no more than this has begun the lease when it gets it.
CLOCK_SLACK_S = 30.0
STEP_A = 0.1  # Source: OCPP 1.6, 7.13: limits have one decimal.
TOLERANCE_A = 0.15


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What a connector may draw.

    Args:
        current_a: Per phase; 0 is a pause.
        phases: Over how many it spreads.
        in_watts: Whether the station takes power instead of current.
    """

    current_a: float
    phases: int
    in_watts: bool = False

    @property
    def number(self) -> float:
        """Return the limit in the unit that the station takes."""
        return float(floor(self.current_a * self.phases * PHASE_V + 1e-6)) if self.in_watts else self.current_a

    @property
    def unit(self) -> str:
        """Return that unit as the protocol writes it."""
        return "W" if self.in_watts else "A"


def current_of(power_w: float, *, phases: int, voltage_v: float | None, max_a: float) -> float:
    """Return the current per phase that keeps a power, rounded down; below what a car can be told it is 0.

    Args:
        power_w: Zero or greater.
        phases: Over how many it spreads.
        voltage_v: Mean of the measured phases; ``None`` or an impossible one stands for the nominal.
        max_a: The most that the station is told.

    A power that is enough at the nominal voltage is never made a pause by a measured one: control reckons with the
    nominal voltage when it lets a car run, and would turn it on and off for ever.
    """
    known = voltage_v is not None and VOLTAGE_V[0] <= voltage_v <= VOLTAGE_V[1]
    volts = voltage_v if known and voltage_v is not None else PHASE_V
    current_a = min(power_w / (phases * volts), max_a)
    if current_a < LEAST_A:
        return LEAST_A if power_w >= LEAST_A * phases * PHASE_V and max_a >= LEAST_A else 0.0
    return floor(current_a / STEP_A + 1e-6) * STEP_A


def power_of(current_a: float, *, phases: int, voltage_v: float | None = None) -> float:
    """Return the power that a current per phase is, in W."""
    known = voltage_v is not None and VOLTAGE_V[0] <= voltage_v <= VOLTAGE_V[1]
    return current_a * phases * (voltage_v if known and voltage_v is not None else PHASE_V)


def profile_id(connector: int, level: int, *, of_transaction: bool = False) -> int:
    """Return the number under which a profile of ours is replaced by the next of its kind."""
    return connector * 10 + level + (2 if of_transaction else 1)


def fallback_v16(limit: Limit, *, connector: int) -> dict[str, Any]:
    """Return the request that leaves a 1.6 station with a limit for good."""
    return _request_v16(limit, connector=connector, level=FALLBACK_LEVEL, purpose=TX_DEFAULT, timing={})


def lease_v16(
    limit: Limit, *, connector: int, transaction: int | None, now: datetime, lease_s: float
) -> dict[str, Any]:
    """Return the request of a limit that ends by itself: for the transaction that runs, else for one that begins."""
    begins_at, ends_at, duration_s = _span(now, lease_s)
    request = _request_v16(
        limit,
        connector=connector,
        level=LEASE_LEVEL,
        purpose=TX_DEFAULT if transaction is None else TX,
        timing={"startSchedule": _text(begins_at), "duration": duration_s},
    )
    profile = request["csChargingProfiles"]
    if transaction is None:
        profile |= {"validFrom": _text(begins_at), "validTo": _text(ends_at)}
    else:
        profile["transactionId"] = transaction
    return request


def fallback_v201(limit: Limit, *, evse: int) -> dict[str, Any]:
    """Return the request that leaves a 2.0.1 station with a limit for good."""
    return _request_v201(limit, evse=evse, level=FALLBACK_LEVEL, purpose=TX_DEFAULT, timing={})


def lease_v201(limit: Limit, *, evse: int, transaction: str | None, now: datetime, lease_s: float) -> dict[str, Any]:
    """Return the request of a limit that ends by itself: for the transaction that runs, else for one that begins."""
    begins_at, ends_at, duration_s = _span(now, lease_s)
    request = _request_v201(
        limit,
        evse=evse,
        level=LEASE_LEVEL,
        purpose=TX_DEFAULT if transaction is None else TX,
        timing={"startSchedule": _text(begins_at), "duration": duration_s},
    )
    profile = request["chargingProfile"]
    if transaction is None:
        profile |= {"validFrom": _text(begins_at), "validTo": _text(ends_at)}
    else:
        profile["transactionId"] = transaction
    return request


def composite_a(answer: Mapping[str, Any], *, phases: int) -> float | None:
    """Return the current per phase that a station says is in force now, of GetCompositeSchedule in either version.

    ``None`` where it says none: it does not know the request, or nothing bounds it.
    """
    if answer.get("status") != "Accepted":
        return None
    schedule = answer.get("chargingSchedule") or answer.get("schedule")
    if not isinstance(schedule, Mapping):
        return None
    periods = schedule.get("chargingSchedulePeriod")
    if not isinstance(periods, Sequence) or not periods or not isinstance(periods[0], Mapping):
        return None
    number = periods[0].get("limit")
    if isinstance(number, bool) or not isinstance(number, int | float):
        return None
    over = periods[0].get("numberPhases")
    wired = over if isinstance(over, int) and 1 <= over <= 3 else phases
    return float(number) / (wired * PHASE_V) if schedule.get("chargingRateUnit") == "W" else float(number)


def _span(now: datetime, lease_s: float) -> tuple[datetime, datetime, int]:
    """Return when a lease begins and ends, and its whole seconds; it is never longer than asked."""
    begins_at = now.replace(microsecond=0) - timedelta(seconds=CLOCK_SLACK_S)
    duration_s = max(1, floor((now - begins_at).total_seconds() + lease_s))
    return begins_at, begins_at + timedelta(seconds=duration_s), duration_s


def _request_v16(
    limit: Limit, *, connector: int, level: int, purpose: str, timing: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "connectorId": connector,
        "csChargingProfiles": {
            "chargingProfileId": profile_id(connector, level, of_transaction=purpose == TX),
            "stackLevel": level,
            "chargingProfilePurpose": purpose,
            "chargingProfileKind": "Absolute",
            "chargingSchedule": {
                **timing,
                "chargingRateUnit": limit.unit,
                "chargingSchedulePeriod": [_period(limit)],
            },
        },
    }


def _request_v201(limit: Limit, *, evse: int, level: int, purpose: str, timing: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "evseId": evse,
        "chargingProfile": {
            "id": profile_id(evse, level, of_transaction=purpose == TX),
            "stackLevel": level,
            "chargingProfilePurpose": purpose,
            "chargingProfileKind": "Absolute",
            "chargingSchedule": [
                {
                    "id": profile_id(evse, level, of_transaction=purpose == TX),
                    **timing,
                    "chargingRateUnit": limit.unit,
                    "chargingSchedulePeriod": [_period(limit)],
                }
            ],
        },
    }


def _period(limit: Limit) -> dict[str, Any]:
    return {"startPeriod": 0, "limit": round(limit.number, 1), "numberPhases": limit.phases}


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
