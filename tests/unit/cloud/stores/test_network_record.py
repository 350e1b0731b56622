"""A feeder's network in a registry: what cannot be is refused with its number, and old registries stay as they are."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from cloud.errors import SetupError
from cloud.stores.registry import check_networks, load_registry_file, read_registry
from tests.support.cloud.sites import NETWORK, registry_data


def _with(**changes: Any) -> dict[str, Any]:
    data = registry_data()
    data["feeders"][0]["network"] = {**deepcopy(NETWORK), **changes}
    data["sites"][0]["node"] = 3
    return data


def test_a_network_is_read_and_survives_the_store() -> None:
    """What a function reads from the store is what the operator wrote."""
    registry = read_registry(_with(), where="test")
    again = read_registry(registry.model_dump(mode="json"), where="test")
    assert again == registry
    network = again.feeders[0].network
    assert network is not None and network.lines[1].to_node == 3
    assert again.sites[0].node == 3
    check_networks(again, where="test")


def test_a_registry_without_a_network_is_as_before() -> None:
    """Nobody must know his cables to take part."""
    registry = read_registry(registry_data(), where="test")
    assert registry.feeders[0].network is None and {site.node for site in registry.sites} == {None}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"nodes": [*NETWORK["nodes"], {"id": 9, "rated_v": 400}]}, "node 9 has no line or transformer that leads"),
        ({"nodes": [*NETWORK["nodes"], {"id": 3, "rated_v": 400}]}, "node 3 is listed twice"),
        ({"source_node": 8}, "the source is at node 8"),
        ({"meter_node": 8}, "meter_node 8 is not listed"),
        ({"lines": [{**NETWORK["lines"][0], "to_node": 7}]}, "a branch ends at node 7"),
        ({"lines": [{**NETWORK["lines"][0], "r_ohm": float("nan")}]}, "r_ohm"),
        ({"lines": [{**NETWORK["lines"][0], "r_ohm": 0, "x_ohm": 0}, NETWORK["lines"][1]]}, "line 1-2 has neither"),
        ({"lines": [NETWORK["lines"][0], {**NETWORK["lines"][1], "from_node": 0}]}, "line 0-3 joins nodes of 20000 V"),
        ({"transformers": [{**NETWORK["transformers"][0], "copper_loss_w": 40_000}]}, "transformer 0-1 loses 40000 W"),
        ({"volts": 3}, "volts"),
    ],
)
def test_an_impossible_network_is_refused_by_name(changes: dict[str, Any], says: str) -> None:
    """One wrong number in fifty lines is found by it."""
    with pytest.raises(SetupError, match=says):
        read_registry(_with(**changes), where="test")


def test_a_site_at_a_node_that_is_not_there_is_refused() -> None:
    """It would be relieved at the wrong place, or nowhere."""
    data = _with()
    data["sites"][1]["node"] = 77
    with pytest.raises(SetupError, match="factory is at node 77, which the network of feeder-1 does not have"):
        read_registry(data, where="test")
    data = registry_data()
    data["sites"][1]["node"] = 2
    with pytest.raises(SetupError, match="factory is at node 2, and its feeder feeder-1 has no network"):
        read_registry(data, where="test")


def test_a_network_without_a_load_flow_is_refused_where_it_is_registered(tmp_path: Path) -> None:
    """A cable that takes all the source can give carries nothing; the agent would be blind."""
    path = tmp_path / "registry.yaml"
    path.write_text(yaml.safe_dump(_with(lines=[{**line, "c_f": 10.0} for line in NETWORK["lines"]])))
    with pytest.raises(SetupError, match="network of feeder-1: "):
        load_registry_file(path)


def test_the_manuals_example_is_a_network() -> None:
    """Whoever copies it has a feeder that is held."""
    page = (Path(__file__).parents[4] / "docs" / "operations.md").read_text()
    text = page.partition("<!-- network: begin -->\n```yaml\n")[2].partition("```\n<!-- network: end -->")[0]
    registry = read_registry({"zones": [{"id": "east"}], **yaml.safe_load(text)}, where="the manual")
    check_networks(registry, where="the manual")
    assert registry.feeders[0].network is not None and registry.sites[0].node == 2
