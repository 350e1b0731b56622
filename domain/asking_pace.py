"""When a provider may be asked next: growing pauses after faults, and how far back its past was asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from contracts.units import epoch_ms, instant

FIRST_PAUSE: Final = timedelta(minutes=5)
PAUSE_MAX: Final = timedelta(hours=2)
# The past is asked for a part at a time, one part a tick: an answer in quarters stays below half a megabyte.
PAST_AT_ONCE: Final = timedelta(days=120)
PAST_ATTEMPTS_MAX: Final = 3
_FAULT_LENGTH_MAX: Final = 300


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Failures in a row, until when to wait, why the newest question failed, and since when the past was asked for."""

    failures: int = 0
    next_ms: int = 0
    fault: str = ""
    since_ms: int | None = None

    @classmethod
    def of(cls, kept: Mapping[str, Any] | None) -> "Pace":
        """Return what ``kept`` holds of it; nothing kept is a provider that was never asked."""
        return cls(**kept) if kept else cls()

    @property
    def kept(self) -> dict[str, Any]:
        """Return it as plain values, for a store."""
        body: dict[str, Any] = {"failures": self.failures, "next_ms": self.next_ms, "fault": self.fault}
        return body if self.since_ms is None else {**body, "since_ms": self.since_ms}

    def may_ask(self, at: datetime) -> bool:
        """Return whether the pause is over."""
        return at >= instant(self.next_ms)

    def failed(self, at: datetime, error: Exception, *, since: datetime) -> "Pace":
        """Return the pace after a fault of a span that began at an instant.

        A provider that says how long to wait is not asked sooner. A part of the past that fails again and again is left
        out: where a series began some providers answer as if it were a fault.
        """
        if self.since_ms is not None and epoch_ms(since) < self.since_ms and self.failures + 1 >= PAST_ATTEMPTS_MAX:
            return replace(self, since_ms=epoch_ms(since), failures=0, fault="")
        pause = min(PAUSE_MAX, FIRST_PAUSE * 2 ** min(10, self.failures))
        pause = max(pause, timedelta(seconds=getattr(error, "retry_after_s", 0.0)))
        fault = str(error)[:_FAULT_LENGTH_MAX]
        return replace(self, failures=self.failures + 1, next_ms=epoch_ms(at + pause), fault=fault)

    def answered(self, at: datetime, *, since: datetime, last: datetime, pause: timedelta = FIRST_PAUSE) -> "Pace":
        """Return the pace after an answer about a span; one about the past leaves the present its own pause."""
        since_ms = epoch_ms(since) if self.since_ms is None else min(self.since_ms, epoch_ms(since))
        if last <= at - timedelta(days=1):
            return replace(self, since_ms=since_ms, failures=0, fault="")
        return Pace(next_ms=epoch_ms(at + pause), since_ms=since_ms)

    def past(self, at: datetime, *, first: datetime) -> tuple[datetime, datetime] | None:
        """Return the next part of the past to ask for, the newest first; ``None`` where all from ``first`` on was.

        It waits while the present is not answered.
        """
        if self.since_ms is None or (self.failures and not self.may_ask(at)):
            return None
        last = instant(self.since_ms)
        return None if last <= first else (max(first, last - PAST_AT_ONCE), last)
