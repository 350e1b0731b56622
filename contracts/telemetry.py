"""Samples, good to invalid, packed by column into messages just under 5 KB (the unit that AWS IoT bills)."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contracts.packing import pack, unpack
from contracts.topics import Up
from contracts.units import ClockTrust, Instant, Quality, epoch_ms, instant
from contracts.wire import Message, SiteMessage

MESSAGE_BYTES_MAX = 5 * 1024 - 200  # Payload, topic and properties together are billed by started 5 KB.

_LETTER = {Quality.GOOD: "g", Quality.STALE: "s", Quality.INVALID: "i", Quality.SUBSTITUTED: "u"}
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


class Series(BaseModel):
    """One column: the values of one point, in time order.

    ``at`` holds milliseconds, the first since the message's ``base_at``, each further one since the sample before it.
    ``q`` holds one letter a sample (g, s, i, u), or a single letter where all are alike.
    """

    model_config = ConfigDict(frozen=True)

    p: str
    at: tuple[int, ...]
    x: tuple[float | None, ...]
    q: str


class TelemetryMessage(SiteMessage):
    """Samples of one site, packed by column.

    On the wire the columns stand deflated as ``packed``, or plain as ``series`` where that is shorter; readers take
    both.
    """

    channel: ClassVar[str] = Up.TELEMETRY

    base_at: Instant
    clock: ClockTrust = ClockTrust.SYNCED
    series: tuple[Series, ...]

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
            yield Sample(point=series.p, at=instant(at_ms), value=value, quality=_QUALITY[letter])


def _shortest(value: float | None) -> float | None:
    """Return a value that prints short: three decimals, whole numbers as such."""
    if value is None:
        return None
    rounded = round(value, 3)
    return int(rounded) if rounded == int(rounded) else rounded


class StatusMessage(Message):
    """Whether a site is online: retained, and the last will says ``online: false``."""

    site: str
    online: bool
    at: Instant | None = None
    software: str | None = None
    epoch: int | None = None


class EventMessage(SiteMessage):
    """Something that an operator should know: a fixed phrase and fields."""

    channel: ClassVar[str] = Up.EVENTS

    at: Instant
    phrase: str = Field(min_length=1, max_length=120)
    fields: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
