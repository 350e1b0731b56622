"""What a request costs on its way: the time for which nobody else can use the bus. Pure."""

from dataclasses import dataclass
from math import ceil

from edge.modbus.point import Table
from edge.modbus.url import Endpoint

RTU_OVERHEAD_CHARS = (
    13  # Source: Modbus over serial line 1.02, 2.5.1: 8 of the request, 5 around the data of the reply.
)
FAST_BAUD = 19_200  # Source: Modbus over serial line 1.02, 2.5.1.1: above it the silent interval is fixed.
FAST_SILENCE_S = 0.00175  # Source: as above.
SILENCE_CHARS = 3.5  # Source: as above.
RTU_TURNAROUND_S = 0.030  # Assumed until the device's own is learned.
TCP_TURNAROUND_S = 0.020  # Source: round trips of 20 to 80 ms reported for inverters; the lower end bridges less.
TCP_OVERHEAD_BYTES = 2 * 66 + 12 + 9  # Ethernet, IP and TCP headers of both directions; request; header of the reply.
TCP_BYTE_S = 8 / 10e6  # A 10 Mbit/s link: the slow Ethernet side of small devices.


@dataclass(frozen=True, kw_only=True)
class CostModel:
    """Bus time of one read: a fixed part, and a part for each byte of data in the reply.

    Args:
        turnaround_s: From the end of the request to the start of the reply.
        silence_s: Between frames on a serial line; counted before the request and before the reply.
    """

    turnaround_s: float
    overhead_s: float
    byte_s: float
    silence_s: float = 0.0
    char_s: float = 0.0

    def request_s(self, table: Table, count: int) -> float:
        """Return the predicted time of one read of so many registers, bits in a bit table."""
        return self.fixed_s + self.byte_s * data_bytes(table, count)

    @property
    def fixed_s(self) -> float:
        """Return what a further request costs, whatever it reads."""
        return self.turnaround_s + 2 * self.silence_s + self.overhead_s


def data_bytes(table: Table, count: int) -> int:
    """Return the bytes of data in a reply."""
    return ceil(count / 8) if table.is_bits else 2 * count


def silence_s(baud: int, *, char_bits: int) -> float:
    """Return the silent interval between frames. Source: Modbus over serial line 1.02, 2.5.1.1."""
    return FAST_SILENCE_S if baud > FAST_BAUD else SILENCE_CHARS * char_bits / baud


def rtu_cost(
    *, baud: int, turnaround_s: float = RTU_TURNAROUND_S, char_bits: int = 11, min_gap_s: float | None = None
) -> CostModel:
    """Return the model of a serial line: turnaround, two silent intervals and ``13 + 2 n`` characters.

    Args:
        min_gap_s: Silence that the device needs between a reply and the next request, where that is longer.
    """
    char_s = char_bits / baud
    between_s = silence_s(baud, char_bits=char_bits)
    extra_s = max(0.0, (min_gap_s or 0.0) - between_s)
    return CostModel(
        turnaround_s=turnaround_s,
        overhead_s=RTU_OVERHEAD_CHARS * char_s + extra_s,
        byte_s=char_s,
        silence_s=between_s,
        char_s=char_s,
    )


def tcp_cost(*, turnaround_s: float = TCP_TURNAROUND_S, min_gap_s: float | None = None) -> CostModel:
    """Return the model of a network: almost only the round trip counts."""
    return CostModel(
        turnaround_s=turnaround_s, overhead_s=TCP_OVERHEAD_BYTES * TCP_BYTE_S + (min_gap_s or 0.0), byte_s=TCP_BYTE_S
    )


def cost_of(endpoint: Endpoint, *, turnaround_s: float | None = None, min_gap_s: float | None = None) -> CostModel:
    """Return the model of a connection; a network gateway in front of a serial line is costed as the line."""
    baud = endpoint.wire_baud
    if baud is None:
        return tcp_cost(turnaround_s=TCP_TURNAROUND_S if turnaround_s is None else turnaround_s, min_gap_s=min_gap_s)
    return rtu_cost(
        baud=baud,
        turnaround_s=RTU_TURNAROUND_S if turnaround_s is None else turnaround_s,
        char_bits=endpoint.char_bits,
        min_gap_s=min_gap_s,
    )
