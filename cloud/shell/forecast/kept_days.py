"""What is published by quarter of an hour, kept by UTC day: whole numbers in named rows, ``None`` where not known."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from cloud.stores.tables import Key, Put, Table, Tables
from contracts.units import DELIVERY_INTERVAL

PER_DAY: Final = timedelta(days=1) // DELIVERY_INTERVAL
KeyOf = Callable[[datetime], Key]  # Of a day.


def read_days(tables: Tables, key_of: KeyOf, *, first: datetime) -> dict[str, dict[datetime, int]]:
    """Return each row's values by the start of their quarter, from the day of an instant on.

    Raises:
        StoreError: The tables failed.
    """
    items = tables.query(
        Table.FORECAST_DATA, key_of(first).pk, first=f"{first.astimezone(UTC):%Y%m%d}", last="99999999"
    )
    rows: dict[str, dict[datetime, int]] = {}
    for item in items:
        day = datetime.strptime(item.key.sk, "%Y%m%d").replace(tzinfo=UTC)
        for name, values in item.body.items():
            row = rows.setdefault(name, {})
            for number, value in enumerate(values):
                if value is not None:
                    row[day + number * DELIVERY_INTERVAL] = int(value)
    return rows


def keep_days(tables: Tables, key_of: KeyOf, news: Mapping[str, Mapping[datetime, int]]) -> None:
    """Work new values into their days; what is not told anew stays.

    Raises:
        StoreError: The tables failed.
    """
    for day in sorted({start.replace(hour=0, minute=0) for row in news.values() for start in row}):
        key = key_of(day)
        item = tables.get(key)
        body: dict[str, list[int | None]] = item.body if item else {}
        for name, row in news.items():
            values = body.setdefault(name, [None] * PER_DAY)
            for number in range(PER_DAY):
                value = row.get(day + number * DELIVERY_INTERVAL)
                values[number] = values[number] if value is None else value
        tables.put(Put(key=key, body=body))
