"""How a simulated charging station plays charging profiles: which one holds at an instant, and when it ends. Pure.

Written from the protocol's text alone, and knows nothing of who sends profiles.
Source: OCPP 1.6 edition 2, 3.13.2 to 3.13.6; OCPP 2.0.1 edition 2 part 2, K, 3.5 and 3.6.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

PHASE_V = 230.0


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One profile as a station keeps it, the same for both versions; a current is per phase.

    Args:
        transaction: For which alone it is; ``None`` for any.
        starts_at: From when its periods count; ``None`` where they count from the start of charging.
        periods: Seconds from there, the limit, and the phases that it names.
    """

    id: int
    connector: int
    level: int
    purpose: str
    transaction: str | None
    valid_from: datetime | None
    valid_to: datetime | None
    starts_at: datetime | None
    duration_s: float | None
    in_watts: bool
    periods: tuple[tuple[float, float, int | None], ...]

    def limit_a(self, now: datetime, *, charging_since: datetime | None, phases: int) -> float | None:
        """Return what it allows now, ``None`` where it does not hold."""
        if (self.valid_from and now < self.valid_from) or (self.valid_to and now >= self.valid_to):
            return None
        begin = self.starts_at or charging_since or now
        passed_s = (now - begin).total_seconds()
        if passed_s < 0 or (self.duration_s is not None and passed_s >= self.duration_s):
            return None
        current = next((one for one in reversed(self.periods) if one[0] <= passed_s), None)
        if current is None:
            return None
        return current[1] / ((current[2] or phases) * PHASE_V) if self.in_watts else current[1]


@dataclass
class Profiles:
    """The profiles of one station; ``leases`` counts those that it was given with an end."""

    kept: list[Profile] = field(default_factory=list)
    leases: int = 0

    def put(self, profile: Profile) -> None:
        """Keep a profile in place of the one with its number, or of its purpose and level at its connector."""
        place = (profile.connector, profile.purpose, profile.level, profile.transaction)
        self.kept = [
            one
            for one in self.kept
            if one.id != profile.id and (one.connector, one.purpose, one.level, one.transaction) != place
        ]
        self.kept.append(profile)
        self.leases += profile.duration_s is not None

    def rebooted(self) -> None:
        """Forget what is of a transaction; what is permanent is kept."""
        self.kept = [one for one in self.kept if one.transaction is None and one.valid_to is None]

    def ended(self, transaction: str) -> None:
        """Forget the profiles of a transaction that has ended."""
        self.kept = [one for one in self.kept if one.transaction != transaction]

    def phases_now(
        self, connector: int, now: datetime, *, transaction: str | None, charging_since: datetime | None
    ) -> int | None:
        """Return the phases that the profile in force at a connector names, ``None`` where it names none."""
        for purpose in ("TxProfile", "TxDefaultProfile"):
            for one in sorted(self.kept, key=lambda one: -one.level):
                fits = one.purpose == purpose and one.connector == connector
                if not fits or (one.transaction is not None and one.transaction != transaction):
                    continue
                if one.limit_a(now, charging_since=charging_since, phases=3) is not None:
                    return one.periods[-1][2]
        return None

    def limit_a(
        self,
        connector: int,
        now: datetime,
        *,
        transaction: str | None,
        charging_since: datetime | None,
        phases: int,
        most_a: float,
    ) -> tuple[float, str]:
        """Return what a connector may draw now and whose word that is; without a profile it is what it can."""

        def holding(purposes: tuple[str, ...], at: int) -> tuple[float, str] | None:
            for one in sorted(self.kept, key=lambda one: (-one.level, one.connector != at)):
                fits = one.purpose in purposes and one.connector in (0, at)
                if not fits or (one.transaction is not None and one.transaction != transaction):
                    continue
                limit_a = one.limit_a(now, charging_since=charging_since, phases=phases)
                if limit_a is not None:
                    return min(limit_a, most_a), f"{one.purpose} level {one.level}"
            return None

        found = holding(("TxProfile",), connector) or holding(("TxDefaultProfile",), connector) or (most_a, "none")
        capped = holding(("ChargePointMaxProfile", "ChargingStationMaxProfile"), 0)
        return capped if capped is not None and capped[0] < found[0] else found


def profile_v16(connector: int, content: dict[str, Any]) -> Profile:
    """Return a profile of a 1.6 request.

    Raises:
        KeyError, ValueError: It is none.
    """
    return _profile(connector, content, content["chargingSchedule"], number=content["chargingProfileId"])


def profile_v201(evse: int, content: dict[str, Any]) -> Profile:
    """Return a profile of a 2.0.1 request; raises as ``profile_v16``."""
    return _profile(evse, content, content["chargingSchedule"][0], number=content["id"])


def instant(text: str) -> datetime:
    """Return an instant of a message."""
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def written(now: datetime) -> str:
    """Return an instant as a message writes it."""
    return (now - timedelta(microseconds=now.microsecond % 1000)).isoformat().replace("+00:00", "Z")


def _profile(connector: int, content: dict[str, Any], schedule: dict[str, Any], *, number: int) -> Profile:
    transaction = content.get("transactionId")
    absolute = content["chargingProfileKind"] == "Absolute"
    return Profile(
        id=number,
        connector=connector,
        level=content["stackLevel"],
        purpose=content["chargingProfilePurpose"],
        transaction=None if transaction is None else str(transaction),
        valid_from=_maybe(content.get("validFrom")),
        valid_to=_maybe(content.get("validTo")),
        starts_at=_maybe(schedule.get("startSchedule")) if absolute else None,
        duration_s=schedule.get("duration"),
        in_watts=schedule["chargingRateUnit"] == "W",
        periods=tuple(
            (one["startPeriod"], float(one["limit"]), one.get("numberPhases"))
            for one in schedule["chargingSchedulePeriod"]
        ),
    )


def _maybe(text: Any) -> datetime | None:
    return instant(text) if isinstance(text, str) else None
