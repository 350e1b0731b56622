"""What is done when another master changes what we had set, so that two of them do not fight without end."""

from dataclasses import dataclass, field

from edge.config import ForeignWrites
from edge.control.model import Reason
from edge.loop.lever_records import Lever

# Taking back is tried so often within this time; then the other one is left alone until a try is that old.
REASSERTS_MAX = 3
REASSERT_WINDOW_S = 600.0
# A write that failed is tried again without counting anew.
RETRY_S = 3.0
# So long a device is left to another master before it is taken back.
YIELD_S = 600.0
# Limits that are not ours to give away.
ALWAYS_HELD = frozenset({Reason.DEVICE_LIMIT, Reason.SITE_LIMIT, Reason.GRID_LIMIT, Reason.GRID_FAILSAFE})


@dataclass(kw_only=True)
class _Dispute:
    """One lever that another master has changed."""

    reasserted_s: list[float] = field(default_factory=list)
    yielded_until_s: float = float("-inf")
    told: bool = False


class Disputes:
    """Decides for each lever whether it is taken back."""

    def __init__(self, policy: ForeignWrites) -> None:
        self._policy = policy
        self._disputes: dict[Lever, _Dispute] = {}

    @property
    def left(self) -> tuple[Lever, ...]:
        """Return the levers that are left to another master now."""
        return tuple(sorted(lever for lever, dispute in self._disputes.items() if dispute.told))

    def may_write(self, lever: Lever, *, drifted: bool, reason: Reason, now_s: float) -> bool:
        """Say whether a lever may be written now; ``drifted`` says that it does not hold what we had proven."""
        if reason in ALWAYS_HELD:
            return True
        dispute = self._disputes.get(lever)
        if not drifted:
            if dispute is not None:
                dispute.told = False
            return True
        dispute = self._disputes.setdefault(lever, _Dispute())
        allowed = self._allowed(dispute, now_s)
        dispute.told = not allowed
        return allowed

    def _allowed(self, dispute: _Dispute, now_s: float) -> bool:
        if self._policy is ForeignWrites.ALARM:
            return False
        if self._policy is ForeignWrites.YIELD:
            if dispute.yielded_until_s == float("-inf"):
                dispute.yielded_until_s = now_s + YIELD_S
            if now_s < dispute.yielded_until_s:
                return False
            dispute.yielded_until_s = float("-inf")
            return True
        dispute.reasserted_s = [tried_s for tried_s in dispute.reasserted_s if now_s - tried_s < REASSERT_WINDOW_S]
        if dispute.reasserted_s and now_s - dispute.reasserted_s[-1] < RETRY_S:
            return True
        if len(dispute.reasserted_s) >= REASSERTS_MAX:
            return False
        dispute.reasserted_s.append(now_s)
        return True
