"""The gateway answers its agent's skills by names and models of the cloud's doors, and describes what it answers."""

import json
import sqlite3
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import pytest

from cloud.agents.skills import skill
from edge.config import SiteConfig
from edge.errors import StatusUnavailable
from edge.web.skills import Gateway, SkillRefused, answer, listed, openapi
from edge.web.tables import Plain
from tests.support.rigs.edge_parts import NOON, config, status

FLOW = {
    "grid_w": -1_500.0, "pv_w": -4_000.0, "battery_w": 2_000.0, "loads_w": 0.0, "house_w": None,
    "assets": [{"id": "inverter", "kind": "hybrid", "online": True, "power_w": -2_000.0, "soc_percent": 55.0}],
}  # fmt: skip
COMMAND = {
    "command_id": "dr-1-home", "event_id": "dr-1", "issuer": "grid-agent", "stage": "effective", "left_s": 90.0,
    "action": {"kind": "limit_import", "limit_w": 4_200}, "issued_at": (NOON - timedelta(seconds=30)).isoformat(),
}  # fmt: skip
STEP = {
    "start": NOON.isoformat(), "minutes": 15, "load_w": 400, "pv_w": -900, "curtailed_w": 0, "battery_w": 500,
    "grid_w": 0, "stored_wh": 5_000, "buy_mct_per_kwh": 30_000, "sell_mct_per_kwh": 8_000, "aim": "follow",
    "why": "the sun fills the battery", "loads": [],
}  # fmt: skip
COURSE = {
    "bin_s": 900, "at": [0, 900], "grid_w": [1, 2], "pv_w": [0, 0], "battery_w": [0, 0], "used_w": [1, 2],
    "soc_percent": [None, 50.0],
    "totals": {
        "imported_kwh": 1.0, "exported_kwh": 0.0, "pv_kwh": 0.0, "charged_kwh": 0.0, "discharged_kwh": 0.0,
        "used_kwh": 1.0, "own_percent": 0.0, "cost_eur": None,
    },
}  # fmt: skip


def gateway(*, settings: SiteConfig | None = None, course: Any = None, **said: Any) -> Gateway:
    """Return a gateway that controls, with an order and a plan, and has kept two quarters of an hour."""
    plain = status(
        cycle={"flow": FLOW, "fresh": True, "import_excess_w": 0.0, "export_excess_w": 0.0},
        link={"state": "connected", "connects": 1, "error": None},
        commands=[COMMAND],
        trading={"waits": None, "plan": {"method": "linear", "steps": [STEP]}},
    )
    return Gateway(
        config=settings or config(), ask=lambda: {**plain, **said}, course=course or (lambda first_s, last_s: COURSE)
    )


def names() -> list[str]:
    """Return the skills of such a gateway."""
    return [each["name"] for each in listed(gateway())["items"]]


def ending(what: str) -> str:
    """Return the skill of that ending."""
    return next(name for name in names() if name.endswith(what))


def test_what_the_cloud_can_be_asked_too_has_the_same_name_and_models() -> None:
    """A program that reads sites need not know where its answer comes from."""
    shared = [name for name in names() if name.endswith(("_status", "_responses"))]
    assert len(shared) == 2 and len(names()) == 4
    for name in shared:
        at_cloud = skill(name)
        assert set(at_cloud.answer.model_fields) == set(answer(gateway(), name, ""))
        promise = next(each["promise"] for each in listed(gateway())["items"] if each["name"] == name)
        assert promise == at_cloud.promise


