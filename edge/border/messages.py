"""What the two processes of a gateway tell one another, every field bounded.

Up (control to site): what a cycle saw, records to take over, who watches. Down (site to control): commands as they
came, what the market's schedule asks, settings from afar, which records are taken over. An instant of the monotonic
clock means the same in both: the machine has one.
"""

import base64
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from contracts.topics import Up
from contracts.units import Quality, epoch_ms, instant
from contracts.wire import PAYLOAD_BYTES_MAX, WireError, read_json
from edge.control.model import Capability, Measured, Priority, Reason, Request, Resource
from edge.loop.seen import CycleSeen, LoadSeen
from edge.modbus.point import Reading
from edge.outbox.records import RecordClass

VERSION = 1  # Of the border; a process that speaks another one is refused by name.
# A command or a record as base64 or escaped text, with room for its envelope.
FRAME_BYTES_MAX = 2 * PAYLOAD_BYTES_MAX
RECORDS_MAX = 32  # Handed over at a time; what waits meanwhile waits in control's own store.
REQUESTS_MAX = 64

Name = Annotated[str, Field(max_length=200)]
Point = tuple[float | None, Quality, Annotated[int, Field(ge=0)] | None, float]
"""A reading: value, quality, source time in milliseconds, instant of the monotonic clock."""
Load = tuple[float | None, bool | None, Capability | None, float]
"""A load: power, whether a car is there, how it is moved, its least power while it runs."""


