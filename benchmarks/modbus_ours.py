"""Read with a bus and a poller for each device, as a site does. See ``modbus_spent``."""

import asyncio
import sys

from benchmarks.modbus_spent import POINTS, Spent, Task, main, spent
from contracts.clock import SystemClock
from edge.modbus.bus import Bus
from edge.modbus.point import PollClass, RegisterPoint
from edge.modbus.poller import Poller


async def read(task: Task) -> Spent:
    """Read all ports at their pace and return what it cost; values are decoded when somebody looks."""
    buses = [Bus(f"tcp://127.0.0.1:{port}") for port in task.ports]
    periods = {PollClass.CONTROL: task.period_s}
    pollers = [Poller(bus, 1, _points(), clock=SystemClock(), period_s=periods) for bus in buses]
    polls = [asyncio.create_task(poller.run(), name="poll") for poller in pollers]
    cost = await spent(task, lambda: sum(bus.unit(1).counts.good for bus in buses))
    for poll in polls:
        poll.cancel()
    await asyncio.gather(*polls, return_exceptions=True)
    for bus in buses:
        bus.close()
    return cost


def _points() -> list[RegisterPoint]:
    """Return points that fill one request, each device its own."""
    return [RegisterPoint(name=f"p{at}", address=at, poll_class=PollClass.CONTROL) for at in range(POINTS)]


if __name__ == "__main__":
    main(read, sys.argv[1:])
