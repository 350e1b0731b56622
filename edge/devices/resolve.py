"""From a profile to points at addresses: fixed ones as they are, SunSpec ones where the device (or a dump) has them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edge.control.model import LOAD_CAPABILITIES
from edge.devices.blocks import with_blocks
from edge.devices.points import Kind, PointSpec
from edge.devices.profile import Profile
from edge.devices.recipes import Lever
from edge.modbus.point import PollClass, RegisterPoint, SignFrom, WordOrder
from edge.modbus.sunspec import Model, SunSpecMap

CONTROL_VALUES = (
    "active_power_w",
    "active_power_l1_w",
    "active_power_l2_w",
    "active_power_l3_w",
    "grid_power_w",
    "grid_power_l1_w",
    "grid_power_l2_w",
    "grid_power_l3_w",
    "grid_active_power_l1_w",
    "grid_active_power_l2_w",
    "grid_active_power_l3_w",
    "grid_power_export_w",
    "grid_import_power_w",
    "grid_export_power_w",
    "battery_power_w",
    "battery_power_abs_w",
    "battery_charge_power_w",
    "battery_discharge_power_w",
    "pv_power_w",
    "soc_pct",
)
_NAMEPLATE = (
    "manufacturer",
    "model",
    "model_id",
    "options",
    "firmware_version",
    "serial_number",
    "device_type",
    "device_class",
    "device_address",
    "sunspec_marker",
    "der_type",
    "rated_power_w",
    "capacity_wh",
    "capacity_ah",
    "power_max_w",
    "mppt_module_count",
    "dc_port_count",
    "modbus_unit",
    "position",
    "phase_sequence",
)
_SLOW_ENDINGS = ("_wh", "_c", "_state", "_bits", "_count", "_pct", "_ah", "_s")
_SLOW = ("operating_state", "vendor_state", "alarm_bits")


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A profile on one device: the points that it has, where they lie.

    Args:
        levers: What the device can be told, each by its first recipe whose points are all there.
    """

    profile: Profile
    points: Mapping[str, RegisterPoint]
    levers: Mapping[Lever, int]
    sunspec: SunSpecMap | None = None


def resolve(
    profile: Profile,
    sunspec: SunSpecMap | None = None,
    *,
    learned_order: WordOrder | None = None,
    told: Mapping[str, str] | None = None,
) -> Resolved:
    """Return the points of a profile at their addresses.

    Args:
        sunspec: Where the models lie; None takes the profile's worked example.
        learned_order: Word order that the device told, for a profile that asks for it.
        told: What the points read, as text, by which others exist; None takes all points.
    """
    where = sunspec if sunspec is not None or profile.sunspec is None else worked_example(profile)
    if where is not None and profile.sunspec is not None:
        profile = with_blocks(profile, where)
    control = {name for recipes in profile.capabilities.values() for recipe in recipes for name in recipe.points()}
    control |= control_parts(profile)
    points: dict[str, RegisterPoint] = {}
    for name, spec in profile.points.items():
        point = _point(profile, name, spec, where, learned_order) if _exists(spec, told) else None
        if point is not None:
            readable = name in control and not spec.scale_factor
            points[name] = replace(point, poll_class=PollClass.CONTROL) if readable else point
    levers = {
        lever: number
        for lever, recipes in profile.capabilities.items()
        for number, recipe in reversed(list(enumerate(recipes)))
        if all(name in points for name in recipe.points())
    }
    return Resolved(profile=profile, points=points, levers=levers, sunspec=where)


def offered_levers(resolved: Resolved, allowed: frozenset[Lever] | None) -> frozenset[Lever]:
    """Return what may be asked of a device; a load is moved one way, the finest of those that it has.

    Args:
        allowed: What it is to the site; None is all that it has, for a tool.
    """
    if allowed is None:
        return frozenset(resolved.levers)
    ways = [Lever(capability.value) for capability in LOAD_CAPABILITIES]
    coarser = [lever for lever in ways if lever in resolved.levers and lever in allowed][1:]
    return frozenset(resolved.levers) & allowed - set(coarser)


def control_parts(profile: Profile) -> set[str]:
    """Return the points of which control values are made: a sum is as old as its oldest part.

    A point for which its profile names a pace keeps it; ``pace.py`` says what that costs.
    """
    return {
        part
        for spec in profile.derived.values()
        if spec.canonical in CONTROL_VALUES
        for part in (*spec.plus, *spec.minus)
        if profile.points[part].poll is None
    }