class _Frame(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Hello(_Frame):
    """The first frame of either side; ``chosen_s`` is when its version was chosen, 0 where nobody chose."""

    kind: Literal["hello"] = "hello"
    v: int = VERSION
    software: Name
    site: Name
    pid: int
    chosen_s: float = Field(default=0.0, ge=0)


class Seen(_Frame):
    """What a cycle saw; the newest takes the place of one that has not left yet."""

    kind: Literal["seen"] = "seen"
    number: int
    taken_s: float
    connection: tuple[float | None, Quality, float | None]
    readings: dict[Name, dict[Name, Point]]
    generation_limits_w: dict[Name, float] = Field(default_factory=dict)
    loads: dict[Name, Load] = Field(default_factory=dict)
    offline: tuple[Name, ...]
    in_event: bool

    @classmethod
    def of(cls, cycle: CycleSeen) -> "Seen":
        """Return the frame of a cycle."""
        power = cycle.connection_power
        return cls(
            number=cycle.number,
            taken_s=cycle.taken_s,
            connection=(power.value, power.quality, _finite(power.age_s)),
            readings={
                device: {name: _point(reading) for name, reading in points.items()}
                for device, points in cycle.readings.items()
            },
            generation_limits_w=dict(cycle.generation_limits_w),
            loads={
                device: (each.power_w, each.connected, each.moved_by, each.least_w)
                for device, each in cycle.loads.items()
            },
            offline=cycle.offline,
            in_event=cycle.in_event,
        )

    def cycle(self) -> CycleSeen:
        """Return what the frame tells."""
        value, quality, age_s = self.connection
        return CycleSeen(
            number=self.number,
            taken_s=self.taken_s,
            connection_power=Measured(value=value, quality=quality, age_s=float("inf") if age_s is None else age_s),
            readings={
                device: {name: _reading(point) for name, point in points.items()}
                for device, points in self.readings.items()
            },
            generation_limits_w=self.generation_limits_w,
            loads={
                device: LoadSeen(power_w=power_w, connected=connected, moved_by=moved_by, least_w=least_w)
                for device, (power_w, connected, moved_by, least_w) in self.loads.items()
            },
            offline=self.offline,
            in_event=self.in_event,
        )


class Waiting(_Frame):
    """A record that control keeps until the site has taken it over, as control numbered it.

    ``last`` says that control waits now for the answer to all that it handed over.
    """

    kind: Literal["waiting"] = "waiting"
    id: int
    channel: Up
    record_class: RecordClass
    payload: str
    last: bool


class Live(_Frame):
    """Somebody watches: telemetry is to leave every ``period_s`` for the next ``for_s`` seconds."""

    kind: Literal["live"] = "live"
    period_s: float = Field(gt=0)
    for_s: float


class Asked(_Frame):
    """What the market's schedule or the plan asks of one resource; an absent bound is none."""

    requester: Name
    resource: Name
    priority: Literal[Priority.MARKET_DR, Priority.OPTIMISER]
    reason: Literal[Reason.SCHEDULE, Reason.PRICE]
    min_w: float | None = None
    max_w: float | None = None
    preferred_w: float | None = None

    @classmethod
    def of(cls, request: Request) -> "Asked":
        """Return the frame's part of a request.

        Raises:
            ValidationError: It is none that the site process may make.
        """
        return cls(
            requester=request.requester,
            resource=request.resource,
            priority=request.priority,  # type: ignore[arg-type]
            reason=request.reason,  # type: ignore[arg-type]
            min_w=_finite(request.min_w),
            max_w=_finite(request.max_w),
            preferred_w=request.preferred_w,
        )

    def request(self, *, expires_s: float) -> Request:
        """Return the request, which stands until ``expires_s``."""
        return Request(
            requester=self.requester,
            resource=Resource(self.resource),
            priority=self.priority,
            reason=self.reason,
            expires_s=expires_s,
            min_w=float("-inf") if self.min_w is None else self.min_w,
            max_w=float("inf") if self.max_w is None else self.max_w,
            preferred_w=self.preferred_w,
        )


class Beat(_Frame):
    """The site's answer to a cycle: what is asked, stamped with when, and what a ``diagnostics`` command tells."""

    kind: Literal["beat"] = "beat"
    asked_s: float
    requests: tuple[Asked, ...] = Field(default=(), max_length=REQUESTS_MAX)
    published: int = 0
    acknowledged: int = 0
    failing: Annotated[str, Field(max_length=1000)] = ""


class Arrived(_Frame):
    """A message from the command topic, as it came."""

    kind: Literal["arrived"] = "arrived"
    payload_base64: str
    retained: bool

    @classmethod
    def of(cls, payload: bytes, *, retained: bool) -> "Arrived":
        """Return the frame of a message."""
        return cls(payload_base64=base64.b64encode(payload).decode(), retained=retained)

    def payload(self) -> bytes:
        """Return the message.

        Raises:
            ValueError: It is no base64.
        """
        return base64.b64decode(self.payload_base64, validate=True)


class Kept(_Frame):
    """The records that the site has on its disk."""

    kind: Literal["kept"] = "kept"
    ids: tuple[int, ...] = Field(max_length=RECORDS_MAX)


class Adopt(_Frame):
    """What is wanted from afar, by shadow, all of it; control lays it over its own file."""

    kind: Literal["adopt"] = "adopt"
    wanted: dict[str, dict[str, Any]]


class NewStart(_Frame):
    """The whole gateway is to be started anew: in another version, or with settings that are read at a start."""

    kind: Literal["new_start"] = "new_start"
    reason: Name


FromControl = Hello | Seen | Waiting | Live
FromSite = Hello | Beat | Arrived | Kept | Adopt | NewStart
Frame = FromControl | FromSite
_FRAME: TypeAdapter[Frame] = TypeAdapter(Annotated[Frame, Field(discriminator="kind")])


def encode(frame: Frame) -> bytes:
    """Return the JSON of a frame.

    Raises:
        WireError: It is longer than a frame may be.
    """
    body = frame.model_dump_json().encode()
    if len(body) > FRAME_BYTES_MAX:
        raise WireError(f"a frame {frame.kind!r} of {len(body)} bytes, above {FRAME_BYTES_MAX}; not sent")
    return body


def decode(body: bytes) -> Frame:
    """Return the frame that JSON holds.

    Raises:
        WireError: It holds none.
    """
    try:
        return _FRAME.validate_python(read_json(body, bytes_max=FRAME_BYTES_MAX))
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise WireError(f"no frame: {where}: {fault['msg']}") from error


def _point(reading: Reading) -> Point:
    number = isinstance(reading.value, int | float) and not isinstance(reading.value, bool)
    value = _finite(float(reading.value)) if number else None  # type: ignore[arg-type]
    at_ms = None if reading.source_at is None else max(0, epoch_ms(reading.source_at))
    return value, reading.quality, at_ms, reading.monotonic_s


def _reading(point: Point) -> Reading:
    value, quality, at_ms, monotonic_s = point
    return Reading(
        value=value,
        quality=quality,
        source_at=None if at_ms is None else instant(at_ms),
        monotonic_s=monotonic_s,
    )


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None
