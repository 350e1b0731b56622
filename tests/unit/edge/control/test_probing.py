"""A generator at its cap hides what the sun offers; looking for it must cost little where there is nothing."""

from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from edge.control.cycle import decide
from edge.control.levers import levers_of
from edge.control.model import (
    CONNECTION,
    Capability,
    ControlSettings,
    Decision,
    LeverMemory,
    Memory,
    Priority,
    Probe,
    Request,
    Snapshot,
    lever,
)
from edge.control.probing import REST_S, probe
from edge.control.rising import RISE_WAIT_S
from tests.support.rigs.control import good, hybrid, pv, request, snapshot, value_of

SITE = ControlSettings(import_w_max=200_000, export_w_max=130_000)
NOTHING_OUT = request("dso", CONNECTION, Priority.GRID_OPERATOR, min_w=0.0)
TOLERANCE_W = 0.002 * 130_000
DEAD_BAND_W = 0.005 * 100_000


@dataclass
class Farm:
    """A hybrid of 130 kW whose battery and panels take a while to follow; its meter is read before the inverter.

    ``meter_late_s`` is by how many seconds the meter is behind the inverter, negative where it is ahead.
    """

    sun_w: float
    load_w: float = 0.0
    meter_late_s: int = 0
    battery_w: float = 0.0
    pv_w: float = 0.0
    limit_w: float | None = None
    seen: list[tuple[float, float, float]] = field(default_factory=list)

    memory: Memory = field(default_factory=Memory)

    def run(self, seconds: int, *orders: Request) -> list[float]:
        """Let a gateway steer it for a while, one cycle a second, and return what the connection point had."""
        for _ in range(seconds):
            self.seen.append((self.load_w + self.pv_w + self.battery_w, self.pv_w, self.battery_w))
            decision, self.memory = decide(self._snapshot(len(self.seen)), orders, SITE, self.memory)
            self._obey(decision)
        return [connection_w for connection_w, _, _ in self.seen[-seconds:]]

    @property
    def probe(self) -> Probe:
        """Return what the gateway knows of its sun."""
        known = self.memory.levers[lever("hybrid", Capability.LIMIT_GENERATION)].probe
        assert known is not None
        return known

    def _snapshot(self, at_s: int) -> Snapshot:
        meter_w = self.seen[max(0, len(self.seen) - 1 - max(0, self.meter_late_s))][0]
        _, pv_w, battery_w = self.seen[max(0, len(self.seen) - 1 + min(0, self.meter_late_s))]
        asset = hybrid("hybrid", pv_w=pv_w, battery_w=battery_w)
        asset = replace(asset, generation_rated_w=130_000.0, charge_w_max=100_000.0, discharge_w_max=100_000.0)
        asset = replace(asset, pv_power=good(pv_w), battery_power=good(battery_w))
        return snapshot(meter_w, asset, at_s=float(at_s))

    def _obey(self, decision: Decision) -> None:
        wanted_w = value_of(decision, "hybrid", Capability.BATTERY_POWER) or 0.0
        self.limit_w = value_of(decision, "hybrid", Capability.LIMIT_GENERATION)
        self.battery_w += 0.7 * (wanted_w - self.battery_w)
        if self.limit_w is not None:
            self.battery_w = max(self.battery_w, -self.limit_w)
        # The inverter holds its limit at the terminals at once, and takes up what it may a little at a time.
        most_w = self.sun_w if self.limit_w is None else max(0.0, min(self.sun_w, self.limit_w + self.battery_w))
        self.pv_w = -min(most_w, -self.pv_w + 0.6 * max(0.0, most_w + self.pv_w))


@pytest.mark.parametrize("late_s", [-1, 0, 1])
@pytest.mark.parametrize(("sun_w", "load_w"), [(0, 0), (900, 300), (6_600, 0), (30_000, 11_000), (60_000, 2_400)])
def test_a_limit_of_nothing_buys_nothing_for_a_sun_that_is_not_there(sun_w: int, load_w: int, late_s: int) -> None:
    """The battery takes what the panels give: to look for more each few seconds buys energy all day."""
    farm = Farm(sun_w=sun_w, load_w=load_w, meter_late_s=late_s)
    farm.run(30)
    farm.run(30, NOTHING_OUT)
    limited_w = farm.run(300, NOTHING_OUT)
    bought_w = sum(max(0.0, power_w) for power_w in limited_w) / len(limited_w)
    # Readings a second apart make the battery swing, and the limit stay below what the site takes.
    assert bought_w <= (200.0 if late_s == 0 else DEAD_BAND_W + 0.012 * 130_000)
    assert min(limited_w) >= -TOLERANCE_W


