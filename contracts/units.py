"""Signs, units, identifiers and delivery intervals that every message shares.

Power is positive into the asset: import and charging are positive, export, generation and discharging negative. The
connection point equals the sum of its assets.

Energy is an integer in Wh. Prices are integers in thousandths of a cent per kWh (``mct_per_kwh``; 1 EUR/MWh = 100).
Energy times price is exact in millionths of a cent (``uct``), the unit of every ledger line.

Instants are aware UTC in Python and epoch milliseconds on the wire. Durations are seconds of a monotonic clock.
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, StringConstraints, WithJsonSchema

from contracts.quality import Quality as Quality  # noqa: PLC0414 (so that it can be had from here as well)

DELIVERY_INTERVAL_S = 900
DELIVERY_INTERVAL = timedelta(seconds=DELIVERY_INTERVAL_S)
UCT_PER_CENT = 1_000_000
UCT_PER_EUR = 100 * UCT_PER_CENT

# Exact in a double, so in every JSON reader. Source: RFC 8259, section 6; ECMA-262, Number.MAX_SAFE_INTEGER.
WHOLE_MAX: Final = 2**53 - 1
# Above the largest power station there is (Three Gorges, 22.5 GW).
POWER_W_MAX: Final = 25 * 10**9
# Above what POWER_W_MAX carries in one delivery interval (6.25 GWh).
ENERGY_WH_MAX: Final = 10**10
# Of one order: a bound of the wire from before this table; a site's registered limits are far below.
ORDER_WH_MAX: Final = 10**12
# 10 million EUR/MWh: a thousand times the harmonised maximum clearing price of the European markets.
PRICE_MCT_MAX: Final = 10**9
# Wh x price of many orders, exact; fits the 38 digits of a DynamoDB number and of a decimal column.
MONEY_UCT_MAX: Final = 10**27
# Any reading of a device: counters in Wh reach 10^12 at the largest sites.
MEASURED_MAX: Final = 10**15
# A number nearer to zero than this is noise of a broken conversion; DynamoDB refuses what is below 10^-130.
MEASURED_MIN: Final = 1e-12
# 2100-01-01: later instants would overflow the arithmetic of intervals before anybody reads them.
INSTANT_MS_MAX: Final = 4_102_444_800_000
ID_CHARACTERS_MAX: Final = 64
POINT_CHARACTERS_MAX: Final = 128
REMARK_CHARACTERS_MAX: Final = 1000

_WORD: Final = re.compile("[a-z][a-z0-9_]{1,31}")
# C0, C1, DEL, lone surrogates, and the marks that turn the direction of text or end a line for some readers.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str, characters_max: int = REMARK_CHARACTERS_MAX) -> str:
    """Return a text that is safe on a terminal and in a log: unsafe characters shown as ``?``, its length bounded.

    What devices, peers and exceptions say goes through here before a person or a message sees it.
    """
    safe = _UNSAFE.sub("?", text)
    return safe if len(safe) <= characters_max else safe[: characters_max - 3] + "..."


def measured(value: float | None) -> float | None:
    """Return a reading that every reader and store can take: ``None`` for what is no number or beyond any device."""
    if value is None or not math.isfinite(value) or abs(value) > MEASURED_MAX:
        return None
    return 0.0 if value and abs(value) < MEASURED_MIN else value


def _plain(text: str) -> str:
    unsafe = _UNSAFE.search(text)
    if unsafe is not None:
        raise ValueError(f"character U+{ord(unsafe.group()):04X} at {unsafe.start()} is not allowed in a text")
    return text


def _representable(value: float) -> float:
    if value and abs(value) < MEASURED_MIN:
        raise ValueError(f"a magnitude below {MEASURED_MIN} cannot be stored")
    return value


def _remark(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value


# One topic level each, and within the 128 bytes of an IoT client id.
SiteId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", max_length=63)]
ZoneId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", max_length=63)]

# What a message may carry. Texts are refused with a control character or a lone surrogate in them.
Text = Annotated[str, AfterValidator(_plain)]
Id = Annotated[Text, Field(min_length=1, max_length=ID_CHARACTERS_MAX)]
PointName = Annotated[Text, Field(max_length=POINT_CHARACTERS_MAX)]
# Words for a person: made harmless and shortened instead of refused, since nothing is decided from them.
Remark = Annotated[str, BeforeValidator(_remark), Field(max_length=REMARK_CHARACTERS_MAX)]
Count = Annotated[int, Field(ge=0, le=WHOLE_MAX)]
Number = Annotated[int, Field(ge=1, le=WHOLE_MAX)]
Whole = Annotated[int, Field(ge=-WHOLE_MAX, le=WHOLE_MAX)]
Flag = Annotated[bool, Field(strict=True)]
PowerW = Annotated[int, Field(ge=-POWER_W_MAX, le=POWER_W_MAX)]
LimitW = Annotated[int, Field(ge=0, le=POWER_W_MAX)]
IntervalWh = Annotated[int, Field(ge=0, le=ENERGY_WH_MAX)]
RegisterWh = Annotated[int, Field(ge=0, le=MEASURED_MAX)]
PriceMct = Annotated[int, Field(ge=-PRICE_MCT_MAX, le=PRICE_MCT_MAX)]
Measured = Annotated[
    float, Field(ge=-MEASURED_MAX, le=MEASURED_MAX, allow_inf_nan=False), AfterValidator(_representable)
]


def _money(value: int) -> int | str:
    return value if abs(value) <= WHOLE_MAX else str(value)


# A whole number on the wire as far as every reader has it exact, a decimal text beyond; both are read.
MoneyUct = Annotated[
    int, Field(ge=-MONEY_UCT_MAX, le=MONEY_UCT_MAX), PlainSerializer(_money, return_type=int | str, when_used="json")
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class ClockTrust(StrEnum):
    """How far the wall clock may be trusted: orders and signed evidence need ``SYNCED`` or ``HOLDOVER``."""

    SYNCED = "synced"
    HOLDOVER = "holdover"
    UNTRUSTED = "untrusted"


def epoch_ms(instant: datetime) -> int:
    """Return the epoch milliseconds of an aware instant, exact, rounded down."""
    return (instant - _EPOCH) // _MILLISECOND


def instant(milliseconds: int) -> datetime:
    """Return the aware UTC instant of epoch milliseconds."""
    return _EPOCH + milliseconds * _MILLISECOND


def _read_instant(value: Any) -> datetime:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        return value.astimezone(UTC)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= INSTANT_MS_MAX:
        return instant(value)
    raise ValueError(f"an instant is a whole number of epoch milliseconds, 0 to {INSTANT_MS_MAX}")


# Aware UTC in Python, epoch milliseconds on the wire.
Instant = Annotated[
    datetime,
    BeforeValidator(_read_instant),
    PlainSerializer(epoch_ms, return_type=int),
    WithJsonSchema({"type": "integer", "title": "epoch milliseconds", "minimum": 0, "maximum": INSTANT_MS_MAX}),
]

EnumT = TypeVar("EnumT", bound=StrEnum)


def known_or(fallback: EnumT) -> BeforeValidator:
    """Return a validator that reads a word which this version does not know yet as ``fallback``."""
    words = {word.value for word in type(fallback)}

    def read(value: Any) -> Any:
        newer = isinstance(value, str) and value not in words and _WORD.fullmatch(value)
        return fallback if newer else value

    return BeforeValidator(read)


# As a newer gateway may say them: what we do not know is never taken for good.
ToldQuality = Annotated[Quality, known_or(Quality.UNKNOWN)]
ToldClock = Annotated[ClockTrust, known_or(ClockTrust.UNTRUSTED)]


@dataclass(frozen=True, order=True)
class DeliveryInterval:
    """A half-open span ``[start, end)`` of 15 minutes, aligned to UTC.

    Raises:
        ValueError: The start is not aligned to a quarter of an hour.
    """

    start: datetime

    def __post_init__(self) -> None:
        if epoch_ms(self.start) % (DELIVERY_INTERVAL_S * 1000):
            raise ValueError(f"delivery interval starts at {self.start.isoformat()}, not on a quarter of an hour")

    @classmethod
    def containing(cls, instant_: datetime) -> "DeliveryInterval":
        """Return the interval in which an instant lies."""
        milliseconds = epoch_ms(instant_)
        return cls(instant(milliseconds - milliseconds % (DELIVERY_INTERVAL_S * 1000)))

    @property
    def end(self) -> datetime:
        """Return the first instant after the interval."""
        return self.start + DELIVERY_INTERVAL

    def later(self, intervals: int) -> "DeliveryInterval":
        """Return the interval that starts so many intervals later (earlier when negative)."""
        return DeliveryInterval(self.start + intervals * DELIVERY_INTERVAL)
