"""Parts of a gateway for tests: a device that obeys, an executor on a real outbox, a site's settings."""

import copy
import json
from collections.abc import Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contracts.control import CommandAck
from contracts.topics import Up
from contracts.units import ClockTrust, Quality
from edge.commands.evidence_book import EvidenceBook
from edge.commands.executor import Executor, ExecutorPorts
from edge.commands.grid_limits import GridLimits
from edge.config import SiteConfig
from edge.control.model import Capability, Request
from edge.devices.apply import Applied
from edge.devices.health import Health
from edge.devices.recipes import Fallback
from edge.devices.recipes import Lever as DeviceLever
from edge.errors import DeviceSilent, ValueRefused
from edge.loop.cycle import Cycle
from edge.loop.loop import ControlLoop
from edge.modbus.point import Reading
from edge.outbox.outbox import Outbox
from edge.site.status import merged
from edge.telemetry.sampler import Sampler
from tests.support.manual_clock import ManualClock
from tests.support.rigs.control_commands import TRUSTED

SITE = "home-1"
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
# Ports below 7 are nobody's: at 5020 and 1883 a developer's own plant and broker may answer, and be steered by a test.
_CONFIG: dict[str, Any] = {
    "site": {"id": SITE, "zone": "zone-1", "agent": "consumer"},
    "connection": {"meter": "meter", "import_limit_w": 17_000, "export_limit_w": 10_000},
    "devices": [
        {"id": "meter", "profile": "eastron_sdm630", "url": "tcp://127.0.0.1:2?unit=1", "role": "meter"},
        {
            "id": "inverter",
            "profile": "fronius_gen24_int",
            "url": "tcp://127.0.0.1:3?unit=1",
            "role": "hybrid",
            "pv_peak_w": 5_000,
            "battery": {"capacity_wh": 10_000, "charge_limit_w": 4_000, "discharge_limit_w": 4_000},
        },
    ],
    "link": {"url": "mqtt://127.0.0.1:6"},
    "state_dir": "state",
    "trading": {"enabled": False},
}


def plain_config(**sections: Any) -> dict[str, Any]:
    """Return a site's configuration as a file would hold it, with sections replaced."""
    return {**copy.deepcopy(_CONFIG), **sections}


def config(**sections: Any) -> SiteConfig:
    """Return the same, checked."""
    return SiteConfig.model_validate(plain_config(**sections))


def reading(value: float | bool | None, *, at_s: float = 0.0, quality: Quality = Quality.GOOD) -> Reading:
    """Return a reading of an instant."""
    return Reading(value=value, raw=None, quality=quality, source_at=NOON, monotonic_s=at_s)


@dataclass
class FakeDevice:
    """A device that does what it is told at once, and remembers it.

    One that does not echo reads back something else; a deaf one takes a command and holds what it held.
    """

    id: str
    clock: ManualClock
    values: dict[str, float] = field(default_factory=dict)
    capabilities: frozenset[Capability] = frozenset()
    online: bool = True
    drifts: bool = False
    echoes: bool = True
    deaf: bool = False
    holds: dict[str, float | None] = field(default_factory=dict)
    leftovers: frozenset[DeviceLever] = frozenset()
    told: list[tuple[str, float | None, bool]] = field(default_factory=list)
    revert_s: list[float] = field(default_factory=list)
    urgent: list[bool] = field(default_factory=list)
    wears_s: float = 0.0
    fallbacks: Mapping[DeviceLever, Fallback] = field(default_factory=dict)

    @property
    def health(self) -> Health:
        """Return whether it answers."""
        return Health(online=self.online)

    def snapshot(self) -> dict[str, Reading]:
        """Return its values, read now."""
        return {name: reading(value, at_s=self.clock.monotonic()) for name, value in self.values.items()}

    def attend(self) -> None:
        """Take note of a control cycle."""

    def drifted(self, capability: Capability) -> bool:
        """Return whether somebody else has changed it."""
        return self.drifts

    @property
    def all_phases_from_w(self) -> float:
        """Return that it always uses all."""
        return 0.0

    def wear_period_s(self, capability: Capability) -> float:
        """Return the pace that its memory bears."""
        return self.wears_s

    async def apply(
        self,
        capability: Capability | DeviceLever,
        value_w: float | None,
        *,
        revert_s: float,
        refresh: bool = True,
        urgent: bool = True,
    ) -> Applied:
        """Do what is asked."""
        lever = DeviceLever(capability.value)
        if not self.online:
            raise DeviceSilent(f"{self.id} does not answer")
        if lever not in self.leftovers | {DeviceLever(own.value) for own in self.capabilities}:
            raise ValueRefused(f"{self.id} cannot be told {lever}; nothing was written", code="no_such_lever")
        self.told.append((capability.value, value_w, refresh))
        self.revert_s.append(revert_s)
        self.urgent.append(urgent)
        self.leftovers -= {lever}
        wrote = self.holds.get(capability.value) != value_w
        if not self.deaf:
            self.holds[capability.value] = value_w
        held_w = self.holds.get(capability.value)
        readback = {f"{self.id}/{capability.value}": held_w}
        if not self.echoes:
            return Applied(ok=False, value_w=value_w, readback=readback, detail="reads something else", wrote=wrote)
        return Applied(ok=True, value_w=held_w, readback=readback, held_w=held_w, wrote=wrote)


