"""For whom the schedules fire, from the register of who takes part; the private cloud and AWS read the same."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cloud.infra.rules import SCHEDULES, Schedule
from cloud.stores.registry import Registry

HOUR_S: Final = 3600.0
NAME_CHARACTERS_MAX: Final = 64  # Source: Amazon EventBridge Scheduler API reference, CreateSchedule.


@dataclass(frozen=True, kw_only=True)
class Firing:
    """One schedule for one zone or feeder."""

    schedule: Schedule
    target: dict[str, str]

    @property
    def name(self) -> str:
        """Return its name, told apart by a digest where it would be too long."""
        whole = f"{self.schedule.name}.{self.target.get('feeder', self.target['zone'])}"
        if len(whole) <= NAME_CHARACTERS_MAX:
            return whole
        digest = hashlib.sha256(whole.encode()).hexdigest()[:12]
        return f"{whole[: NAME_CHARACTERS_MAX - 13]}.{digest}"

    @property
    def expression(self) -> str:
        """Return when it fires: what fires once an hour does so at a minute of its own, the same at each registration.

        Were all zones forecast in the same minute, the histories of all sites would be read in it.
        Source: EventBridge Scheduler user guide, cron-based schedules.
        """
        if self.schedule.every_s != HOUR_S:
            return self.schedule.expression
        minute = int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:4], "big") % 60
        return f"cron({minute} * * * ? *)"


def targets(schedule: Schedule, registry: Registry) -> list[dict[str, str]]:
    """Return for whom a schedule fires: each feeder for the grid agent, each zone for the others."""
    if schedule.name.startswith("grid"):
        return [{"feeder": feeder.id, "zone": feeder.zone} for feeder in registry.feeders]
    return [{"zone": zone.id} for zone in registry.zones]


def firings(registry: Registry) -> Iterator[Firing]:
    """Yield every schedule that a registry asks for."""
    for schedule in SCHEDULES:
        for target in targets(schedule, registry):
            yield Firing(schedule=schedule, target=target)
