"""What one finished control cycle saw, and who takes part in a cycle: who asks something, who is told of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from edge.control.model import ControlSettings, Decision, Request, Snapshot
from edge.devices.device import Applied
from edge.loop.lever_records import Lever
from edge.loop.readings import Readings


@dataclass(frozen=True, kw_only=True)
class Cycle:
    """What one finished cycle saw, decided, and has proven of its writes so far.

    ``sound`` says that it is a sign of life: it ended in time, and its inputs were fresh or their devices are silent.
    A gateway that stopped to read devices which do answer is as good as hung. ``settings`` are those it was decided by.
    """

    number: int
    readings: Mapping[str, Readings]
    snapshot: Snapshot
    decision: Decision
    applied: Mapping[Lever, Applied]
    settings: ControlSettings
    sound: bool = True


class Requester(Protocol):
    """Asks something of the site in each cycle."""

    def requests(self, now_s: float, readings: Mapping[str, Readings]) -> list[Request]:
        """Return what is asked at the instant of a cycle, given what the devices read."""


class Observer(Protocol):
    """Is told of each cycle."""

    def finished(self, cycle: Cycle) -> None:
        """Take a cycle whose decision was handed to the devices."""
