"""Which profiles fit a device, and why: what it tells about itself, and values that could be what a profile says."""

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contracts.units import Quality
from edge.devices.catalogue import load_profile
from edge.devices.profile import Profile
from edge.devices.quality import plausible_range
from edge.devices.resolve import Resolved, resolve
from edge.errors import DeviceRefused
from edge.modbus.bus import Bus
from edge.modbus.codec import decode
from edge.modbus.faults import NoReply
from edge.modbus.point import Access, LinkLimits, Priority, RegisterPoint, Table
from edge.modbus.sunspec import SunSpecMap, discover
from edge.modbus.url import parse_url

PROBES_PER_PROFILE = 6
_TOLD = 3.0  # A name that the device tells outweighs values that merely could be.
_COULD_BE = 1.0  # A voltage or a frequency of the grid.
_NOT_ABSURD = 0.3  # A state of charge or a temperature that is not zero: many registers could be one.


@dataclass(frozen=True, kw_only=True)
class Match:
    """How well a profile fits, and why."""

    profile: str
    score: float
    evidence: tuple[str, ...]


async def identify(url: str, profiles: Sequence[str], user_dir: Path | None = None) -> tuple[Match, ...]:
    """Return the profiles that fit a device, the best first, each with what speaks for it.

    Raises:
        ConfigError: The url cannot be used.
        DeviceSilent: It does not answer at all.
    """
    endpoint = parse_url(url)
    matches: list[Match] = []
    async with Bus(endpoint) as bus:
        bus.unit(endpoint.unit, limits=LinkLimits())
        sunspec = await discover(bus, endpoint.unit)
        reader = _Reader(bus, endpoint.unit)
        for name in profiles:
            match = await _match(load_profile(name, user_dir), sunspec, reader)
            if match is not None:
                matches.append(match)
    return tuple(sorted(matches, key=lambda match: (-match.score, match.profile)))


class _Reader:
    """Reads each range once; many profiles ask for the same."""

    def __init__(self, bus: Bus, unit: int) -> None:
        self._bus = bus
        self._unit = unit
        self._known: dict[tuple[Table, int, int], tuple[int, ...] | None] = {}

    async def words(self, table: Table, address: int, count: int) -> tuple[int, ...] | None:
        key = (table, address, count)
        if key not in self._known:
            self._known[key] = None
            with contextlib.suppress(NoReply, DeviceRefused):
                self._known[key] = await self._bus.read(self._unit, table, address, count, priority=Priority.BACKGROUND)
        return self._known[key]

    async def value(self, point: RegisterPoint) -> tuple[object, Quality] | None:
        image: dict[int, int] = {}
        for start, end in point.spans():
            words = await self.words(point.table, start, end - start)
            if words is None:
                return None
            image.update(zip(range(start, end), words, strict=True))
        reading = decode(point, image)
        return reading.value, reading.quality


async def _match(profile: Profile, sunspec: SunSpecMap | None, reader: _Reader) -> Match | None:
    evidence: list[str] = []
    score = 0.0
    if profile.sunspec is not None:
        if sunspec is None:
            return None
        wanted = {model.id for model in profile.sunspec.chain}
        shown = {model.model_id for model in sunspec.models}
        same = {other for model in wanted for other in profile.sunspec.same_layout.get(model, ())}
        common = shown & (wanted | same)
        evidence.append(f"SunSpec models {', '.join(map(str, sorted(common)))}")
        score += 0.1 * len(common)
    resolved = resolve(profile, sunspec if profile.sunspec is not None else None)
    told = await _told(profile, resolved, reader)
    if told is None:
        return None
    plausible = await _plausible(profile, resolved, reader)
    if plausible is None:
        return None
    evidence += [*told, *plausible]
    score += _TOLD * len(told) + sum(plausible.values())
    return Match(profile=profile.id, score=round(score, 1), evidence=tuple(evidence)) if score else None


async def _told(profile: Profile, resolved: Resolved, reader: _Reader) -> list[str] | None:
    """Return what the device says about itself that fits; None where it says something else."""
    evidence: list[str] = []
    for name, pattern in profile.identify.items():
        point = resolved.points.get(name)
        read = None if point is None else await reader.value(point)
        if read is None or not re.search(pattern, str(read[0])):
            return None
        evidence.append(f"{name} reads {read[0]}")
    return evidence


async def _plausible(profile: Profile, resolved: Resolved, reader: _Reader) -> dict[str, float] | None:
    """Return values that could be what the profile says, and what each of them weighs; None where one cannot."""
    evidence: dict[str, float] = {}
    candidates = [
        (name, point)
        for name, point in resolved.points.items()
        if plausible_range(profile.points[name].canonical) is not None and point.access is not Access.WRITE
    ]
    candidates.sort(key=lambda pair: not profile.points[pair[0]].canonical.startswith(("voltage_l1", "frequency")))
    for name, point in candidates[:PROBES_PER_PROFILE]:
        spec = profile.points[name]
        read = await reader.value(point)
        if read is None:
            return None if profile.sunspec is None else evidence
        value, quality = read
        if quality is not Quality.GOOD or not isinstance(value, int | float):
            continue
        if spec.rescale is not None and abs(value) > spec.rescale.value:
            value = value * spec.rescale.factor
        bounds = plausible_range(spec.canonical)
        assert bounds is not None
        if not bounds[0] <= value <= bounds[1]:
            return None
        is_grid = spec.canonical.startswith(("voltage", "grid_voltage")) or spec.canonical.endswith("frequency_hz")
        if is_grid or value:
            evidence[f"{name} reads {value:g} {spec.unit}"] = _COULD_BE if is_grid else _NOT_ABSURD
    return evidence
