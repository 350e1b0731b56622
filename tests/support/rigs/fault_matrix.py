"""What a site under faults has been promised, how the plant's truth judges it, and the table of it all."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from contracts.control import Action, BatteryPower, Command, LimitExport
from contracts.units import epoch_ms
from edge.control.lease import HOLD_S, LEASE_S, REVERT_S
from tests.support.rigs.fault_rig import (
    AGGREGATOR,
    BATTERY_LOAD_W,
    GRID_OPERATOR,
    FaultRig,
    Says,
    State,
)

TOLERANCE_W = 150.0
LIMIT_W, CHARGE_W, DISCHARGE_W = 1000, 1500, -1000
ORDER_S, LONG_ORDER_S = 120.0, 300.0
MARGIN = 1.1  # A safe state is reached within the governing timer and a tenth of it.
EDGE_MS = 2500  # Before an order's end: devices count whole seconds, and the gateway acts each second.


class Promise(Enum):
    """What a failure may do to an order that runs."""

    LETS_GO = f"device timer, {REVERT_S:.0f} s"
    TO_THE_END = f"order, {ORDER_S:.0f} s"
    COMES_BACK = f"edge lease, {LEASE_S:.0f} s"
    HELD_LONG = f"device timer, {HOLD_S:.0f} s"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One kind of order on one site: how it looks while it is obeyed, and once nobody may command."""

    name: str
    site: str
    issuer: str
    action: Action
    held: Says
    safe: Says
    fallback: str

    def lasts_s(self, promise: Promise) -> float:
        """Return how long the order is to run, so that the governing timer is the first to end."""
        return LONG_ORDER_S if promise in (Promise.LETS_GO, Promise.HELD_LONG) else ORDER_S


def _curtailed(state: State) -> bool:
    return -state["connection_w"] <= LIMIT_W + TOLERANCE_W and -state["pv_w"] < 0.5 * state["pv_available_w"]


def _uncurtailed(state: State) -> bool:
    return -state["pv_w"] > 0.98 * state["pv_available_w"] > 2 * LIMIT_W


def _runs_at(power_w: float) -> Says:
    return lambda state: abs(state["battery_w"] - power_w) < TOLERANCE_W


