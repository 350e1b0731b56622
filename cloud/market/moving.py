"""A running market's rules change: it moves to the present edition, or some of its parameters are set anew.

A move to an edition changes how the market settles from now on, never how it trades. What was settled before stays
under the edition that it was settled by, its corrections too; every product that has not settled yet settles by the
new rules. Within an edition the parameters may change, each for what happens from then on: what is traded, ordered,
read or claimed. When a product opens, closes and is priced is not among them: orders stand, and gateways know it.
"""

from collections.abc import Mapping
from typing import Final

from cloud.market.product import times
from cloud.market.rules import EDITION, MarketRules
from cloud.market.state import Outcome, Product, State, Terms
from contracts.market import ProductState

# Of the first edition no parameter changes.
PARAMETERS_SINCE: Final = 2
# What a move may change; an order that stands was taken under the others.
MONEY_RULES: Final = (
    "edition", "version", "imbalance", "imbalance_short_mct_per_kwh", "imbalance_long_mct_per_kwh", "estimate",
    "correction_s", "implausible_permille", "claims", "charges", "vat_permille",
)  # fmt: skip
# What may be set anew within an edition.
PARAMETERS: Final = (
    "fee_mct_per_kwh", "quantity_wh_min", "open_orders_max", "commands_per_minute", "implausible_permille", "claims",
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


def with_parameters(old: MarketRules, changes: Mapping[str, int]) -> MarketRules:
    """Return a market's rules with other parameters, as their next version.

    Args:
        old: The rules that the market has.
        changes: By the names of ``PARAMETERS``; ``capped_free_uct`` is that of the claims.

    Raises:
        ValueError: The rules would contradict themselves.
    """
    changed: dict[str, object] = {name: value for name, value in changes.items() if name in PARAMETERS}
    if "capped_free_uct" in changes:
        changed["claims"] = {**old.claims.model_dump(), "capped_free_uct": changes["capped_free_uct"]}
    return MarketRules.model_validate({**old.model_dump(), **changed, "version": old.version + 1})


def unfit(old: MarketRules, new: MarketRules) -> str | None:
    """Return why rules cannot follow others in a running market, ``None`` where they can."""
    before, after = old.model_dump(), new.model_dump()
    changed = [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]
    if old.edition == new.edition >= PARAMETERS_SINCE and new.version == old.version + 1 and len(changed) > 1:
        wrong = [name for name in changed if name not in (*PARAMETERS, "version")]
        return f"would change {', '.join(wrong)}, which is no parameter of a running market" if wrong else None
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
        if product.state in _SETTLED and new.edition != old.edition and product.edition is None:
            product.edition = old.edition
        product.times = times(new, product.start_ms)
        _hold_fee(state, product, more_mct_per_kwh=new.fee_mct_per_kwh - old.fee_mct_per_kwh)
    state.rules = new
    state.terms = Terms.of(new)


def _hold_fee(state: State, product: Product, *, more_mct_per_kwh: int) -> None:
    """Count another fee into what open orders can cost; each gives it back as it trades or goes."""
    if not more_mct_per_kwh:
        return
    for site, position in product.positions.items():
        account = state.accounts.get(site)
        if account is not None:
            account.open_cost_uct += more_mct_per_kwh * (position.open_buy_wh + position.open_sell_wh)
