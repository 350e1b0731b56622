"""Scheduler on a shared bus: urgency first, then fairness, and nothing waits for ever."""

import asyncio

from edge.modbus.point import Priority
from edge.modbus.scheduler import Scheduler


async def order_of(waiters: list[tuple[int, Priority]]) -> list[tuple[int, Priority]]:
    """Return in which order waiters are let in that all came while the bus was held."""
    turns = Scheduler()
    served: list[tuple[int, Priority]] = []
    await turns.take(0, Priority.LIVE)

    async def use(unit: int, priority: Priority) -> None:
        async with turns.turn(unit, priority):
            served.append((unit, priority))

    tasks = [asyncio.create_task(use(unit, priority), name=f"unit {unit}") for unit, priority in waiters]
    await asyncio.sleep(0)
    assert turns.waiting == len(waiters)
    turns.give_back()
    await asyncio.gather(*tasks)
    return served


async def test_writes_go_before_control_before_live_before_counters() -> None:
    """A counter block of another device must never delay a setpoint by more than the request under way."""
    waiters = [(1, Priority.COUNTER), (2, Priority.LIVE), (3, Priority.CONTROL), (4, Priority.WRITE)]
    assert await order_of(waiters) == list(reversed(waiters))


async def test_units_of_equal_urgency_take_turns() -> None:
    """A unit with ten requests waiting must not hold up one with a single request."""
    greedy = [(1, Priority.LIVE)] * 4
    served = await order_of([*greedy, (2, Priority.LIVE), (3, Priority.LIVE)])
    assert {unit for unit, _ in served[:3]} == {1, 2, 3}


async def test_a_cancelled_waiter_leaves_the_bus_to_the_others() -> None:
    """A cancelled task that kept its turn would stop the bus for good."""
    turns = Scheduler()
    await turns.take(0, Priority.LIVE)
    first = asyncio.create_task(turns.take(1, Priority.CONTROL), name="first")
    second = asyncio.create_task(turns.take(2, Priority.LIVE), name="second")
    third = asyncio.create_task(turns.take(3, Priority.COUNTER), name="third")
    await asyncio.sleep(0)
    first.cancel()
    turns.give_back()
    second.cancel()  # Granted already, but it never ran.
    await asyncio.gather(first, second, return_exceptions=True)
    await third
    turns.give_back()
    await turns.take(4, Priority.LIVE)
