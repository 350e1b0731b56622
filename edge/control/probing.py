"""What the sun offers behind a cap: a generator that stands at its cap hides it, so it is tried for in steps.

Batteries are told to take a step more than the panels give. Where the panels follow, the next step is twice as long;
where they stay clear of their cap, there is no more sun, and nothing is tried for a minute, then for longer: each step
that finds nothing is energy bought.
"""

from dataclasses import replace

from edge.control.levers import Lever
from edge.control.model import ControlSettings, LeverMemory, Probe
from edge.control.rising import is_settled, wait_s
from edge.control.smooth import dead_band

# A generator within this share of its cap is taken to be held by it.
_AT_CAP_SHARE = 0.95
# The first step stands out from what counts as held, and from the noise of a small inverter.
_FIRST_STEP_OF_RATED = 0.01
_FIRST_STEP_OF_POWER = 0.06
_FIRST_STEP_OF_DEAD_BAND = 2.0
# Panels that stay clear of their cap for as long have no more to give: an inverter takes seconds to follow.
FOLLOW_S = 3.0
# For how long a step is tried beside what a rise of the cap waits: where readings of different moments make the battery
# swing, panels are now at their cap and now clear of it.
TRY_S = 20.0
# For how long nothing is tried after a step that found nothing, and how often as long at most.
REST_S = 60.0
_RESTS_MAX = 4


def probe(
    generator: Lever,
    last: LeverMemory | None,
    *,
    battery_w: float,
    now_s: float,
    seen_s: float,
    settings: ControlSettings,
) -> Probe:
    """Return what a generator would likely feed in if nothing held it, and what is known of that.

    Args:
        generator: The lever of its limit; one without a reading could give all that it is built for.
        last: What it was last told, at its terminals, and what was known until then.
        battery_w: What the battery behind the same terminals takes now: its panels may give that beside the limit.
        now_s: The cycle's instant.
        seen_s: When the oldest reading was taken that the cycle goes back to.
        settings: Of the site.
    """
    measured_w = generator.measured_w
    if measured_w is None:
        return Probe(measured_w=None, potential_w=generator.allowed.min_w)
    before = None if last is None else last.probe
    if last is None or last.value_w is None or before is None:
        return Probe(measured_w=measured_w, potential_w=measured_w, free_w=measured_w, free_at_s=now_s)
    cap_w = min(0.0, last.value_w - battery_w)
    rose_w = 0.0 if before.measured_w is None else before.measured_w - measured_w
    found = 0 < before.step_w <= 2 * (before.tried_from_w - measured_w)
    tried_s = TRY_S + wait_s(generator, last.value_w)
    if before.step_w > 0 and not found and now_s >= before.tried_since_s + tried_s:
        return _free(before, measured_w, now_s=now_s)
    if measured_w > cap_w * _AT_CAP_SHARE or cap_w <= generator.allowed.min_w:
        follows = rose_w >= dead_band(generator.rated_w, settings) or not is_settled(generator, last, seen_s)
        clear_since_s = now_s if follows else min(before.clear_since_s, now_s)
        if now_s >= clear_since_s + FOLLOW_S:
            return _free(before, measured_w, now_s=now_s)
        # A cloud is followed at once but for the step that is tried.
        potential_w = min(measured_w, max(before.potential_w, measured_w - before.step_w))
        return replace(before, measured_w=measured_w, potential_w=potential_w, clear_since_s=clear_since_s)
    held = replace(before, measured_w=measured_w, clear_since_s=float("inf"))
    if _rests(held, measured_w, generator, now_s=now_s, settings=settings):
        return replace(held, potential_w=measured_w, step_w=0.0)
    step_w = min(
        settings.pv_probe_share * generator.rated_w,
        max(_first_step_w(generator, measured_w, settings), before.step_w * (2 if found else 1)),
    )
    if found or before.step_w == 0:
        held = replace(held, tried_from_w=measured_w, tried_since_s=now_s)
    return replace(
        held,
        potential_w=max(generator.allowed.min_w, measured_w - step_w),
        step_w=step_w,
        rests=1 if found else before.rests,
    )


def _free(before: Probe, measured_w: float, *, now_s: float) -> Probe:
    """Return what is known of a generator that gives all that the sun offers."""
    return Probe(
        measured_w=measured_w,
        potential_w=measured_w,
        clear_since_s=before.clear_since_s,
        free_w=measured_w,
        free_at_s=now_s,
        rests=min(2 * before.rests, _RESTS_MAX) if before.step_w > 0 else before.rests,
    )


def _rests(held: Probe, measured_w: float, generator: Lever, *, now_s: float, settings: ControlSettings) -> bool:
    """Say whether a generator gives what it gave when it was last seen clear of its cap, not long ago.

    The rest is no shorter than a rise of the cap waits: for so long each step is bought where writes wear the device.
    """
    if held.free_w is None or now_s >= held.free_at_s + held.rests * max(REST_S, wait_s(generator, held.free_w)):
        return False
    near_w = max(dead_band(generator.rated_w, settings), (1 - _AT_CAP_SHARE) * abs(held.free_w))
    return abs(measured_w - held.free_w) <= near_w


def _first_step_w(generator: Lever, measured_w: float, settings: ControlSettings) -> float:
    return max(
        _FIRST_STEP_OF_RATED * generator.rated_w,
        _FIRST_STEP_OF_POWER * abs(measured_w),
        _FIRST_STEP_OF_DEAD_BAND * dead_band(generator.rated_w, settings),
    )
