"""Read with pymodbus alone: one task for each device, paced without drift. See ``modbus_spent``."""

import asyncio
import sys
import time
from collections.abc import Sequence

from pymodbus.client import AsyncModbusTcpClient

from benchmarks.modbus_spent import POINTS, Spent, Task, main, spent


async def read(task: Task) -> Spent:
    """Read all ports at their pace and return what it cost."""
    clients = [AsyncModbusTcpClient("127.0.0.1", port=port, retries=0) for port in task.ports]
    for client in clients:
        await client.connect()
    latest: dict[int, Sequence[int]] = {}
    reads = 0
    started_s = time.monotonic()

    async def poll(port: int, client: AsyncModbusTcpClient) -> None:
        nonlocal reads
        due_s = started_s
        while due_s < started_s + task.whole_s:  # It cannot be cancelled: pymodbus swallows that.
            latest[port] = (await client.read_holding_registers(0, count=POINTS, device_id=1)).registers
            reads += 1
            due_s += task.period_s
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    polls = [asyncio.create_task(poll(*each), name="poll") for each in zip(task.ports, clients, strict=True)]
    cost = await spent(task, lambda: reads)
    await asyncio.gather(*polls)
    for client in clients:
        client.close()
    return cost


if __name__ == "__main__":
    main(read, sys.argv[1:])
