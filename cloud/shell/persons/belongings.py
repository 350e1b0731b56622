"""Which items of the tables are one site's own, and which only name it. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from cloud.shell.persons.names import Renaming
from cloud.stores import keys
from cloud.stores.tables import Put, Table

# In these a site's items name it in their key; other sites' items never name it.
_MEASURED: Final = frozenset(
    {Table.ENERGY_METRICS, Table.PRODUCER_METRICS, Table.CONSUMER_METRICS, Table.FORECAST_DATA}
)
_OWN: Final = ("GW#{}#", "SEQ#{}#", "METER#{}#", "EVENT#{}#", "SITE#{}#", "ASSET#{}/")
_OWN_WHOLE: Final = ("SITE#{}", "COMMAND#{}")

_KEPT: Final = frozenset({keys.REGISTRY.pk, keys.ERASURES})
# What the market itself takes names out of: packed, or acted on by their position.
_PACKED: Final = (keys.JOURNAL, keys.ARCHIVE, f"{keys.SNAPSHOT}#")


class Relation(StrEnum):
    """What an item is to a site."""

    OWN = "own"
    SHARED = "shared"
    NONE = "none"


def relation(put: Put, renaming: Renaming) -> Relation:
    """Return whether an item is the site's own (it goes with it), names it beside others (the name goes), or neither.

    What stands in the market's tables is never a site's own: it is the other side's too, and the ledger's.
    """
    if put.key.table not in (Table.MARKET_DATA, Table.TRADE_DATA) and _owns(put, renaming.site):
        return Relation.OWN
    if put.key.table in _MEASURED or put.key.pk in _KEPT or put.key.sk.startswith(_PACKED):
        return Relation.NONE
    return Relation.SHARED if renamed(put, renaming) != put else Relation.NONE


def renamed(put: Put, renaming: Renaming) -> Put:
    """Return an item with the stand-in where the site's name was, in its keys too."""
    index = put.index and type(put.index)(pk=renaming.text(put.index.pk), sk=renaming.text(put.index.sk))
    key = type(put.key)(table=put.key.table, pk=renaming.text(put.key.pk), sk=renaming.text(put.key.sk))
    body: Mapping[str, Any] = renaming.value(put.body)
    return Put(key=key, body=body, if_version=put.if_version, index=index, expires_at=put.expires_at)


def account_of(put: Put) -> str | None:
    """Return the one site that a line of the market's tables is about, ``None`` where it is about several or none."""
    body = put.body
    if put.key.sk.startswith(keys.LEDGER):
        return str(body["account"])
    if put.key.sk.startswith((keys.SIDES, keys.SETTLED, keys.CLAIM, keys.ORDERS)):
        return str(body["site"])
    return None


def _owns(put: Put, site: str) -> bool:
    pk = put.key.pk
    if pk in [form.format(site) for form in _OWN_WHOLE] or pk.startswith(tuple(form.format(site) for form in _OWN)):
        return True
    if put.key.table is not Table.GRID_METRICS:
        return False
    return (pk == keys.GATEWAYS and put.body.get("site") == site) or (pk.startswith("ISSUER#") and put.key.sk == site)