def fake_site(clock: ManualClock) -> dict[str, FakeDevice]:
    """Return a meter at 1 kW import and a hybrid at rest, half full."""
    meter = FakeDevice(id="meter", clock=clock, values={"active_power_w": 1_000.0})
    inverter = FakeDevice(
        id="inverter",
        clock=clock,
        values={"active_power_w": 0.0, "battery_power_w": 0.0, "pv_power_w": 0.0, "soc_pct": 50.0},
        capabilities=frozenset({Capability.BATTERY_POWER, Capability.LIMIT_GENERATION}),
    )
    return {"meter": meter, "inverter": inverter}


@dataclass
class Counter:
    """An executor on a real outbox, and the answers that it has kept."""

    executor: Executor
    outbox: Outbox
    clock: ManualClock
    grid_limits: GridLimits

    def acks(self) -> list[CommandAck]:
        """Return every answer so far, in order."""
        self.outbox.flush()
        return [CommandAck.decode(record.payload) for record in self.outbox.read(Up.ACKS, limit=10_000)]

    def events(self) -> list[dict[str, Any]]:
        """Return every event so far, in order."""
        self.outbox.flush()
        return [json.loads(record.payload) for record in self.outbox.read(Up.EVENTS, limit=10_000)]


@contextmanager
def counter(
    folder: Path,
    clock: ManualClock,
    *,
    locked: Any = lambda: False,
    trusted: Any = TRUSTED,
    **grid_limits: Any,
) -> Any:
    """Open an executor on the outbox of a folder; opened again it is the next process."""
    settings = config(grid_limits=grid_limits or None)
    with closing(Outbox.open(folder / "journal.db", site=SITE, clock=clock)) as outbox:
        limits = GridLimits(settings.grid_limits, memory=outbox, now_s=clock.monotonic())
        executor = Executor(
            ExecutorPorts(
                site=SITE,
                clock=clock,
                outbox=outbox,
                telemetry=Sampler(site=SITE, outbox=outbox, clock=clock),
                trusted=trusted,
                capacity_wh={"inverter": 10_000.0},
                clock_trust=lambda: ClockTrust.SYNCED,
                local_lock=locked,
                evidence=EvidenceBook(site=SITE, clock=clock, outbox=outbox, clock_trust=lambda: ClockTrust.SYNCED),
                grid_limits=limits,
                diagnostics=lambda: {"cycles": 1},
            ),
        )
        yield Counter(executor=executor, outbox=outbox, clock=clock, grid_limits=limits)


@dataclass
class Kept:
    """An observer that keeps every cycle."""

    cycles: list[Cycle]

    def finished(self, cycle: Cycle) -> None:
        """Keep it."""
        self.cycles.append(cycle)


@dataclass
class Asking:
    """A requester that asks the same in each cycle."""

    asked: list[Request]

    def requests(self, now_s: float, readings: Mapping[str, Mapping[str, Reading]]) -> list[Request]:
        """Return it."""
        return list(self.asked)


def loop_of(
    fakes: Mapping[str, FakeDevice],
    clock: ManualClock,
    *,
    executor: Executor | None = None,
    asked: list[Request] | None = None,
    **sections: Any,
) -> tuple[ControlLoop, list[Cycle]]:
    """Return a control loop over fake devices, and the list that its cycles are put into; ``asked`` is in each."""
    cycles: list[Cycle] = []

    loop = ControlLoop(
        config=config(**sections),
        clock=clock,
        devices=fakes,
        requesters=[Asking([] if asked is None else asked), *([] if executor is None else [executor])],
        observers=[Kept(cycles), *([] if executor is None else [executor])],
        locked=executor.locked if executor is not None else lambda: False,
        command_of=executor.command_of if executor is not None else lambda _: None,
    )
    return loop, cycles


def status(**changes: Any) -> dict[str, Any]:
    """Return the status of a gateway of two processes that has nothing to tell but what is given."""
    control: dict[str, Any] = {"site": "home-1", "at": NOON.isoformat(), "clock": ClockTrust.SYNCED, "loop": {}}
    return {**merged(control, {"parts": (), "trading": None, "outbox": {}, "link": {}}), **changes}
