"""A cap on generation falls at once, and rises only on readings that belong together."""

from edge.control.levers import Lever
from edge.control.model import ControlSettings, LeverMemory
from edge.control.smooth import dead_band

# The meter and the inverter are read at different moments: after a change the one shows the old output and the other
# the new, and their difference looks like a load that is not there. So a cap rises only on readings that were all taken
# when the inverter had followed the last change, however long a slow bus took to bring it, only once it was found too
# low for a while, and no higher than the lowest that was found in that while.
SETTLE_S = 1.0
RISE_WAIT_S = 3.0
# Where each change wears the device's memory, a rise waits for as long as two writes take of a day's budget: the fall
# before it, and itself.
_WRITES_A_RISE = 2

_NEVER = float("inf")


def kept_cap(
    item: Lever,
    cap_w: float | None,
    last: LeverMemory | None,
    *,
    now_s: float,
    seen_s: float,
    settings: ControlSettings,
    unsure_w: float = 0.0,
) -> LeverMemory:
    """Return what a generator is told, as its memory: a rise within the dead band or just begun waits.

    Args:
        item: The generator.
        cap_w: What it may have now, power into it, zero or less; ``None`` caps nothing.
        last: What it was told before.
        now_s: The cycle's instant.
        seen_s: When the oldest reading was taken of those that the cap goes back to.
        settings: Gives the dead band.
        unsure_w: By how much what is fed in may be misread for what else moves; a rise is less by as much.
    """
    if last is None:
        return LeverMemory(value_w=cap_w, at_s=now_s, changed_s=now_s, followed_s=_NEVER)
    before_w, followed_s = last.value_w, _followed_s(item, last)
    if before_w is not None and cap_w is not None and cap_w < before_w:
        cap_w = min(before_w, cap_w + unsure_w)
    looser = before_w is not None and (cap_w is None or cap_w < before_w)
    # What is looser by less than the dead band is no rise that could begin a while, or be the lowest found in one.
    rises = looser and not _is_small(before_w, cap_w, item, settings)
    settled = is_settled(item, last, seen_s)
    rising_since_s = min(last.rising_since_s, now_s) if rises and settled else _NEVER
    found_w = _tighter(cap_w, last.rising_w) if rising_since_s < now_s else cap_w
    waits = looser and (not rises or now_s < rising_since_s + wait_s(item, cap_w))
    value_w = before_w if waits else found_w
    changes = value_w != before_w
    return LeverMemory(
        value_w=value_w,
        at_s=now_s,
        changed_s=now_s if changes else last.changed_s,
        followed_s=_NEVER if changes else followed_s,
        rising_since_s=rising_since_s,
        rising_w=found_w,
    )


def is_settled(item: Lever, last: LeverMemory, seen_s: float) -> bool:
    """Say whether all readings were taken after the device was seen to follow the last change."""
    return seen_s >= _followed_s(item, last) + SETTLE_S


def wait_s(item: Lever, cap_w: float | None) -> float:
    """Return for how long a rise waits; a limit that is over is lifted without regard to the memory."""
    period_s = 0.0 if cap_w is None else item.asset.wear_period_s.get(item.capability, 0.0)
    return max(RISE_WAIT_S, _WRITES_A_RISE * period_s)


def _followed_s(item: Lever, last: LeverMemory) -> float:
    """Return when a generator was first seen to hold its last cap, infinite while it was not."""
    confirmed = item.asset.limit_confirmed
    if last.followed_s == _NEVER and confirmed.decided_s >= last.changed_s:
        return max(last.changed_s, confirmed.at_s)
    return last.followed_s


def _tighter(cap_w: float | None, other_w: float | None) -> float | None:
    """Return the tighter of two caps, which are zero or less; ``None`` caps nothing."""
    if cap_w is None or other_w is None:
        return cap_w if other_w is None else other_w
    return max(cap_w, other_w)


def _is_small(before_w: float | None, cap_w: float | None, item: Lever, settings: ControlSettings) -> bool:
    return before_w is not None and cap_w is not None and before_w - cap_w < dead_band(item.rated_w, settings)
