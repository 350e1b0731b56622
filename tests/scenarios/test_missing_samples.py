"""Samples without a value and a gateway that stands still move no battery; the plant is the witness."""

import signal
from pathlib import Path

import pytest

from tests.support.rigs.fault_matrix import TOLERANCE_W
from tests.support.rigs.fault_rig import BATTERY_LOAD_W, State, battery_site, fault_rig
from tests.support.rigs.gateway import devices_read, until_status

SITE = "home"
# Slow enough that a busy machine's hiccup is no missing sample of the site.
SPEED = 3.0
STOOD_MS = 7_000  # Longer than a reading may be old, shorter than any timer.
POWER_AT = 52  # Of the meter's power in its map. Source: Eastron SDM630 Modbus, input register 30053.
GAP, GAPS = 2, 2


def _is_supplied(state: State) -> bool:
    return abs(state["battery_w"] + BATTERY_LOAD_W) < TOLERANCE_W


class Gaps:
    """A meter whose power has no value: ``GAP`` samples in a row, ``GAPS`` times, and for good once it is dark."""

    def __init__(self) -> None:
        self.samples = 0
        self.is_dark = False

    @property
    def are_over(self) -> bool:
        """Say whether all gaps have passed, and good samples after them."""
        return self.samples > (GAPS + 1) * 3 * GAP

    def __call__(self, address: int, count: int) -> bool:
        """Say whether a read loses its values."""
        if not address <= POWER_AT < address + count:
            return False
        self.samples += 1
        period, within = divmod(self.samples, 3 * GAP)
        return self.is_dark or (0 < period <= GAPS and within < GAP)


@pytest.mark.slow
async def test_neither_a_missing_sample_nor_a_stall_lets_go_of_the_battery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The house is supplied all the while; a meter that stays without a value lets the battery rest."""
    async with fault_rig(tmp_path, monkeypatch, [battery_site(SITE)], speed=SPEED) as place:
        await devices_read(place, SITE)
        await place.steadily(SITE, _is_supplied)
        begun_ms, gaps = place.now_ms(), Gaps()
        place.wires[f"{SITE}/meter"].is_blank = gaps
        await place.until(lambda: gaps.are_over, "the meter had no value now and then")

        place.signal(signal.SIGSTOP)
        await place.until_ms(place.now_ms() + STOOD_MS)
        place.signal(signal.SIGCONT)
        await place.until_ms(place.now_ms() + STOOD_MS // 2)
        said = await until_status(place, SITE, lambda said: said["loop"]["late_in_a_row"] >= 4, "it stood still")
        story = [
            (at_ms - begun_ms, round(sites[SITE]["battery_w"]), said["loop"])
            for at_ms, sites in place.truth()
            if at_ms >= begun_ms and not _is_supplied(sites[SITE])
        ]
        assert not story, "the battery let go of the house"

        gaps.is_dark = True
        await place.steadily(SITE, lambda state: abs(state["battery_w"]) < TOLERANCE_W)
