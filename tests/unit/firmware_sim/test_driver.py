"""The driver: when the plant moves, and when timers run out."""

import asyncio
from dataclasses import dataclass, field

from firmware_sim.driver import STEP_S, Driver
from firmware_sim.plant import Plant
from tests.support.modbus.simulator import SAFETY_S, ManualClock, home


@dataclass
class Alarm:
    """A timer that notes when it rang on the plant's time, and may ring again."""

    plant: Plant
    deadline_s: float | None
    again_s: float | None = None
    rang_s: list[float] = field(default_factory=list)

    def expire(self) -> None:
        """Note the plant's time."""
        self.rang_s.append(self.plant.now_s)
        self.deadline_s, self.again_s = self.again_s, None


def test_timers_ring_in_order_each_at_its_own_instant() -> None:
    """A process that was held up must still have undone each order when it was due."""
    clock = ManualClock()
    plant = Plant(home(), started_at=clock.now(), now_s=clock.monotonic())
    driver = Driver(plant, clock)
    late, early = Alarm(plant, 50.0), Alarm(plant, 20.0, again_s=30.0)
    driver.add_timer(late)
    driver.add_timer(early)
    clock.move(100)
    assert driver.now_s() == 100
    assert (early.rang_s, late.rang_s) == ([20.0, 30.0], [50.0])


def test_reads_close_together_see_one_instant() -> None:
    """Forty devices read a hundred times a second must not cost forty hundred steps, nor disagree."""
    clock = ManualClock()
    driver = Driver(Plant(home(), started_at=clock.now(), now_s=clock.monotonic()), clock)
    first = driver.freshen()
    clock.move(STEP_S / 2)
    assert driver.freshen() == first
    clock.move(STEP_S)
    assert driver.freshen() > first


def test_a_faster_clock_takes_longer_steps_and_never_more_of_them() -> None:
    """Time-lapse must not turn into load."""
    clock = ManualClock(speed=30)
    driver = Driver(Plant(home(), started_at=clock.now(), now_s=clock.monotonic()), clock)
    first = driver.freshen()
    clock.move(0.29)
    assert driver.freshen() == first
    clock.move(0.02)
    assert driver.freshen() > first


async def test_a_plant_that_nobody_reads_still_lives() -> None:
    """Energy is counted whether or not somebody looks."""
    clock = ManualClock()
    plant = Plant(home(), started_at=clock.now(), now_s=clock.monotonic())
    driver = Driver(plant, clock)
    steps = 0
    moved = asyncio.Event()

    def count() -> None:
        nonlocal steps
        steps += 1
        moved.set()

    task = asyncio.create_task(driver.run(count), name="move the plant")
    try:
        async with asyncio.timeout(SAFETY_S):
            for _ in range(3):
                await moved.wait()
                moved.clear()
                clock.move(10)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert steps == 3
    assert plant.now_s == 20
