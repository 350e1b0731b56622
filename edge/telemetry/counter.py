"""What a rising counter is believed: an energy on a scale that never falls, whatever the meter's own register does.

A counter that jumps, falls or stands still beside flowing power counts as missing (``domain/plausibility``), and its
advance is estimated from power; another level that lasts is another meter's, and counting goes on from it. One whose
rises each could be, but together cannot (a register in other units), is replaced by power until it follows.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from domain.plausibility import (
    FOLLOWS_SHARE,
    LAG_POWER_W_MIN,
    LAG_SHARE,
    LAG_WH_MIN,
    LAG_WH_UNKNOWN,
    POWER_FACTOR,
    STEP_WH_MAX,
    Doubt,
    carried_wh,
    lag_threshold_wh,
    room_wh,
    slack_wh,
)

# Observations further apart than this make an interpolated boundary a substituted value.
INTERPOLATION_S_MAX = 90.0
# So many observations in a row at another level mean another meter, not a bad read.
_FALLS_ACCEPTED = 5
# A counter that returns to its old level within this time was asleep, not exchanged.
OLD_SCALE_S_MAX = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one observation brings to a counter: its register, and what power and the connection say of it.

    ``read_wh`` is ``None`` where the register could not be read, ``estimate_wh`` zero or greater; ``watched`` where
    power was known over the whole time. ``other_wh`` is what the opposite direction's register rose: a meter that
    counts each phase by itself counts both ways at once, and power is their difference.
    """

    read_wh: float | None
    estimate_wh: float
    gap_s: float
    watched: bool
    connection_w: float | None
    other_wh: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Counter:
    """One direction: energy on a scale that never falls, and how it relates to the meter's own register.

    ``confirmed_wh`` is what the meter itself last said on that scale; above it, ``wh`` is an estimate. ``falls`` counts
    readings in a row at one other level, ``suspect_wh`` the last of them; ``old`` is the scale before such a level was
    taken for the meter's, with its last value and its age. Since the counter last rose, ``still_s`` passed and power
    carried ``still_power_wh``, and the opposite register rose by ``still_other_wh``. ``lag_*`` watch whether it rises
    at all while power flows. ``beyond_*`` is by how much all its rises went beyond what the connection carried and what
    power explains; ``racing`` is its rise and the energy by power since it was last compared, where it runs away from
    them, ``None`` where it does not.
    """

    wh: float
    confirmed_wh: float
    offset_wh: float = 0.0
    boundary_wh: int | None = None
    falls: int = 0
    substituted: bool = False
    suspect_wh: float | None = None
    old: tuple[float, float, float] | None = None
    still_s: float = 0.0
    still_power_wh: float = 0.0
    still_other_wh: float = 0.0
    still_watched: bool = True
    step_wh: float = 0.0
    lag_from_wh: float | None = None
    lag_power_wh: float = 0.0
    lagging: bool = False
    lost_from_wh: float = 0.0
    lost_wh: float = 0.0
    beyond_connection_wh: float = 0.0
    beyond_power_wh: float = 0.0
    racing: tuple[float, float] | None = None
    doubt: str = ""

    def advance(self, step: Step) -> "Counter":
        """Return the counter after one more observation."""
        counter = replace(
            self,
            still_s=self.still_s + step.gap_s,
            still_power_wh=self.still_power_wh + step.estimate_wh,
            still_other_wh=self.still_other_wh + step.other_wh,
            still_watched=self.still_watched and step.watched,
            old=None if self.old is None else (self.old[0], self.old[1], self.old[2] + step.gap_s),
        )
        if step.read_wh is None:
            return counter._estimated(step, Doubt.MISSING)
        may_be: list[tuple[float, float, bool]] = []
        for offset_wh, floor_wh, age_s in counter._scales():
            rise_wh = step.read_wh + offset_wh - floor_wh
            watched_wh = counter.still_power_wh if counter.still_watched and age_s is None else None
            elapsed_s = counter.still_s if age_s is None else age_s
            if 0 <= rise_wh <= room_wh(elapsed_s=elapsed_s, connection_w=step.connection_w, power_wh=watched_wh):
                expected_wh = counter.wh + step.estimate_wh - floor_wh
                may_be.append((abs(rise_wh - expected_wh), offset_wh, age_s is not None))
        if may_be:  # A young counter may have slept at zero as well as have risen at once by all that it had counted.
            _, offset_wh, back = min(may_be, key=lambda one: one[0])
            return counter._believed(step, step.read_wh + offset_wh, offset_wh, back=back)
        return counter._doubted(step, step.read_wh)

    def risen(self, step: Step) -> float:
        """Return what the register rose since it was last believed, as far as the connection carries it."""
        if step.read_wh is None:
            return 0.0
        rise_wh = step.read_wh + self.offset_wh - self.confirmed_wh
        carried = carried_wh(elapsed_s=self.still_s + step.gap_s, connection_w=step.connection_w)
        return min(max(0.0, rise_wh), carried)

    def _scales(self) -> list[tuple[float, float, float | None]]:
        """Return the scales on which a register may be read: the present one, then the one before another level."""
        scales: list[tuple[float, float, float | None]] = [(self.offset_wh, self.confirmed_wh, None)]
        return scales if self.old is None or self.old[2] > OLD_SCALE_S_MAX else [*scales, self.old]

    def _estimated(self, step: Step, doubt: Doubt) -> "Counter":
        return replace(self, wh=self.wh + step.estimate_wh, substituted=True, doubt=doubt)

    def _believed(self, step: Step, now_wh: float, offset_wh: float, *, back: bool) -> "Counter":
        """Return the counter at a level that physics allows; where an estimate ran ahead, it is held until then."""
        rose_wh = now_wh - self.confirmed_wh
        beyond_connection_wh, beyond_power_wh = self._beyond(step, rose_wh)
        runs_away = beyond_connection_wh > slack_wh(step.connection_w) or beyond_power_wh > STEP_WH_MAX
        if not back and not self.lagging and (runs_away or self.racing is not None):
            return self._raced(step, now_wh)
        ahead = self.wh > now_wh
        counter = replace(
            self,
            wh=max(self.wh, now_wh),
            confirmed_wh=now_wh,
            offset_wh=offset_wh,
            falls=0,
            suspect_wh=None,
            old=None if back else self.old,
            substituted=self.substituted or ahead or back,
            doubt=Doubt.OTHER_LEVEL if back else self.doubt,
        )
        if back:
            # It slept, and counted meanwhile or did not: then it stands still, as far as anybody knows.
            by_power_wh = self.confirmed_wh + self.still_power_wh if self.still_watched else 0.0
            behind_wh = max(counter.wh, by_power_wh) - now_wh
            stands = behind_wh >= LAG_WH_MIN
            return replace(
                counter,
                wh=now_wh + behind_wh if stands else counter.wh,
                lagging=stands,
                lag_from_wh=now_wh,
                lag_power_wh=0.0,
                lost_from_wh=now_wh,
                lost_wh=behind_wh,
                racing=None,
                still_s=0.0,
                still_power_wh=0.0,
            )
        if rose_wh > 0:
            counter = replace(
                counter,
                beyond_connection_wh=0.0 if self.lagging else beyond_connection_wh,
                beyond_power_wh=0.0 if self.lagging else beyond_power_wh,
                still_s=0.0,
                still_power_wh=0.0,
                still_other_wh=0.0,
                still_watched=True,
                step_wh=min(STEP_WH_MAX, max(rose_wh, 0.9 * self.step_wh)),
            )
        return counter._watched_for_lag(step, self.wh)

    def _beyond(self, step: Step, rose_wh: float) -> tuple[float, float]:
        """Return by how much all rises, this one among them, exceed the connection and power.

        What the connection could have carried, and did not, makes room for earlier rises; so does power.
        """
        carried = carried_wh(elapsed_s=self.still_s, connection_w=step.connection_w)
        explained_wh = POWER_FACTOR * (self.still_power_wh + self.still_other_wh)
        return (
            max(0.0, self.beyond_connection_wh + rose_wh - carried),
            max(0.0, self.beyond_power_wh + rose_wh - explained_wh) if self.still_watched else 0.0,
        )

    def _raced(self, step: Step, now_wh: float) -> "Counter":
        """Return the counter beside a register that runs away: power counts, or at most what the connection carries.

        It is believed again once it follows power for as long as a coarse counter needs for a step.
        """
        rose_wh = now_wh - self.confirmed_wh
        carried = carried_wh(elapsed_s=step.gap_s, connection_w=step.connection_w)
        wh = self.wh + (step.estimate_wh if step.watched else min(rose_wh, carried))
        rise_wh = power_wh = 0.0
        if step.watched:
            before = self.racing or (0.0, 0.0)
            rise_wh, power_wh = before[0] + rose_wh, before[1] + step.estimate_wh + step.other_wh
        compared = power_wh >= LAG_WH_UNKNOWN
        follows = compared and FOLLOWS_SHARE * power_wh <= rise_wh <= POWER_FACTOR * power_wh
        still = rose_wh <= 0
        return replace(
            self,
            wh=wh,
            confirmed_wh=wh,
            offset_wh=self.offset_wh + wh - now_wh,
            falls=0,
            suspect_wh=None,
            old=None,
            substituted=True,
            still_s=self.still_s if still else 0.0,
            still_power_wh=self.still_power_wh if still else 0.0,
            still_other_wh=self.still_other_wh if still else 0.0,
            still_watched=self.still_watched if still else True,
            lag_from_wh=None,
            lag_power_wh=0.0,
            beyond_connection_wh=0.0,
            beyond_power_wh=0.0,
            racing=None if follows else (0.0, 0.0) if compared else (rise_wh, power_wh),
            doubt=Doubt.JUMP,
        )

    def _watched_for_lag(self, step: Step, before_wh: float) -> "Counter":
        """Return the counter with power's word on whether it moves; while it does not, power stands in for it."""
        if not step.watched or self.lag_from_wh is None:
            return replace(self, lag_from_wh=self.confirmed_wh, lag_power_wh=0.0, lagging=False)
        flows = step.estimate_wh * 3600 >= LAG_POWER_W_MIN * step.gap_s
        power_wh = self.lag_power_wh + (step.estimate_wh if flows else 0.0)
        counter = replace(self, lag_power_wh=power_wh)
        if self.lagging:
            return counter._while_lagging(step, before_wh)
        if power_wh < lag_threshold_wh(self.step_wh):
            return counter
        share = (self.confirmed_wh - self.lag_from_wh) / power_wh
        counter = replace(counter, lag_from_wh=self.confirmed_wh, lag_power_wh=0.0)
        if share >= LAG_SHARE:
            return counter
        return replace(
            counter,
            wh=max(self.wh, self.lag_from_wh + power_wh, self.confirmed_wh + self.still_power_wh),
            lagging=True,
            lost_from_wh=self.lag_from_wh,
            lost_wh=power_wh,
            substituted=True,
            doubt=Doubt.STUCK,
        )

    def _while_lagging(self, step: Step, before_wh: float) -> "Counter":
        assert self.lag_from_wh is not None
        grown_wh, lost_wh = before_wh + step.estimate_wh, self.lost_wh + step.estimate_wh
        if self.confirmed_wh - self.lost_from_wh >= FOLLOWS_SHARE * lost_wh:
            # It counts in coarse steps, and this one holds what power had estimated.
            return replace(self, lagging=False, lag_from_wh=self.confirmed_wh, lag_power_wh=0.0, substituted=True)
        counter = replace(self, wh=grown_wh, lost_wh=lost_wh, substituted=True, doubt=Doubt.STUCK)
        if self.lag_power_wh < LAG_WH_MIN:
            return counter
        follows = self.confirmed_wh - self.lag_from_wh >= FOLLOWS_SHARE * self.lag_power_wh
        counter = replace(counter, lag_from_wh=self.confirmed_wh, lag_power_wh=0.0)
        return counter if not follows else counter._rebased(grown_wh, lagging=False)

    def _doubted(self, step: Step, read_wh: float) -> "Counter":
        """Return the counter beside a level that cannot be; one that lasts is another meter's.

        What power says flowed since the counter last rose is counted: the level before may have stood still already.
        """
        doubt = Doubt.FALL if read_wh + self.offset_wh < self.confirmed_wh else Doubt.JUMP
        follows = self.suspect_wh is not None and 0 <= read_wh - self.suspect_wh <= room_wh(
            elapsed_s=step.gap_s,
            connection_w=step.connection_w,
            power_wh=step.estimate_wh if step.watched else None,
        )
        counter = replace(self._estimated(step, doubt), falls=self.falls + 1 if follows else 1, suspect_wh=read_wh)
        if self.still_watched:
            counter = replace(counter, wh=max(counter.wh, self.confirmed_wh + self.still_power_wh))
        if counter.falls < _FALLS_ACCEPTED:
            return counter
        offset_wh = counter.wh - read_wh
        return replace(
            counter._rebased(counter.wh, lagging=False),
            confirmed_wh=counter.wh,
            offset_wh=offset_wh,
            falls=0,
            suspect_wh=None,
            old=(self.offset_wh, self.confirmed_wh, self.still_s) if self.old is None else self.old,
            doubt=Doubt.OTHER_LEVEL,
        )

    def _rebased(self, wh: float, *, lagging: bool) -> "Counter":
        """Return the counter whose register stands for a level from now on; what it missed stays estimated."""
        return replace(
            self,
            wh=wh,
            confirmed_wh=wh,
            offset_wh=self.offset_wh + wh - self.confirmed_wh,
            lagging=lagging,
            lag_from_wh=wh,
            lag_power_wh=0.0,
            still_s=0.0,
            still_power_wh=0.0,
            still_other_wh=0.0,
            still_watched=True,
            step_wh=0.0,
        )

    def closed(self, boundary_wh: int) -> "Counter":
        """Return the counter with a new interval begun; one that begins on an estimate is substituted at once."""
        open_doubt = self.wh > self.confirmed_wh or self.falls > 0 or self.lagging or self.racing is not None
        return replace(self, boundary_wh=boundary_wh, substituted=open_doubt, doubt=self.doubt if open_doubt else "")


def restored(state: dict[str, Any]) -> Counter:
    """Return the counter of a stored state, that of a gateway before there were doubts too."""
    old, racing = state.get("old"), state.get("racing")
    tuples = {"old": old and (old[0], old[1], old[2]), "racing": racing and (racing[0], racing[1])}
    return Counter(**{**state, **tuples})


def whole(wh: float) -> int:
    """Cut to whole Wh; a millionth is given back, which sums of floats may have lost."""
    return math.floor(wh + 1e-6)


def begun(read_wh: float, begun_wh: float, since_s: float) -> Counter:
    """Return a counter first seen ``since_s`` into an interval, of which ``begun_wh`` is estimated to have passed."""
    near = since_s <= INTERPOLATION_S_MAX
    return Counter(
        wh=read_wh,
        confirmed_wh=read_wh,
        boundary_wh=max(0, whole(read_wh - begun_wh)) if near else None,
        substituted=since_s > 0,
    )
