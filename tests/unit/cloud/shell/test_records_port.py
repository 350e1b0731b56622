"""Who called what, and what a model proposed and a person decided: the operator's records."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cloud.agents.office import Office
from cloud.agents.rights import ALL, Caller
from cloud.errors import SkillDenied, SkillError, SkillMissing
from cloud.shell import records_port
from cloud.shell.agents_office import office_of
from cloud.stores import keys
from cloud.stores.tables import Put, Tables
from contracts.skills.base import Effect, Role
from tests.support.cloud.sites import FEEDER, START, ZONE, house_in
from tests.support.market.shell import run_events, tick_at

OPERATOR = Caller(name="anna", role=Role.OPERATOR, zones=frozenset([ALL]), effects=frozenset(Effect))
LOOKS = Caller(name="lena", role=Role.OPERATOR, zones=frozenset([ALL]))
HALT = {"zone": ZONE, "reason": "price feed wrong"}


def with_conversation(tables: Tables, *proposals: dict[str, Any]) -> None:
    """Keep a conversation of now with what its model proposed."""
    told = [{"accepted": True, "reason": "would hold; a person decides", "applied": False, **one} for one in proposals]
    body = {"caller": "anna", "model": "m-1", "question": "why so dear?", "proposals": told}
    tables.put(Put(key=keys.conversation(datetime.now(UTC), f"{time.time_ns():020d}-abc"), body=body))


@pytest.fixture
def office(tmp_path: Path) -> Iterator[tuple[Office, Tables]]:
    with house_in(tmp_path) as (services, _):
        run_events(services, [tick_at(0)])
        yield office_of(services.stores.tables, services.registry, now=lambda: START), services.stores.tables


def asked(office: Office, name: str, question: dict[str, Any], *, caller: Caller = OPERATOR, key: str = "k") -> Any:
    """Ask a skill."""
    return office.call(caller, name, question, door="test", key=key).answer


def test_the_audit_log_shows_calls_and_refusals_of_a_day_the_newest_first(office: tuple[Office, Tables]) -> None:
    """What somebody tried and was refused is as telling as what he did."""
    port, _ = office
    asked(port, "market_status", {"zone": ZONE})
    with pytest.raises(SkillDenied):
        asked(port, "halt_market", HALT, caller=LOOKS)
    asked(port, "halt_market", HALT)
    answer = asked(port, "audit_log", {"effect": "acts"})
    assert answer["day"] == f"{START:%Y-%m-%d}" and answer["before"] is None
    assert [(row["caller"], row["refused"] is None) for row in answer["calls"]] == [("anna", True), ("lena", False)]
    assert "price feed wrong" in answer["calls"][0]["question"]
    assert asked(port, "audit_log", {"skill": "market_status", "count": 1})["calls"][0]["effect"] == "reads"
    assert asked(port, "audit_log", {"day": "2020-01-01"})["calls"] == []


def test_the_audit_log_goes_on_where_it_stopped_and_looks_at_a_bounded_number(
    office: tuple[Office, Tables], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day of a page that asks each second must not be read whole for the last five lines."""
    port, _ = office
    monkeypatch.setattr(records_port, "LOOKED_AT_ONCE", 2)
    monkeypatch.setattr(records_port, "LOOKS_MAX", 2)
    asked(port, "halt_market", HALT)
    for _ in range(6):
        asked(port, "market_status", {"zone": ZONE})
    question: dict[str, Any] = {"skill": "halt_market"}
    found, looks = [], 0
    while True:
        answer = asked(port, "audit_log", question)
        found += answer["calls"]
        looks += 1
        if answer["before"] is None or found:
            break
        question = {**question, "before": answer["before"]}
    assert len(found) == 1 and looks > 1
    monkeypatch.undo()
    one = asked(port, "audit_log", {"effect": "reads", "count": 1, "skill": "market_status"})
    assert len(one["calls"]) == 1 and one["before"] is not None


def test_a_proposal_that_acts_is_accepted_once_it_was_done_with_its_key(office: tuple[Office, Tables]) -> None:
    """An accepted proposal that nobody carried out would be a false record."""
    port, tables = office
    with_conversation(tables, {"skill": "halt_market", "question": HALT})
    (waiting,) = asked(port, "agent_proposals", {})["proposals"]
    assert waiting["state"] == "waiting" and waiting["acts"] and waiting["asked"] == "why so dear?"
    word = {"proposal": waiting["id"], "accept": True, "by": "anna", "reason": "agreed"}
    with pytest.raises(SkillError, match="call halt_market with its question and the key"):
        asked(port, "decide_proposal", word, key="d1")
    asked(port, "halt_market", HALT, key=waiting["key"])
    assert asked(port, "decide_proposal", word, key="d2")["state"] == "accepted"
    with pytest.raises(SkillError, match="accepted already"):
        asked(port, "decide_proposal", {**word, "accept": False}, key="d3")
    assert asked(port, "agent_proposals", {})["proposals"][0]["by"] == "anna"


def test_a_proposal_is_refused_with_a_reason_and_an_unknown_one_is_named(office: tuple[Office, Tables]) -> None:
    """Each of a conversation's proposals has a word of its own; one done by a rule waits for nobody."""
    port, tables = office
    with_conversation(
        tables,
        {"skill": "close_event", "question": {"feeder": FEEDER}},
        {"skill": "halt_market", "question": HALT, "applied": True},
    )
    first, second = asked(port, "agent_proposals", {"days": 2})["proposals"]
    assert second["state"] == "done_by_rule"
    word = {"proposal": first["id"], "accept": False, "by": "anna", "reason": "not now"}
    assert asked(port, "decide_proposal", word, key="d1")["reason"] == "not now"
    with pytest.raises(SkillMissing, match="no proposal"):
        asked(port, "decide_proposal", {**word, "proposal": "20200101:x:0"}, key="d2")


def test_where_there_are_no_files_the_sentence_says_where_they_are(office: tuple[Office, Tables]) -> None:
    """On AWS the records lie in queues; a list that is empty for ever would be believed."""
    port, _ = office
    with pytest.raises(SkillError, match="queues of failed records"):
        asked(port, "set_aside", {})
    with pytest.raises(SkillError, match="no fleet is kept here"):
        asked(port, "fleet_gateways", {})
