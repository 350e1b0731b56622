"""A process that writes to an outbox until it is killed, and says what it has written.

Each line that it says is ``<channel> <seq> <committed>`` after ``append`` has returned; ``committed`` is 1 when the
outbox promised that the record is on disk.
"""

from multiprocessing.connection import Connection
from pathlib import Path

from contracts.clock import SystemClock
from contracts.topics import Up
from edge.outbox.outbox import Outbox
from tests.support.brokers.link_parts import SITE, one_sample, reading


def write(path: Path, flush_window_s: float, said: Connection) -> None:
    """Append telemetry and settlement in turn, for ever."""
    outbox = Outbox.open(path, site=SITE, clock=SystemClock(), flush_window_s=flush_window_s)
    turn = 0
    while True:
        turn += 1
        seq = outbox.append(Up.TELEMETRY, one_sample(float(turn)))
        said.send_bytes(f"{Up.TELEMETRY} {seq} {int(outbox.stats().pending == 0)}".encode())
        if turn % 5 == 0:
            seq = outbox.append(Up.METER, reading(turn))
            said.send_bytes(f"{Up.METER} {seq} 1".encode())
        if turn % 7 == 0:
            outbox.acknowledge(record.id for record in outbox.read(Up.TELEMETRY, limit=3))
            outbox.remember("turn", turn)
