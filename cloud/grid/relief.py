"""The cheapest changes of power that bring a feeder back within voltage and loading limits, checked by AC load flow.

The load flow is linearised around the present state (one batch with each offer moved a little), a linear programme
finds the cheapest changes within the linear limits, the load flow checks them, and the linearisation is repeated
around the new state where the check fails. Slack with a price means that there always is an answer.

Source: successive linear programming of the optimal power flow, Alsac, Bright, Prais, Stott, IEEE Transactions on
Power Systems 5 (1990).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cloud.grid.network import Limits
from cloud.grid.powerflow import Floats, Flow, LoadFlow
from cloud.grid.solver import Programme, minimise

ROUNDS_MAX = 4
STEP_W = 500.0
TOLERANCE = 1e-5
MARGIN = 2e-4  # Per unit of voltage and loading: what the linear model may be wrong by.
SLACK_PRICE_FACTOR = 1_000.0
WATCHED_WITHIN = 0.15  # Limits further off than this (per unit) are no rows of the programme.


@dataclass(frozen=True, kw_only=True)
class NodeOffer:
    """A range of change of the power drawn at a load node; ``min`` at or below zero, ``max`` at or above.

    ``load`` is the position in the load flow's nodes. The price is paid for every kWh of change, either way.
    """

    load: int
    change_w_min: float
    change_w_max: float
    price_mct_per_kwh: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Relief:
    """The changes in W in the order of the offers, and the states before and after them.

    ``violation`` is what remains beyond the limits, per unit; ``rounds`` is how often the state was linearised, 0 where
    the feeder was healthy.
    """

    changes_w: Floats
    before: Flow
    after: Flow
    violation: float
    rounds: int

    def cost_uct(self, offers: Sequence[NodeOffer], *, duration_s: float) -> int:
        """Return what the changes cost over a duration, in millionths of a cent."""
        prices = np.array([offer.price_mct_per_kwh for offer in offers])
        return round(float(np.abs(self.changes_w) @ prices) * duration_s / 3600) if len(prices) else 0


def relieve(
    load_flow: LoadFlow, *, power_w: Floats, reactive_var: Floats, offers: Sequence[NodeOffer], limits: Limits
) -> Relief:
    """Return the cheapest changes that bring a feeder within its limits, or as near to it as the offers reach."""
    before = load_flow.flow(power_w=power_w, reactive_var=reactive_var)
    changes = np.zeros(len(offers))
    state, rounds = before, 0
    best = (violation(before, limits), changes, before)
    while best[0] > TOLERANCE and rounds < ROUNDS_MAX and offers:
        rounds += 1
        effects = _effects(load_flow, state, _moved(power_w, offers, changes), reactive_var, offers)
        found = _programme(state, effects, changes, offers, limits)
        if found is None:
            break
        changes = found
        state = load_flow.flow(power_w=_moved(power_w, offers, changes), reactive_var=reactive_var)
        left = violation(state, limits)
        if left < best[0]:
            best = (left, changes, state)
    return Relief(changes_w=best[1], before=before, after=best[2], violation=best[0], rounds=rounds)


def violation(flow: Flow, limits: Limits) -> float:
    """Return by how much a state is beyond its limits at its worst place, per unit; zero or less within them."""
    return float(-_room(flow, limits).min())


def _room(flow: Flow, limits: Limits) -> Floats:
    """Return what is left to each limit, per unit: voltages above, voltages below, lines, transformers."""
    return np.concatenate(
        [
            flow.voltage_pu - limits.voltage_pu_min,
            limits.voltage_pu_max - flow.voltage_pu,
            limits.loading_max - flow.line_loading,
            limits.loading_max - flow.transformer_loading,
        ]
    )


def _moved(power_w: Floats, offers: Sequence[NodeOffer], changes: Floats) -> Floats:
    moved = power_w.copy()
    np.add.at(moved, [offer.load for offer in offers], changes)
    return moved


def _effects(
    load_flow: LoadFlow, state: Flow, power_w: Floats, reactive_var: Floats, offers: Sequence[NodeOffer]
) -> Floats:
    """Return what one W more at each offer does to each limit's room: limits by offers."""
    loads = sorted({offer.load for offer in offers})
    sets = np.repeat(power_w[None, :], len(loads), axis=0)
    sets[np.arange(len(loads)), loads] += STEP_W
    moved = load_flow.flows(power_w=sets, reactive_var=np.repeat(reactive_var[None, :], len(loads), axis=0))
    free = Limits(voltage_pu_min=0.0, voltage_pu_max=0.0, loading_max=0.0)
    here = _room(state, free)
    by_load = {load: (_room(flow, free) - here) / STEP_W for load, flow in zip(loads, moved, strict=True)}
    return np.stack([by_load[offer.load] for offer in offers], axis=1)


def _programme(
    state: Flow, effects: Floats, changes: Floats, offers: Sequence[NodeOffer], limits: Limits
) -> Floats | None:
    """Return the cheapest total changes for the linear model; each offer is one variable up and one down."""
    room = _room(state, limits) - effects @ changes - MARGIN
    reach = np.array([[offer.change_w_min, offer.change_w_max] for offer in offers])
    worst = room + np.minimum(effects * reach[:, 0], effects * reach[:, 1]).sum(axis=1)
    # A row that no combination of the offers can break, or that is far from its limit, need not be there.
    rows = np.flatnonzero((worst < 0) & (room < WATCHED_WITHIN))
    scale = np.maximum(np.abs(effects[rows]).max(axis=1, initial=0.0), 1e-12)
    up = effects[rows] / scale[:, None]
    prices = np.array([offer.price_mct_per_kwh for offer in offers]) + 1e-3
    slack_price = SLACK_PRICE_FACTOR * float(prices.max())

    def column(coefficients: Floats) -> tuple[tuple[int, float], ...]:
        return tuple((row, float(value)) for row, value in enumerate(coefficients) if abs(value) > 1e-9)

    count = len(offers)
    values = minimise(
        Programme(
            cost=(*prices, *prices, *[slack_price] * len(rows)),
            upper=(*np.maximum(reach[:, 1], 0.0), *np.maximum(-reach[:, 0], 0.0), *[float("inf")] * len(rows)),
            rows_lower=tuple(-room[rows] / scale),
            columns=(
                *(column(up[:, index]) for index in range(count)),
                *(column(-up[:, index]) for index in range(count)),
                *(((row, 1.0),) for row in range(len(rows))),
            ),
        )
    )
    if values is None:
        return None
    total: Floats = np.array(values[:count]) - np.array(values[count : 2 * count])
    return total
