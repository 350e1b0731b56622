"""Takes a site's name out of a zone's market: its journal, its archive, its snapshot, whose sums stay as they were.

The journal cannot be edited under a writer's feet. So a snapshot without the name, the entry that says so and the fence
are written in one transaction; a writer that meets that entry begins at the snapshot (``writer.py``, ``reading.py``),
and what lies before it is archived and then rewritten there.
"""

from collections.abc import Iterator
from typing import Any, Final

from cloud.errors import SetupError, StoreError
from cloud.market.engine import Engine
from cloud.shell.market.archive import Archive
from cloud.shell.market.fold import Erased, Fold
from cloud.shell.market.journal import Journal
from cloud.shell.market.projection import committed_upto
from cloud.shell.market.reading import read_fold
from cloud.shell.market.snapshots import Snapshots
from cloud.shell.persons.names import Renaming
from cloud.stores.tables import Tables
from contracts.market import ProductState
from contracts.units import ZoneId, instant

_OVER: Final = frozenset({ProductState.SETTLED, ProductState.CORRECTED})


def check_ended(tables: Tables, zone: ZoneId, site: str) -> None:
    """Prove that nothing of a site is still to be delivered or settled.

    Raises:
        SetupError: Something is; the message names the interval.
        StoreError: The tables failed.
    """
    fold = read_fold(tables, zone)
    for product in _products(fold):
        if product["state"] not in _OVER and _takes_part(product, site):
            start = instant(product["start_ms"]).isoformat()
            raise SetupError(
                f"{site} has orders, trades or a claim for {start}, which is {product['state']}: wait until it is "
                "settled; nothing erased"
            )


def owners_of(tables: Tables, zone: ZoneId) -> dict[str, str]:
    """Return the owner of each site that a zone's market knows, empty where the site has none but itself.

    Raises:
        StoreError: The tables failed.
    """
    fold = read_fold(tables, zone)
    known = () if fold is None else (*fold.engine.participants(), *(one.participant for one in fold.engine.departed()))
    return {participant.site: participant.owner for participant in known}


def rename(tables: Tables, zone: ZoneId, renaming: Renaming, *, at_ms: int) -> int | None:
    """Take a site's name out of a zone's market and return what it owes under its stand-in, in millionths of a cent.

    Given again after it was cut short, it does what is left. ``None``: the market never knew the site.

    Raises:
        StoreError: The market goes on meanwhile, or the tables failed; give it again.
    """
    journal = Journal(tables, zone)
    archive = Archive(tables, zone)
    fold = read_fold(tables, zone)
    if fold is None:
        return None
    for _, inputs in (*archive.entries(after=0), *journal.entries(after=0)):
        renaming.gather(inputs)
    snapshot = fold.snapshot()
    renaming.gather(snapshot)
    if _knows(snapshot, renaming.site):
        _replace(tables, journal, zone, fold, renaming, at_ms=at_ms)
    journal.prune(upto=Snapshots(tables, zone).position())
    archive.rewrite(renaming.value)
    left = read_fold(tables, zone)
    balances = {} if left is None else left.engine.balances()
    return balances[renaming.stand_in][0] if renaming.stand_in in balances else None


def _replace(tables: Tables, journal: Journal, zone: ZoneId, fold: Fold, renaming: Renaming, *, at_ms: int) -> None:
    fence = journal.fence()
    if fence.position != fold.position or committed_upto(tables, zone) != fold.position:
        # What an entry led to is stored under the old name first, by the writer, who tells it before. Where the broker
        # did not take it, a site hears it when it comes online again (``retelling.py``).
        raise StoreError(f"market of {zone} has entries that are not yet stored; give the command again in a minute")
    before = fold.snapshot()
    named = renaming.value(before)
    named["sequencer"]["lines"].pop(renaming.stand_in, None)
    named["position"] = fold.position + 1
    named["engine"] = Engine.rehashed(named["engine"])
    after = Fold.restore(named).engine
    if sorted(after.balances().values()) != sorted(fold.engine.balances().values()):
        raise StoreError(f"the ledger of {zone} would not be the same without {renaming.site}; nothing erased")
    note: Erased = {"op": "erased", "at_ms": at_ms, "stand_in": renaming.stand_in}
    Snapshots(tables, zone).replace(named, journal.closing(fence, [note]))


def _knows(snapshot: dict[str, Any], site: str) -> bool:
    return site in snapshot["engine"]["state"]["accounts"] or site in snapshot["sequencer"]["lines"]


def _products(fold: Fold | None) -> Iterator[dict[str, Any]]:
    if fold is not None:
        yield from fold.engine.snapshot()["state"]["products"].values()


def _takes_part(product: dict[str, Any], site: str) -> bool:
    position = product["positions"].get(site)
    return bool(position and any(position)) or site in product["demand_response"]
