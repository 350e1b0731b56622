"""How fast a zone's provider is asked, kept in the tables from one tick to the next."""

from cloud.stores.tables import Key, Put, Tables
from domain.asking_pace import Pace


def read_pace(tables: Tables, key: Key) -> Pace:
    """Return what is kept; nothing kept is a provider that was never asked.

    Raises:
        StoreError: The tables failed.
    """
    item = tables.get(key)
    return Pace.of(item.body if item else None)


def keep_pace(tables: Tables, key: Key, pace: Pace) -> None:
    """Keep it.

    Raises:
        StoreError: The tables failed.
    """
    tables.put(Put(key=key, body=pace.kept))
