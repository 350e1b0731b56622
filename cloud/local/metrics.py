"""``/metrics`` of a private cloud: what its functions counted, how they were called, and what waits in the streams.

Source: Prometheus, text exposition format 0.0.4.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Final

from cloud.errors import StoreError
from cloud.figures import DIMENSION, FIGURES, Figure

log = logging.getLogger(__name__)

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
REQUEST_S_MAX: Final = 10.0
REQUEST_BYTES_MAX: Final = 16_384


@dataclass(frozen=True, kw_only=True)
class LocalFigure:
    """One figure that AWS keeps by itself: its name and kind here, what it says, and what it is called there."""

    name: str
    kind: str
    says: str
    on_aws: str


CALLS: Final = LocalFigure(
    name="sitewatt_calls_total", kind="counter", says="Calls of a function.", on_aws="AWS/Lambda Invocations"
)
FAILURES: Final = LocalFigure(
    name="sitewatt_call_failures_total", kind="counter", says="Calls that raised.", on_aws="AWS/Lambda Errors"
)
SECONDS: Final = LocalFigure(
    name="sitewatt_call_seconds_total", kind="counter", says="Time in calls.", on_aws="AWS/Lambda Duration"
)
CPU_SECONDS: Final = LocalFigure(
    name="sitewatt_call_cpu_seconds_total",
    kind="counter",
    says="Processor time of the calls' own threads.",
    on_aws="LambdaInsights cpu_total_time",
)
WAITING: Final = LocalFigure(
    name="sitewatt_records_waiting",
    kind="gauge",
    says="Records that a function has not passed.",
    on_aws="AWS/Kinesis GetRecords.IteratorAgeMilliseconds",
)
SET_ASIDE: Final = LocalFigure(
    name="sitewatt_records_set_aside",
    kind="gauge",
    says="Records that no function could take.",
    on_aws="AWS/SQS ApproximateNumberOfMessagesVisible of the queue aside",
)
NOT_FORWARDED: Final = LocalFigure(
    name="sitewatt_messages_not_forwarded_total",
    kind="counter",
    says="Messages that were no JSON.",
    on_aws="AWS/IoT RuleMessageThrottled and Failure of the rule",
)
ALARMS: Final = LocalFigure(
    name="sitewatt_site_alarms",
    kind="gauge",
    says="Alarms that a site's gateway told last; none for a site that never told any.",
    on_aws="none; `sitewatt fleet list` shows them",
)
LOCAL_FIGURES: Final = (CALLS, FAILURES, SECONDS, CPU_SECONDS, WAITING, SET_ASIDE, NOT_FORWARDED, ALARMS)


class Counts:
    """Counters by function, for functions that run in threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: dict[tuple[str, str], float] = {}

    def add(self, function: str, figure: Figure | LocalFigure, by: float) -> None:
        """Add to a function's counter."""
        with self._lock:
            at = (figure.name, function)
            self._held[at] = self._held.get(at, 0) + by

    def end(self, function: str) -> None:
        """Keep what a call counted: whoever asks sees the sums."""

    def called(self, module: str, *, seconds: float, cpu_s: float, failed: bool) -> None:
        """Count one call of a function, by the module of its handler: its time, and that of a processor."""
        function = module.rpartition(".")[2].replace("_", "-")
        self.add(function, CALLS, 1)
        self.add(function, FAILURES, int(failed))
        self.add(function, SECONDS, seconds)
        self.add(function, CPU_SECONDS, cpu_s)

    def text(self, streams: Mapping[str, int], alarms: Mapping[str, int]) -> str:
        """Return everything in the form that Prometheus reads, with the counters of the streams and alarms by site."""
        with self._lock:
            held = dict(self._held)
        lines: list[str] = []
        known = [(each.name, "counter", each.says) for each in FIGURES]
        known += [(each.name, each.kind, each.says) for each in LOCAL_FIGURES]
        for name, kind, says in known:
            lines += [f"# HELP {name} {says}", f"# TYPE {name} {kind}"]
            of_functions = sorted((function, value) for (counted, function), value in held.items() if counted == name)
            lines += [f'{name}{{{DIMENSION}="{function}"}} {_number(value)}' for function, value in of_functions]
            lines += [f"{name} {value}" for counted, value in _of_streams(streams) if counted == name]
        lines += [f'{ALARMS.name}{{site="{site}"}} {number}' for site, number in sorted(alarms.items())]
        return "\n".join([*lines, ""])


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.6f}"


def _of_streams(streams: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    for figure, counter in ((WAITING, "waiting"), (SET_ASIDE, "set_aside"), (NOT_FORWARDED, "not_forwarded")):
        yield figure.name, streams.get(counter, 0)


async def _body(text: Callable[[], Awaitable[str]]) -> bytes | None:
    """Return the page, ``None`` where the streams cannot be asked: a zero would be no figure."""
    try:
        return (await text()).encode()
    except StoreError:
        return None


async def serve(host: str, port: int, text: Callable[[], Awaitable[str]]) -> asyncio.Server:
    """Answer ``GET /metrics`` until the server is closed.

    Raises:
        OSError: The address cannot be listened on.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            async with asyncio.timeout(REQUEST_S_MAX):
                head = await reader.readuntil(b"\r\n\r\n")
                right = head.startswith((b"GET /metrics ", b"GET /metrics?"))
                status, body = ("200 OK", await _body(text)) if right else ("404 Not Found", b"only /metrics is here\n")
                if body is None:
                    status, body = "503 Service Unavailable", b"the streams do not answer\n"
                kind = CONTENT_TYPE if right else "text/plain; charset=utf-8"
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                    f"Connection: close\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        writer.close()

    return await asyncio.start_server(answer, host, port, limit=REQUEST_BYTES_MAX)
