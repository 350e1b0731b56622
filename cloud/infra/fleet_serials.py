"""The list of serials that may register: for each its secret, the site and zone it stands for, and who registered.

A serial's item holds ``secret`` (hex), ``site``, ``zone``; once registered ``fingerprint`` of the key and the newest
``certificates``; ``released`` where another key may come once, ``retired`` where none may.
"""

import secrets
from typing import Final

from cloud.errors import FleetDenied
from cloud.stores.tables import Item, Key, Put, Table, Tables
from contracts.units import SiteId, ZoneId

SECRET_BYTES: Final = 32
_PARTITION: Final = "GATEWAY"


def entry(serial: str) -> Key:
    """Return where a serial is kept."""
    return Key(table=Table.GRID_METRICS, pk=_PARTITION, sk=serial)


def admit(tables: Tables, *, serial: str, site: SiteId, zone: ZoneId) -> bytes:
    """Put a serial on the list, and return the secret that goes with the gateway.

    Raises:
        ConditionFailed: It is on the list already; its secret is not told again.
    """
    secret = secrets.token_bytes(SECRET_BYTES)
    body = {"secret": secret.hex(), "site": site, "zone": zone}
    tables.put(Put(key=entry(serial), body=body, if_version=0))
    return secret


def release(tables: Tables, serial: str) -> None:
    """Let another key register a serial once: its gateway was replaced, or renews its certificate.

    Raises:
        FleetDenied: It is not on the list.
    """
    _change(tables, serial, released=True, retired=False)


def retire(tables: Tables, serial: str) -> None:
    """Let nobody register a serial any more.

    Raises:
        FleetDenied: It is not on the list.
    """
    _change(tables, serial, released=False, retired=True)


def serials(tables: Tables) -> tuple[Item, ...]:
    """Return the whole list."""
    return tuple(tables.query(Table.GRID_METRICS, _PARTITION))


def _change(tables: Tables, serial: str, **fields: bool) -> None:
    item = tables.get(entry(serial))
    if item is None:
        raise FleetDenied(f"serial {serial} is not on the list; nothing changed", code="ResourceNotFound", status=404)
    tables.put(Put(key=item.key, body={**item.body, **fields}, if_version=item.version))
