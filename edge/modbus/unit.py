"""What the bus knows about one unit: how fast it answers, whether it answers, what its limits are."""

from collections import deque
from dataclasses import dataclass, field

from edge.modbus.faults import Fault
from edge.modbus.learned import Learned
from edge.modbus.point import LinkLimits

TIMEOUT_S_MIN = 0.3
TIMEOUT_S_MAX = 3.0
TIMEOUT_LATENCIES = 4.0  # The timeout is so many smoothed latencies. Source: Victron, dbus-modbus-client.
TCP_TIMEOUT_S_START = 1.0
RTU_TIMEOUT_S_START = 0.8  # Source: libmodbus issue 776: errors until 0.6 s, none at 0.8 s.
SMOOTHING = 1 / 8  # Weight of a new latency. Source: RFC 6298, 2.3.
TURNAROUND_S_MIN = 0.0005

BACKOFF_S_START = 0.5  # Where the probes of a silent unit cost nobody else anything.
SHARED_BACKOFF_S_START = 2.0
BACKOFF_S_MAX = 7.0  # From probe to probe: good data within 10 s after a device answers again.
SHARED_BACKOFF_S_MAX = 9.0
PROBE_LATENCIES = 2.0
LONG_PROBE_EVERY = 16
PROBE_SHARE_MAX = 0.045  # Of a shared line, for a unit that does not answer; with the long probes below 5 %.
FAILURES_UNTIL_OFFLINE = 2  # A request and its repetition.

GAP_STEPS_S = (0.025, 0.05, 0.1, 0.2)  # Silence tried in turn where a device drops requests that follow too soon.
GAP_WINDOW = 20
GAP_MISSES = 6  # Of the last GAP_WINDOW requests; a line that is merely noisy misses fewer.
GAP_PAUSE_S = 3600.0  # After no silence helped, so long none is tried.


@dataclass(kw_only=True)
class UnitCounts:
    """What happened since the start.

    Args:
        bus_s: Time for which nobody else could use the bus, real seconds.
    """

    requests: int = 0
    good: int = 0
    exceptions: int = 0
    faults: dict[Fault, int] = field(default_factory=dict)
    bus_s: float = 0.0


