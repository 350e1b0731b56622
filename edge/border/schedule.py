"""What the site process asks of control: the schedule it traded, the plan. It stands for one lease, then it is gone."""

from collections.abc import Callable, Mapping

from edge.border.messages import Beat
from edge.control.lease import LEASE_S
from edge.control.model import Request
from edge.loop.readings import Readings


class SiteSchedule:
    """A requester that asks what the site process asked last, and nothing once that is older than its lease."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Begin without anything asked; ``monotonic`` tells control's clock."""
        self._monotonic = monotonic
        self._requests: list[Request] = []
        self._expires_s = float("-inf")
        self.beat: Beat | None = None

    def take(self, beat: Beat) -> None:
        """Take what is asked now in the place of what was; a stamp from the future lengthens no lease."""
        self.beat = beat
        self._expires_s = min(beat.asked_s, self._monotonic()) + LEASE_S
        self._requests = [asked.request(expires_s=self._expires_s) for asked in beat.requests]

    def requests(self, now_s: float, _: Mapping[str, Readings]) -> list[Request]:
        """Return what stands at the instant of a cycle."""
        return list(self._requests) if now_s < self._expires_s else []
