"""How the control loop has done since it started."""

from dataclasses import dataclass, field


@dataclass(kw_only=True)
class LoopStats:
    """Counters since start; ``late_in_a_row`` is the most cycles that were ever skipped at once."""

    cycles: int = 0
    late: int = 0
    late_in_a_row: int = 0
    writes: int = 0
    failed_writes: int = 0
    last_cycle_ms: float = 0.0
    longest_cycle_ms: float = 0.0
    alarms: tuple[str, ...] = field(default=())
