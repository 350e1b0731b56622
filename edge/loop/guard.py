"""Keep a requester or an observer that raises from ending the control loop."""

from collections.abc import Mapping

from edge.control.model import Request
from edge.loop.cycle import Cycle, Observer, Requester
from edge.loop.readings import Readings
from edge.process.supervisor import Supervisor


class GuardedRequester:
    """A requester that is left out when it raises; its last requests stand until they expire."""

    def __init__(self, name: str, requester: Requester, supervisor: Supervisor) -> None:
        self._name = name
        self._requester = requester
        self._supervisor = supervisor
        self._last: list[Request] = []

    def requests(self, now_s: float, readings: Mapping[str, Readings]) -> list[Request]:
        """Return what is asked, or what was asked last."""
        asked = self._supervisor.call(
            self._name, lambda: self._requester.requests(now_s, readings), otherwise=self._last
        )
        self._last = asked
        return asked


class GuardedObserver:
    """An observer that is left out of a cycle when it raises; it costs neither the others nor control."""

    def __init__(self, name: str, observer: Observer, supervisor: Supervisor) -> None:
        self._name = name
        self._observer = observer
        self._supervisor = supervisor

    def finished(self, cycle: Cycle) -> None:
        """Take a cycle."""
        self._supervisor.call(self._name, lambda: self._observer.finished(cycle), otherwise=None)
