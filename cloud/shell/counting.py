"""How functions count: on AWS by a line of their log in the embedded metric format, of which CloudWatch makes metrics.

A call that counted nothing writes none, because each line is billed. Calls, failures and durations are not counted:
Lambda has these by itself.

Source: Amazon CloudWatch user guide, "Specification: CloudWatch embedded metric format".
"""

import functools
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from cloud.figures import COLD_STARTS, NAMESPACE, Figure

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])


class Sink(Protocol):
    """Where counts go."""

    def add(self, function: str, figure: Figure, by: int) -> None:
        """Add to a function's counter."""

    def end(self, function: str) -> None:
        """Take note that a call has ended, whatever became of it."""


class EmbeddedMetrics:
    """Writes a call's counts to standard output, a function's log; for threads that have one call at a time each."""

    def __init__(self) -> None:
        self._of_thread = threading.local()

    def add(self, function: str, figure: Figure, by: int) -> None:
        """Add to a function's counter."""
        metrics = self._metrics()
        if function not in metrics:
            metrics[function] = EphemeralMetrics(namespace=NAMESPACE, service=function)
        metrics[function].add_metric(name=figure.name, unit=MetricUnit.Count, value=by)

    def end(self, function: str) -> None:
        """Write what the call counted, where it counted anything."""
        metrics = self._metrics().pop(function, None)
        if metrics is not None:
            metrics.flush_metrics(raise_on_empty_metrics=False)

    def _metrics(self) -> dict[str, EphemeralMetrics]:
        """Return the counts of this thread's call by its function."""
        held: dict[str, EphemeralMetrics] = self._of_thread.__dict__.setdefault("metrics", {})
        return held


class Uncounted:
    """Drops what is counted: where a function's standard output is no log that anybody makes metrics of."""

    def add(self, function: str, figure: Figure, by: int) -> None:
        """Add nothing."""

    def end(self, function: str) -> None:
        """Write nothing."""


class _Counting:
    sink: Sink = EmbeddedMetrics()
    cold = True


_function: ContextVar[str | None] = ContextVar("function", default=None)


def install(sink: Sink | None) -> None:
    """Let counts go somewhere else (``None``: to the function's log again)."""
    _Counting.sink = EmbeddedMetrics() if sink is None else sink


def count(figure: Figure, by: int = 1) -> None:
    """Add to a counter of the function that runs; nothing where none does, as in a command, or nothing happened."""
    function = _function.get()
    if function is not None and by:
        _Counting.sink.add(function, figure, by)


def counted(name: str) -> Callable[[HandlerT], HandlerT]:
    """Return a decorator for a function's entry: what happens below it counts under the function's name."""

    def around(handler: HandlerT) -> HandlerT:
        @functools.wraps(handler)
        def entry(event: dict[str, Any], context: Any) -> object:
            token = _function.set(name)
            try:
                if _Counting.cold:
                    _Counting.cold = False
                    count(COLD_STARTS)
                return handler(event, context)
            finally:
                _Counting.sink.end(name)
                _function.reset(token)

        entry.counts_as = name  # type: ignore[attr-defined]
        return entry  # type: ignore[return-value]

    return around
