"""The plant of a plan: its devices misbehave on their wires when the schedule says so."""

from firmware_sim.fault_rules import FaultKind as WireFault
from firmware_sim.fault_rules import FaultRule
from firmware_sim.plant_config import PlantConfig
from sitewatt.swarm.plan import Fault, FaultKind, Plan

SILENT_S = 10.0  # Of a reboot, on the site's clock.
DELAY_S = 0.4  # Real seconds, beyond the shortest time-out of a gateway.


def faulty_plant(plan: Plan) -> PlantConfig:
    """Return the neighbourhood's plant with the drawn faults of its devices."""
    plant = plan.place.plant()
    sites = tuple(
        site.model_copy(
            update={
                "devices": tuple(
                    device.model_copy(update={"faults": _rules(plan, f"{site.id}/{device.id}")})
                    for device in site.devices
                )
            }
        )
        for site in plant.sites
    )
    return plant.model_copy(update={"sites": sites})


def _rules(plan: Plan, device: str) -> tuple[FaultRule, ...]:
    return tuple(_rule(fault) for fault in plan.faults if fault.kind is FaultKind.DEVICE and fault.target == device)


def _rule(fault: Fault) -> FaultRule:
    kind = WireFault(fault.detail)
    return FaultRule(
        kind=kind,
        from_s=fault.at_s,
        to_s=fault.at_s + fault.for_s,
        count_max=1 if kind in {WireFault.REBOOT, WireFault.HALF_OPEN} else None,
        delay_s=DELAY_S,
        silent_s=SILENT_S,
    )
