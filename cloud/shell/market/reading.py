"""A zone's market as it stands in the tables, for whoever only looks: nothing is begun, written or told."""

from typing import Final

from cloud.errors import ConditionFailed
from cloud.shell.market.fold import Fold, takes_names_out
from cloud.shell.market.journal import Journal
from cloud.shell.market.snapshots import Snapshots
from cloud.stores.tables import Tables
from contracts.units import ZoneId

ATTEMPTS_MAX: Final = 10


def read_fold(tables: Tables, zone: ZoneId) -> Fold | None:
    """Return the market after its journal's last entry, ``None`` where it has never begun.

    Raises:
        ConditionFailed: The writer cut the journal while it was read, again and again.
        StoreError: The tables failed.
    """
    for _ in range(ATTEMPTS_MAX):
        try:
            return _read(tables, zone)
        except ConditionFailed:
            continue
    return _read(tables, zone)


def _read(tables: Tables, zone: ZoneId) -> Fold | None:
    snapshot = Snapshots(tables, zone).load()
    fold = Fold.restore(snapshot) if snapshot is not None else None
    for position, inputs in Journal(tables, zone).entries(after=fold.position if fold is not None else 0):
        if takes_names_out(inputs):
            raise ConditionFailed(f"a name was taken out of {zone}; begin at the snapshot")
        if fold is None and position == 1:
            fold = Fold.begin(inputs)
        elif fold is not None and position == fold.position + 1:
            fold.apply(inputs)
        else:
            raise ConditionFailed(f"journal of {zone} was archived while it was read; read again")
    return fold
