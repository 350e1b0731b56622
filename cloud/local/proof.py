"""Proof that a market's journal and everything in the tables agree: the journal is replayed from its first entry."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud.local.opening import open_tables
from cloud.shell.market.fold import Fold, Step, takes_names_out
from cloud.shell.market.journal import Journal
from cloud.shell.market.projection import committed_upto, writes
from cloud.shell.market.snapshots import Snapshots
from cloud.stores.registry import load_registry
from cloud.stores.tables import Key, Table, Tables
from contracts.units import ZoneId


@dataclass(kw_only=True)
class Proof:
    """What a zone's journal led to, and the first place where the tables say something else."""

    zone: ZoneId
    entries: int = 0
    commands: int = 0
    trades: int = 0
    ledger_lines: int = 0
    ledger_sum_uct: int = 0
    ledger_sum_wh: int = 0
    items: int = 0
    snapshots: int = 0
    state_hash: str = ""
    parted_at: str | None = None

    @property
    def agrees(self) -> bool:
        """Return whether journal and tables tell the same, and the ledger sums to zero."""
        return self.parted_at is None and self.ledger_sum_uct == 0 and self.ledger_sum_wh == 0

    def answer(self) -> dict[str, Any]:
        """Return the proof as plain values."""
        return {"agrees": self.agrees, **vars(self)}

    def part(self, where: str) -> None:
        """Note a place where they part; the first one stays."""
        self.parted_at = self.parted_at or where


def prove_file(path: Path) -> list[Proof]:
    """Return the proof of each zone that the tables of a local cloud have a market of (see ``tables_place``).

    Raises:
        StoreError: The tables cannot be read, or a journal has a hole.
        SetupError: It holds no registry.
    """
    tables = open_tables(path, read_only=True)
    try:
        zones = [zone.id for zone in load_registry(tables).zones]
        return [prove(tables, zone) for zone in zones if Journal(tables, zone).fence().position]
    finally:
        tables.close()


def prove(tables: Tables, zone: ZoneId) -> Proof:
    """Replay a zone's journal from its first entry and compare what follows from it with the tables.

    Compared are the snapshot, and every order, state, trade, ledger line, settlement and claim up to the last entry
    that is committed: each must be there with the same content, and no other. Where a name was taken out of the journal
    (``cloud erase``) the replay begins at the snapshot, since the order of sites by name was another before.

    Raises:
        StoreError: The tables failed, or the journal has a hole.
    """
    proof = Proof(zone=zone)
    upto, snapshot = committed_upto(tables, zone), Snapshots(tables, zone).load()
    expected: dict[Key, Mapping[str, Any]] = {}
    fold: Fold | None = None
    after = 0
    if snapshot is not None and _names_were_taken(tables, zone):
        fold, after = Fold.restore(snapshot), snapshot["position"]
    for position, inputs in Journal(tables, zone).history():
        if position <= after:
            continue
        if position > upto and position > 1:
            break
        proof.entries = position
        if fold is None:
            fold = Fold.begin(inputs)
            continue
        step = fold.apply(inputs)
        _count(proof, step)
        expected |= {put.key: put.body for put in writes(zone, step)}
        if snapshot is not None and snapshot["position"] == position:
            proof.snapshots += 1
            if fold.snapshot() != snapshot:
                proof.part(f"snapshot after entry {position} of {zone} is not what the journal leads to")
    if fold is not None:
        proof.commands, proof.state_hash = fold.engine.commands, fold.engine.state_hash()
        proof.ledger_sum_uct, proof.ledger_sum_wh = fold.engine.ledger_sums()
    _compare(proof, tables, expected, after=after, upto=upto)
    return proof


def _count(proof: Proof, step: Step) -> None:
    proof.trades += len(step.outcome.trades)
    proof.ledger_lines += len(step.outcome.lines)


def _names_were_taken(tables: Tables, zone: ZoneId) -> bool:
    return any(takes_names_out(inputs) for _, inputs in Journal(tables, zone).history())


def _compare(proof: Proof, tables: Tables, expected: Mapping[Key, Mapping[str, Any]], *, after: int, upto: int) -> None:
    """Compare every item of every product that the journal knows, of the entries behind one position up to another."""
    partitions = {(key.table, key.pk) for key in expected}
    kept = {
        key: body for table, pk in sorted(partitions) for key, body in _kept(tables, table, pk, after=after, upto=upto)
    }
    proof.items = len(kept)
    for key, body in expected.items():
        if key not in kept:
            proof.part(f"{key.table} {key.pk} {key.sk} follows from the journal and is not in the tables")
        elif _plain(kept[key]) != _plain(body):
            proof.part(f"{key.table} {key.pk} {key.sk} is {kept[key]}, from the journal follows {dict(body)}")
    for key in kept:
        if key not in expected:
            proof.part(f"{key.table} {key.pk} {key.sk} is in the tables and follows from nothing in the journal")


def _kept(tables: Tables, table: Table, pk: str, *, after: int, upto: int) -> Iterator[tuple[Key, dict[str, Any]]]:
    for item in tables.query(table, pk):
        # A site's events lie together, those of the market and those that its gateway told; only the first are proven.
        if after < item.body.get("position", after) <= upto:
            yield item.key, item.body


def _plain(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body as the tables would give it back."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in body.items()}
