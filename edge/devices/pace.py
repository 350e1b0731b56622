"""Which values that control steers by are read too slowly for it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from edge.devices.options import DeviceOptions
from edge.devices.points import DerivedSpec
from edge.devices.profile import Profile
from edge.devices.recipes import Lever
from edge.devices.resolve import CONTROL_VALUES, resolve
from edge.devices.view import Source, build_view

# A value is usable for 10 s (edge.control.model.FRESH_S); read every 5 s, one lost reply does not blind control.
CONTROL_PERIOD_S_MAX = 5.0
SOC_PERIOD_S_MAX = 30.0  # A state of charge is usable for a minute.

_NEEDS: Mapping[Lever, tuple[tuple[str, ...], ...]] = {
    Lever.LIMIT_GENERATION: (("pv_power_w", "active_power_w"),),
    Lever.BATTERY_POWER: (("battery_power_w", "active_power_w"), ("soc_pct",)),
    Lever.GRID_SETPOINT: (("battery_power_w", "active_power_w"), ("soc_pct",)),
}


@dataclass(frozen=True, kw_only=True)
class SlowValue:
    """A control value whose source is read less often than control needs it; ``lever`` is None for a meter."""

    canonical: str
    point: str
    period_s: float
    period_s_max: float
    lever: Lever | None

    def consequence(self, device: str) -> str:
        """Return what that means for the site."""
        lever = "control" if self.lever is None else self.lever.value
        return (
            f"{device} reads {self.canonical} ({self.point}) every {self.period_s:g} s and {lever} needs it every"
            f" {self.period_s_max:g} s: it is not kept meanwhile"
        )


def slow_values(profile: Profile, options: DeviceOptions, *, is_connection_meter: bool = False) -> list[SlowValue]:
    """Return the control values of a device that a lever in use, or the site's control, gets too seldom.

    Args:
        is_connection_meter: Whether the device measures where the site meets the grid.
    """
    view = build_view(
        resolve(profile), kinds=options.kinds, use=options.use, turned=options.turned, rated_w=options.counted_w
    )
    needed: list[tuple[str, Lever | None]] = [("active_power_w", None)] if is_connection_meter else []
    for lever in sorted(profile.capabilities if options.levers is None else options.levers):
        for choices in _NEEDS.get(lever, ()) if lever in profile.capabilities else ():
            needed += [(name, lever) for name in choices if name in view.sources][:1]
    slow = []
    for canonical, needs in needed:
        assert canonical in CONTROL_VALUES
        for source in view.sources.get(canonical, ())[:1]:
            point, period_s = _slowest(profile, source)
            period_s_max = SOC_PERIOD_S_MAX if canonical == "soc_pct" else CONTROL_PERIOD_S_MAX
            if period_s > period_s_max:
                slow.append(
                    SlowValue(
                        canonical=canonical, point=point, period_s=period_s, period_s_max=period_s_max, lever=needs
                    )
                )
    return slow


def _slowest(profile: Profile, source: Source) -> tuple[str, float]:
    """Return the part of a value that is read least often, and its period."""
    names = (*source.spec.plus, *source.spec.minus) if isinstance(source.spec, DerivedSpec) else (source.name,)
    points = resolve(profile).points
    periods = {name: profile.link.period_s(points[name].poll_class) for name in names}
    slowest = max(periods, key=lambda name: periods[name])
    return slowest, periods[slowest]
