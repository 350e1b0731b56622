"""Prices that were read, by month in the gateway's state: they outlive a restart, and a forecast learns from them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from contracts.units import DELIVERY_INTERVAL, PRICE_MCT_MAX
from domain.prices.steps import Prices
from edge.state_store import StateStore

MONTHS_MAX: Final = 40  # Three years and what a forecast's longest window needs before them.
_KEY: Final = "prices.months"
_NAME: Final = "%Y-%m"


class KeptPrices:
    """The prices of one source by quarter of an hour; those of another are forgotten."""

    def __init__(self, memory: StateStore, *, source: str) -> None:
        """Go on with what an earlier process kept of the same source."""
        self._memory = memory
        self._source = source
        kept = memory.recall(_KEY) or {}
        self._months: list[str] = list(kept.get("months", ()))
        if kept and kept.get("source") != source:
            self._forget(self._months)
            self._note()

    @property
    def known(self) -> bool:
        """Return whether any price is kept."""
        return bool(self._months)

    def add(self, news: Prices) -> None:
        """Keep what was told; what is not told anew stays."""
        if not news:
            return
        for month in sorted({_month(start) for start in news}):
            values = self._values(month)
            told = [news.get(start) for start in _quarters(month)]
            merged = [before if now is None else now for now, before in zip(told, values, strict=True)]
            if merged != values:
                self._memory.remember(_key(month), merged, durable=False)
            if month not in self._months:
                self._months = sorted([*self._months, month])
        self._forget(self._months[:-MONTHS_MAX])
        self._note()

    def between(self, first: datetime, last: datetime) -> dict[datetime, int]:
        """Return the known prices of a few days."""
        return {
            start: price
            for month in self._months
            if month in {_month(first), _month(last)}
            for start, price in self._known(month)
            if first <= start < last
        }

    def months(self) -> Iterator[tuple[datetime, list[int | None]]]:
        """Yield the beginning of each month of which something is known, and its quarters."""
        for month in self._months:
            yield _begin(month), self._values(month)

    def _known(self, month: str) -> Iterator[tuple[datetime, int]]:
        for start, price in zip(_quarters(month), self._values(month), strict=True):
            if price is not None:
                yield start, price

    def _values(self, month: str) -> list[int | None]:
        """Return what is kept of a month; what another version may have kept otherwise counts as nothing."""
        count = len(_quarters(month))
        kept = self._memory.recall(_key(month))
        if not isinstance(kept, list) or len(kept) != count:
            return [None] * count
        return [value if isinstance(value, int) and abs(value) <= PRICE_MCT_MAX else None for value in kept]

    def _forget(self, months: list[str]) -> None:
        for month in months:
            self._memory.remember(_key(month), None, durable=False)
        self._months = [month for month in self._months if month not in months]

    def _note(self) -> None:
        self._memory.remember(_KEY, {"source": self._source, "months": self._months}, durable=False)


def _key(month: str) -> str:
    return f"prices.{month}"


def _month(at: datetime) -> str:
    return at.astimezone(UTC).strftime(_NAME)


def _begin(month: str) -> datetime:
    return datetime.strptime(month, _NAME).replace(tzinfo=UTC)


def _quarters(month: str) -> list[datetime]:
    begin = _begin(month)
    end = (begin + timedelta(days=32)).replace(day=1)
    return [begin + number * DELIVERY_INTERVAL for number in range((end - begin) // DELIVERY_INTERVAL)]