@pytest.mark.parametrize("late_s", [-1, 0, 1])
@pytest.mark.parametrize("load_w", [0, 2_400])
def test_a_sun_that_comes_out_is_found_within_minutes(load_w: int, late_s: int) -> None:
    """A battery that never tries would lose the whole day's energy."""
    farm = Farm(sun_w=6_600, load_w=load_w, meter_late_s=late_s)
    farm.run(30)
    farm.run(120, NOTHING_OUT)
    farm.sun_w = 60_000
    limited_w = farm.run(420, NOTHING_OUT)
    assert -farm.pv_w >= 0.9 * 60_000
    assert min(limited_w) >= -TOLERANCE_W


@pytest.mark.parametrize("late_s", [-1, 1])
def test_a_meter_beside_its_inverter_by_a_second_never_lifts_a_limit_at_the_terminals(late_s: int) -> None:
    """While the battery falls by kilowatts a second, meter and inverter tell of different moments: that is no load."""
    farm = Farm(sun_w=60_000, meter_late_s=late_s)
    farm.run(30)
    farm.run(30, NOTHING_OUT)
    for second in range(60):
        farm.sun_w = 60_000 if second % 20 < 10 else 6_600
        farm.run(1, NOTHING_OUT)
        assert farm.limit_w is not None and farm.limit_w <= TOLERANCE_W


def test_a_step_that_is_taken_up_is_doubled() -> None:
    """A farm in full sun is not let go by one hundredth of its rating a time."""
    farm, longest_w = Farm(sun_w=900.0), 0.0
    farm.run(30)
    farm.run(30, NOTHING_OUT)
    farm.sun_w = 100_000
    for _ in range(300):
        farm.run(1, NOTHING_OUT)
        longest_w = max(longest_w, farm.probe.step_w)
    assert longest_w == SITE.pv_probe_share * 130_000


def test_a_step_that_finds_nothing_is_tried_ever_more_seldom() -> None:
    """A night under a limit of nothing must not be paid for by the minute; the cap rises here, the output does not."""
    steps: list[tuple[float, float]] = []
    (panels,) = levers_of(snapshot(0.0, pv("pv", -1_000.0)))
    memory = LeverMemory(value_w=-1_000.0)
    for second in range(1_500):
        now_s = float(second)
        known = probe(panels, memory, battery_w=0.0, now_s=now_s, seen_s=now_s - 0.2, settings=SITE)
        steps.append((now_s, known.step_w))
        memory = replace(memory, value_w=known.potential_w, probe=known)
    began_s = [at_s for (_, before_w), (at_s, after_w) in pairwise(steps) if before_w == 0 < after_w]
    apart_s = [after_s - before_s for before_s, after_s in pairwise(began_s)]
    assert apart_s == sorted(apart_s)
    assert apart_s[0] < 3 * REST_S
    assert apart_s[-1] >= 4 * REST_S


def test_a_hybrid_that_charges_from_its_panels_leaves_nothing_of_that_to_another_inverter() -> None:
    """What its battery takes from its panels is not taken from the other: both would feed out together."""
    charging = hybrid("hybrid", pv_w=-5_000, battery_w=5_000)
    seen = snapshot(-2_500, charging, pv("pv", -2_500))
    decision, _ = decide(seen, (NOTHING_OUT,), SITE, Memory())
    limits_w = [value_of(decision, asset, Capability.LIMIT_GENERATION) for asset in ("hybrid", "pv")]
    assert limits_w == [0.0, 0.0]


def test_a_battery_that_discharges_more_waits_for_its_limit_at_the_terminals() -> None:
    """A kettle that one reading alone shows is no reason to let more out, of the panels or of the battery."""
    resting = hybrid("hybrid", pv_w=0.0, battery_w=0.0)
    _, memory = decide(snapshot(0, resting, at_s=0.0), (NOTHING_OUT,), SITE, Memory())
    limits_w = []
    for second in range(1, 8):
        decision, memory = decide(snapshot(3_000, resting, at_s=float(second)), (NOTHING_OUT,), SITE, memory)
        limits_w.append(value_of(decision, "hybrid", Capability.LIMIT_GENERATION))
    assert value_of(decision, "hybrid", Capability.BATTERY_POWER) == -3_000
    assert limits_w == [0.0 if second < 2 + RISE_WAIT_S else 3_000.0 for second in range(1, 8)]
