"""What of a cycle is told beyond control: reported readings, the connection's power, who is silent, what is owed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge.control.model import AssetKind, Capability, Measured, load_capability
from edge.loop.readings import BATTERY_POWER, EXPORT_ENERGY, IMPORT_ENERGY, POWER, PV_POWER, SOC, Readings

if TYPE_CHECKING:  # A cycle is control's own; the site process loads this file without what steers devices.
    from edge.loop.cycle import Cycle

# What telemetry reports and trading goes by; everything else is there to be asked for by a ``read`` command.
REPORTED = frozenset(
    {
        POWER,
        BATTERY_POWER,
        PV_POWER,
        SOC,
        IMPORT_ENERGY,
        EXPORT_ENERGY,
        "frequency_hz",
        "voltage_l1_v",
        "voltage_l2_v",
        "voltage_l3_v",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSeen:
    """A load that can be moved, as one cycle saw it.

    Args:
        power_w: What it draws; ``None`` while nobody can tell.
        connected: Whether a charger has a car; ``None`` where it does not tell.
        moved_by: How its device is moved; ``None`` where it cannot be.
        least_w: The least that it draws while it runs.
    """

    power_w: float | None
    connected: bool | None
    moved_by: Capability | None
    least_w: float


@dataclass(frozen=True, kw_only=True)
class CycleSeen:
    """One cycle as the rest of the site knows it.

    Args:
        number: Cycles since control started.
        taken_s: Of its snapshot, on the machine's monotonic clock.
        readings: The reported readings, by device.
        generation_limits_w: What generators were told to keep below, by device.
        loads: The loads, by device.
        offline: The devices that do not answer.
        in_event: Something is owed to the grid or to an order now.
    """

    number: int
    taken_s: float
    connection_power: Measured
    readings: Mapping[str, Readings]
    generation_limits_w: Mapping[str, float] = field(default_factory=dict)
    loads: Mapping[str, LoadSeen] = field(default_factory=dict)
    offline: tuple[str, ...] = ()
    in_event: bool = False


class Teller:
    """An observer that has each cycle told.

    Args:
        tell: Takes it, at once.
        offline: Returns the devices that do not answer now.
        in_event: Says whether something is owed now.
    """

    def __init__(
        self,
        *,
        tell: Callable[[CycleSeen], None],
        offline: Callable[[], tuple[str, ...]],
        in_event: Callable[[], bool],
    ) -> None:
        self._tell = tell
        self._offline = offline
        self._in_event = in_event

    def finished(self, cycle: "Cycle") -> None:
        """Have a cycle told."""
        self._tell(seen_of(cycle, offline=self._offline(), in_event=self._in_event()))


def seen_of(cycle: "Cycle", *, offline: tuple[str, ...] = (), in_event: bool = False) -> CycleSeen:
    """Return what of a cycle is told beyond control."""
    return CycleSeen(
        number=cycle.number,
        taken_s=cycle.snapshot.taken_s,
        connection_power=cycle.snapshot.connection_power,
        readings={
            device: {name: reading for name, reading in readings.items() if name in REPORTED}
            for device, readings in cycle.readings.items()
        },
        generation_limits_w={
            one.asset: one.value_w
            for one in cycle.decision.setpoints
            if one.capability is Capability.LIMIT_GENERATION and one.value_w is not None
        },
        loads={
            asset.id: LoadSeen(
                power_w=asset.power.usable(),
                connected=asset.connected,
                moved_by=load_capability(asset.capabilities),
                least_w=asset.load_w_min,
            )
            for asset in cycle.snapshot.assets
            if asset.kind is AssetKind.LOAD
        },
        offline=offline,
        in_event=in_event,
    )
