"""Registers without a device: a dump decoded, a value encoded, a plan of requests. Pure but for the file's text."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from contracts.reasons import reason_of
from contracts.spelling import meant
from contracts.units import Quality
from edge.devices.canonical import Spec, derive, refined, to_canonical
from edge.devices.facts import conditions, word_order_of
from edge.devices.points import DerivedSpec
from edge.devices.profile import Profile
from edge.devices.resolve import Resolved, resolve, resolve_point
from edge.errors import ConfigError, DeviceImplausible, ValueRefused
from edge.modbus.codec import Value, covers, decode
from edge.modbus.cost import CostModel
from edge.modbus.encode import Write, encode
from edge.modbus.plan import Plan, plan_reads
from edge.modbus.point import Access, Reading, RegisterPoint, Table, WordOrder
from edge.modbus.sunspec import SunSpecMap, walk_image

# Refusals that say that a value does not fit; programs see one code and the finer one as the reason.
DOES_NOT_FIT = frozenset(
    {"out_of_range", "negative_unsigned", "overflow", "sentinel_collision", "step", "not_in_enum", "too_long"}
)


@dataclass(frozen=True, kw_only=True)
class Registers:
    """What was read of a device: words (or bits) by table and address."""

    tables: Mapping[Table, Mapping[int, int]] = field(default_factory=dict)

    def of(self, table: Table) -> Mapping[int, int]:
        """Return the words of a table."""
        return self.tables.get(table, {})


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A point as the device means it and as we mean it."""

    value: Value
    unit: str
    quality: Quality
    canonical: str
    canonical_value: Value
    raw: int | str | None

    def as_dict(self) -> dict[str, Any]:
        """Return the answer for programs."""
        return {
            "value": self.value,
            "unit": self.unit,
            "quality": self.quality.value,
            "canonical": self.canonical,
            "canonical_value": self.canonical_value,
            "raw": self.raw,
        }


def parse_registers(text: str) -> Registers:
    """Return the registers of ``{"holding": {"40083": 14152}, "input": {}, "coil": {}, "discrete": {}}``.

    A table that is not there is empty; other keys (when it was read, of what) are left alone.

    Raises:
        ConfigError: It is not such a file; one sentence says where.
    """
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"registers cannot be read: {reason_of(error)}") from error
    if not isinstance(raw, dict):
        raise ConfigError("registers are no JSON object with the keys holding, input, coil, discrete")
    if raw and not any(table.value in raw for table in Table):
        raise ConfigError(f"registers have none of the keys {', '.join(Table)}, but {', '.join(map(str, raw))}")
    tables: dict[Table, dict[int, int]] = {}
    for table in Table:
        words = raw.get(table.value, {})
        if not isinstance(words, dict):
            raise ConfigError(f"registers: {table} is no object of addresses")
        tables[table] = {_address(table, at): _word(table, at, word) for at, word in words.items()}
    return Registers(tables=tables)


def decode_registers(profile: Profile, registers: Registers) -> dict[str, Decoded]:
    """Return every point whose registers are there, and the values that the profile derives from them.

    A SunSpec profile looks for its models in the registers; without a marker its worked example's addresses hold.
    """
    resolved = locate(profile, registers)
    readings: dict[str, Reading] = {}
    found: dict[str, Decoded] = {}
    for name, point in resolved.points.items():
        image = registers.of(point.table)
        if not _is_there(point, image):
            continue
        readings[name] = refined(point, decode(point, image))
        found[name] = as_decoded(resolved.profile.points[name], readings[name])
    for name, spec in resolved.profile.derived.items():
        reading = derive(spec, readings)
        if reading is not None:
            found[name] = as_decoded(spec, reading)
    return found


def locate(profile: Profile, registers: Registers) -> Resolved:
    """Return where the points of a profile lie in a dump, with the word order that the dump tells."""
    found = None
    if profile.sunspec is not None:
        found = walk_image(registers.of(Table.HOLDING), bases=profile.sunspec.bases)
        if found is not None and not found.models:
            found = None
    order: WordOrder | None = None
    learn = profile.defaults.word_order_from
    if learn is not None:
        point = resolve_point(profile, learn.point)
        assert point is not None, "a profile names only points that it has"
        word = registers.of(point.table).get(point.address)
        if word is not None:
            with contextlib.suppress(DeviceImplausible):
                order = word_order_of(learn, word)
    return resolve(profile, found, learned_order=order, told=_told(profile, registers, found, order))


