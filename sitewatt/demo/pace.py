"""How fast this machine can run a neighbourhood: measured for two seconds, said, never faster than asked."""

import os
import subprocess
import sys
import time
from typing import Final

MEASURE_S: Final = 2.0
START_S_MAX: Final = 10.0  # An interpreter that takes longer to start says enough about the machine.
SPEED_MAX: Final = 30.0
SPEED_MIN: Final = 2.0
# One gateway with its share of the cloud, the plant and the broker at real time takes so many rounds of the measured
# work a second: twenty-one of them at speed 20 took 1.46 cores of a machine that does 80,000 rounds a core and second.
ROUNDS_PER_GATEWAY: Final = 280.0
# Of what is free; the rest is for bursts at gate closure, for the reader's browser, and for what else comes by.
USABLE_SHARE: Final = 0.6


def measured_rounds_per_s(seconds: float = MEASURE_S) -> float:
    """Return how much work per second all cores do together beside whatever else runs now.

    One process a core, in a session of its own: a Ctrl-C or SIGTERM ends the caller, and each of them ends by itself.
    """
    command = [sys.executable, "-m", "sitewatt.demo.pace", str(seconds)]
    workers = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True
        )
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        return sum(float(worker.communicate(timeout=seconds + START_S_MAX)[0]) for worker in workers)
    except (subprocess.TimeoutExpired, ValueError):
        return 0.0  # A machine that cannot even start this in time gets the slowest speed.
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


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


if __name__ == "__main__":
    sys.stdout.write(f"{_rounds_per_s(float(sys.argv[1]))}\n")
