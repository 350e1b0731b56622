"""Turn what arbitration left into one setpoint for every lever.

Batteries first, because moving energy costs less than losing it; then generation is capped so that the export bound
holds whatever the sun does; last, loads are held back where an import bound cannot be met otherwise.
"""

from dataclasses import dataclass, replace

from edge.control.arbiter import Arbitration
from edge.control.batteries import BatteryPlan, plan_batteries
from edge.control.envelope import Envelope
from edge.control.export_limits import export_setpoints, kept_w
from edge.control.generation import caps
from edge.control.levers import Lever
from edge.control.loads import load_setpoints, plan_loads
from edge.control.model import (
    BATTERY_CAPABILITIES,
    CONNECTION,
    LOAD_CAPABILITIES,
    LOADS,
    Capability,
    ControlSettings,
    LeverMemory,
    Memory,
    Probe,
    Reason,
    Request,
    Resource,
    Setpoint,
    lever,
)
from edge.control.probing import probe
from edge.control.rising import kept_cap
from edge.control.setpoints import Group, battery_setpoints, generation_setpoints, holder, standing
from edge.control.smooth import smooth
from edge.control.split import split

# Sums of floats are compared with this slack, far below what any device resolves.
_SLACK_W = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """Setpoints for all levers and what they are expected to bring at the connection point.

    ``unmet`` is the request whose wish the batteries do not follow to its end, and ``unmet_for`` who holds them.
    """

    setpoints: tuple[Setpoint, ...]
    memory: Memory
    expected_w: float | None
    import_excess_w: float
    export_excess_w: float
    unmet: Request | None
    unmet_for: str


def dispatch(
    env: Envelope, arbitration: Arbitration, *, settings: ControlSettings, memory: Memory, now_s: float
) -> Dispatch:
    """Return what every reachable lever shall do; the setpoints stand in the order of the levers."""
    batteries = _group(BATTERY_CAPABILITIES, env, arbitration, memory)
    generators = _group((Capability.LIMIT_GENERATION,), env, arbitration, memory)
    loads = _group(LOAD_CAPABILITIES, env, arbitration, memory)
    bound = arbitration.grants[CONNECTION].left
    blind = env.rest_likely_w is None
    remembered: dict[Resource, LeverMemory] = {}

    load_w = sum(_present(item) for item in loads.levers)
    generation_w = sum(_present(item) for item in generators.levers)
    others_w = load_w + sum(_present(item) for item in batteries.levers)
    probes = _probes(generators, batteries, settings=settings, now_s=now_s, seen_s=env.seen_s)
    potential = sum(own.potential_w for own in probes)
    plan = plan_batteries(
        env,
        arbitration,
        batteries.levers,
        others_w=load_w + generation_w,
        generation_low_w=load_w + potential,
    )
    powers = _battery_powers(plan, batteries, remembered, settings=settings, now_s=now_s)
    battery_w = sum(powers)
    power_of_w = {item.asset.id: power_w for item, power_w in zip(batteries.levers, powers, strict=True)}
    lows_w = {item.asset.id: _lowest(item, power_of_w[item.asset.id]) for item in batteries.levers}

    # What the site surely takes outside of its generators' terminals may be fed out there beside the export bound.
    hybrids = {item.asset.id for item in generators.levers}
    surely_w = env.rest.min_w + load_w + sum(low_w for asset, low_w in lows_w.items() if asset not in hybrids)
    capped = _caps(
        generators,
        surely_w - bound.min_w,
        remembered,
        lows_w=tuple(lows_w.get(item.asset.id, 0.0) for item in generators.levers),
        probes=probes,
        settings=settings,
        now_s=now_s,
        seen_s=env.seen_s,
        moved_w=0.0 if memory.others_w is None else abs(others_w - memory.others_w),
    )
    headroom_w = None if blind else bound.max_w - env.rest.max_w - load_w - generation_w - battery_w
    hidden_w = sum(_hidden_w(item, own, settings) for item, own in zip(generators.levers, probes, strict=True))
    surplus_w = 0.0 if env.rest_likely_w is None else hidden_w - (env.rest_likely_w + load_w + generation_w)
    own_w = 0.0 if blind else max(0.0, -((env.rest_likely_w or 0.0) + generation_w))
    plan_of_loads = plan_loads(
        loads,
        headroom_w=_for_loads(headroom_w, arbitration.grants[LOADS].left.max_w + own_w - load_w),
        surplus_w=surplus_w,
        now_s=now_s,
        seen_s=env.seen_s,
        settings=settings,
    )
    moved_w = sum(one.change_w for one in plan_of_loads)
    remembered |= {one.item.resource: one.memory for one in plan_of_loads}

    pairs = list(zip(generators.levers, capped, strict=True))
    likely_generation_w = sum(
        _present(item) if cap is None else max(_present(item), min(0.0, cap - power_of_w.get(item.asset.id, 0.0)))
        for item, cap in pairs
    )
    most_out_w = sum(item.allowed.min_w + lows_w.get(item.asset.id, 0.0) if cap is None else cap for item, cap in pairs)
    return Dispatch(
        setpoints=_in_order(
            env,
            [
                *battery_setpoints(
                    plan,
                    batteries,
                    powers,
                    connection_w=None if blind else (env.rest_likely_w or 0.0) + load_w + generation_w + battery_w,
                    now_s=now_s,
                ),
                *generation_setpoints(arbitration, generators, capped, now_s=now_s),
                *load_setpoints(arbitration, plan_of_loads, now_s=now_s),
                *export_setpoints(env, arbitration, now_s=now_s),
            ],
        ),
        memory=Memory(remembered, others_w=others_w),
        expected_w=None
        if env.rest_likely_w is None
        else env.rest_likely_w + battery_w + load_w + moved_w + likely_generation_w,
        import_excess_w=_excess(moved_w - (headroom_w or 0.0)),
        export_excess_w=_excess(bound.min_w - surely_w - most_out_w - kept_w(env)),
        unmet=plan.unmet,
        unmet_for=standing(Reason.DEVICE_LIMIT) if plan.decided_by is plan.unmet else holder(plan),
    )


