"""Which profiles fit a device, and why: what it tells about itself, and values that could be what a profile says."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from contracts.units import Quality
from edge.devices.catalogue import load_profile
from edge.devices.points import PointSpec
from edge.devices.profile import Profile
from edge.devices.quality import plausible_range
from edge.devices.resolve import Resolved, resolve
from edge.devices.scan import framing_hint
from edge.errors import DeviceImplausible, DeviceRefused, DeviceSilent
from edge.modbus.bus import Bus, open_patiently
from edge.modbus.codec import decode
from edge.modbus.faults import Fault, NoReply
from edge.modbus.patience import GATEWAY, PASSING, read_patiently
from edge.modbus.point import Access, DataType, LinkLimits, Priority, RegisterPoint, Table
from edge.modbus.sunspec import SunSpecMap, discover
from edge.modbus.url import parse_url

PROBES_PER_PROFILE = 6
MISSES_MAX = 2  # Registers of a profile that the device does not have, before no more of them are asked for.
SILENCES_MAX = 4  # Reads without any answer, with none before, after which nobody is there.
# Ranges refused for a reason that may pass, with no value between, after which each further one is asked for once:
# some devices refuse so what they do not have. What was refused is asked for again in a second pass over all profiles.
PUT_OFFS_MAX = 4
# What each finding weighs. A name that the device tells outweighs values that merely could be; no value decides alone.
_NAME = 3.0
_NAME_OF_ANOTHER = -10.0
_CODE_OF_ANOTHER = -3.0  # A device type that is not listed may be a newer one.
_ANYTHING = 0.3  # A pattern that everything fits: the point is there.
_FREQUENCIES = plausible_range("frequency_hz")
_NO_GRID = (52.5, 57.5)  # Between the grids of 50 Hz and of 60 Hz there is none, though a meter may be tried there.
_COULD_BE = 1.0  # A voltage or a frequency of the grid.
_NOT_ABSURD = 0.3  # A state of charge or a temperature that is not zero: many registers could be one.
_CANNOT_BE = -1.0
_MISSING = -0.5
_MODEL = 0.1


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
        DeviceSilent: It does not answer at all; or no profile fits, and its answers had another length than was asked.
        DeviceRefused: It refuses everything, for a reason that may pass: it boots, or only a gateway answers. Or no
            profile fits, and it refused some for such a reason.
    """
    endpoint = parse_url(url)
    async with open_patiently(endpoint) as bus:
        bus.unit(endpoint.unit, limits=LinkLimits())
        reader = _Reader(bus, endpoint.unit)
        try:
            matches = await _matches(profiles, user_dir, reader)
            if reader.ask_again():
                matches = await _matches(profiles, user_dir, reader)
        except NoReply as lost:
            raise DeviceSilent(f"{lost}{framing_hint(endpoint, lost)}") from lost
    if not matches:
        reader.check_answered()
    return tuple(sorted(matches, key=lambda match: (-match.score, match.profile)))


async def _matches(profiles: Sequence[str], user_dir: Path | None, reader: "_Reader") -> list[Match]:
    sunspec = await reader.sunspec()
    found = [await _match(load_profile(name, user_dir), sunspec, reader) for name in profiles]
    return [match for match in found if match is not None]


class _Reader:
    """Reads each range once; many profiles ask for the same. A silence is one register's until nothing answers."""

    def __init__(self, bus: Bus, unit: int) -> None:
        self._bus = bus
        self._unit = unit
        self._known: dict[tuple[Table, int, int], tuple[int, ...] | None] = {}
        self._has_answered = False
        self._silences = 0
        self._passing: DeviceRefused | None = None
        self._cut_off: NoReply | None = None
        self._was_put_off = False
        self._put_offs = 0

    async def sunspec(self) -> SunSpecMap | None:
        """Return the models of the device, None where it shows none.

        Raises:
            DeviceRefused: A gateway says that nobody is behind it.
            NoReply: There is no connection.
        """
        try:
            found = await discover(self._bus, self._unit)
        except NoReply as lost:
            self._silent(lost)
            return None
        except DeviceRefused as refusal:
            if refusal.exception_code in GATEWAY:
                raise
            self._put_off(refusal)
            return None
        except DeviceImplausible:
            found = None
        self._has_answered = True
        return found

    async def words(self, table: Table, address: int, count: int) -> tuple[int, ...] | None:
        key = (table, address, count)
        if key not in self._known:
            self._known[key] = None
            try:
                self._known[key] = await self._read(table, address, count)
                self._has_answered = True
                self._put_offs = 0
            except DeviceRefused as refusal:
                if refusal.exception_code in PASSING:
                    self._put_offs += 1
                    self._put_off(refusal)
                else:
                    self._has_answered = True
            except NoReply as lost:
                self._silent(lost)
        return self._known[key]

    async def _read(self, table: Table, address: int, count: int) -> tuple[int, ...]:
        if self._keeps_failing:
            return await self._bus.read(
                self._unit, table, address, count, priority=Priority.BACKGROUND, tries_while_busy=1
            )
        return await read_patiently(self._bus, self._unit, table, address, count, tries=2)

    @property
    def _keeps_failing(self) -> bool:
        return self._put_offs >= PUT_OFFS_MAX

    async def value(self, point: RegisterPoint) -> tuple[object, Quality] | None:
        image: dict[int, int] = {}
        for start, end in point.spans():
            words = await self.words(point.table, start, end - start)
            if words is None:
                return None
            image.update(zip(range(start, end), words, strict=True))
        reading = decode(point, image)
        return reading.value, reading.quality

    def ask_again(self) -> bool:
        """Forget what failed; return whether that may have been in passing.

        So it is where the device failed before its first answer (it booted, or was deaf) and where it was asked once.
        """
        self._known = {key: words for key, words in self._known.items() if words is not None}
        return self._was_put_off

    def _put_off(self, refusal: DeviceRefused) -> None:
        self._passing = refusal
        self._was_put_off = self._was_put_off or not self._has_answered or self._keeps_failing

    def check_answered(self) -> None:
        """Raise what kept a device from being told by its answers: refusals in passing, answers of another length."""
        if self._cut_off is not None:
            raise DeviceSilent(f"{self._cut_off}; no profile fits what else it answers") from self._cut_off
        if self._passing is not None and self._has_answered:
            code = self._passing.exception_code
            raise DeviceRefused(f"{self._passing}; no profile fits what else it answers", exception_code=code)
        if self._passing is not None:
            raise self._passing

    def _silent(self, lost: NoReply) -> None:
        """Take a silence for the register's, unless there is no connection or nothing was ever answered."""
        if lost.fault is Fault.LENGTH:
            self._cut_off, self._has_answered = lost, True
        self._silences += 1
        self._was_put_off = self._was_put_off or not self._has_answered
        is_gone = lost.fault is Fault.UNCONNECTED or (not self._has_answered and self._silences >= SILENCES_MAX)
        if is_gone:
            raise lost
        self._bus.unit(self._unit).excuse()


