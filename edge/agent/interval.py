"""What the present delivery interval has brought so far, by what each control cycle measured."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from contracts.units import DELIVERY_INTERVAL_S
from edge.config import DeviceSection, SiteConfig
from edge.loop.measured import measured
from edge.loop.readings import BATTERY_POWER, POWER, PV_POWER
from edge.loop.seen import CycleSeen
from edge.trading.model import IntervalEnergy


@dataclass(kw_only=True)
class IntervalSoFar:
    """The energy of the present interval so far: at the connection point, of generation, batteries, planned loads."""

    start: datetime
    since_s: float = 0.0
    net_wh: float = 0.0
    pv_wh: float = 0.0
    battery_wh: float = 0.0
    planned_wh: float = 0.0

    def add(self, passed_s: float, *, connection_w: float, pv_w: float, battery_w: float) -> None:
        """Add what so many seconds brought at these powers, each positive into the site or the asset."""
        hours = passed_s / 3600
        self.since_s += passed_s
        self.net_wh += connection_w * hours
        self.pv_wh += pv_w * hours
        self.battery_wh += battery_w * hours

    @property
    def scale(self) -> float:
        """Return by how much the whole interval is longer than its part that was measured."""
        return DELIVERY_INTERVAL_S / self.since_s

    def energy(self) -> IntervalEnergy:
        """Return load and generation of the whole interval, as its part so far promises; without planned loads."""
        load_wh = max(0.0, (self.net_wh - self.pv_wh - self.battery_wh - self.planned_wh) * self.scale)
        return IntervalEnergy(load_wh=load_wh, pv_wh=min(0.0, self.pv_wh * self.scale))


def sum_w(config: SiteConfig, cycle: CycleSeen, of: Callable[[DeviceSection, CycleSeen], float]) -> float:
    """Return a power of all devices of a site together."""
    return sum(of(section, cycle) for section in config.devices)


def pv_w(section: DeviceSection, cycle: CycleSeen) -> float:
    """Return what a device generates, negative; zero where that is not known."""
    return 0.0 if section.pv_peak_w == 0 else _power_w(section, cycle, PV_POWER)


def battery_w(section: DeviceSection, cycle: CycleSeen) -> float:
    """Return what a device's battery takes; zero where that is not known."""
    return 0.0 if section.battery is None else _power_w(section, cycle, BATTERY_POWER)


def _power_w(section: DeviceSection, cycle: CycleSeen, part: str) -> float:
    readings = cycle.readings[section.id]
    name = part if part in readings else POWER
    return measured(readings.get(name), cycle.taken_s).usable() or 0.0
