"""The values that answer a ``diagnostics`` command."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from contracts.units import ClockTrust
from edge.devices.device import Device
from edge.loop.cycle import LoopStats
from edge.process.supervisor import Supervisor
from edge.telemetry.uplink import Uplink


@dataclass(frozen=True, kw_only=True)
class SiteDiagnostics:
    """Looks at the parts of a site when it is asked."""

    loop: LoopStats
    uplink: Uplink
    devices: Mapping[str, Device]
    clock_trust: Callable[[], ClockTrust]
    supervisor: Supervisor

    def values(self) -> dict[str, float | str | None]:
        """Return the values now."""
        uplink = self.uplink.stats()
        return {
            "cycles": self.loop.cycles,
            "late_cycles": self.loop.late,
            "writes": self.loop.writes,
            "failed_writes": self.loop.failed_writes,
            "published": uplink.published,
            "acknowledged": uplink.acknowledged,
            "offline": ",".join(sorted(name for name, device in self.devices.items() if not device.health.online)),
            "clock": self.clock_trust(),
            "failing": ",".join(self.supervisor.failing()),
        }
