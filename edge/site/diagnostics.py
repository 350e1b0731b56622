"""The values that answer a ``diagnostics`` command."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from contracts.units import ClockTrust
from edge.border.schedule import SiteSchedule
from edge.devices.site_device import SiteDevice
from edge.loop.stats import LoopStats
from edge.process.supervisor import Supervisor


@dataclass(frozen=True, kw_only=True)
class ControlDiagnostics:
    """Looks at control and at what the site process told last, when it is asked."""

    loop: LoopStats
    schedule: SiteSchedule
    devices: Mapping[str, SiteDevice]
    clock_trust: Callable[[], ClockTrust]
    supervisor: Supervisor

    def values(self) -> dict[str, float | str | None]:
        """Return the values now."""
        beat = self.schedule.beat
        failing = [*self.supervisor.failing(), *((beat.failing,) if beat is not None and beat.failing else ())]
        return {
            "cycles": self.loop.cycles,
            "late_cycles": self.loop.late,
            "writes": self.loop.writes,
            "failed_writes": self.loop.failed_writes,
            "published": None if beat is None else beat.published,
            "acknowledged": None if beat is None else beat.acknowledged,
            "offline": ",".join(sorted(name for name, device in self.devices.items() if not device.health.online)),
            "clock": self.clock_trust(),
            "failing": ",".join(failing),
        }
