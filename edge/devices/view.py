"""The canonical picture of one device: which point stands for which quantity, made cheap enough for every cycle."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf

from contracts.units import Quality
from domain.plausibility import RISES, CounterHabit
from edge.devices.canonical import Spec, derive, refined, substituted, to_canonical
from edge.devices.doubt import could_be, has_turned_words, is_misread
from edge.devices.points import DerivedSpec, Kind, PointSpec
from edge.devices.quality import ChargeGuard, CounterGuard, Quarantine, is_counter, plausible_range
from edge.devices.resolve import Resolved, allows
from edge.modbus.point import Access, Reading, RegisterPoint
from edge.modbus.poller import STALE_PERIODS, STALE_S_MIN

# What a meter reports under its own name, where a hybrid reports it as the grid's.
_AS_METER = {
    "grid_import_wh": "energy_import_wh",
    "grid_export_wh": "energy_export_wh",
    "grid_energy_import_wh": "energy_import_wh",
    "grid_energy_export_wh": "energy_export_wh",
    "grid_power_w": "active_power_w",
    "grid_power_factor": "power_factor",
    "grid_frequency_hz": "frequency_hz",
    **{f"grid_active_power_l{phase}_w": f"active_power_l{phase}_w" for phase in (1, 2, 3)},
    **{f"grid_power_l{phase}_w": f"active_power_l{phase}_w" for phase in (1, 2, 3)},
    **{f"grid_voltage_l{phase}_v": f"voltage_l{phase}_v" for phase in (1, 2, 3)},
    **{f"grid_current_l{phase}_a": f"current_l{phase}_a" for phase in (1, 2, 3)},
}


@dataclass(slots=True, eq=False)
class Source:
    """One point, or one derived value, that can stand for a quantity.

    ``made`` is what became of the reading ``seen``; until ``fresh_until_s`` it is good as it is. ``verdict`` is whether
    it speaks for the map or against it, by the bounds that the quantity has whatever the site.
    """

    name: str
    canonical: str
    spec: Spec
    point: RegisterPoint | None
    stale_s: float
    bounds: tuple[float, float] | None = None
    guard: CounterGuard | ChargeGuard | None = None
    turned: bool = False
    verdict_bounds: tuple[float, float] | None = None
    verdict: bool | None = None
    seen: Reading | None = None
    made: Reading | None = None
    fresh_until_s: float = -inf

    def make(self, reading: Reading, quarantine: Quarantine) -> Reading:
        """Return a reading in our sign, checked; made once for each reading that arrives."""
        if reading is self.seen and self.made is not None:
            return self.made
        made = substituted(self.spec, reading)
        value = to_canonical(self.spec, made.value)
        if self.turned and isinstance(value, int | float) and not isinstance(value, bool):
            value = -value if value else value
        if isinstance(self.guard, CounterGuard) and isinstance(value, int | float):
            value = self._level(self.guard, value, reading)
        if value is not made.value:
            made = replace(made, value=value, quality=made.quality if value is not None else Quality.INVALID)
        self.verdict = None
        if isinstance(value, int | float) and not isinstance(value, bool):
            why = self._implausible(value, reading)
            self.verdict = self._verdict(value)
            if why is not None:
                quarantine.add(self.canonical, value, why)
                made = self._instead(made, value)
        self.seen, self.made = reading, made
        self.fresh_until_s = made.monotonic_s + self.stale_s if made.quality is Quality.GOOD else -inf
        return made

    @staticmethod
    def _level(guard: CounterGuard, shown_wh: float, reading: Reading) -> float | None:
        """Return the level of a counter by what it shows, as its profile says that it behaves."""
        level_wh = guard.counted_wh(shown_wh)
        if level_wh is not None and guard.went_round(level_wh, now_s=reading.monotonic_s):
            return guard.counted_wh(shown_wh)
        return level_wh

    def _verdict(self, value: float) -> bool | None:
        if self.verdict_bounds is not None:
            return could_be(value, self.verdict_bounds)
        beyond = self.bounds is not None and not self.bounds[0] <= value <= self.bounds[1]
        # A power within the bounds of the site speaks for nothing.
        return False if beyond or has_turned_words(value) else None

    def _implausible(self, value: float, reading: Reading) -> str | None:
        """Return why a value cannot be; None where it can."""
        if self.bounds is not None and not self.bounds[0] <= value <= self.bounds[1]:
            return f"outside {self.bounds[0]:g} to {self.bounds[1]:g}"
        if has_turned_words(value):
            return "a float whose words stand in the other order"
        if self.guard is None or self.guard.accepts(value, now_s=reading.monotonic_s):
            return None
        return "which is no way from the reading before"

    def _instead(self, made: Reading, value: float) -> Reading:
        """Return what stands for a sample that cannot be: nothing, or the charge of before, as old as it is."""
        within = self.bounds is None or self.bounds[0] <= value <= self.bounds[1]
        if isinstance(self.guard, ChargeGuard) and within and self.made is not None:
            return self.made
        return replace(made, value=None, quality=Quality.INVALID)


@dataclass(kw_only=True)
class View:
    """The quantities of one device.

    Args:
        sources: By canonical name, the best first; a worse one stands in while the best has no value.
        null_frame: Points and raw values that together mean that the device has nothing to say.
        headers: Points and raw values of which each tells that its model lies where it was found.
    """

    sources: Mapping[str, tuple[Source, ...]]
    refine: Mapping[str, RegisterPoint]
    quarantine: Quarantine = field(default_factory=Quarantine)
    null_frame: Mapping[str, float] = field(default_factory=dict)
    headers: Mapping[str, int] = field(default_factory=dict)
    witnesses: tuple[Source, ...] = field(init=False)
    _is_moved: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.witnesses = tuple(
            source
            for sources in self.sources.values()
            for source in sources
            if source.bounds is not None or source.verdict_bounds is not None
        )

    def snapshot(self, latest: Mapping[str, Reading], now_s: float) -> dict[str, Reading]:
        """Return the newest reading of every quantity that has one, stale where it has aged.

        None of them has a value while the device has nothing to say, or is read the wrong way.
        """
        shown = {name: latest[name].raw for name in self.headers if name in latest}
        self._is_moved = any(raw is not None and raw != self.headers[name] for name, raw in shown.items())
        found = self._read(latest, now_s)
        if self.is_misread or (self.null_frame and self._is_null(latest)):
            return {name: replace(reading, value=None, quality=Quality.INVALID) for name, reading in found.items()}
        return found

    @property
    def is_misread(self) -> bool:
        """Return whether most of what was read last, and has bounds, cannot be, or a model is not where it was."""
        return self._is_moved or is_misread(source.verdict for source in self.witnesses)

    def _read(self, latest: Mapping[str, Reading], now_s: float) -> dict[str, Reading]:
        found: dict[str, Reading] = {}
        for canonical, sources in self.sources.items():
            first = sources[0]
            seen = first.seen
            # Most readings are those of the cycle before: neither new nor aged nor in need of a stand-in.
            if seen is not None and latest.get(first.name) is seen and now_s <= first.fresh_until_s:
                found[canonical] = first.made  # type: ignore[assignment]
                continue
            chosen = self._best(sources, latest, now_s)
            if chosen is not None:
                found[canonical] = chosen
        return found

    def _best(self, sources: tuple[Source, ...], latest: Mapping[str, Reading], now_s: float) -> Reading | None:
        """Return the first good reading, or else the best of the others."""
        chosen: Reading | None = None
        for source in sources:
            reading = self._reading(source, latest)
            if reading is None:
                continue
            made = source.make(reading, self.quarantine)
            if made.quality is Quality.GOOD and now_s - made.monotonic_s > source.stale_s:
                made = replace(made, quality=Quality.STALE)
            if made.quality is Quality.GOOD:
                return made
            chosen = made if chosen is None or chosen.value is None else chosen
        return chosen

    def _reading(self, source: Source, latest: Mapping[str, Reading]) -> Reading | None:
        if isinstance(source.spec, DerivedSpec):
            return derive(source.spec, latest)
        reading = latest.get(source.name)
        if reading is not None and source.name in self.refine:
            return refined(self.refine[source.name], reading)
        return reading

    def _is_null(self, latest: Mapping[str, Reading]) -> bool:
        return all(name in latest and latest[name].raw == raw for name, raw in self.null_frame.items())


def build_view(
    resolved: Resolved,
    *,
    kinds: frozenset[Kind] | None = None,
    use: Mapping[str, str] | None = None,
    turned: frozenset[str] = frozenset(),
    rated_w: float,
    power_w_max: Mapping[str, float] | None = None,
) -> View:
    """Return the view of a device.

    Args:
        kinds: What the device is to the site; points of its other kinds are left out. None is everything.
        use: Canonical name to the point that shall stand for it, where the profile offers several.
        turned: Canonical names that this installation counts the other way round (a current transformer on its head).
        rated_w: Greatest power that any of its counters can count.
        power_w_max: By canonical name, the magnitude beyond which a power is no measurement.
    """
    limits = power_w_max or {}
    use = use or {}
    named: list[tuple[str, Spec]] = [*resolved.profile.points.items(), *resolved.profile.derived.items()]
    as_meter = kinds == frozenset({Kind.METER}) and any(spec.canonical in _AS_METER for _, spec in named)
    sources: dict[str, list[Source]] = {}
    for name, spec in named:
        if not allows(spec.kind, kinds):
            continue
        if isinstance(spec, PointSpec) and (
            spec.scale_factor or name not in resolved.points or spec.access is Access.WRITE
        ):
            continue
        if isinstance(spec, DerivedSpec) and not all(part in resolved.points for part in (*spec.plus, *spec.minus)):
            continue
        canonical = spec.canonical
        if as_meter and canonical in _AS_METER.values():
            continue
        if as_meter:
            canonical = _AS_METER.get(canonical, canonical)
        if canonical in use and use[canonical] != name:
            continue
        sources.setdefault(canonical, []).append(
            _source(
                resolved,
                name,
                spec,
                canonical,
                is_turned=canonical in turned,
                rated_w=rated_w,
                power_w_max=limits.get(canonical),
            )
        )
    for canonical, found in sources.items():
        # A counter never changes its source: another register counts from another start.
        if is_counter(canonical):
            del found[1:]
    return View(
        sources={canonical: tuple(found) for canonical, found in sources.items()},
        refine={name: point for name, point in resolved.points.items() if point.parts},
        null_frame=resolved.profile.null_frame,
    )


def _source(
    resolved: Resolved,
    name: str,
    spec: Spec,
    canonical: str,
    *,
    is_turned: bool,
    rated_w: float,
    power_w_max: float | None,
) -> Source:
    point = resolved.points.get(name)
    if isinstance(spec, DerivedSpec):
        classes = [resolved.points[part].poll_class for part in (*spec.plus, *spec.minus)]
    else:
        assert point is not None
        classes = [point.poll_class]
    return Source(
        name=name,
        canonical=canonical,
        spec=spec,
        point=point,
        stale_s=max(STALE_PERIODS * max(map(resolved.profile.link.period_s, classes)), STALE_S_MIN),
        verdict_bounds=plausible_range(canonical),
        bounds=plausible_range(canonical) if power_w_max is None else (-power_w_max, power_w_max),
        guard=_guard(canonical, rated_w, habit=_habit(spec)),
        turned=is_turned,
    )


def _guard(canonical: str, rated_w: float, *, habit: CounterHabit) -> CounterGuard | ChargeGuard | None:
    if is_counter(canonical):
        return CounterGuard(rated_w=rated_w, habit=habit)
    return ChargeGuard() if canonical == "soc_pct" else None


def _habit(spec: Spec) -> CounterHabit:
    said = spec.counter if isinstance(spec, PointSpec) else None
    if said is None:
        return RISES
    return CounterHabit(
        wraps_at_wh=said.wraps_at_wh, counts_down=said.counts_down, zero_is_no_value=said.zero_is_no_value
    )
