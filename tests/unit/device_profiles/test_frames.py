"""Every point of every profile against a golden frame that was worked out from the facts, not by our code."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from contracts.units import Quality
from edge.devices.catalogue import list_profiles, load_profile
from edge.devices.offline import Decoded, Registers, decode_registers, plan_profile
from edge.devices.points import PointSpec, Sign
from edge.devices.profile import Profile
from edge.modbus.cost import rtu_cost, tcp_cost
from edge.modbus.point import DataType, Table, WordOrder

FRAMES: dict[str, dict[str, list[Any]]] = json.loads(Path(__file__).with_name("frames.json").read_text())["devices"]

# What control steers by or settlement pays by; a wrong register here costs money or trips a fuse.
COUNTS = (
    "active_power",
    "grid_power",
    "grid_active_power",
    "grid_import_power",
    "grid_export_power",
    "battery_power",
    "battery_charge_power",
    "battery_discharge_power",
    "battery_setpoint",
    "pv_power",
    "soc_pct",
    "power_limit",
    "charge_limit",
    "discharge_limit",
    "charge_setpoint",
    "discharge_setpoint",
    "export_limit",
    "grid_setpoint",
    "setpoint_",
    "control_timeout",
    "rated_power",
    "power_max_setting",
    "max_charge_power",
    "max_discharge_power",
    "energy_import",
    "energy_export",
    "grid_import_wh",
    "grid_export_wh",
    "grid_energy",
    "energy_charged",
    "energy_discharged",
    "ev_max_current",
)
NAMED = (DataType.ENUM16, DataType.ENUM32, DataType.BITFIELD)
OTHER_TYPE = {
    DataType.UINT16: DataType.INT16,
    DataType.INT16: DataType.UINT16,
    DataType.UINT32: DataType.INT32,
    DataType.INT32: DataType.UINT32,
    DataType.UINT64: DataType.INT64,
    DataType.INT64: DataType.UINT64,
    DataType.FLOAT32: DataType.UINT32,
    DataType.FLOAT64: DataType.UINT64,
}


@cache
def image(device: str, name: str) -> Registers:
    """Return the registers of one point's frame."""
    _, _, table, words, _, _ = FRAMES[device][name]
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


def test_there_is_a_profile_for_every_device_that_the_facts_know() -> None:
    """An installer who finds his device in the facts finds it in the product."""
    assert set(FRAMES) <= set(list_profiles())
    assert sum(len(points) for points in FRAMES.values()) == 1438


@pytest.mark.parametrize("device", FRAMES)
def test_every_point_decodes_to_the_golden_value(device: str) -> None:
    """Address, type, word order, scale, sign and unit of each point are those of the facts."""
    profile = load_profile(device)
    assert set(FRAMES[device]) <= set(profile.points)
    wrong = [name for name, frame in FRAMES[device].items() if not agrees(decoded(profile, name), frame)]
    assert not wrong


def mutations(spec: PointSpec) -> dict[str, PointSpec]:
    """Return a point with one thing wrong each."""
    sign = Sign.NONE if spec.sign is Sign.OUT_OF_ASSET else Sign.OUT_OF_ASSET
    wrong: dict[str, dict[str, object]] = {
        "address": {"address": None if spec.address is None else spec.address + 1, "at": spec.at and spec.at + 1},
        "scale": {"scale": spec.scale * 10},
        "sign": {"sign": sign},
    }
    if spec.type in OTHER_TYPE:
        wrong["type"] = {"type": OTHER_TYPE[spec.type]}
    if spec.registers > 1:
        little = spec.word_order is not WordOrder.LITTLE
        wrong["word order"] = {"word_order": WordOrder.LITTLE if little else WordOrder.BIG}
    if spec.scale_at is not None:
        wrong["scale register"] = {"scale_at": spec.scale_at + 1}
    return {what: spec.model_copy(update=update) for what, update in wrong.items()}


@pytest.mark.parametrize("device", FRAMES)
def test_a_wrong_address_type_scale_or_sign_is_caught(device: str) -> None:
    """For each point that control or settlement uses, any single slip in the profile is seen by its frame."""
    profile = load_profile(device)
    missed = []
    for name, frame in FRAMES[device].items():
        spec = profile.points[name]
        if not spec.canonical.startswith(COUNTS) or spec.type in NAMED:
            continue
        default = profile.defaults.word_order
        whole = spec if spec.word_order or spec.model else spec.model_copy(update={"word_order": default})
        for what, mutant in mutations(whole).items():
            alone = profile.model_copy(update={"points": {name: mutant}, "derived": {}, "capabilities": {}})
            if profile.defaults.word_order_from is not None:
                alone = alone.model_copy(
                    update={"defaults": profile.defaults.model_copy(update={"word_order_from": None})}
                )
            if agrees(decoded(alone, name), frame):
                missed.append(f"{name}: {what}")
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
