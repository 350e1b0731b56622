"""Serve a profile's device until stopped."""

from contracts.clock import Clock
from edge.devices.profile import Profile
from firmware_sim.fault_rules import FaultRule
from firmware_sim.rtu import Pace
from firmware_sim.serve import Announce, serve_bank
from sitewatt.bench.bank import ProfileBank
from sitewatt.bench.plant import open_bench

NO_WITNESS = "not a witness: it reads the gateway's own map, and proves plumbing only"


async def serve_profile(
    profile: Profile,
    clock: Clock,
    *,
    announce: Announce,
    host: str,
    port: int,
    unit: int,
    faults: tuple[FaultRule, ...] = (),
    seed: int = 0,
    over_tcp: Pace | None = None,
) -> None:
    """Serve the device of a profile over a plant of its own.

    Raises:
        PortTaken: The port is in use.
    """
    bench = open_bench(profile, clock, seed=seed)
    await serve_bank(
        ProfileBank(profile, bench),
        bench.driver,
        announce=announce,
        host=host,
        port=port,
        unit=unit,
        faults=faults,
        seed=seed,
        clock=clock,
        over_tcp=over_tcp,
    )