class Unit:
    """State of one unit on a bus. Times are the event loop's, real seconds.

    ``lain_s`` is for how long the last answer may have lain unread at our side: 0 where it was taken within its
    time-out, else since its request. A process that stood still finds answers that are as old as its stall.
    """

    def __init__(self, number: int, *, limits: LinkLimits, learned: Learned, timeout_s_start: float) -> None:
        self.number = number
        self.limits = limits
        self.learned = learned
        self.counts = UnitCounts()
        self.latency_s: float | None = learned.turnaround_s
        self.failures = 0
        self.retry_at_s = 0.0
        self.last_error: str | None = None
        self.last_good_s: float | None = None
        self.changed_s: float | None = None
        self.lain_s = 0.0
        self._timeout_s_start = timeout_s_start
        self._learn_gap_from_s = 0.0
        self._recent: deque[bool] = deque(maxlen=GAP_WINDOW)

    @property
    def is_online(self) -> bool:
        """Return whether the unit answered lately: its last request, or the one before it."""
        return self.last_good_s is not None and self.failures < FAILURES_UNTIL_OFFLINE

    @property
    def gap_s(self) -> float | None:
        """Return the silence that the unit needs before a request, None where the line's own will do."""
        own = self.limits.min_gap_s
        return max(own or 0.0, self.learned.gap_s) if self.learned.gap_s else own

    def timeout_s(self, *, wire_s: float, is_shared: bool) -> float:
        """Return how long to wait for an answer, the time of its bytes included.

        A unit that stopped answering gets more time with each failure, because it may have become slow. Where others
        share the line its probes are short, and only a few of them long.
        """
        floor_s = max(TIMEOUT_S_MIN, self.limits.timeout_s_min or 0.0)
        ceiling_s = max(TIMEOUT_S_MAX, floor_s)
        latency_s = self._timeout_s_start / TIMEOUT_LATENCIES if self.latency_s is None else self.latency_s
        if is_shared and not self.is_online and self.failures:
            is_long = self.failures % LONG_PROBE_EVERY == 0
            wait_s = self._timeout_s_start if is_long else PROBE_LATENCIES * latency_s
        else:
            wait_s = TIMEOUT_LATENCIES * latency_s * 2 ** min(self.failures, 3)
        return min(max(wait_s, floor_s), ceiling_s) + wire_s

    def answered(self, *, now_s: float, latency_s: float, wire_s: float, timeout_s: float) -> None:
        """Take note of an answer, an exception included: the unit is there."""
        self.lain_s = latency_s if latency_s > timeout_s else 0.0
        turnaround_s = max(latency_s - wire_s, TURNAROUND_S_MIN)
        if self.latency_s is None:
            self.latency_s = turnaround_s
        else:
            self.latency_s += SMOOTHING * (turnaround_s - self.latency_s)
        self.learned.turnaround_s = self.latency_s
        if not self.is_online:
            self.changed_s = now_s
        self.failures = 0
        self.retry_at_s = 0.0
        self.last_good_s = now_s
        self._recent.append(True)

    def late(self, latency_s: float) -> None:
        """Take note of an answer that came too late: the next request waits long enough for one like it."""
        self.latency_s = max(self.latency_s or 0.0, min(latency_s, TIMEOUT_S_MAX) / 2)

    def failed(self, *, now_s: float, cost_s: float, is_shared: bool, fault: Fault, message: str) -> None:
        """Take note that no usable answer came, and when the next request may be tried."""
        was_online = self.is_online
        self.failures += 1
        self.last_error = message
        self.counts.faults[fault] = self.counts.faults.get(fault, 0) + 1
        if was_online and not self.is_online:
            self.changed_s = now_s
        if self.failures >= FAILURES_UNTIL_OFFLINE:
            start_s = SHARED_BACKOFF_S_START if is_shared else BACKOFF_S_START
            backoff_s = min(start_s * 2 ** (self.failures - FAILURES_UNTIL_OFFLINE), BACKOFF_S_MAX - cost_s)
            backoff_s = max(backoff_s, BACKOFF_S_START)
            if is_shared and self.failures > FAILURES_UNTIL_OFFLINE:
                backoff_s = max(backoff_s, min(cost_s / PROBE_SHARE_MAX, SHARED_BACKOFF_S_MAX))
            self.retry_at_s = now_s + backoff_s
        if fault is Fault.TIMEOUT and self.last_good_s is not None:
            self._recent.append(False)
            self._learn_gap(now_s)

    def excuse(self) -> None:
        """Forget a silence that was about a register and not about the unit: it is asked on, and asked once."""
        self.failures = min(self.failures, 1)
        self.retry_at_s = 0.0

    def unconnected(self, *, now_s: float, message: str) -> None:
        """Take note that there is no way to the unit; it is asked as soon as there is one."""
        if self.is_online:
            self.changed_s = now_s
        self.failures = max(self.failures, FAILURES_UNTIL_OFFLINE)
        self.retry_at_s = 0.0
        self.last_error = message
        self.counts.faults[Fault.UNCONNECTED] = self.counts.faults.get(Fault.UNCONNECTED, 0) + 1

    def _learn_gap(self, now_s: float) -> None:
        """Try longer silences where a unit that is alive misses many requests; where none helps, ask for none."""
        missed = self._recent.count(False)
        if missed < GAP_MISSES or not self.is_online or now_s < self._learn_gap_from_s:
            return
        self._recent.clear()
        longer = [step_s for step_s in GAP_STEPS_S if step_s > (self.gap_s or 0.0)]
        if longer:
            self.learned.gap_s = longer[0]
        else:
            self.learned.gap_s = 0.0
            self._learn_gap_from_s = now_s + GAP_PAUSE_S
        self.learned.version += 1