def _told(
    profile: Profile, registers: Registers, found: SunSpecMap | None, order: WordOrder | None
) -> dict[str, str] | None:
    """Return what a dump tells by which points exist; None where it does not hold all of it, so that all are shown."""
    asked = conditions(profile)
    told: dict[str, str] = {}
    for name, point in resolve(profile, found, learned_order=order).points.items():
        if name in asked:
            reading = decode(point, registers.of(point.table))
            if reading.quality is not Quality.GOOD:
                return None
            told[name] = str(reading.value)
    return told


def encode_value(
    profile: Profile, name: str, value: float | int | str, *, scale_factor: int | None = None
) -> tuple[Write, ...]:
    """Return the writes that set a point to a value as the device means it.

    Raises:
        ConfigError: The profile has no such point.
        ValueRefused: The value does not fit; nothing may be written.
    """
    point = resolve_point(profile, name)
    if point is None:
        raise ConfigError(
            f"profile {profile.id} has no point {name!r}; `sitewatt profile show {profile.id}` names them"
            f"{meant(name, profile.points)}"
        )
    return encode_point(profile, point, value, scale_factor=scale_factor)


def encode_point(
    profile: Profile, point: RegisterPoint, value: float | int | str, *, scale_factor: int | None = None
) -> tuple[Write, ...]:
    """Return the writes that set a point where it lies; see ``encode_value``."""
    rule = profile.rule(point.name)
    number = as_number(value)
    if rule is not None and isinstance(number, int | float) and number in rule.special:
        point = replace(point, value_min=None, value_max=None, step=None)
    return encode(point, number, scale_factor=scale_factor)


def as_number(value: float | int | str) -> float | int | str:
    """Return a number where a text is one, whole where it is whole; any other text as it is."""
    if not isinstance(value, str):
        return value
    for read in (lambda text: int(text, 0), float):
        try:
            return read(value)
        except ValueError:
            continue
    return value


def refusal(error: ValueRefused) -> dict[str, Any]:
    """Return a refusal for programs: one code for whatever does not fit, the finer one as the reason."""
    code = "out_of_range" if error.code in DOES_NOT_FIT else error.code
    return {"error": {"code": code, "reason": error.code, "message": str(error)}}


def plan_profile(profile: Profile, cost: CostModel, *, resolved: Resolved | None = None) -> Plan:
    """Return the requests that read every point of a profile on a link of that cost."""
    points = (resolved or resolve(profile)).points.values()
    readable = [point for point in points if point.access is not Access.WRITE]
    return plan_reads(readable, limits=profile.link.limits(), cost=cost)


def as_decoded(spec: Spec, reading: Reading) -> Decoded:
    """Return a reading as the device means it and as we mean it."""
    return Decoded(
        value=reading.value,
        unit=spec.unit,
        quality=reading.quality,
        canonical=spec.canonical,
        canonical_value=to_canonical(spec, reading.value),
        raw=None if isinstance(spec, DerivedSpec) else reading.raw,
    )


def _is_there(point: RegisterPoint, image: Mapping[int, int]) -> bool:
    if point.parts:
        return point.address in image
    return covers(point, image)


def _address(table: Table, text: str) -> int:
    try:
        address = int(text, 0)
    except ValueError:
        address = -1
    if not 0 <= address <= 0xFFFF:
        raise ConfigError(f"registers: {table} has the address {text!r}, not 0 to 65535")
    return address


def _word(table: Table, address: str, word: object) -> int:
    top = 1 if table.is_bits else 0xFFFF
    if not isinstance(word, int) or not 0 <= int(word) <= top:
        raise ConfigError(f"registers: {table} {address} holds {word!r}, not 0 to {top}")
    return int(word)
