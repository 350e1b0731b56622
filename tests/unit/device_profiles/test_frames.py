"""Every point of every profile against a golden frame that was worked out from the facts, not by our code."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from contracts.units import Quality
from edge.devices.catalogue import list_profiles, load_profile
from edge.devices.offline import Decoded, Registers, decode_registers, plan_profile
from edge.devices.points import PointSpec, Sign
from edge.devices.profile import Profile
from edge.devices.resolve import resolve_point
from edge.modbus.cost import rtu_cost, tcp_cost
from edge.modbus.encode import encode
from edge.modbus.point import Access, DataType, Table, WordOrder
from tests.unit.device_profiles.golden import derived_frames, frames

Frames = dict[str, dict[str, list[Any]]]
GOLDEN = json.loads(Path(__file__).with_name("frames.json").read_text(encoding="utf-8"))
FRAMES: Frames = GOLDEN["devices"] | frames()
DERIVED: Frames = GOLDEN["derived"] | derived_frames()
WRITABLE = 344
FACTS = 2477  # Points that public sources tell; a profile may put several of them together as one more.

# Below 60 by its condition, so that it reads the same signed or not.
UNSEEN = {("phoenix_ev_eth", "max_current_whole", "type")}

NO_NUMBER = (DataType.ENUM16, DataType.ENUM32, DataType.BITFIELD, DataType.STRING, DataType.BOOL, DataType.CLOCK)
OTHER_TYPE = {
    DataType.UINT16: DataType.INT16,
    DataType.INT16: DataType.UINT16,
    DataType.UINT32: DataType.INT32,
    DataType.INT32: DataType.UINT32,
    DataType.UINT64: DataType.INT64,
    DataType.INT64: DataType.UINT64,
    DataType.FLOAT32: DataType.UINT32,
    DataType.DECIMAL32: DataType.UDECIMAL32,
    DataType.UDECIMAL32: DataType.DECIMAL32,
    DataType.FLOAT64: DataType.UINT64,
    DataType.ENUM16: DataType.ENUM32,
    DataType.ENUM32: DataType.ENUM16,
}


@cache
def image(device: str, name: str) -> Registers:
    """Return the registers of the frame of one point, or of one derived value."""
    _, _, table, words, _, _ = FRAMES[device][name] if name in FRAMES[device] else DERIVED[device][name]
    return Registers(tables={Table(table): {int(at): int(word) for at, word in words.items()}})


def decoded(profile: Profile, name: str) -> Decoded | None:
    """Return what a profile makes of a point's frame."""
    return decode_registers(profile, image(profile.id, name)).get(name)


def same(value: object, expected: object) -> bool:
    """Return whether two values are equal, numbers to twelve digits."""
    if isinstance(expected, int | float) and isinstance(value, int | float):
        return value == pytest.approx(expected, rel=1e-12)
    return value == expected


def agrees(answer: Decoded | None, frame: list[Any]) -> bool:
    """Return whether an answer is the frame's."""
    canonical, unit, _, _, value, canonical_value = frame
    return (
        answer is not None
        and answer.quality is Quality.GOOD
        and (answer.canonical, answer.unit) == (canonical, unit)
        and same(answer.value, value)
        and same(answer.canonical_value, canonical_value)
    )


def test_every_point_of_every_profile_has_a_frame() -> None:
    """An installer who finds his device in the facts finds it in the product, and no point goes unchecked."""
    profiles = {name: load_profile(name) for name in list_profiles()}
    assert {name: set(profile.points) for name, profile in profiles.items()} == {n: set(f) for n, f in FRAMES.items()}
    derived = {name: set(profile.derived) for name, profile in profiles.items() if profile.derived}
    assert derived == {name: set(frames) for name, frames in DERIVED.items()}
    assert sum(map(len, FRAMES.values())) >= FACTS


@pytest.mark.parametrize("device", FRAMES)
def test_every_point_decodes_to_the_golden_value(device: str) -> None:
    """Address, type, word order, scale, sign and unit of each point are those of the facts."""
    profile = load_profile(device)
    frames = FRAMES[device] | DERIVED.get(device, {})
    wrong = [name for name, frame in frames.items() if not agrees(decoded(profile, name), frame)]
    assert not wrong


@pytest.mark.parametrize("device", FRAMES)
def test_every_value_that_can_be_written_becomes_the_words_of_its_frame(device: str) -> None:
    """What a device is told stands in the same words as what it tells; the frame is not made by our encoder."""
    profile = load_profile(device)
    wrong = []
    for name in written(profile):
        point = resolve_point(profile, name)
        assert point is not None
        _, _, table, words, value, _ = FRAMES[device][name]
        told = {int(at): int(word) for at, word in words.items()}
        factor = None if point.scale_register is None else signed16(told[point.scale_register])
        expected = tuple(told[at] for at in range(point.address, point.address + point.count))
        address = point.address if point.write_address is None else point.write_address
        # The frame's value may lie beyond what the device takes: its words count here, not its bounds.
        unbounded = replace(point, value_min=None, value_max=None, step=None)
        (write,) = encode(unbounded, value, scale_factor=factor)
        if (write.table, write.address, write.words) != (Table(table), address, expected):
            wrong.append(name)
    assert not wrong


