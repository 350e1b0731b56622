"""A network that is asked about: what helps, what it costs, and what cannot be calculated."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from cloud.agents.skills import Ports, skill
from cloud.errors import SkillError

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LINE = {"r_ohm": 0.12, "x_ohm": 0.02, "current_a_max": 200.0}


def _network(**changes: Any) -> dict[str, Any]:
    """Return a street of two houses behind a stiff source, with more sun at its end than the cable carries."""
    return {
        "nodes": [
            {"id": 0, "rated_v": 400.0},
            {"id": 1, "rated_v": 400.0, "power_w": -20_000.0},
            {"id": 2, "rated_v": 400.0, "power_w": -40_000.0},
        ],
        "lines": [{"from_node": 0, "to_node": 1, **LINE}, {"from_node": 1, "to_node": 2, **LINE}],
        "source_node": 0,
        "offers": [
            {"node": 1, "change_w_max": 20_000.0, "price_mct_per_kwh": 5_000},
            {"node": 2, "change_w_max": 40_000.0, "price_mct_per_kwh": 5_000},
        ],
        **changes,
    }


def _study(network: dict[str, Any]) -> Any:
    return skill("relief_study").call(cast(Ports, None), network, now=NOW)


def test_a_voltage_that_is_too_high_is_brought_down_where_it_helps_most() -> None:
    """The house at the end of the cable has the greater effect, so it is asked alone."""
    answer = _study(_network())
    assert answer.before.voltage_pu_max > 1.06
    assert answer.within_limits and answer.after.voltage_pu_max <= 1.06
    assert answer.changes_w[0] == 0 and 0 < answer.changes_w[1] < 40_000
    assert answer.cost_uct == pytest.approx(answer.changes_w[1] / 4 * 5_000, rel=0.001)


def test_a_network_that_nothing_helps_is_said_to_be_beyond_its_limits() -> None:
    """As near as can be is not within."""
    assert not _study(_network(offers=[])).within_limits


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"source_node": 7}, "no node 7"),
        ({"nodes": [{"id": 0, "rated_v": 400.0}] * 2}, "node 0 twice"),
        ({"nodes": [{"id": 0, "rated_v": 400.0}]}, "relief_study: nodes"),
        ({"source_pu": float("nan")}, "relief_study: source_pu"),
    ],
)
def test_what_cannot_be_a_network_is_refused_in_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    """Whoever asked can mend it."""
    with pytest.raises(SkillError, match=sentence):
        _study(_network(**changes))


def test_a_load_that_no_cable_carries_has_no_answer() -> None:
    """Beyond the greatest transfer there is no voltage at all."""
    nodes = [{"id": 0, "rated_v": 400.0}, {"id": 1, "rated_v": 400.0}, {"id": 2, "rated_v": 400.0, "power_w": 1e8}]
    with pytest.raises(SkillError, match="has no load flow"):
        _study(_network(nodes=nodes))


def test_a_node_without_a_way_to_the_source_is_named() -> None:
    """The solver's own words were those of a singular matrix."""
    nodes = [{"id": number, "rated_v": 400.0} for number in (0, 1, 2, 9)]
    with pytest.raises(SkillError, match="node 9 has no line or transformer that leads to the source at node 0"):
        _study(_network(nodes=nodes))