def _for_loads(headroom_w: float | None, within_their_bound_w: float) -> float | None:
    """Return what loads may draw more, negative where less; with a blind meter their own bound can only hold them."""
    if headroom_w is not None:
        return min(headroom_w, within_their_bound_w)
    return within_their_bound_w if within_their_bound_w < 0 else None


def _excess(power_w: float) -> float:
    return power_w if power_w > _SLACK_W else 0.0


def _group(capabilities: tuple[Capability, ...], env: Envelope, arbitration: Arbitration, memory: Memory) -> Group:
    levers = tuple(item for item, _ in env.levers if item.capability in capabilities)
    return Group(
        levers=levers,
        grants=tuple(arbitration.grants[item.resource] for item in levers),
        memories=tuple(memory.levers.get(item.resource) for item in levers),
    )


def _battery_powers(
    plan: BatteryPlan,
    batteries: Group,
    remembered: dict[Resource, LeverMemory],
    *,
    settings: ControlSettings,
    now_s: float,
) -> tuple[float, ...]:
    """Return the power of each battery: the calm value, moved only as far as the bounds ask."""
    ranks = [item.asset.efficiency for item in batteries.levers]
    plain = split(plan.total_w, plan.ranges, ranks=ranks)
    calm, kept = [], []
    for item, wanted_w, own, last in zip(batteries.levers, plain, plan.ranges, batteries.memories, strict=True):
        value_w, after = smooth(
            wanted_w,
            last or LeverMemory(),
            rated_w=item.rated_w,
            ramp_w_per_s=item.asset.ramp_w_per_s,
            now_s=now_s,
            settings=settings,
        )
        calm.append(own.clamp(value_w))
        kept.append(after)
    total_w = plan.room.clamp(sum(calm))
    powers = tuple(calm)
    if abs(total_w - sum(calm)) > _SLACK_W:
        # Calm gives way to the bound, as far as the bound asks and no further.
        powers = split(total_w, plan.ranges, ranks=ranks)
    for item, power_w, after in zip(batteries.levers, powers, kept, strict=True):
        remembered[item.resource] = LeverMemory(
            value_w=power_w, at_s=now_s, direction=after.direction, reversals_s=after.reversals_s
        )
    return powers


def _probes(
    generators: Group, batteries: Group, *, settings: ControlSettings, now_s: float, seen_s: float
) -> tuple[Probe, ...]:
    """Return what is known of the sun behind the cap of each generator."""
    present_w = {item.asset.id: _present(item) for item in batteries.levers}
    return tuple(
        probe(
            item,
            last,
            battery_w=present_w.get(item.asset.id, 0.0),
            now_s=now_s,
            seen_s=seen_s,
            settings=settings,
        )
        for item, last in zip(generators.levers, generators.memories, strict=True)
    )


def _hidden_w(item: Lever, own: Probe, settings: ControlSettings) -> float:
    """Return what a generator may give beyond its output: loads begin at a power that no first step would reach."""
    if own.step_w == 0.0:
        return _present(item) - own.potential_w
    return max(_present(item) - own.potential_w, settings.pv_probe_share * item.rated_w)


def _caps(
    generators: Group,
    budget_w: float,
    remembered: dict[Resource, LeverMemory],
    *,
    lows_w: tuple[float, ...],
    probes: tuple[Probe, ...],
    settings: ControlSettings,
    now_s: float,
    seen_s: float,
    moved_w: float,
) -> tuple[float | None, ...]:
    """Return the cap of each generator at its terminals; a rise within the dead band or just begun waits.

    A fall never does. What batteries and loads moved since the cycle before (``moved_w``) may stand in the meter's
    reading and not yet in theirs, or the other way: no rise goes back to that.
    """
    found = caps(
        generators.levers,
        generators.grants,
        budget_w=max(0.0, budget_w),
        lows_w=lows_w,
        probes=probes,
        settings=settings,
    )
    for item, cap_w, own, last in zip(generators.levers, found, probes, generators.memories, strict=True):
        kept = kept_cap(item, cap_w, last, now_s=now_s, seen_s=seen_s, settings=settings, unsure_w=moved_w)
        remembered[item.resource] = replace(kept, probe=own)
    return tuple(remembered[item.resource].value_w for item in generators.levers)


def _present(item: Lever) -> float:
    """Return the power that a lever has now; one without a reading is counted in the rest already."""
    return 0.0 if item.measured_w is None else item.measured_w


def _lowest(item: Lever, power_w: float) -> float:
    """Return the least that a battery takes while it moves to its setpoint."""
    return min(_present(item), power_w)


def _in_order(env: Envelope, setpoints: list[Setpoint]) -> tuple[Setpoint, ...]:
    places = {item.resource: place for place, (item, _) in enumerate(env.levers)}
    return tuple(sorted(setpoints, key=lambda point: places.get(lever(point.asset, point.capability), len(places))))
