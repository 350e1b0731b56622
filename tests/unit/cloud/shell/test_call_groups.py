"""Reads that repeat are one record with a count; what acts, proposes or is refused to act is each its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cloud.agents.office import Office
from cloud.agents.rights import ALL, Caller
from cloud.errors import SkillDenied, StoreError
from cloud.shell import call_groups
from cloud.shell.agents_office import office_of
from cloud.shell.call_book import StoreCallBook
from cloud.shell.call_groups import CallGroups
from cloud.stores.registry import Registry
from cloud.stores.tables import Put, Tables
from contracts.skills.base import Effect, Role
from tests.support.cloud.sites import START, ZONE, house_in
from tests.support.market.shell import run_events, story

ANNA = Caller(name="anna", role=Role.OPERATOR, zones=frozenset([ALL]), effects=frozenset(Effect))
OLGA = Caller(name="olga", role=Role.SITE_OWNER, sites=frozenset(["home-1"]))


@dataclass
class House:
    """An office whose clock stands where a test puts it."""

    tables: Tables
    registry: Registry
    calls: CallGroups
    at_s: float = 0.0

    def office(self) -> Office:
        """Return it."""
        return office_of(self.tables, self.registry, book=self.calls, now=lambda: START + timedelta(seconds=self.at_s))

    def ask(self, caller: Caller = ANNA, **question: int) -> None:
        """Ask for the market."""
        self.office().call(caller, "market_status", {"zone": ZONE, **question}, door="rest")

    def records(self) -> list[dict[str, Any]]:
        """Return what is on the disk."""
        return list(StoreCallBook(self.tables).of_day(START))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Return a market with its office."""
    with house_in(tmp_path) as (services, _):
        run_events(services, story())
        tables = services.stores.tables
        made = House(tables=tables, registry=services.registry, calls=None)  # type: ignore[arg-type]
        made.calls = CallGroups(tables, monotonic=lambda: made.at_s)
        yield made


def test_a_console_that_polls_all_day_leaves_a_record_a_quarter_of_an_hour(house: House) -> None:
    """Each call is counted; a day of polling is 96 records a question, however often it polls."""
    for _ in range(60):  # Half an hour.
        house.ask()
        house.calls.flush()
        house.at_s += 30
    house.calls.flush(everything=True)
    records = house.records()
    assert [one["count"] for one in records] == [30, 30]
    assert records[0]["at"] + 870_000 == records[0]["last_at"]
    assert records[0]["changes"] == 1, "an interval left the hours that were asked for, once"
    assert records[0]["question"]["zone"] == ZONE and records[0]["answer"]["zone"] == ZONE


def test_another_question_caller_or_refusal_is_another_record(house: House) -> None:
    """A record says for all of its calls who asked what, and how it ended."""
    house.ask()
    house.ask()
    house.ask(hours_back=1)
    for _ in range(2):
        with pytest.raises(SkillDenied):
            house.office().call(OLGA, "market_health", {"zone": ZONE}, door="rest")
    house.ask(OLGA)
    house.calls.flush()
    told = {(one["caller"], one["skill"], one["refused"] is None, one.get("count", 1)) for one in house.records()}
    assert told == {
        ("anna", "market_status", True, 2), ("anna", "market_status", True, 1), ("olga", "market_health", False, 2),
        ("olga", "market_status", True, 1),
    }  # fmt: skip


def test_what_acts_stands_before_its_answer_and_each_by_itself(house: House) -> None:
    """Nobody flushes here: an act is on the disk when it is answered."""
    for number in range(2):
        house.office().call(ANNA, "halt_market", {"zone": ZONE, "reason": "drill"}, door="rest", key=f"k{number}")
    assert [(one["skill"], one["key"]) for one in house.records()] == [("halt_market", "k0"), ("halt_market", "k1")]


def test_the_newest_answer_stands_in_the_record_with_how_often_it_changed(house: House) -> None:
    """What was shown before an act can be told from it."""
    house.ask()
    house.office().call(ANNA, "halt_market", {"zone": ZONE, "reason": "drill"}, door="rest", key="k")
    for _ in range(3):
        house.ask()
    house.calls.flush()
    (read,) = [one for one in house.records() if one["skill"] == "market_status"]
    assert (read["count"], read["changes"], read["answer"]["halted"]) == (4, 1, "drill")


def test_a_read_is_refused_while_the_ones_before_it_cannot_be_recorded(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is answered for long that nobody can look up; once the tables write again, all is there."""

    def full(puts: list[Put]) -> None:
        raise StoreError("disk full")

    house.ask()
    with monkeypatch.context() as patch:
        patch.setattr(house.tables, "put_each", full)
        with pytest.raises(StoreError, match="disk full"):
            house.calls.flush()
        with pytest.raises(StoreError, match="disk full"):
            house.ask()
    house.ask()
    assert [one["count"] for one in house.records()] == [3]


def test_many_questions_are_bounded_in_memory(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks something else each time is recorded call by call, with no memory of it."""
    monkeypatch.setattr(call_groups, "GROUPS_MAX", 2)
    for hours in range(7):
        house.ask(hours_back=hours)
    assert len(house.records()) == 6
