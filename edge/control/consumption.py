"""How much each load that takes a limit may draw: its wish, inside what every bound together leaves to such loads.

A charger cannot draw just anything: below its least power it pauses. So each running one gets its least first, then the
rest is shared; what is left over below another's least goes to those that run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge.control.arbiter import Grant
from edge.control.levers import Lever
from edge.control.model import ControlSettings, Interval, LeverMemory
from edge.control.rising import is_settled, kept_cap
from edge.control.split import split

# A load that pauses begins again only where its least power and this much more fits, or it would soon pause again.
RETURN_MARGIN = 1.1
# A charger counts in whole or tenth amperes: a smaller rise is not worth a write. Source: 0.3 A on three phases.
_RISE_SHARE = 0.02
# Meter and charger are read at different moments, and clouds pass: what is taken beyond the surplus for less is borne.
FALL_WAIT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitPlan:
    """The limit of one load: zero is a pause, ``None`` leaves it free; ``asked`` says that a request shaped it."""

    limit_w: float | None
    asked: bool
    memory: LeverMemory


def plan_limits(
    loads: tuple[Lever, ...],
    grants: tuple[Grant, ...],
    *,
    room_w: float | None,
    surplus_w: float,
    memories: tuple[LeverMemory | None, ...],
    now_s: float,
    seen_s: float,
    settings: ControlSettings,
) -> tuple[LimitPlan, ...]:
    """Return the limit of every load; the limits together stay inside the room, whatever the loads then draw.

    A bound is met at once. A pause for the sake of a wish, or of the surplus, waits until the load has run for its
    shortest time; no pause ends before the shortest time off has passed.

    Args:
        loads: All that take a limit.
        grants: What requests left to each.
        room_w: What they may draw together; ``None`` with a blind meter, where none may rise.
        surplus_w: What the site would feed in without them and without its batteries, or less than zero.
        memories: What each was last told.
        now_s: Instant of the cycle.
        seen_s: When the oldest reading was taken of those that the room goes back to.
        settings: Give the dead band.
    """
    followers = [load.asset.follows_surplus and grant.wish is None for load, grant in zip(loads, grants, strict=True)]
    may_w = [_may_draw(load, grant) for load, grant in zip(loads, grants, strict=True)]
    surplus = _shared(
        surplus_w,
        [allowed_w if follows else 0.0 for allowed_w, follows in zip(may_w, followers, strict=True)],
        loads,
        memories,
    )
    memories = tuple(
        _falling(load, last, share_w, now_s) if follows else last
        for load, last, follows, share_w in zip(loads, memories, followers, surplus, strict=True)
    )
    wanted = [
        _wanted(load, grant, last, share_w if follows else None, now_s)
        for load, grant, last, follows, share_w in zip(loads, grants, memories, followers, surplus, strict=True)
    ]
    wanted = [min(want_w, allowed_w) for want_w, allowed_w in zip(wanted, may_w, strict=True)]
    if room_w is None:
        limits = [_while_blind(load, last, want_w) for load, last, want_w in zip(loads, memories, wanted, strict=True)]
    else:
        limits = _shared(room_w, wanted, loads, memories)
        limits = [
            limit_w if load.measured_w is not None else _while_blind(load, last, want_w)
            for load, last, want_w, limit_w in zip(loads, memories, wanted, limits, strict=True)
        ]
    limits = [_out_of_gap(load, limit_w) for load, limit_w in zip(loads, limits, strict=True)]
    present_w = sum(load.measured_w or 0.0 for load in loads)
    is_kept = room_w is not None and present_w <= room_w
    calm = replace(settings, dead_band_share=max(settings.dead_band_share, _RISE_SHARE))
    plans = []
    for load, grant, last, want_w, limit_w in zip(loads, grants, memories, wanted, limits, strict=True):
        memory = _kept(load, limit_w, last, wanted_w=want_w, is_kept=is_kept, now_s=now_s, seen_s=seen_s, settings=calm)
        if memory.value_w is not None:
            memory = replace(memory, value_w=_out_of_gap(load, memory.value_w))
        asked = grant.wish is not None or len(grant.steps) > 1
        plans.append(LimitPlan(limit_w=memory.value_w, asked=asked, memory=memory))
    return tuple(plans)


def _may_draw(load: Lever, grant: Grant) -> float:
    """Return the most that bounds on the load itself leave: nothing below its least power."""
    most_w = grant.left.max_w
    return most_w if most_w >= load.asset.load_w_min else 0.0


def _out_of_gap(load: Lever, limit_w: float) -> float:
    """Return a limit, or the nearest below that passes no fuse of a phase."""
    if load.gap is None or not load.gap.min_w < limit_w < load.gap.max_w:
        return limit_w
    return load.gap.min_w if load.gap.min_w >= load.asset.load_w_min else 0.0


def _wanted(load: Lever, grant: Grant, last: LeverMemory | None, surplus_w: float | None, now_s: float) -> float:
    """Return what a load shall draw before the room is known: its wish, raised to what lets it run on."""
    if grant.wish is not None:
        wanted_w = grant.wish.power_w
        if 0 < wanted_w < load.asset.load_w_min:
            wanted_w = load.asset.load_w_min  # Whoever wants it to run wants at least what it runs with.
    elif surplus_w is not None:
        wanted_w = surplus_w
        if last is not None and now_s < last.falling_since_s + FALL_WAIT_S:
            wanted_w = max(wanted_w, 0.0 if last.falling_since_s == float("inf") else _told_w(load, last))
    else:
        wanted_w = 0.0 if load.asset.rest_on is False else load.rated_w
    wanted_w = max(wanted_w, grant.left.min_w)
    memory = last or LeverMemory()
    ran_s = now_s - memory.switched_s
    if wanted_w < load.asset.load_w_min and _runs(last) and last is not None and ran_s < load.asset.on_s_min:
        return load.asset.load_w_min
    if wanted_w > 0 and not _runs(last) and ran_s < load.asset.off_s_min:
        return 0.0
    return wanted_w if wanted_w >= load.asset.load_w_min else 0.0


def _told_w(load: Lever, last: LeverMemory) -> float:
    return load.rated_w if last.value_w is None else last.value_w


def _falling(load: Lever, last: LeverMemory | None, surplus_w: float, now_s: float) -> LeverMemory | None:
    """Return the memory of a load that follows the surplus, with since when it takes more than that."""
    if last is None:
        return None
    falls = surplus_w < _told_w(load, last)
    return replace(last, falling_since_s=min(last.falling_since_s, now_s) if falls else float("inf"))


def _shared(
    room_w: float, wanted: Sequence[float], loads: Sequence[Lever], memories: Sequence[LeverMemory | None]
) -> list[float]:
    """Return what each gets of a room: its least, those with a car and those that run first, then the rest evenly."""
    given = [0.0] * len(wanted)
    ranks = [0.0 if load.asset.connected is False else 1.0 for load in loads]
    left_w = max(0.0, room_w)
    order = sorted(range(len(wanted)), key=lambda index: (-ranks[index], not _runs(memories[index]), index))
    for index in order:
        least_w = loads[index].asset.load_w_min
        entry_w = least_w if _runs(memories[index]) else least_w * RETURN_MARGIN
        if wanted[index] >= least_w and left_w >= entry_w and wanted[index] > 0:
            given[index] = least_w
            left_w -= least_w
    takes = [
        want_w > 0 and (own_w > 0 or loads[index].asset.load_w_min == 0.0)
        for index, (want_w, own_w) in enumerate(zip(wanted, given, strict=True))
    ]
    rooms = [
        Interval(0.0, max(0.0, want_w - own_w) if runs else 0.0)
        for want_w, own_w, runs in zip(wanted, given, takes, strict=True)
    ]
    more = split(min(left_w, sum(one.max_w for one in rooms)), rooms, ranks=ranks)
    return [own_w + more_w for own_w, more_w in zip(given, more, strict=True)]


def _while_blind(load: Lever, last: LeverMemory | None, wanted_w: float) -> float:
    """Return the limit of a load while nobody knows what the site draws: never above what it has, or runs with."""
    told_w = load.rated_w if last is None or last.value_w is None else last.value_w
    present_w = load.rated_w if load.measured_w is None else load.measured_w
    held_w = min(told_w, max(present_w, load.asset.load_w_min))
    return min(wanted_w, held_w) if wanted_w > 0 else 0.0


def _kept(
    load: Lever,
    limit_w: float,
    last: LeverMemory | None,
    *,
    wanted_w: float,
    is_kept: bool,
    now_s: float,
    seen_s: float,
    settings: ControlSettings,
) -> LeverMemory:
    """Return what a load is told, as its memory: like a cap on generation, with the sign turned.

    Where the meter sees its bound kept, a fall for want of room waits for readings taken after the last change.
    """
    if last is not None and is_kept and not is_settled(load, _turned(last), seen_s):
        limit_w = max(limit_w, min(wanted_w, _told_w(load, last)))
    cap_w = None if limit_w >= load.rated_w else 0.0 - limit_w
    kept = _turned(
        kept_cap(load, cap_w, None if last is None else _turned(last), now_s=now_s, seen_s=seen_s, settings=settings)
    )
    switched = last is not None and _runs(last) != _runs(kept)
    if last is None:
        return kept
    return replace(kept, switched_s=now_s if switched else last.switched_s, falling_since_s=last.falling_since_s)


def _turned(memory: LeverMemory) -> LeverMemory:
    return replace(
        memory,
        value_w=None if memory.value_w is None else 0.0 - memory.value_w,
        rising_w=None if memory.rising_w is None else 0.0 - memory.rising_w,
    )


def _runs(memory: LeverMemory | None) -> bool:
    """Say whether a load was last left running; one that was never told anything may run."""
    return memory is None or memory.value_w is None or memory.value_w > 0
