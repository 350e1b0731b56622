"""Samples, good to invalid, packed by column into messages just under 5 KB (the unit that AWS IoT bills)."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, pairwise
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from contracts.packing import pack, unpack
from contracts.topics import Up
from contracts.units import (
    INSTANT_MS_MAX,
    ClockTrust,
    Count,
    Instant,
    Measured,
    PointName,
    Quality,
    Remark,
    SiteId,
    Text,
    ToldClock,
    Whole,
    epoch_ms,
    instant,
    printable,
)
from contracts.wire import Message, SiteMessage

MESSAGE_BYTES_MAX = 5 * 1024 - 200  # Payload, topic and properties together are billed by started 5 KB.

SAMPLES_MAX: Final = 10_000  # Of one message, however well they pack.
# Of one message: so many names and values fit one item of 400 KB (DynamoDB's bound) with room.
SERIES_MAX: Final = 1500
FIELDS_MAX: Final = 64
FIELD_CHARACTERS_MAX: Final = 32 * 1024  # A record of evidence in one field: the state of a whole command.
_DELTA_MS_MAX: Final = INSTANT_MS_MAX
_UNKNOWN_LETTER: Final = "?"

_LETTER = {Quality.GOOD: "g", Quality.STALE: "s", Quality.INVALID: "i", Quality.SUBSTITUTED: "u"}
_LETTER[Quality.UNKNOWN] = _UNKNOWN_LETTER
_QUALITY = {letter: quality for quality, letter in _LETTER.items()}


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One value of one point at its source time.

    ``point`` is ``<device>/<canonical name>``, the unit ends the name; ``value`` is ``None`` when there is no number.
    """

    point: str
    at: datetime
    value: float | None
    quality: Quality


_Delta = Annotated[int, Field(ge=-_DELTA_MS_MAX, le=_DELTA_MS_MAX)]


class Series(BaseModel):
    """One column: the values of one point, in time order.

    ``at`` holds milliseconds, the first since the message's ``base_at``, each further one since the sample before it.
    ``q`` holds one letter a sample (g, s, i, u), or a single letter where all are alike; another letter, of a newer
    sender, is read as unknown.
    """

    model_config = ConfigDict(frozen=True)

    p: PointName
    at: Annotated[tuple[_Delta, ...], Field(max_length=SAMPLES_MAX)]
    x: Annotated[tuple[Measured | None, ...], Field(max_length=SAMPLES_MAX)]
    q: Text = Field(max_length=SAMPLES_MAX)

    @model_validator(mode="after")
    def _even(self) -> Self:
        if not len(self.at) == len(self.x) or len(self.q) not in (1, len(self.x)):
            raise ValueError(f"column of {len(self.at)} times, {len(self.x)} values and {len(self.q)} qualities")
        return self


class TelemetryMessage(SiteMessage):
    """Samples of one site, packed by column.

    On the wire the columns stand deflated as ``packed``, or plain as ``series`` where that is shorter; readers take
    both.
    """

    channel: ClassVar[str] = Up.TELEMETRY

    base_at: Instant
    clock: ToldClock = ClockTrust.SYNCED
    series: tuple[Series, ...] = Field(max_length=SERIES_MAX)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        """Refuse what no reader could unfold: too many samples, or instants beyond every calendar."""
        count = sum(len(column.x) for column in self.series)
        if count > SAMPLES_MAX:
            raise ValueError(f"{count} samples, above {SAMPLES_MAX}")
        base_ms = epoch_ms(self.base_at)
        for column in self.series:
            for at_ms in accumulate(column.at, initial=base_ms):
                if not 0 <= at_ms <= INSTANT_MS_MAX:
                    raise ValueError(f"{column.p} has a sample at {at_ms} ms, outside 0 to {INSTANT_MS_MAX}")
        return self

    def encode(self) -> bytes:
        """Return the payload bytes, in the shorter of the two forms."""
        plain = super().encode()
        packed = pack((one.p, one.at, one.x, one.q) for one in self.series)
        head = self.model_dump(mode="json", exclude_none=True, exclude={"series"})
        short = json.dumps({**head, "packed": packed}, separators=(",", ":"), ensure_ascii=False).encode()
        return min(short, plain, key=len)

    @model_validator(mode="before")
    @classmethod
    def _unpacked(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or not isinstance(packed := raw.get("packed"), str):
            return raw
        rest = {name: value for name, value in raw.items() if name != "packed"}
        return {**rest, "series": unpack(packed)}


def columns(samples: Sequence[Sample]) -> tuple[datetime, tuple[Series, ...]]:
    """Pack samples by column and return the base instant with them."""
    base_ms = min(epoch_ms(sample.at) for sample in samples)
    by_point: dict[str, list[Sample]] = {}
    for sample in samples:
        by_point.setdefault(sample.point, []).append(sample)
    packed = []
    for point, column in by_point.items():
        column.sort(key=lambda sample: sample.at)
        stamps = [base_ms, *(epoch_ms(sample.at) for sample in column)]
        letters = "".join(_LETTER[sample.quality] for sample in column)
        packed.append(
            Series(
                p=point,
                at=tuple(later - earlier for earlier, later in pairwise(stamps)),
                x=tuple(_shortest(sample.value) for sample in column),
                q=letters[0] if len(set(letters)) == 1 else letters,
            )
        )
    return instant(base_ms), tuple(packed)


def samples_of(message: TelemetryMessage) -> Iterator[Sample]:
    """Yield the samples of a message; the inverse of ``columns``."""
    return samples_in(message.base_at, message.series)


def samples_in(base_at: datetime, columns: Sequence[Series]) -> Iterator[Sample]:
    """Yield the samples of columns whose times count from a base instant."""
    base_ms = epoch_ms(base_at)
    for series in columns:
        letters = series.q * len(series.x) if len(series.q) == 1 else series.q
        at_ms = base_ms
        for delta_ms, value, letter in zip(series.at, series.x, letters, strict=True):
            at_ms += delta_ms
            yield Sample(point=series.p, at=instant(at_ms), value=value, quality=_QUALITY.get(letter, Quality.UNKNOWN))


def _shortest(value: float | None) -> float | None:
    """Return a value that prints short: three decimals, whole numbers as such."""
    if value is None:
        return None
    rounded = round(value, 3)
    return int(rounded) if rounded == int(rounded) else rounded


class StatusMessage(Message):
    """Whether a site is online: retained, and the last will says ``online: false``."""

    site: SiteId
    online: bool
    at: Instant | None = None
    software: Remark | None = None
    epoch: Count | None = None


def _field_text(value: object) -> object:
    return printable(value, FIELD_CHARACTERS_MAX) if isinstance(value, str) else value


# A text may tell what a device or an error said: made harmless, like a remark.
FieldValue = (
    Annotated[str, BeforeValidator(_field_text), Field(max_length=FIELD_CHARACTERS_MAX)]
    | bool
    | Whole
    | Measured
    | None
)


class EventMessage(SiteMessage):
    """Something that an operator should know: a fixed phrase and fields."""

    channel: ClassVar[str] = Up.EVENTS

    at: Instant
    phrase: Text = Field(min_length=1, max_length=120)
    fields: dict[PointName, FieldValue] = Field(default_factory=dict, max_length=FIELDS_MAX)
