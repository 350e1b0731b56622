"""A what-if for the grid operator: which changes of power would bring a low-voltage network within its limits.

The network comes with the question, so a planned line or a new wallbox is tried before it is built. Nothing is ordered.
"""

import numpy as np

from cloud.errors import SkillError
from cloud.grid.described import feeder_of, limits_of
from cloud.grid.network import ImpossibleNetwork
from cloud.grid.powerflow import LoadFlow
from cloud.grid.relief import TOLERANCE, NodeOffer, relieve
from contracts.skills.study import StudyAnswer, StudyQuestion, StudyState


def study(question: StudyQuestion) -> StudyAnswer:
    """Return the cheapest changes that bring a network within its limits.

    Raises:
        SkillError: The network cannot be calculated; the sentence says why.
    """
    ids = [node.id for node in question.nodes]
    _check(question, ids)
    offers = [
        NodeOffer(
            load=ids.index(offer.node),
            change_w_min=offer.change_w_min,
            change_w_max=offer.change_w_max,
            price_mct_per_kwh=offer.price_mct_per_kwh,
        )
        for offer in question.offers
    ]
    powers = np.array([node.power_w for node in question.nodes], dtype=np.float64)
    reactive = np.array([node.reactive_var for node in question.nodes], dtype=np.float64)
    try:
        load_flow = LoadFlow(feeder_of(question), load_nodes=ids)
        found = relieve(load_flow, power_w=powers, reactive_var=reactive, offers=offers, limits=limits_of(question))
    except ImpossibleNetwork as error:
        raise SkillError(f"{error}; nothing was calculated") from error
    return StudyAnswer(
        within_limits=found.violation <= TOLERANCE,
        changes_w=tuple(round(float(change)) for change in found.changes_w),
        cost_uct=found.cost_uct(offers, duration_s=question.duration_s),
        before=_state(found.before.voltage_pu, found.before.line_loading, found.before.transformer_loading),
        after=_state(found.after.voltage_pu, found.after.line_loading, found.after.transformer_loading),
    )


def _check(question: StudyQuestion, ids: list[int]) -> None:
    if len(set(ids)) < len(ids):
        raise SkillError(f"network names node {next(one for one in ids if ids.count(one) > 1)} twice")
    named = [question.source_node, *(offer.node for offer in question.offers)]
    named += [end for line in question.lines for end in (line.from_node, line.to_node)]
    named += [end for each in question.transformers for end in (each.from_node, each.to_node)]
    if unknown := sorted(set(named) - set(ids)):
        raise SkillError(f"network has no node {unknown[0]}, but names it")


def _state(voltage_pu: np.ndarray, lines: np.ndarray, transformers: np.ndarray) -> StudyState:
    return StudyState(
        voltage_pu_min=round(float(voltage_pu.min()), 4),
        voltage_pu_max=round(float(voltage_pu.max()), 4),
        line_loading_max=round(float(lines.max(initial=0.0)), 4),
        transformer_loading_max=round(float(transformers.max(initial=0.0)), 4),
    )
