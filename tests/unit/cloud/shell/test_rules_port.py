"""A market's parameters are tried on a copy of it before they are in force, and so is a bid."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cloud.agents.office import Office
from cloud.agents.rights import ALL, Caller
from cloud.agents.skills import skill
from cloud.errors import SkillDenied, SkillError
from cloud.shell.agents_office import office_of
from cloud.shell.market.reading import read_fold
from cloud.shell.services import Services
from cloud.shell.skill_ports import ports_of
from contracts.skills.base import Effect, Role
from contracts.units import epoch_ms
from tests.support.cloud.sites import FEEDER, START, ZONE, house_in
from tests.support.market.shell import run_events, story, tick_at

ANNA = Caller(name="anna", role=Role.OPERATOR, zones=frozenset([ALL]), effects=frozenset(Effect))
OLGA = Caller(name="olga", role=Role.SITE_OWNER, sites=frozenset(["home-1"]))


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    """Return a market whose story has been told."""
    with house_in(tmp_path) as (made, _):
        run_events(made, story())
        yield made


def office(services: Services) -> Office:
    """Return the office over a market that another process runs."""
    return office_of(services.stores.tables, services.registry)


def judged(services: Services, name: str, question: dict[str, Any]) -> str | None:
    """Return what the core says against a request."""
    return office(services).judge(ANNA, name, question, door="test")


def ask(services: Services, name: str, question: dict[str, Any], *, caller: Caller = ANNA, key: str = "k") -> Any:
    """Call a skill."""
    acts = skill(name).effect is Effect.ACTS
    return office(services).call(caller, name, question, door="test", key=key if acts else None).answer


def test_parameters_change_in_the_journal_and_the_running_market_takes_them(services: Services) -> None:
    """Each ledger line names the version that it was posted under; the writer that runs reads the journal again."""
    before = ask(services, "market_rules", {"zone": ZONE})
    answer = ask(services, "set_market_parameters", {"zone": ZONE, "quantity_wh_min": 5, "reason": "small change"})
    assert (answer["version"], answer["parameters"]["quantity_wh_min"]) == (before["version"] + 1, 5)
    assert answer["parameters"]["fee_mct_per_kwh"] == before["parameters"]["fee_mct_per_kwh"]
    assert ask(services, "market_rules", {"zone": ZONE}) == answer
    run_events(services, [tick_at(30)])
    fold = read_fold(services.stores.tables, ZONE)
    assert fold is not None and fold.engine.rules.quantity_wh_min == 5
    assert ports_of(services).rules.in_force(ZONE).version == answer["version"]


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ({"quantity_wh_min": 1}, "has these parameters already"),
        ({"fee_mct_per_kwh": 5_000}, ""),
        ({"capped_free_uct": 7}, ""),
    ],
)
def test_what_the_core_says_to_parameters_changes_nothing(
    services: Services, question: dict[str, Any], sentence: str
) -> None:
    """A judgement is made on a copy."""
    fold = read_fold(services.stores.tables, ZONE)
    assert fold is not None
    hashed = fold.engine.state_hash()
    why = judged(services, "set_market_parameters", {"zone": ZONE, "reason": "trial", **question})
    assert why is None if not sentence else why is not None and sentence in why
    fold = read_fold(services.stores.tables, ZONE)
    assert fold is not None and fold.engine.state_hash() == hashed


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ({}, "names no parameter"),
        ({"fee_mct_per_kwh": 5_001}, "fee_mct_per_kwh"),
        ({"fee_mct_per_kwh": -1}, "fee_mct_per_kwh"),
        ({"gate_closure_s": 60}, "gate_closure_s"),
        ({"mechanism": "pay-as-bid"}, "mechanism"),
    ],
)
def test_what_lies_beyond_the_published_bounds_is_no_question(
    services: Services, question: dict[str, Any], sentence: str
) -> None:
    """When products close is not for a proposal: gateways know it by their own settings."""
    with pytest.raises(SkillError, match=sentence):
        judged(services, "set_market_parameters", {"zone": ZONE, "reason": "trial", **question})


def test_a_fee_that_eats_what_trades_is_refused_and_nothing_is_written(services: Services) -> None:
    """Fees of more than a tenth of what trades hands are no parameter but another market."""
    start = START + timedelta(minutes=75)
    engine = read_fold(services.stores.tables, ZONE)
    assert engine is not None
    answer = ask(
        services, "consumer_bid",
        {"site": "home-1", "interval_start": epoch_ms(start), "side": "buy", "quantity_wh": 100,
         "price_mct_per_kwh": 30_000},
    )  # fmt: skip
    assert answer["accepted"] and answer["traded_wh"] == 100 and answer["paid_uct"] == 100 * 30_000
    again = read_fold(services.stores.tables, ZONE)
    assert again is not None and again.engine.state_hash() == engine.engine.state_hash()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"price_mct_per_kwh": 400_001}, "outside"),
        ({"quantity_wh": 10**8}, "the connection carries"),
        ({"interval_start": epoch_ms(START) - 900_000}, "closed at"),
    ],
)
def test_a_bid_is_judged_by_the_markets_own_checks(services: Services, change: dict[str, Any], sentence: str) -> None:
    """What the site would be told is told before."""
    bid = {
        "site": "home-1", "interval_start": epoch_ms(START + timedelta(minutes=75)), "side": "buy",
        "quantity_wh": 100, "price_mct_per_kwh": 20_000, **change,
    }  # fmt: skip
    answer = ask(services, "consumer_bid", bid, caller=OLGA)
    assert not answer["accepted"] and sentence in answer["reason"] and answer["traded_wh"] == 0


def test_a_programme_changes_the_registry_that_everybody_reads(services: Services) -> None:
    """The grid agent claims by it from the next event on."""
    from cloud.stores.registry import load_registry, save_registry

    save_registry(services.stores.tables, services.registry)
    request = {"feeder": FEEDER, "price_mct_per_kwh": 9_000, "penalty_mct_per_kwh": 4_500, "reason": "summer"}
    assert judged(services, "set_response_programme", request) is None
    ask(services, "set_response_programme", request)
    (feeder,) = load_registry(services.stores.tables).feeders
    assert (feeder.dr_price_mct_per_kwh, feeder.dr_penalty_mct_per_kwh) == (9_000, 4_500)
    assert ask(services, "response_programme", {"feeder": FEEDER}) == request
    why = judged(services, "set_response_programme", request)
    assert why is not None and "pays so already" in why


def test_whoever_may_not_act_proposes_and_an_operator_decides(services: Services) -> None:
    """The core judges on the spot; nothing is done, and the operator's list has it with its reason."""
    looks = Caller(name="aid", role=Role.OPERATOR, zones=frozenset([ALL]))
    question = {"zone": ZONE, "quantity_wh_min": 5, "reason": "fewer crumbs"}
    told = ask(
        services, "propose_act", {"skill": "set_market_parameters", "question": question, "why": "many crumbs"},
        caller=looks,
    )  # fmt: skip
    assert told["accepted"] and "operator decides" in told["reason"]
    assert ask(services, "market_rules", {"zone": ZONE})["parameters"]["quantity_wh_min"] == 1
    (row,) = ask(services, "agent_proposals", {})["proposals"]
    assert (row["id"], row["asked_by"], row["asked"], row["state"]) == (
        told["proposal"], "aid", "many crumbs", "waiting",
    )  # fmt: skip
    ask(services, row["skill"], question, key=row["key"])
    decision = {"proposal": row["id"], "accept": True, "by": "anna", "reason": "agreed"}
    assert ask(services, "decide_proposal", decision)["state"] == "accepted"
    assert ask(services, "market_rules", {"zone": ZONE})["parameters"]["quantity_wh_min"] == 5


@pytest.mark.parametrize(
    ("request_", "error", "sentence"),
    [
        ({"skill": "market_status", "question": {"zone": ZONE}}, SkillError, "only what acts is proposed"),
        ({"skill": "fly", "question": {}}, SkillError, "no skill 'fly'"),
        ({"skill": "propose_act", "question": {}}, SkillError, "only what acts is proposed"),
        ({"skill": "halt_market", "question": {"zone": ZONE}}, SkillError, "reason"),
        ({"skill": "halt_market", "question": {"zone": ZONE, "reason": "x y"}}, SkillDenied, "is for operator"),
    ],
)
def test_what_nobody_could_do_is_no_proposal(
    services: Services, request_: dict[str, Any], error: type[SkillError], sentence: str
) -> None:
    """A proposal is what its proposer's role could do; the list is not a way to write to operators."""
    with pytest.raises(error, match=sentence):
        ask(services, "propose_act", {"why": "because", **request_}, caller=OLGA)
    assert ask(services, "agent_proposals", {})["proposals"] == []