def resolve_point(profile: Profile, name: str) -> RegisterPoint | None:
    """Return one point at its address in the worked example; None where the profile has no such point."""
    spec = profile.points.get(name)
    where = None if profile.sunspec is None else worked_example(profile)
    return None if spec is None else _point(profile, name, spec, where, None)


def worked_example(profile: Profile) -> SunSpecMap:
    """Return the chain that the profile was written down from."""
    assert profile.sunspec is not None
    seen: dict[int, int] = {}
    models = []
    for one in profile.sunspec.chain:
        seen[one.id] = seen.get(one.id, 0) + 1
        models.append(Model(model_id=one.id, instance=seen[one.id], address=one.base, length=one.length))
    return SunSpecMap(base=profile.sunspec.chain[0].base - 2, models=tuple(models))


def poll_class(spec: PointSpec) -> PollClass:
    """Return how often a point is read where its profile does not say."""
    name = spec.canonical
    if spec.poll is not None:
        return spec.poll
    if name in CONTROL_VALUES:
        return PollClass.CONTROL
    if name in _NAMEPLATE or spec.scale_factor:
        return PollClass.NAMEPLATE
    if name in _SLOW or name.endswith(_SLOW_ENDINGS) or spec.is_writable:
        return PollClass.COUNTER
    return PollClass.LIVE


def _exists(spec: PointSpec, told: Mapping[str, str] | None) -> bool:
    """Return whether a device that tells this has a point; what it does not tell fulfils no condition."""
    return told is None or all(name in told and wanted.holds(told[name]) for name, wanted in spec.when.items())


def allows(spec_kind: Kind | None, kinds: frozenset[Kind] | None) -> bool:
    """Return whether a point belongs to what the device is to the site; None is everything."""
    return spec_kind is None or kinds is None or spec_kind in kinds


def _point(
    profile: Profile, name: str, spec: PointSpec, where: SunSpecMap | None, learned_order: WordOrder | None
) -> RegisterPoint | None:
    address = _address(profile, spec, where)
    if address is None:
        return None
    scale_register = spec.scale_at if spec.model is None else None
    if spec.scale_at is not None and where is not None and spec.model is not None:
        scale_register = _in_model(profile, where, spec.model, spec.instance, spec.scale_at)
        if scale_register is None:
            return None
    order = spec.word_order
    if order is None:
        order = WordOrder.BIG if spec.model is not None else (learned_order or profile.defaults.word_order)
    sentinels = spec.sentinels
    if sentinels is None:
        default = profile.defaults.sentinels.get(spec.type)
        fits = default is not None and not spec.accumulator and spec.registers == _registers_of(default)
        sentinels = (default,) if fits and default is not None else ()
    rule = profile.rule(name)
    return RegisterPoint(
        name=name,
        table=spec.table or profile.defaults.table,
        address=address,
        count=spec.registers,
        data_type=spec.type,
        word_order=order,
        scale=spec.scale,
        offset=spec.offset,
        scale_register=scale_register,
        sentinels=sentinels,
        accumulator=spec.accumulator,
        low_first=spec.low_first,
        parts=spec.parts,
        sign_from=None
        if spec.sign_bits is None
        else SignFrom(
            address=spec.sign_bits.address,
            positive_mask=1 << spec.sign_bits.positive_bit,
            negative_mask=1 << spec.sign_bits.negative_bit,
        ),
        enum=spec.enum,
        bits=spec.bits,
        access=spec.access,
        write_address=spec.write_address,
        write_function=profile.function(spec) if spec.is_writable else None,
        value_min=None if rule is None else rule.min,
        value_max=None if rule is None else rule.max,
        step=None if rule is None else rule.step,
        poll_class=poll_class(spec),
    )


def _registers_of(sentinel: int) -> int:
    """Return for how many registers a default sentinel is meant: all ones or a sign bit fill the width."""
    return 1 if sentinel <= 0xFFFF else 2 if sentinel <= 0xFFFF_FFFF else 4


def _address(profile: Profile, spec: PointSpec, where: SunSpecMap | None) -> int | None:
    if spec.model is not None and spec.at is not None:
        return None if where is None else _in_model(profile, where, spec.model, spec.instance, spec.at)
    address = spec.address
    if profile.sunspec is None or where is None or address is None:
        return address
    # The marker itself moves with the base; whatever else has a fixed address stays.
    example = profile.sunspec.chain[0].base - 2
    return where.base + address - example if example <= address < example + 2 else address


def _in_model(profile: Profile, where: SunSpecMap, model: int, instance: int, at: int) -> int | None:
    assert profile.sunspec is not None
    for candidate in (model, *profile.sunspec.same_layout.get(model, ())):
        if (address := where.address(candidate, at, instance=instance)) is not None:
            return address
    return None