@dataclass
class _Score:
    """What speaks for a profile and against it."""

    value: float = 0.0
    misses: int = 0
    evidence: list[str] = field(default_factory=list)

    def add(self, weight: float, evidence: str) -> None:
        """Count a finding, and name it."""
        self.value += weight
        self.evidence.append(evidence)

    def miss(self, name: str) -> None:
        """Count a point that the device does not have."""
        self.misses += 1
        self.add(_MISSING, f"no {name}")


async def _match(profile: Profile, sunspec: SunSpecMap | None, reader: _Reader) -> Match | None:
    """Return how well a profile fits; None where more speaks against it than for it."""
    score = _Score()
    if profile.sunspec is not None:
        if sunspec is None:
            return None
        wanted = {model.id for model in profile.sunspec.chain}
        shown = {model.model_id for model in sunspec.models}
        same = {other for model in wanted for other in profile.sunspec.same_layout.get(model, ())}
        common = shown & (wanted | same)
        score.add(_MODEL * len(common), f"SunSpec models {', '.join(map(str, sorted(common)))}")
        if sunspec.unread is not None:
            score.add(0.0, sunspec.unread.told(sunspec.models))
    resolved = resolve(profile, sunspec if profile.sunspec is not None else None)
    has_told = await _add_told(score, resolved, reader)
    has_shown = await _add_plausible(score, resolved, reader)
    fits = (has_told or has_shown) and score.value > 0
    return Match(profile=profile.id, score=round(score.value, 1), evidence=tuple(score.evidence)) if fits else None


async def _add_told(score: _Score, resolved: Resolved, reader: _Reader) -> bool:
    """Count what the device says about itself; return whether any of it fits."""
    fits = False
    for name, pattern in resolved.profile.identify.items():
        point = resolved.points.get(name)
        read = None if point is None else await reader.value(point)
        if point is None or read is None or read[1] is not Quality.GOOD:
            score.miss(name)
            continue
        if re.search(pattern, str(read[0])):
            score.add(_ANYTHING if pattern == "." else _NAME, f"{name} reads {read[0]}")
            fits = True
        else:
            weight = _NAME_OF_ANOTHER if point.data_type is DataType.STRING else _CODE_OF_ANOTHER
            score.add(weight, f"{name} reads {read[0]} instead of {pattern}")
    return fits


async def _add_plausible(score: _Score, resolved: Resolved, reader: _Reader) -> bool:
    """Count values that could be what the profile says, and those that could not; return whether any could."""
    could_be = False
    specs = resolved.profile.points
    candidates = [
        (name, point)
        for name, point in resolved.points.items()
        if plausible_range(specs[name].canonical) is not None and point.access is not Access.WRITE
    ]
    candidates.sort(key=lambda pair: not specs[pair[0]].canonical.startswith(("voltage_l1", "frequency")))
    for name, point in candidates[:PROBES_PER_PROFILE]:
        if score.misses >= MISSES_MAX:
            break
        read = await reader.value(point)
        if read is None:
            score.miss(name)
            continue
        value, quality = read
        if quality is Quality.GOOD and isinstance(value, int | float):
            could_be = _add_value(score, name, specs[name], value) or could_be
    return could_be


def _add_value(score: _Score, name: str, spec: PointSpec, value: float) -> bool:
    """Count one value of a quantity that has bounds; return whether it could be one."""
    if spec.rescale is not None and abs(value) > spec.rescale.value:
        value = value * spec.rescale.factor
    bounds = plausible_range(spec.canonical)
    assert bounds is not None
    if not value:
        return False  # Nothing connected, no grid, or a register that is only there: neither for nor against.
    if not bounds[0] <= value <= bounds[1] or (bounds == _FREQUENCIES and _NO_GRID[0] < value < _NO_GRID[1]):
        score.add(_CANNOT_BE, f"{name} reads {value:g} {spec.unit}, which cannot be")
        return False
    is_grid = spec.canonical.startswith(("voltage", "grid_voltage")) or spec.canonical.endswith("frequency_hz")
    score.add(_COULD_BE if is_grid else _NOT_ABSURD, f"{name} reads {value:g} {spec.unit}")
    return True