def test_frames_of_values_that_can_be_written_are_many() -> None:
    """The test before has something to say."""
    assert sum(len(written(load_profile(device))) for device in FRAMES) >= WRITABLE


def written(profile: Profile) -> list[str]:
    """Return the points of a profile that can be written."""
    return [name for name in FRAMES[profile.id] if profile.points[name].access is not Access.READ]


def signed16(word: int) -> int:
    """Return a word as a number below zero where its highest bit is set."""
    return word - 0x10000 if word & 0x8000 else word


def mutations(spec: PointSpec) -> dict[str, PointSpec]:
    """Return a point with one thing wrong each."""
    sign = Sign.NONE if spec.sign is Sign.OUT_OF_ASSET else Sign.OUT_OF_ASSET
    wrong: dict[str, dict[str, object]] = {
        "address": {"address": None if spec.address is None else spec.address + 1, "at": spec.at and spec.at + 1},
        "table": {"table": Table.INPUT if spec.table is not Table.INPUT else Table.DISCRETE},
    }
    if spec.type not in NO_NUMBER:
        wrong |= {"scale": {"scale": spec.scale * 10}, "sign": {"sign": sign}}
    if spec.type in OTHER_TYPE:
        named = spec.type is DataType.ENUM32 and spec.enum
        wrong["type"] = {"type": DataType.UINT32 if named else OTHER_TYPE[spec.type]}
    if spec.type in (DataType.STRING, DataType.BITFIELD):
        wrong["count"] = {"count": 2 * spec.registers}
    if spec.registers > 1 and spec.type not in (DataType.STRING, DataType.CLOCK):
        little = spec.word_order is not WordOrder.LITTLE
        wrong["word order"] = {"word_order": WordOrder.LITTLE if little else WordOrder.BIG}
    if spec.scale_at is not None:
        wrong["scale register"] = {"scale_at": spec.scale_at + 1}
    return {what: spec.model_copy(update=update) for what, update in wrong.items()}


def whole(profile: Profile, name: str) -> PointSpec:
    """Return a point with what its profile's defaults say written out."""
    spec = profile.points[name]
    order = spec.word_order or (None if spec.model else profile.defaults.word_order)
    return spec.model_copy(update={"word_order": order, "table": spec.table or profile.defaults.table})


@pytest.mark.parametrize("device", FRAMES)
def test_a_wrong_address_type_scale_or_sign_is_caught(device: str) -> None:
    """Whatever control steers by and settlement pays by: any single slip in a profile is seen by the point's frame."""
    profile = load_profile(device)
    defaults = profile.defaults.model_copy(update={"word_order_from": None})
    missed = []
    for name, frame in FRAMES[device].items():
        for what, mutant in mutations(whole(profile, name)).items():
            telling = {other: profile.points[other] for other in mutant.when}
            update = {"points": {**telling, name: mutant}, "derived": {}, "capabilities": {}, "defaults": defaults}
            seen = (device, name, what) not in UNSEEN
            if seen and agrees(decoded(profile.model_copy(update=update), name), frame):
                missed.append(f"{name}: {what}")
    assert not missed


@pytest.mark.parametrize("device", DERIVED)
def test_a_derived_value_of_other_parts_or_another_sign_is_caught(device: str) -> None:
    """A battery that charges must not look as if it discharged."""
    profile = load_profile(device)
    missed = []
    for name, frame in DERIVED[device].items():
        spec = profile.derived[name]
        sign = Sign.NONE if spec.sign is Sign.OUT_OF_ASSET else Sign.OUT_OF_ASSET
        wrong: list[dict[str, object]] = [{"sign": sign}, {"plus": (*spec.plus, spec.plus[0])}]
        if spec.minus:
            wrong += [{"plus": spec.minus, "minus": spec.plus}, {"plus": spec.plus + spec.minus, "minus": ()}]
        for update in wrong:
            mutant = profile.model_copy(update={"derived": {name: spec.model_copy(update=update)}})
            if agrees(decoded(mutant, name), frame):
                missed.append(f"{name}: {update}")
    assert not missed


@pytest.mark.parametrize("device", FRAMES)
def test_every_profile_plans_within_its_own_limits(device: str) -> None:
    """No request is longer than the device bears or crosses a border where it refuses."""
    profile = load_profile(device)
    limits = profile.link.limits()
    for cost in (tcp_cost(), rtu_cost(baud=9600)):
        plan = plan_profile(profile, cost)
        assert not plan.unreadable
        for block in plan.blocks:
            borders = limits.barriers.get(block.table, ())
            assert block.count <= (limits.max_bits if block.table.is_bits else limits.max_registers)
            assert not any(block.address < border < block.end for border in borders)
