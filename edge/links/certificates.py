"""When a certificate ends: nobody renews a file that nobody looks at, and a broker takes no session by it then."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from contracts.clock import SystemClock

# Told so long before the end. Source: ACME clients renew 30 days before it, so one that is nearer was not renewed.
SOON: Final = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Validity:
    """From when and until when a certificate holds; of a chain, the shortest of all."""

    from_at: datetime
    until_at: datetime

    def fault(self, now: datetime) -> str | None:
        """Return why it is not taken at an instant, or will not be soon; ``None`` where it holds for long."""
        if now < self.from_at:
            return f"begins on {_day(self.from_at)} only; this machine's clock says {_day(now)}"
        if now >= self.until_at:
            return f"ended on {_day(self.until_at)}"
        if now >= self.until_at - SOON:
            left_s = (self.until_at - now).total_seconds()
            left = f"{left_s / 86_400:.0f} days" if left_s >= 2 * 86_400 else f"{left_s / 3_600:.0f} h"
            return f"ends in {left}, on {_day(self.until_at)}"
        return None

    def holds(self, now: datetime) -> bool:
        """Return whether it is taken at an instant."""
        return self.from_at <= now < self.until_at


def validity(path: Path) -> Validity | None:
    """Return how long the certificates of a PEM file hold, ``None`` where it cannot be read or holds none. Blocks."""
    try:
        chain = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return None
    return Validity(
        from_at=max(one.not_valid_before_utc for one in chain), until_at=min(one.not_valid_after_utc for one in chain)
    )


def fault_of(path: Path | None) -> str | None:
    """Return why a broker does not take a certificate now or soon will not; ``None`` where it holds for long. Blocks.

    TLS compares certificates with the machine's clock and with no other.
    """
    found = None if path is None else validity(path)
    fault = None if found is None else found.fault(SystemClock().now())
    return None if fault is None else f"{path} {fault}"


def ended(path: Path | None) -> str | None:
    """Return what is wrong with a certificate that a broker does not take now, ``None`` where it holds. Blocks."""
    found = None if path is None else validity(path)
    return None if found is None or found.holds(SystemClock().now()) else fault_of(path)


def _day(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
