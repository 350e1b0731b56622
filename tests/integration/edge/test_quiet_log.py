"""An ordinary start, run and stop give no warning: what is warned of is worth a look."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.rigs.fault_rig import FaultRig, battery_site, fault_rig
from tests.support.rigs.gateway import devices_read, until_status

SITE = "home"
CYCLES = 30
END_S = 60.0  # Real seconds; a safety bound alone.


def _ctrl_c(place: FaultRig) -> None:
    """A terminal sends it to every process of the group."""
    place.signal(signal.SIGINT, SITE)


def _stop(place: FaultRig) -> None:
    """A service manager, or ``kill``, sends it to the one that it started."""
    os.kill(place.processes[SITE].process.pid, signal.SIGTERM)


@pytest.mark.parametrize("end", [_ctrl_c, _stop])
async def test_an_ordinary_start_run_and_stop_warn_of_nothing(
    end: Callable[[FaultRig], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both starts, the first and the one on what it kept."""
    async with fault_rig(tmp_path, monkeypatch, [battery_site(SITE, sun=True)], speed=5.0) as place:
        for start in range(2):
            if start:
                await place.start(SITE)
            await devices_read(place, SITE)
            await until_status(place, SITE, lambda said: said["loop"]["cycles"] >= CYCLES, "it ran")
            end(place)
            async with asyncio.timeout(END_S):
                while place.processes[SITE].running:  # noqa: ASYNC110 (a process that is not ours to await)
                    await asyncio.sleep(0.1)
            assert place.log(SITE).strip() == ""
