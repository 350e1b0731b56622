"""Takes a site and its people out of everything that is kept, and leaves the market's sums as they are.

What is the site's own (measurements, forecasts, commands, its gateway's card) is removed. What is others' too (trades,
ledger, claims, journal) stands under a stand-in that nothing leads back from: the word is drawn at random and the pair
is forgotten when the work is done. Until then it is kept, so that work that was cut short goes on with the same word.

Source: Regulation (EU) 2016/679, articles 17(1) and 17(3)(b): books that a law demands are kept, without the person.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cloud.errors import SetupError
from cloud.shell.market.erasing import check_ended, owners_of, rename
from cloud.shell.persons.belongings import Relation, relation, renamed
from cloud.shell.persons.names import WORDS, Renaming
from cloud.stores import keys
from cloud.stores.lake import Lake
from cloud.stores.registry import Registry
from cloud.stores.tables import Delete, Put, Table, Tables, Write
from contracts.units import epoch_ms

STAND_IN: Final = "gone-"


@dataclass(frozen=True, kw_only=True)
class Erased:
    """What became of a site's data.

    Args:
        stand_in: What stands in its place in the market's books.
        removed: Items that were its own.
        renamed: Items that are others' too.
        samples: Raw samples that were removed from the lake.
        balance_uct: What it owes (positive) or is owed under the stand-in; ``None`` where it never traded.
    """

    stand_in: str
    removed: int
    renamed: int
    samples: int
    balance_uct: int | None


def erase(tables: Tables, lake: Lake, registry: Registry, site: str, *, at: datetime) -> Erased:
    """Erase a site that takes part no more; given again after it was cut short, it does what is left.

    Args:
        tables: The seven tables.
        lake: The raw samples.
        registry: Who takes part: the site must not.
        site: Whose data.
        at: Now.

    Raises:
        SetupError: The site still takes part, something of it is not settled, or its name cannot be told from another
            word of the tables; nothing was erased.
        StoreError: A store failed, or the market wrote meanwhile; give it again.
    """
    check(registry, site)
    for zone in registry.zones:
        check_ended(tables, zone.id, site)
    renaming = _begun(tables, registry, site)
    balances = [rename(tables, zone.id, renaming, at_ms=epoch_ms(at)) for zone in registry.zones]
    counts = {Relation.OWN: 0, Relation.SHARED: 0, Relation.NONE: 0}
    for table in (Table.MARKET_DATA, Table.TRADE_DATA):
        for put in tables.walk(table):
            renaming.gather(put.body)
    for table in Table:
        for put in tables.walk(table):
            found = relation(put, renaming)
            counts[found] += 1
            if found is Relation.OWN:
                tables.transact([Delete(key=put.key)])
            elif found is Relation.SHARED:
                tables.transact(_moved(put, renamed(put, renaming)))
    samples = lake.forget(site)
    tables.transact([Delete(key=keys.erasure(site))])
    return Erased(
        stand_in=renaming.stand_in,
        removed=counts[Relation.OWN],
        renamed=counts[Relation.SHARED],
        samples=samples,
        balance_uct=next((balance for balance in balances if balance is not None), None),
    )


def check(registry: Registry, site: str) -> None:
    """Prove that a site takes part no more and that its name means nothing else.

    Raises:
        SetupError: It does not hold.
    """
    if site in registry.members():
        raise SetupError(f"{site} takes part: take it out of the registry first; nothing erased")
    areas = {one.area for one in registry.sites}
    if site in WORDS or registry.zone(site) is not None or site in areas:
        raise SetupError(f"{site} is also the name of something else in the tables; nothing erased")


def _begun(tables: Tables, registry: Registry, site: str) -> Renaming:
    """Return the names of before and after, the same where the work was begun already."""
    item = tables.get(keys.erasure(site))
    if item is None:
        body = {"stand_in": f"{STAND_IN}{secrets.token_hex(6)}", "owner": _owner(tables, registry, site)}
        tables.put(Put(key=keys.erasure(site), body=body, if_version=0))
    else:
        body = item.body
    return Renaming(site=site, stand_in=body["stand_in"], owner=body["owner"])


def _owner(tables: Tables, registry: Registry, site: str) -> str:
    """Return who owns the site, nothing where the owner has another site and so is still a customer."""
    owners = {zone.id: owners_of(tables, zone.id) for zone in registry.zones}
    owner = next((known[site] for known in owners.values() if known.get(site)), "")
    others = [name for known in owners.values() for one, name in known.items() if one != site]
    return "" if owner in others or owner in [one.owner for one in registry.sites] else owner


def _moved(before: Put, after: Put) -> list[Write]:
    """Return the writes that put an item in the place of another."""
    if before.key == after.key:
        return [after]
    whole = Put(key=after.key, body=after.body, index=after.index, expires_at=after.expires_at)
    return [whole, Delete(key=before.key)]
