"""How people at the page want the batteries run, as a value, and the words for what becomes of it."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from contracts.control import CommandAck
from contracts.units import epoch_ms
from edge.config import TargetSection
from edge.control.keys import Role


@dataclass(frozen=True, kw_only=True)
class Wish:
    """How the batteries are to run: ``self_consumption``, ``hold`` or ``charge``, whose wish it is, and until when."""

    mode: str
    role: Role
    until_ms: int | None = None
    command_id: str | None = None

    def over(self, now: datetime) -> bool:
        """Say whether it has ended."""
        return self.until_ms is not None and epoch_ms(now) >= self.until_ms

    def kept(self) -> dict[str, Any]:
        """Return the wish as plain values, to be kept."""
        return {**asdict(self), "role": self.role.value}


SAID: Final = {
    None: "the batteries follow plan and market",
    "self_consumption": "the batteries serve the house alone; plan and market are not followed",
    "hold": "the batteries rest",
    "charge": "the batteries charge",
}


def refusal(answer: CommandAck) -> str:
    """Return why the gate took no order, for people."""
    reason = answer.reason.value if answer.reason is not None else "refused"
    return f"the gate refused it ({reason}): {answer.detail or 'it says no more'}"


def load_wish(kept: Any) -> Wish | None:
    """Return a kept wish; one of another version of this software is none."""
    try:
        return None if kept is None else Wish(**{**kept, "role": Role(kept["role"])})
    except (TypeError, ValueError, KeyError):
        return None


def load_target(kept: Any) -> TargetSection | None:
    """Return a kept target; one of another version of this software is none."""
    try:
        return None if kept is None else TargetSection(soc_percent=kept["soc_percent"], by=kept["by"])
    except (TypeError, ValueError, KeyError):
        return None
