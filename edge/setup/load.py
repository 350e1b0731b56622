"""How busy each bus will be: the requests of every device on it, at the pace at which they repeat."""

from collections.abc import Iterable
from dataclasses import dataclass

from edge.devices.options import DeviceOptions, link_limits
from edge.devices.profile import Profile
from edge.devices.resolve import Resolved, resolve
from edge.devices.view import build_view
from edge.modbus.cost import cost_of
from edge.modbus.plan import plan_reads
from edge.modbus.point import Access, PollClass, RegisterPoint
from edge.modbus.url import Endpoint


@dataclass(frozen=True, kw_only=True)
class Connected:
    """A device, where it answers and what it is to the site."""

    id: str
    profile: Profile
    endpoint: Endpoint
    options: DeviceOptions


@dataclass(frozen=True, kw_only=True)
class BusLoad:
    """The share of its time for which a bus is busy.

    Args:
        busy: 0 idle, 1 never idle; above 1 the devices cannot be read as often as they should.
        requests_per_s: Mean over all poll classes.
        cycle_s: Predicted time to read, once, everything that control decides from.
    """

    bus: str
    devices: tuple[str, ...]
    busy: float
    requests_per_s: float
    cycle_s: float


def bus_loads(devices: Iterable[Connected]) -> tuple[BusLoad, ...]:
    """Return the predicted load of every bus, in the order in which the devices name them.

    Each class is counted on its own. Classes that fall due together share requests, so the truth is a little less.
    A SunSpec device is planned for its profile's worked example.
    """
    by_bus: dict[str, list[Connected]] = {}
    for device in devices:
        by_bus.setdefault(device.endpoint.bus, []).append(device)
    return tuple(_load(bus, members) for bus, members in by_bus.items())


def _load(bus: str, members: list[Connected]) -> BusLoad:
    busy = requests_per_s = cycle_s = 0.0
    for device in members:
        points = polled(device.profile, device.options)
        limits = link_limits(device.profile, device.endpoint)
        cost = cost_of(device.endpoint, min_gap_s=limits.min_gap_s)
        for poll_class in PollClass:
            plan = plan_reads([one for one in points if one.poll_class is poll_class], limits=limits, cost=cost)
            period_s = device.profile.link.period_s(poll_class)
            busy += plan.predicted_s / period_s
            requests_per_s += len(plan.blocks) / period_s
            if poll_class is PollClass.CONTROL:
                cycle_s += plan.predicted_s
    return BusLoad(
        bus=bus,
        devices=tuple(device.id for device in members),
        busy=busy,
        requests_per_s=requests_per_s,
        cycle_s=cycle_s,
    )


def polled(profile: Profile, options: DeviceOptions) -> list[RegisterPoint]:
    """Return the points that a running gateway reads of a device: what it reports, and what its levers compare."""
    resolved = resolve(profile)
    view = build_view(resolved, kinds=options.kinds, use=options.use, turned=options.turned, rated_w=options.counted_w)
    wanted = {source.name for sources in view.sources.values() for source in sources}
    for sources in view.sources.values():
        for source in sources:
            wanted.update(getattr(source.spec, "plus", ()), getattr(source.spec, "minus", ()))
    wanted |= _for_levers(resolved, options)
    return [point for name, point in resolved.points.items() if name in wanted and point.access is not Access.WRITE]


def _for_levers(resolved: Resolved, options: DeviceOptions) -> set[str]:
    names: set[str] = set()
    for lever, number in resolved.levers.items():
        if options.levers is None or lever in options.levers:
            recipe = resolved.profile.capabilities[lever][number]
            names.update(recipe.points(), recipe.base_points)
    return names
