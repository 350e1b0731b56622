"""Every fault that the simulator knows, and the way back from it."""

import asyncio

import pytest

from tests.support.modbus.recovery import HEALTHY_WITHIN_S, PASSING, recover

RUNS = 3


@pytest.mark.slow
async def test_after_every_kind_of_fault_the_device_is_read_rightly_within_ten_seconds() -> None:
    """Nobody drives out to restart a gateway, and while the wire goes wrong nothing false is believed."""
    runs = [(kind, seed) for kind in PASSING for seed in range(RUNS)]
    outcomes = await asyncio.gather(*(recover(kind, seed=seed) for kind, seed in runs))
    for (kind, seed), outcome in zip(runs, outcomes, strict=True):
        assert outcome.happened, f"{kind}, seed {seed}: the fault never struck"
        assert not outcome.wrong, f"{kind}, seed {seed}"
        assert outcome.recovery_s is not None, f"{kind}, seed {seed}: it did not come back"
        assert outcome.recovery_s <= HEALTHY_WITHIN_S, f"{kind}, seed {seed}"
