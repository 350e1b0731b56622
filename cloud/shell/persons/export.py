"""Hands out what is kept of one site: its own measurements and commands, and its side of the market's books.

Of a trade the other side is left out, as it is somebody else's; so is the secret with which its gateway registers.

Source: Regulation (EU) 2016/679, articles 15(4) and 20(4): a copy must not harm the rights of others.
"""

from collections.abc import Iterator
from typing import Final

from cloud.shell.persons.belongings import Relation, account_of, relation
from cloud.shell.persons.names import Renaming
from cloud.stores import keys
from cloud.stores.registry import Registry
from cloud.stores.tables import Put, Table, Tables
from contracts.market import Side

_SECRETS: Final = frozenset({"secret"})


def export(tables: Tables, registry: Registry, site: str) -> Iterator[dict[str, object]]:
    """Yield what the tables keep of a site: where it is kept, and the record itself.

    Raises:
        StoreError: The tables failed.
    """
    record = registry.site(site)
    if record is not None:
        yield {
            "table": Table.GRID_METRICS.value,
            "pk": keys.REGISTRY.pk,
            "sk": site,
            "record": record.model_dump(mode="json"),
        }
    names = Renaming(site=site, stand_in=site)
    for table in Table:
        for put in tables.walk(table):
            body = _own(put, names)
            if body is not None:
                yield {"table": table.value, "pk": put.key.pk, "sk": put.key.sk, "record": body}


def _own(put: Put, names: Renaming) -> dict[str, object] | None:
    if put.key.table in (Table.MARKET_DATA, Table.TRADE_DATA):
        if account_of(put) != names.site:
            return None
        return _one_side(dict(put.body)) if put.key.sk.startswith(keys.SIDES) else dict(put.body)
    if relation(put, names) is not Relation.OWN:
        return None
    return {name: value for name, value in put.body.items() if name not in _SECRETS}


def _one_side(body: dict[str, object]) -> dict[str, object]:
    other = "sell" if body["side"] == Side.BUY else "buy"
    return {name: value for name, value in body.items() if not name.startswith(f"{other}_")}
