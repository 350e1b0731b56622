"""The dashboards for Grafana show figures that there are: each metric and label in them is told by the gateway."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge.web.metrics import exposition
from tests.unit.edge.web.test_metrics import _status

FOLDER = Path(__file__).parents[4] / "docs" / "grafana"
_METRIC = re.compile(r"\bsitewatt_[a-z_]+")
_LABEL = re.compile(r"\{\{(\w+)\}\}")
BOARDS = sorted(FOLDER.glob("*.json"))


def _told() -> dict[str, set[str]]:
    """Return the labels of each metric that a gateway tells."""
    device = {"id": "meter", "profile": "p", "online": True, "latency_ms": 4.0}
    families = text_string_to_metric_families(exposition(_status(devices=[device])).decode())
    found: dict[str, set[str]] = {}
    for family in families:
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def _targets(board: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["expr"], one["legendFormat"]) for panel in board["panels"] for one in panel["targets"]]


@pytest.mark.parametrize("path", BOARDS, ids=[path.stem for path in BOARDS])
def test_every_metric_and_label_of_a_dashboard_exists(path: Path) -> None:
    """A panel without data looks like a site without faults."""
    board, told = json.loads(path.read_text(encoding="utf-8")), _told()
    targets = _targets(board)
    assert len(targets) >= 12
    for expression, legend in targets:
        names = _METRIC.findall(expression)
        assert names and set(names) <= told.keys(), expression
        labels = set.union(*(told[name] for name in names)) | {"instance"}
        assert set(_LABEL.findall(legend)) <= labels, legend
    for variable in board["templating"]["list"]:
        assert set(_METRIC.findall(str(variable["query"]))) <= told.keys()


@pytest.mark.parametrize("path", BOARDS, ids=[path.stem for path in BOARDS])
def test_every_figure_of_the_gateway_is_on_its_dashboard(path: Path) -> None:
    """What is counted and shown to nobody need not be counted."""
    shown = {name for expression, _ in _targets(json.loads(path.read_text())) for name in _METRIC.findall(expression)}
    assert shown == _told().keys()


def test_no_two_panels_share_a_place_or_a_number() -> None:
    """Grafana would lay one over the other."""
    assert BOARDS
    for path in BOARDS:
        panels = json.loads(path.read_text())["panels"]
        cells = [
            (x, y)
            for one in panels
            for x in range(one["gridPos"]["x"], one["gridPos"]["x"] + one["gridPos"]["w"])
            for y in range(one["gridPos"]["y"], one["gridPos"]["y"] + one["gridPos"]["h"])
        ]
        assert len(cells) == len(set(cells)) and max(x for x, _ in cells) < 24
        assert len({one["id"] for one in panels}) == len(panels)