COLUMNS = (
    Column(
        name="PV curtailment",
        site="curtail",
        issuer=AGGREGATOR,
        action=LimitExport(max_w=LIMIT_W),
        held=_curtailed,
        safe=_uncurtailed,
        fallback="released",
    ),
    Column(
        name="battery charge",
        site="charge",
        issuer=AGGREGATOR,
        action=BatteryPower(power_w=CHARGE_W),
        held=_runs_at(CHARGE_W),
        safe=_runs_at(-BATTERY_LOAD_W),
        fallback="self-consumption",
    ),
    Column(
        name="battery discharge",
        site="discharge",
        issuer=AGGREGATOR,
        action=BatteryPower(power_w=DISCHARGE_W),
        held=_runs_at(DISCHARGE_W),
        safe=_runs_at(-BATTERY_LOAD_W),
        fallback="self-consumption",
    ),
    Column(
        name="grid operator's limit",
        site="limit",
        issuer=GRID_OPERATOR,
        action=LimitExport(max_w=LIMIT_W),
        held=_curtailed,
        safe=_uncurtailed,
        fallback="released",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One measured cell of the table."""

    row: str
    column: str
    state: str
    timer: str
    measured: str


def judge(place: FaultRig, column: Column, order: Command, promise: Promise, *, row: str, failed_ms: int) -> Cell:
    """Hold the plant's truth against a promise.

    Raises:
        AssertionError: The promise was broken; the message names the cell and the site's power around it.
    """
    issued_ms, ends_ms = epoch_ms(order.issued_at), epoch_ms(order.expires_at)
    said = f"{row}, {column.name}: {_story(place, column, from_ms=failed_ms - 3000)}"
    if promise is Promise.LETS_GO:
        safe_ms = place.first_steady(column.site, column.safe, from_ms=failed_ms)
        assert safe_ms is not None, f"it is not {column.fallback}; {said}"
        again_ms = place.first_steady(column.site, column.held, from_ms=safe_ms)
        assert again_ms is None, f"obeyed again {((again_ms or 0) - failed_ms) / 1000:.1f} s after the failure; {said}"
        took_s = (safe_ms - failed_ms) / 1000
        assert took_s <= REVERT_S * MARGIN, f"it took {took_s:.1f} s; {said}"
        return _cell(row, column, column.fallback, promise, f"{took_s:.0f} s")
    if promise is Promise.HELD_LONG:
        free_ms = place.when(column.site, column.safe, from_ms=failed_ms)
        assert free_ms is not None, f"it is not {column.fallback} after {HOLD_S:.0f} s; {said}"
        lost_ms = _last_not(place, column, from_ms=failed_ms, to_ms=free_ms - 1)
        assert lost_ms is None, f"not held {((lost_ms or 0) - failed_ms) / 1000:.1f} s after the failure; {said}"
        took_s = (free_ms - failed_ms) / 1000
        assert HOLD_S / MARGIN <= took_s <= HOLD_S * MARGIN, f"it was held for {took_s:.1f} s; {said}"
        return _cell(row, column, f"held, then {column.fallback}", promise, f"{took_s:.0f} s")
    lost_ms = _last_not(place, column, from_ms=failed_ms, to_ms=ends_ms - EDGE_MS)
    if promise is Promise.COMES_BACK:
        # It may be held again before the plant writes its next line: the failure itself was seen to happen.
        took_s = 0.0 if lost_ms is None else (lost_ms - failed_ms) / 1000
        assert took_s <= LEASE_S * MARGIN, f"it took {took_s:.1f} s to come back; {said}"
        return _cell(row, column, "held again", promise, f"{took_s:.0f} s" if took_s >= 1 else "below 1 s")
    assert lost_ms is None, f"not held {((lost_ms or 0) - failed_ms) / 1000:.1f} s after the failure; {said}"
    safe_ms = place.when(column.site, column.safe, from_ms=failed_ms)
    assert safe_ms is not None, f"it is not {column.fallback} after its order; {said}"
    took_s = (safe_ms - issued_ms) / 1000
    assert took_s <= (ends_ms - issued_ms) / 1000 * MARGIN, f"it took {took_s:.1f} s; {said}"
    return _cell(row, column, f"held, then {column.fallback}", promise, f"{took_s:.0f} s")


def _text(cell: Cell | None) -> str:
    return "no promise of its own" if cell is None else f"{cell.state}; {cell.timer}; **{cell.measured}**"


def _cell(row: str, column: Column, state: str, promise: Promise, measured: str) -> Cell:
    return Cell(row=row, column=column.name, state=state, timer=promise.value, measured=measured)


def _last_not(place: FaultRig, column: Column, *, from_ms: int, to_ms: int) -> int | None:
    """Return the last instant in a span at which an order was not obeyed."""
    spans = [
        at_ms for at_ms, sites in place.truth() if from_ms <= at_ms <= to_ms and not column.held(sites[column.site])
    ]
    return spans[-1] if spans else None


def _story(place: FaultRig, column: Column, *, from_ms: int) -> str:
    """Return the site's power line by line where it changed, in seconds after an instant."""
    told: list[str] = []
    before: tuple[int, int] | None = None
    for at_ms, sites in place.truth():
        state = sites[column.site]
        now = (100 * round(state["connection_w"] / 100), 100 * round(state["battery_w"] / 100))
        if at_ms >= from_ms and now != before:
            told.append(f"{(at_ms - from_ms) / 1000:.0f} s: {now[0]} W, battery {now[1]} W")
            before = now
    return "; ".join(told)


# The table in the documentation.

_BEGIN, _END = "<!-- kill matrix: begin -->", "<!-- kill matrix: end -->"


def write_table(path: Path, cells: list[Cell], *, rows: Mapping[str, Sequence[Column]]) -> None:
    """Put the rows that were measured in place of their lines in the table of a document; other lines stay.

    Args:
        path: The document, with the table between two marks.
        cells: What was measured.
        rows: The columns of each row by its name, in the order of the table.
    """
    names = [column.name for column in COLUMNS]
    text = path.read_text(encoding="utf-8")
    found = re.search(f"{_BEGIN}\n(.*){_END}", text, re.DOTALL)
    assert found is not None, f"{path} has no place for the table between its two marks"
    lines = {line.split("|")[1].strip(): line for line in found.group(1).splitlines()}
    for row in rows:
        by_column = {cell.column: cell for cell in cells if cell.row == row}
        if by_column.keys() >= {column.name for column in rows[row]}:
            texts = [_text(by_column.get(name)) for name in names]
            lines[row] = f"| {row} | {' | '.join(texts)} |"
    head = [f"| failure | {' | '.join(names)} |", f"| --- |{' --- |' * len(names)}"]
    table = "\n".join([_BEGIN, *head, *(lines[row] for row in rows if row in lines), _END])
    path.write_text(text[: found.start()] + table + text[found.end() :], encoding="utf-8")