def test_values_orders_plan_and_history_are_told() -> None:
    """The four questions of whoever builds on a gateway."""
    values = answer(gateway(), ending("_status"), "")
    points = {each["point"]: (each["value"], each["quality"]) for each in values["points"]}
    assert values["online"] is True and values["software"] == version("sitewatt")
    assert points["site/grid_w"] == (-1_500.0, "good") and points["inverter/soc_pct"] == (55.0, "good")
    assert points["site/house_w"] == (None, "invalid")  # Nobody knows; zero would be a claim.
    stale_cycle = {"flow": FLOW, "fresh": False, "import_excess_w": 0.0, "export_excess_w": 300.0}
    assert values["alarms"] == []
    stale = answer(gateway(cycle=stale_cycle), ending("_status"), "")
    assert stale["alarms"] == ["export stays 300 W above its bound: nothing is left to move"]
    assert {each["quality"] for each in stale["points"] if each["value"] is not None} == {"stale"}
    (order,) = answer(gateway(), ending("_responses"), "")["orders"]
    assert (order["command_id"], order["kind"], order["stage"]) == ("dr-1-home", "limit_import", "effective")
    assert order["expires_at"] - order["issued_at"] == 120_000
    for state in ("none", "waiting"):
        alone = answer(gateway(link={"state": state, "connects": 0, "error": None}), ending("_status"), "")
        assert alone["online"] is True, "a gateway without a broker answers all the same"
    silent = {"control": {"alive": False}, "site": {"alive": True}}
    assert answer(gateway(processes=silent), ending("_status"), "")["online"] is False
    plan = answer(gateway(), ending("_plan"), "")
    assert plan["method"] == "linear" and plan["steps"][0]["why"] == STEP["why"]
    history = answer(gateway(), ending("_history"), "first_s=0&last_s=1800")
    assert history["grid_w"] == [1, 2] and history["totals"]["imported_kwh"] == 1.0


@pytest.mark.parametrize(
    ("said", "what"), [({"cycle": None}, "_status"), ({"trading": None}, "_plan"), ({"commands": []}, "_responses")]
)
def test_a_gateway_that_has_nothing_to_tell_says_so(said: Mapping[str, Any], what: str) -> None:
    """Before the first cycle, without a plan, without an order."""
    told = answer(gateway(**said), ending(what), "")
    assert told.get("points", told.get("steps", told.get("orders"))) == []


def _silent() -> Plain:
    raise StatusUnavailable("no gateway runs")


def _no_history(first_s: int, last_s: int) -> dict[str, Any]:
    if first_s >= last_s:
        raise ValueError("the span is empty")
    raise sqlite3.OperationalError("no such file")


@pytest.mark.parametrize(
    ("name", "query", "code"),
    [
        ("fly", "", HTTPStatus.NOT_FOUND),
        ("_status", "site=elsewhere", HTTPStatus.NOT_FOUND),
        ("_status", "more=1", HTTPStatus.UNPROCESSABLE_ENTITY),
        ("_responses", "count=0", HTTPStatus.UNPROCESSABLE_ENTITY),
        ("_history", "", HTTPStatus.UNPROCESSABLE_ENTITY),
        ("_history", "first_s=9&last_s=1", HTTPStatus.UNPROCESSABLE_ENTITY),
        ("_history", "first_s=0&last_s=1", HTTPStatus.NOT_FOUND),
        ("_plan", "", HTTPStatus.SERVICE_UNAVAILABLE),
    ],
)
def test_what_cannot_be_answered_is_a_problem_that_says_why(name: str, query: str, code: HTTPStatus) -> None:
    """The same form of fault as at the cloud's door."""
    place = gateway(course=_no_history)
    if code is HTTPStatus.SERVICE_UNAVAILABLE:
        place = Gateway(config=place.config, ask=_silent, course=place.course)
    with pytest.raises(SkillRefused) as refused:
        answer(place, ending(name) if name.startswith("_") else name, query)
    problem = json.loads(refused.value.body)
    assert refused.value.status == code == problem["status"] and problem["detail"]


def test_the_description_names_every_path_and_resolves() -> None:
    """A client is generated from it."""
    document = openapi(gateway())
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) == {
        *(f"/v1/skills/{name}" for name in names()), "/v1/skills", "/metrics", "/health", "/ready", "/action"
    }  # fmt: skip
    text = json.dumps(document)
    schemas = document["components"]["schemas"]
    referred = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert referred <= set(schemas)
    history = document["paths"][f"/v1/skills/{ending('_history')}"]["get"]["parameters"]
    assert {each["name"]: each["required"] for each in history} == {"site": False, "first_s": True, "last_s": True}
