"""How fast this machine can run a neighbourhood: measured for two seconds, said, never faster than asked."""

import multiprocessing
import os
import time
from typing import Final

MEASURE_S: Final = 2.0
SPEED_MAX: Final = 30.0
SPEED_MIN: Final = 2.0
# One gateway with its share of the cloud, the plant and the broker at real time takes so many rounds of the measured
# work a second: twenty-one of them at speed 20 took 1.46 cores of a machine that does 80,000 rounds a core and second.
ROUNDS_PER_GATEWAY: Final = 280.0
# Of what is free; the rest is for bursts at gate closure, for the reader's browser, and for what else comes by.
USABLE_SHARE: Final = 0.6


def measured_rounds_per_s(seconds: float = MEASURE_S) -> float:
    """Return how much work per second all cores do together beside whatever else runs now."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(os.cpu_count() or 1) as pool:
        return sum(pool.map(_rounds_per_s, [seconds] * (os.cpu_count() or 1), chunksize=1))


def speed_for(*, gateways: int, rounds_per_s: float) -> float:
    """Return the speed at which that many gateways leave the machine room, within ``SPEED_MIN`` and ``SPEED_MAX``.

    Args:
        gateways: How many gateway processes run, the feeder's among them.
        rounds_per_s: What ``measured_rounds_per_s`` found.
    """
    speed = USABLE_SHARE * rounds_per_s / (ROUNDS_PER_GATEWAY * gateways)
    return float(round(min(SPEED_MAX, max(SPEED_MIN, speed))))


def _rounds_per_s(seconds: float) -> float:
    """Do the work of an interpreter (numbers, text, a dictionary) for a while and return how much it was."""
    begun_s = time.monotonic()
    rounds = 0
    while (now_s := time.monotonic()) < begun_s + seconds:
        values = {str(number): number * 1.5 for number in range(64)}
        sum(values.values())
        rounds += 1
    return rounds / (now_s - begun_s)
