"""What a forecast from a year takes with numpy's linear algebra in one thread, and in as many as there are cores.

    python -m benchmarks.bench_threads [--json]

Beside it a process keeps each core busy: threads that wait for each other by spinning do so for longer then. Both ways
run in turns, each in a process of its own, and the middle one of each counts.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from statistics import median
from typing import Final

from domain.one_thread import ONE_THREAD

TURNS: Final = 5
# A year of quarter hours with two columns of weather; prints the seconds of processor time.
FORECAST: Final = """
import time
from datetime import UTC, datetime, timedelta
import numpy as np
from domain.forecasting.blend import Covariates
from domain.forecasting.load import forecast_load
from domain.forecasting.series import Series
now, count = datetime(2026, 3, 17, 11, tzinfo=UTC), 365 * 96
noise = np.random.default_rng(1)
load_w = 900 + 300 * np.sin(np.arange(count) / 96 * 2 * np.pi) + noise.normal(0, 60, count)
history = Series(start=now - timedelta(days=365), step_s=900, values=load_w)
weather = Covariates(start=history.start, values=noise.normal(0, 1, (count + 192, 2)))
began_s = time.process_time()
forecast_load(history, issued_at=now, horizon_steps=192, covariates=weather)
print(time.process_time() - began_s)
"""


def run() -> dict[str, float]:
    """Measure both and return the seconds of processor time, and how much more several threads take."""
    several = {name: value for name, value in os.environ.items() if name not in ONE_THREAD}
    with ExitStack() as stack:
        for _ in os.sched_getaffinity(0):
            busy = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(busy.kill)
        turns = [(_cpu_s({**several, **ONE_THREAD}), _cpu_s(several)) for _ in range(TURNS)]
    one_s, several_s = (median(taken) for taken in zip(*turns, strict=True))
    return {"one_thread_cpu_s": one_s, "several_threads_cpu_s": several_s, "several_by_one": several_s / one_s}


def _cpu_s(environ: Mapping[str, str]) -> float:
    told = subprocess.run([sys.executable, "-c", FORECAST], env=environ, capture_output=True, text=True, check=True)
    return float(told.stdout)


def main() -> None:
    """Print the figures."""
    figures = run()
    if "--json" in sys.argv:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:25} {value:8.2f}")


if __name__ == "__main__":
    main()
