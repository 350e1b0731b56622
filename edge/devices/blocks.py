"""The repeating blocks of a SunSpec model, as many as the device has. Pure.

A profile writes the points of the first block down (``m160.DCW[1]``) and how many registers a block takes; a sum over
``m160.DCW[*]`` is over all of them.
Source: SunSpec device information model specification 1.1, repeating groups; models 160, 714 and 803.
"""

import re

from edge.devices.points import DerivedSpec, PointSpec
from edge.devices.profile import EVERY_BLOCK, Profile
from edge.modbus.sunspec import SunSpecMap

BLOCKS_MAX = 32  # More than any inverter has strings; a length beyond it is garbage.
_FIRST = re.compile(r"(.*)\[1\]")


def with_blocks(profile: Profile, where: SunSpecMap) -> Profile:
    """Return the profile with the points of every block that the device has, and its sums over them."""
    assert profile.sunspec is not None
    points = dict(profile.points)
    for name, spec in profile.points.items():
        first = _FIRST.fullmatch(name)
        every = profile.sunspec.repeats.get(spec.model or 0)
        if first is None or every is None:
            continue
        for number in range(2, BLOCKS_MAX + 1):
            block = _block(spec, number, every)
            if where.address(block.model or 0, (block.at or 0) + block.registers - 1, instance=block.instance) is None:
                break
            points.setdefault(f"{first[1]}[{number}]", block)
    derived = {
        name: whole for name, spec in profile.derived.items() if (whole := _whole(spec, points, where)) is not None
    }
    return profile.model_copy(update={"points": points, "derived": derived})


def _block(spec: PointSpec, number: int, every: int) -> PointSpec:
    canonical = spec.canonical.replace("1", str(number), 1)
    return spec.model_copy(update={"at": (spec.at or 0) + (number - 1) * every, "canonical": canonical})


def _whole(spec: DerivedSpec, points: dict[str, PointSpec], where: SunSpecMap) -> DerivedSpec | None:
    """Return a sum over all blocks; None where the device has none, or is one that the sum is not for."""
    if any(where.find(model) for model in spec.without_models):
        return None
    if not any(part.endswith(EVERY_BLOCK) for part in (*spec.plus, *spec.minus)):
        return spec
    plus, minus = _parts(spec.plus, points, where), _parts(spec.minus, points, where)
    return spec.model_copy(update={"plus": plus, "minus": minus, "some_parts": True}) if plus else None


def _parts(names: tuple[str, ...], points: dict[str, PointSpec], where: SunSpecMap) -> tuple[str, ...]:
    found: list[str] = []
    for name in names:
        if not name.endswith(EVERY_BLOCK):
            found.append(name)
            continue
        stem = name.removesuffix(EVERY_BLOCK)
        blocks = [f"{stem}[{number}]" for number in range(1, BLOCKS_MAX + 1)]
        found += [one for one in blocks if one in points and _is_there(points[one], where)]
    return tuple(found)


def _is_there(spec: PointSpec, where: SunSpecMap) -> bool:
    return where.address(spec.model or 0, spec.at or 0, instance=spec.instance) is not None
