"""The life of one product: which state follows which, and when."""

from dataclasses import dataclass
from enum import StrEnum

from cloud.market.rules import MarketRules, Mechanism
from contracts.market import ProductState
from contracts.units import DELIVERY_INTERVAL_S

INTERVAL_MS = DELIVERY_INTERVAL_S * 1000


class ProductEvent(StrEnum):
    """What moves a product."""

    START_CONTINUOUS = "start-continuous"
    START_CALL = "start-call"
    CLEAR = "clear"
    DELIVER = "deliver"
    METER = "meter"
    SETTLE = "settle"
    CORRECT = "correct"


TRANSITIONS: dict[tuple[ProductState, ProductEvent], ProductState] = {
    (ProductState.OPENS, ProductEvent.START_CONTINUOUS): ProductState.CONTINUOUS,
    (ProductState.OPENS, ProductEvent.START_CALL): ProductState.CALL,
    (ProductState.CONTINUOUS, ProductEvent.START_CALL): ProductState.CALL,
    (ProductState.CALL, ProductEvent.CLEAR): ProductState.CLEARED,
    (ProductState.CLEARED, ProductEvent.DELIVER): ProductState.DELIVERED,
    (ProductState.DELIVERED, ProductEvent.METER): ProductState.METERED,
    (ProductState.METERED, ProductEvent.SETTLE): ProductState.SETTLED,
    (ProductState.SETTLED, ProductEvent.CORRECT): ProductState.CORRECTED,
    (ProductState.CORRECTED, ProductEvent.CORRECT): ProductState.CORRECTED,
}

TRADING = frozenset({ProductState.CONTINUOUS, ProductState.CALL})


class IllegalTransition(ValueError):
    """A product was asked for a move that its state does not have; the engine's own mistake."""


def advance(state: ProductState, event: ProductEvent) -> ProductState:
    """Return the state after an event.

    Raises:
        IllegalTransition: The table has no such move.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"product in state {state} has no move on {event}") from None


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """The instants of one product in epoch milliseconds, from its start and its market's rules."""

    opens_ms: int
    call_ms: int
    gate_ms: int
    start_ms: int
    end_ms: int
    meter_deadline_ms: int
    forgotten_ms: int


def times(rules: MarketRules, start_ms: int) -> Times:
    """Return when a product opens, turns to its call, closes, delivers, stops waiting for meters, and is forgotten."""
    gate_ms = start_ms - rules.gate_closure_s * 1000
    opens_ms = start_ms - rules.opening_s * 1000
    end_ms = start_ms + INTERVAL_MS
    return Times(
        opens_ms=opens_ms,
        call_ms=gate_ms - rules.call_s * 1000 if rules.mechanism is Mechanism.CONTINUOUS_CALL else opens_ms,
        gate_ms=gate_ms,
        start_ms=start_ms,
        end_ms=end_ms,
        meter_deadline_ms=end_ms + rules.meter_wait_s * 1000,
        forgotten_ms=end_ms + (rules.meter_wait_s + rules.correction_s) * 1000,
    )


def next_move(state: ProductState, at: Times) -> tuple[ProductEvent, int] | None:
    """Return the next move that time alone brings and its instant; ``None`` where the product waits for nothing.

    ``METER`` is the deadline: the meters' arrival may bring it earlier.
    """
    match state:
        case ProductState.OPENS if at.call_ms > at.opens_ms:
            return ProductEvent.START_CONTINUOUS, at.opens_ms
        case ProductState.OPENS | ProductState.CONTINUOUS:
            return ProductEvent.START_CALL, at.call_ms
        case ProductState.CALL:
            return ProductEvent.CLEAR, at.gate_ms
        case ProductState.CLEARED:
            return ProductEvent.DELIVER, at.end_ms
        case ProductState.DELIVERED:
            return ProductEvent.METER, at.meter_deadline_ms
        case ProductState.METERED:
            return ProductEvent.SETTLE, at.end_ms
        case _:
            return None
