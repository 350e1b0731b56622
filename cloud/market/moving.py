"""A running market moves to the present edition of the rules: how it settles from now on, never how it trades.

What was settled before stays under the edition that it was settled by, its corrections too; every product that has not
settled yet settles by the new rules.
"""

from collections.abc import Mapping
from typing import Final

from cloud.market.product import times
from cloud.market.rules import MarketRules
from cloud.market.state import Outcome, State, Terms
from contracts.market import ProductState

EDITION: Final = 2
# What a move may change; an order that stands was taken under the others.
MONEY_RULES: Final = (
    "edition", "version", "imbalance", "imbalance_short_mct_per_kwh", "imbalance_long_mct_per_kwh", "estimate",
    "correction_s", "implausible_permille", "claims", "charges", "vat_permille",
)  # fmt: skip
_SETTLED: Final = (ProductState.SETTLED, ProductState.CORRECTED)


def moved_rules(old: MarketRules, configured: MarketRules) -> MarketRules:
    """Return a market's rules after its move: it trades as before, and settles as its zone is configured.

    Args:
        old: The rules that the market has.
        configured: Those of its zone's configuration, in the present edition.
    """
    money = {name: getattr(configured, name) for name in MONEY_RULES}
    return old.model_copy(update={**money, "edition": EDITION, "version": old.version + 1})


def unfit(old: MarketRules, new: MarketRules) -> str | None:
    """Return why rules are no move from others, ``None`` where they are."""
    before, after = old.model_dump(), new.model_dump()
    changed = [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]
    trading = [name for name in changed if name not in MONEY_RULES]
    if trading:
        return f"would change {', '.join(trading)}, which orders were taken under"
    if new.edition <= old.edition:
        return f"has edition {new.edition}, the market has {old.edition}"
    return None


def move(state: State, command: Mapping[str, object], _out: Outcome) -> None:
    """Take rules that were found fit: for every product that has not settled, and for those to come."""
    old, new = state.rules, MarketRules.model_validate(command["rules"])
    for product in state.products.values():
        if product.state in _SETTLED:
            product.edition = old.edition
        product.times = times(new, product.start_ms)
    state.rules = new
    state.terms = Terms.of(new)
