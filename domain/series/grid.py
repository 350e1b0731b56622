"""Samples at any instants to values on a regular grid: the step, jitter, duplicates, stray rows, mixed steps, gaps."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from math import gcd

import numpy as np
from numpy.typing import NDArray

from domain.forecasting.series import DAY_S, STEPS_MAX, Floats, Series
from domain.series.errors import SeriesError
from domain.series.oddities import begins_each_day
from domain.series.units import Measures

Ints = NDArray[np.int64]

ANEW = "counter begins each day anew"
STEPS_S = (
    1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 14400, 21600, 28800, 43200,
    DAY_S,
)  # fmt: skip
STEP_S_MIN = 300  # Finer steps are averaged into quarters: a forecast of minutes needs years of them to know a season.
QUARTER_S = 900
ENDS_BEFORE_S = (1, 60)  # 00:59:59 and 00:59 are the end of the hour that began at midnight.
RUN_MIN = 24  # So many equal steps in a row are a regime of their own, not a stray row.
HELD_S_MAX = DAY_S  # A value that changed last is taken to hold so long.
SPREAD_STEPS_MAX = 4  # The energy of a counter over a longer gap says nothing about its steps.


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Instants in epoch seconds with their values and lines, sorted by time; NaN where a value is missing."""

    at: Floats
    values: Floats
    lines: Ints


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A regular series and what it took to make it."""

    series: Series
    step_words: str
    notes: tuple[str, ...]


def lay_out(samples: Samples, measures: Measures | None) -> Grid:
    """Return samples on a grid whose step is the finest that the file keeps to; energies and counters become power.

    Raises:
        SeriesError: There are fewer than two instants, or they keep to no step.
    """
    notes: list[str] = []
    samples = _of_one_time(samples, notes)
    samples = _merged(samples, measures, notes)
    if len(samples.at) < 2:
        raise SeriesError(f"it holds {len(samples.at)} steps, fewer than 2")
    diffs = _snapped(np.diff(samples.at))
    steps = _regimes(diffs)
    if not steps:
        return _of_changes(samples, measures, notes)
    samples, diffs = _without_strays(samples, steps, diffs, notes)
    if min(steps) < STEP_S_MIN:
        words = f"{_step_words(min(steps))} → quarters"
        return _of_changes(samples, measures, notes, words=words, step_s=min(steps))
    return _regular(_stamped_at_ends(samples, min(steps), notes), steps, diffs, measures, notes)


def _stamped_at_ends(samples: Samples, step: int, notes: list[str]) -> Samples:
    """Return samples at the beginnings of their steps where all stand a second or a minute before a whole step."""
    for before in ENDS_BEFORE_S:
        if step < DAY_S and bool((np.abs(samples.at % step - (step - before)) < 0.5).all()):
            notes.append(f"times {before} s before a whole step are taken as the ends of their steps")
            return Samples(at=samples.at - (step - before), values=samples.values, lines=samples.lines)
    return samples


def _of_one_time(samples: Samples, notes: list[str]) -> Samples:
    """Leave out rows years away from all others: a clock that began at 1970 or ran ahead."""
    if len(samples.at) < 20:
        return samples
    low, middle, high = np.quantile(samples.at, (0.05, 0.5, 0.95))
    reach = 2 * (high - low) + 40 * DAY_S
    near = np.abs(samples.at - middle) <= reach
    for line in samples.lines[~near][:3]:
        notes.append(f"line {line} lies far from all others in time, left out")
    return Samples(at=samples.at[near], values=samples.values[near], lines=samples.lines[near])


def _merged(samples: Samples, measures: Measures | None, notes: list[str]) -> Samples:
    """Return one sample an instant: equal ones once, unlike ones as their mean, of a counter the last."""
    at, first, inverse, counts = np.unique(samples.at, return_index=True, return_inverse=True, return_counts=True)
    if len(at) == len(samples.at):
        return samples
    values = samples.values[first].copy()
    equal = unlike = 0
    lines: list[int] = []
    members = np.argsort(inverse, kind="stable")
    begins = np.concatenate([[0], np.cumsum(counts)])
    for place in np.flatnonzero(counts > 1):
        mine = members[begins[place] : begins[place + 1]]
        known = samples.values[mine][np.isfinite(samples.values[mine])]
        if len(known):
            values[place] = known[-1] if measures is Measures.COUNTER else known.mean()
        if len(set(known.tolist())) > 1:
            unlike += 1
            lines.append(int(samples.lines[mine[1]]))
        else:
            equal += len(mine) - 1
    if equal:
        notes.append(f"{equal} duplicate{'s' if equal > 1 else ''} merged")
    if unlike:
        notes.append(
            f"{unlike} time{'s have' if unlike > 1 else ' has'} two values (line {lines[0]} the first), their mean is "
            "taken; if the clock changed, add --timezone"
        )
    return Samples(at=at, values=values, lines=samples.lines[first])


def _snapped(diffs: Floats) -> Ints:
    """Return each distance as the step that it is within jitter, 0 where it is none."""
    steps = np.asarray(STEPS_S, dtype=float)
    nearest = steps[np.abs(diffs[:, None] - steps[None, :]).argmin(axis=1)]
    slack = np.clip(0.05 * nearest, 0.5, 90.0)
    # Local days have 23 and 25 hours.
    slack = np.where(nearest == DAY_S, 3_700.0, slack)
    found: Ints = np.where(np.abs(diffs - nearest) <= slack, nearest, 0).astype(np.int64)
    return found


def _regimes(diffs: Ints) -> list[int]:
    """Return the steps that the file keeps to; empty where its instants follow no step."""
    counts: dict[int, int] = {}
    runs: dict[int, int] = {}
    for step, members in groupby(diffs.tolist()):
        length = sum(1 for _ in members)
        counts[step] = counts.get(step, 0) + length
        runs[step] = max(runs.get(step, 0), length)
    known = {step: count for step, count in counts.items() if step}
    if not known:
        return []
    usual = max(known, key=lambda step: (known[step], -step))
    if known[usual] < 0.6 * len(diffs) and not any(runs[step] >= RUN_MIN for step in known):
        return []
    if sum(known.values()) < 0.7 * len(diffs) and runs[usual] < RUN_MIN * 4:
        return []
    long = [step for step in known if step != usual and runs[step] >= RUN_MIN and step <= DAY_S]
    return sorted({usual, *long})


def _without_strays(samples: Samples, steps: list[int], diffs: Ints, notes: list[str]) -> tuple[Samples, Ints]:
    """Leave out rows between two steps of the grid."""
    step = min(steps)
    phase = _phase(samples.at, step)
    off = np.abs((samples.at - phase + step / 2) % step - step / 2)
    stray = off > 0.25 * step if step < DAY_S else np.zeros(len(off), dtype=bool)
    count = int(stray.sum())
    if not count or count > 0.2 * len(stray):
        return samples, diffs
    shown = ", ".join(str(line) for line in samples.lines[stray][:3])
    notes.append(f"{count} row{'s' if count > 1 else ''} between two steps left out (line {shown})")
    kept = Samples(at=samples.at[~stray], values=samples.values[~stray], lines=samples.lines[~stray])
    return kept, _snapped(np.diff(kept.at))


def _phase(at: Floats, step: int) -> float:
    """Return how far after a whole step the instants mostly lie, negative just before."""
    turn = at % step * (2 * np.pi / step)
    guess = float(np.arctan2(np.sin(turn).mean(), np.cos(turn).mean())) * step / (2 * np.pi)
    off = (at - guess + step / 2) % step - step / 2
    phase = guess + float(np.median(off))
    return 0.0 if abs(phase) <= max(1.0, 0.1 * step) and step < DAY_S else phase


def _regular(samples: Samples, steps: list[int], diffs: Ints, measures: Measures | None, notes: list[str]) -> Grid:
    step = min(steps)
    phase = _phase(samples.at, step)
    if step == DAY_S:
        phase = 0.0
    cell = step
    if abs(phase) > max(1.0, 0.1 * step):
        # Zones at half hours: the grid is cut finer, so that it lies on whole UTC steps.
        cut = gcd(step, round(phase / QUARTER_S) * QUARTER_S)
        if abs(phase - round(phase / QUARTER_S) * QUARTER_S) <= 90 and cut >= STEP_S_MIN:
            cell, phase = cut, 0.0
            notes.append(f"steps that begin {_minutes(step, samples.at)} are given as {_step_words(cell)} ones")
        else:
            notes.append(f"times {phase:.0f} s off a whole step are set to it")
    spans = _spans(diffs, steps)
    at, values = samples.at - phase, samples.values
    if measures is Measures.COUNTER:
        at, values, spans = _differences(samples, phase, step, notes)
    elif measures is Measures.ENERGY:
        values = values * (3600.0 / spans)
    # A local day is the UTC day that it mostly covers.
    whole = np.round(at / cell) if step < DAY_S else np.floor((at + DAY_S / 2) / cell)
    cells = np.maximum(1, np.round(spans / cell))
    grid = _filled(whole.astype(np.int64), cells.astype(np.int64), values, step=cell, notes=notes)
    words = _step_words(steps[0]) if len(steps) == 1 else f"mixed steps ({', '.join(map(_step_words, steps[::-1]))})"
    if len(steps) > 1:
        notes.append(f"longer steps are repeated in each {_step_words(cell)} one")
    return Grid(series=grid, step_words=words, notes=tuple(notes))


def _minutes(step: int, at: Floats) -> str:
    return f"{float(np.median(at % step)) / 60:.0f} minutes after a whole one"


def _spans(diffs: Ints, steps: list[int]) -> Floats:
    """Return how long each sample stands: the distance to the next where the file keeps to it there."""
    if len(steps) == 1:
        return np.full(len(diffs) + 1, float(steps[0]))
    spans: list[int] = []
    known = set(steps)
    listed = diffs.tolist()
    span = next((step for step in listed if step in known), steps[0])
    for place, step in enumerate(listed):
        near = {*listed[max(0, place - 1) : place], *listed[place + 1 : place + 2]}
        if step in known and step in near:
            span = step
        spans.append(span)
    return np.asarray([*spans, span], dtype=float)


def _differences(samples: Samples, phase: float, step: int, notes: list[str]) -> tuple[Floats, Floats, Floats]:
    """Return the mean power between the readings of a counter; a fall is a reset or another meter, and missing."""
    known = np.isfinite(samples.values)
    at, values, lines = samples.at[known] - phase, samples.values[known], samples.lines[known]
    rise, spans = np.diff(values), np.round(np.diff(at) / step) * step
    spans = np.maximum(spans, step)
    fell = rise < 0
    power = np.where(fell | (spans > SPREAD_STEPS_MAX * step), np.nan, rise * 3600.0 / spans)
    if begins_each_day(at, values):
        notes.append(ANEW)
        power = np.where(fell, _beside(power), power)
    elif fell.any():
        notes.append(f"counter fell {_times(int(fell.sum()))} (line {lines[1:][fell][0]}): reset or another meter")
    return at[:-1], power, spans


def _beside(values: Floats) -> Floats:
    """Return the mean of the values before and after each, of the one that is known."""
    sides = np.stack([np.concatenate([[np.nan], values[:-1]]), np.concatenate([values[1:], [np.nan]])])
    known = np.isfinite(sides)
    count = known.sum(axis=0)
    found: Floats = np.divide(
        np.where(known, sides, 0.0).sum(axis=0), count, out=np.full(len(values), np.nan), where=count > 0
    )
    return found


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _filled(first: Ints, length: Ints, values: Floats, *, step: int, notes: list[str]) -> Series:
    if not len(first):
        raise SeriesError("it holds fewer than 2 readings of its counter")
    last = int((first + length).max())
    begin = max(int(first.min()), last - STEPS_MAX)
    sums, counts = np.zeros(last - begin), np.zeros(last - begin)
    for part in range(int(length.max())):
        cells = first + part - begin
        use = (part < length) & (cells >= 0) & np.isfinite(values)
        np.add.at(sums, cells[use], values[use])
        np.add.at(counts, cells[use], 1.0)
    grid = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    if begin > int(first.min()):
        notes.append(f"of {last - int(first.min())} steps the last {STEPS_MAX} are used")
    return Series(start=datetime.fromtimestamp(begin * step, UTC), step_s=step, values=grid)


def _of_changes(
    samples: Samples, measures: Measures | None, notes: list[str], *, words: str = "", step_s: int = 0
) -> Grid:
    """Return the mean of each quarter of values that hold until the next, or of a counter's rise."""
    span = float(samples.at[-1] - samples.at[0])
    if measures is Measures.ENERGY and not step_s:
        raise SeriesError(
            "its energies stand at irregular times, so each one's span is unknown; is it a counter? add "
            "--measures counter"
        )
    if span < 2 * QUARTER_S:
        raise SeriesError(f"it covers {span:.0f} s, less than two quarters of an hour")
    at, values = samples.at, samples.values
    if measures is Measures.COUNTER:
        known = np.isfinite(values)
        at, values = at[known], values[known]
        if len(at) < 2:
            raise SeriesError("it holds fewer than 2 readings of its counter")
        rise = np.diff(values)
        if (rise < 0).any():
            notes.append(f"counter fell {_times(int((rise < 0).sum()))}: reset or another meter")
        rate = np.where(rise < 0, np.nan, rise * 3600.0 / np.maximum(np.diff(at), 1e-6))
    else:
        rate = values[:-1] * (3600.0 / step_s if measures is Measures.ENERGY else 1.0)
    held = np.diff(at)
    # A feed at a fixed pace that fell silent is a gap, a value that is written on change still stands.
    limit = 4 * step_s if step_s else HELD_S_MAX
    known = np.isfinite(rate) & (held <= limit)
    area = np.concatenate([[0.0], np.cumsum(np.where(known, rate, 0.0) * held)])
    time = np.concatenate([[0.0], np.cumsum(np.where(known, held, 0.0))])
    begin, end = int(at[0] // QUARTER_S), int(-(-at[-1] // QUARTER_S))
    begin = max(begin, end - STEPS_MAX)
    edges = np.arange(begin, end + 1) * float(QUARTER_S)
    share = np.diff(np.interp(edges, at, time))
    mean = np.divide(
        np.diff(np.interp(edges, at, area)), share, out=np.full(len(share), np.nan), where=share >= 0.4 * QUARTER_S
    )
    series = Series(start=datetime.fromtimestamp(begin * QUARTER_S, UTC), step_s=QUARTER_S, values=mean)
    return Grid(series=series, step_words=words or "values at irregular times → quarters", notes=tuple(notes))


def _step_words(step: int) -> str:
    names = {QUARTER_S: "quarterly (15 min)", 1800: "half-hourly", 3600: "hourly", DAY_S: "daily"}
    if step in names:
        return names[step]
    return f"{step} s" if step < 60 else f"{step // 60} min" if step < 3600 else f"{step // 3600} h"
