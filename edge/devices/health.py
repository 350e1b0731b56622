"""How a device does, in one value for the page, the log and whoever decides."""

from dataclasses import dataclass, field
from datetime import datetime

from edge.devices.recipes import Lever


@dataclass(frozen=True, kw_only=True)
class Health:
    """How a device does.

    Args:
        online: It answered lately.
        since_at: When it came or went, on the site's clock; None before the first answer.
        stage: What we are at: ``searching`` for its models, ``reading``, ``relearning`` how it is to be read; or what
            is wrong: ``wrong_profile``, ``misread``.
        doubt: Why nothing of it is believed and nothing written; None where that is not so.
        latency_s: Smoothed turnaround, real seconds.
        error_rate: Share of requests without a usable answer since the start.
        quarantined: Readings discarded because they cannot be true, by canonical name.
        implausible: The last of them in one sentence, by canonical name.
        foreign_writes: How often another master changed what we had set, by lever.
        writes_today: Writes to memory that may wear out, by point.
        no_timer: Levers that the device keeps as they are when we fall silent.
    """

    online: bool
    since_at: datetime | None = None
    stage: str = "searching"
    doubt: str | None = None
    last_error: str | None = None
    latency_s: float | None = None
    error_rate: float = 0.0
    requests: int = 0
    cycles: int = 0
    late_cycles: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)
    implausible: dict[str, str] = field(default_factory=dict)
    foreign_writes: dict[Lever, int] = field(default_factory=dict)
    writes_today: dict[str, int] = field(default_factory=dict)
    no_timer: tuple[Lever, ...] = ()
