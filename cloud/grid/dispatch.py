"""Which offers to take: the cheapest that relieve the feeder.

A linear programme: minimise price times change, so that every need is met by the changes weighted with their effect
on it, or by a slack that costs more than any offer. The slack means that there always is an answer; what it holds is
reported as a shortfall. Without a solver the offers are taken in merit order, which is the same answer wherever each
offer acts on every need alike.

Source: fractional knapsack (Dantzig 1957) for the merit order; economic dispatch as in Wood, Wollenberg, Sheble,
Power Generation, Operation and Control, chapter 3, for the programme.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cloud.grid.offers import Offer

SLACK_PRICE_FACTOR = 1_000.0
SHORTFALL_W_MIN = 1.0  # Below this a shortfall is arithmetic, not physics.


class Method(StrEnum):
    """How a dispatch was found."""

    LINEAR_PROGRAMME = "linear_programme"
    MERIT_ORDER = "merit_order"
    NONE_NEEDED = "none_needed"


@dataclass(frozen=True, kw_only=True)
class Need:
    """A change that something on the feeder must see.

    ``effect`` maps the index of an offer to its effect on this need per W of change; an absent offer has no effect.
    ``None`` means that every offer acts fully, as on a transformer that feeds all sites.
    """

    name: str
    need_w: float
    effect: Mapping[int, float] | None = None

    def effect_of(self, index: int) -> float:
        """Return the effect of one W of an offer."""
        return 1.0 if self.effect is None else self.effect.get(index, 0.0)


@dataclass(frozen=True, kw_only=True)
class Dispatch:
    """The change of each offer in W, in the order of the offers, and what no offer could give."""

    changes_w: tuple[float, ...]
    shortfall_w: dict[str, float] = field(default_factory=dict)
    cost_uct: int = 0
    method: Method


def cheapest(
    *, offers: Sequence[Offer], needs: Sequence[Need], duration_s: float, solver: bool | None = None
) -> Dispatch:
    """Return the cheapest changes that meet every need as far as the offers reach.

    Args:
        offers: What may be changed.
        needs: What must be reached, in W; a need of zero or less asks for nothing, and where an offer works against it
            bounds that offer.
        duration_s: How long the change lasts, for the cost.
        solver: Whether to use the solver; by default, where it is installed.
    """
    wanted = [need for need in needs if need.need_w > 0]
    if not wanted:
        return Dispatch(changes_w=(0.0,) * len(offers), method=Method.NONE_NEEDED)
    if solver is None:
        solver = importlib.util.find_spec("highspy") is not None
    if solver and offers:
        bounds = [need for need in needs if need.need_w <= 0 and min((need.effect or {}).values(), default=0.0) < 0]
        changes_w, method = _solve(offers, [*wanted, *bounds]), Method.LINEAR_PROGRAMME
    else:
        changes_w, method = _merit_order(offers, wanted), Method.MERIT_ORDER
    shortfall = {need.name: need.need_w - _reached_w(need, changes_w) for need in wanted}
    energy_wh = [change_w * duration_s / 3600 for change_w in changes_w]
    return Dispatch(
        changes_w=tuple(changes_w),
        shortfall_w={name: short_w for name, short_w in shortfall.items() if short_w > SHORTFALL_W_MIN},
        cost_uct=round(sum(wh * offer.price_mct_per_kwh for wh, offer in zip(energy_wh, offers, strict=True))),
        method=method,
    )


def merit_price(offer: Offer) -> float:
    """Return the price by which an offer is ranked; even a free change is worse than none."""
    return offer.price_mct_per_kwh + 1e-6


def _reached_w(need: Need, changes_w: Sequence[float]) -> float:
    return sum(need.effect_of(index) * change_w for index, change_w in enumerate(changes_w))


def _merit_order(offers: Sequence[Offer], needs: Sequence[Need]) -> list[float]:
    """Take the offers by price for the need that is still furthest from met; exact where all effects are alike."""
    changes_w = [0.0] * len(offers)
    ranked = sorted(range(len(offers)), key=lambda index: (merit_price(offers[index]), offers[index].site))
    for need in sorted(needs, key=lambda need: -need.need_w):
        for index in ranked:
            missing_w = need.need_w - _reached_w(need, changes_w)
            effect = need.effect_of(index)
            if missing_w <= 0:
                break
            if effect > 0:
                changes_w[index] = min(offers[index].change_w_max, changes_w[index] + missing_w / effect)
    return changes_w


def _solve(offers: Sequence[Offer], needs: Sequence[Need]) -> list[float]:
    """Solve the programme; the solver's failure is answered by the merit order."""
    from cloud.grid.solver import Programme, minimise

    prices = [merit_price(offer) for offer in offers]
    slack_price = SLACK_PRICE_FACTOR * max(prices)
    programme = Programme(
        cost=(*prices, *[slack_price] * len(needs)),
        upper=(*(offer.change_w_max for offer in offers), *[float("inf")] * len(needs)),
        rows_lower=tuple(need.need_w for need in needs),
        columns=(
            *(_effects(index, needs) for index in range(len(offers))),
            *(((row, 1.0),) for row in range(len(needs))),
        ),
    )
    values = minimise(programme)
    if values is None:
        return _merit_order(offers, needs)
    return [min(max(0.0, value), offer.change_w_max) for value, offer in zip(values, offers, strict=False)]


def _effects(index: int, needs: Sequence[Need]) -> tuple[tuple[int, float], ...]:
    """Return the column of an offer: its effect on each need that it has one on."""
    return tuple((row, need.effect_of(index)) for row, need in enumerate(needs) if need.effect_of(index))
