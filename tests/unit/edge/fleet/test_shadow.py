"""What the operator wants comes into force whatever became of the answer to what they wanted before."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest

from edge.fleet.shadow import NamedShadow, ShadowName, Wanted
from edge.links.link import Ack, Inbound

PREFIX = "$aws/things/site-1/shadow/name/limits"


class _Link:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def subscribe(self, topics: Iterable[str]) -> None:
        """Take whatever is wanted."""

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> "asyncio.Future[Ack]":
        """Keep the message and answer at once."""
        self.sent.append((topic.removeprefix(f"{PREFIX}/"), json.loads(payload)))
        return asyncio.get_running_loop().create_future()


class _Site:
    """A shadow and what was applied of it."""

    def __init__(self) -> None:
        self.link = _Link()
        self.applied: list[Wanted] = []
        self.shadow = NamedShadow(
            link=self.link,  # type: ignore[arg-type]
            thing="site-1",
            name=ShadowName.LIMITS,
            apply=self._apply,
        )

    def _apply(self, wanted: Wanted) -> None:
        self.applied.append(wanted)

    def tell(self, kind: str, document: dict[str, Any]) -> None:
        """Let a message of the service arrive."""
        message = Inbound(topic=f"{PREFIX}/{kind}", payload=json.dumps(document).encode(), retained=False)
        assert self.shadow.arrived(message)

    def wish(self, version: int, desired: Wanted, *, at_s: int) -> None:
        """Let the operator's wish arrive."""
        current = {"state": {"desired": desired}, "version": version}
        self.tell("update/documents", {"current": current, "timestamp": at_s})


@pytest.mark.parametrize("code", [409, 413, 429, 500])
async def test_wish_after_a_refused_answer_is_not_taken_for_an_echo(code: int) -> None:
    """A limit was dropped when the answer to the wish before it had been throttled."""
    site = _Site()
    site.wish(1, {"import_limit_w": 9000}, at_s=10)
    for _ in range(2):  # The answer without the state may be refused too.
        site.tell("update/rejected", {"code": code, "message": "no"})
    site.wish(2, {"import_limit_w": 3000}, at_s=11)
    assert site.applied[-1] == {"import_limit_w": 3000}


async def test_own_answer_is_no_wish() -> None:
    """Each answer makes a version of its own; answering it too would never end."""
    site = _Site()
    site.wish(1, {"import_limit_w": 9000}, at_s=10)
    site.wish(2, {"import_limit_w": 9000}, at_s=10)
    assert len(site.applied) == 1


async def test_answer_that_is_too_large_is_given_without_the_state() -> None:
    """The operator still hears that it was applied; a second refusal ends it."""
    site = _Site()
    site.wish(1, {"import_limit_w": 9000}, at_s=10)
    for _ in range(3):
        site.tell("update/rejected", {"code": 413, "message": "too large"})
    updates = [document["state"]["reported"] for kind, document in site.link.sent if kind == "update"]
    assert [sorted(reported) for reported in updates] == [["answer", "import_limit_w"], ["answer"]]


@pytest.mark.parametrize("kind", ["delete/accepted", "get/rejected"])
async def test_deleted_shadow_desires_nothing_and_a_new_one_counts_from_1(kind: str) -> None:
    """A deleted limit stayed in force for good, and the next one was called old."""
    site = _Site()
    site.wish(7, {"import_limit_w": 9000}, at_s=10)
    site.tell(kind, {"code": 404, "version": 8, "timestamp": 11})
    assert site.applied[-1] == {}
    site.wish(1, {"import_limit_w": 3000}, at_s=12)
    assert site.applied[-1] == {"import_limit_w": 3000}


async def test_shadow_made_anew_while_we_were_away_is_new_and_a_late_copy_is_not() -> None:
    """The deletion itself was never heard."""
    site = _Site()
    site.wish(7, {"import_limit_w": 9000}, at_s=10)
    site.wish(5, {"import_limit_w": 1}, at_s=9)
    assert len(site.applied) == 1
    site.tell("get/accepted", {"state": {"desired": {"import_limit_w": 2000}}, "version": 1, "timestamp": 99})
    assert site.applied[-1] == {"import_limit_w": 2000}
