"""Two organisations' agents on one machine, as the processes that ship: a grid request by A2A, with a kill between."""

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cloud.doors.callers import CallerEntry, hash_of
from cloud.doors.card_key import CardKey, new_card_key
from cloud.doors.card_trust import CardPins
from cloud.doors.courier import Refused, Undelivered, couriers, deliver
from cloud.doors.letters import Letter, Letters
from cloud.doors.peers import Peer, peers_of, read_peers
from cloud.errors import SetupError, SkillError, SkillMissing
from cloud.stores.registry import save_registry
from cloud.stores.sqlite import SqliteTables
from contracts.skills.base import Effect, Role
from sitewatt.commands.agent import app
from tests.support.cloud.doors import KEY, OPERATOR, doors_in, served_process
from tests.support.cloud.process import eventually
from tests.support.cloud.sites import FEEDER, ZONE, house_in
from tests.support.market.shell import run_events, tick_at

TOKEN = "north-at-south"
REQUEST = {"feeder": FEEDER, "limit_w": 120_000, "reason": "works on the line"}


class Forger(CardKey):
    """Signs cards by one key and publishes another."""

    def jwk(self) -> dict[str, str]:
        """Return the public half of the operator's key."""
        return KEY.jwk()


def deployment_in(folder: Path) -> Path:
    """Write the tables of an organisation of its own, whose market has begun."""
    with house_in(folder) as (services, _):
        save_registry(services.stores.tables, services.registry)
        run_events(services, [tick_at(0)])
    return folder


@pytest.fixture
def north(tmp_path: Path) -> Path:
    """Return the folder of the one that asks."""
    return deployment_in(tmp_path / "north")


@pytest.fixture
def tables(north: Path) -> Iterator[SqliteTables]:
    """Return its tables."""
    opened = SqliteTables.open(north / "tables.db", power_safe=False)
    yield opened
    opened.close()


@pytest.fixture
def letters(tables: SqliteTables) -> Letters:
    """Return its letters."""
    return Letters(tables)


@pytest.fixture
def pins(tables: SqliteTables) -> CardPins:
    """Return the keys of others that it has seen."""
    return CardPins(tables)


def peers_file(folder: Path, url: str) -> Path:
    """Write the other's address and the token that it gave."""
    (folder / "south.token").write_text(f"{TOKEN}\n")
    path = folder / "peers.yaml"
    peer = {"name": "south", "url": url, "token_file": "south.token", "zones": [ZONE]}
    path.write_text(yaml.safe_dump({"peers": [peer]}))
    return path


def callers_file(folder: Path) -> Path:
    """Write who may come in at the other: the asking organisation's agent, which may act."""
    entry = CallerEntry(
        name="north", role=Role.AGENT, token_sha256=hash_of(TOKEN), zones=(ZONE,), effects=tuple(Effect)
    )  # fmt: skip
    path = folder / "callers.yaml"
    path.write_text(yaml.safe_dump({"callers": [entry.model_dump(mode="json")]}))
    return path


def tell(north: Path, peers: Path, name: str, question: dict[str, Any]) -> None:
    """Write a letter with the command that ships."""
    where = ["--tables", str(north), "--peers", str(peers), "--zone", ZONE]
    done = CliRunner().invoke(app, ["tell", name, *where, "--question", json.dumps(question), "--json"])
    assert done.exit_code == 0, done.output


async def test_a_grid_request_crosses_between_two_deployments_once_and_in_order_though_one_is_killed(
    tmp_path: Path, north: Path, letters: Letters
) -> None:
    """What was written is delivered when the other is there again; what is refused is dead and holds up nothing."""
    south = deployment_in(tmp_path / "south")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    peers = peers_file(tmp_path, f"http://127.0.0.1:{port}")
    answering = ("--tables", str(south), "--callers", str(callers_file(tmp_path)), "--port", str(port))

    def states() -> list[str]:
        return [letter.state for letter in letters.all()]

    with served_process("--tables", str(north), "--peers", str(peers)):
        with served_process(*answering) as served:
            tell(north, peers, "open_event", REQUEST)
            await eventually(lambda: states() == ["answered"])
            served.process.kill()
        tell(north, peers, "close_event", {"feeder": FEEDER})
        tell(north, peers, "open_event", {**REQUEST, "limit_w": 10**6})  # The feeder holds less by itself.
        tell(north, peers, "open_event", {**REQUEST, "limit_w": 110_000})
        await eventually(lambda: letters.all()[1].attempts)
        assert states() == ["answered", "waiting", "waiting", "waiting"]
        with served_process(*answering):
            await eventually(lambda: states() == ["answered", "answered", "dead", "answered"])
    opened, closed, dead, again = letters.all()
    assert opened.answer is not None and opened.answer["import_limit_w"] == 120_000
    assert closed.answer is not None and closed.answer["import_limit_w"] == 200_000
    assert dead.reason is not None and "asks for nothing" in dead.reason
    assert again.answer is not None and again.answer["import_limit_w"] == 110_000


async def test_a_letter_that_is_sent_again_after_a_lost_answer_acts_once(
    tmp_path: Path, letters: Letters, pins: CardPins
) -> None:
    """The sender may die between the answer and its note of it."""
    with doors_in(tmp_path / "south", tokens=True) as doors:
        path = peers_file(tmp_path, doors.url)
        (tmp_path / "south.token").write_text(OPERATOR)
        (peer,) = read_peers(path)
        halt = letters.write("south", "halt_market", {"zone": ZONE, "reason": "price feed wrong"}, keep_s=60)
        first = await deliver(peer, halt, pins)
        resume = letters.write("south", "resume_market", {"zone": ZONE}, keep_s=60)
        assert (await deliver(peer, resume, pins))["halted"] is None
        assert await deliver(peer, halt, pins) == first  # The answer of then; the market still trades.
        status = letters.write("south", "market_status", {"zone": ZONE}, keep_s=60)
        assert (await deliver(peer, status, pins))["halted"] is None
        with pytest.raises(Refused, match="no zone"):
            await deliver(peer, replace(halt, id="l-9", question={**halt.question, "zone": "zone-9"}), pins)


async def test_a_letter_to_nobody_waits_and_dies_in_time_with_the_reason(letters: Letters, pins: CardPins) -> None:
    """An operator finds it, with what stood in the way."""
    gone = Peer(name="south", url="http://127.0.0.1:9", zones=(ZONE,))
    letter = letters.write("south", "close_event", {"feeder": FEEDER}, keep_s=60)
    other = letters.write("north", "close_event", {"feeder": FEEDER}, keep_s=60)
    with pytest.raises(Undelivered, match=r"127\.0\.0\.1:9"):
        await deliver(gone, letter, pins)
    async with couriers([gone], letters, pins):
        await eventually(lambda: (found := letters.next("south")) is not None and found.attempts >= 1)
    late = letters.next("south")
    assert late is not None and late.trouble is not None
    past = datetime.now(UTC) - timedelta(seconds=1)
    letters.tried(replace(late, expires_ms=int(past.timestamp() * 1000)), late.trouble)
    async with couriers([gone], letters, pins):
        await eventually(lambda: letters.next("south") is None)
    ended = {one.peer: one for one in letters.all()}
    assert ended["south"].state == "dead" and "not delivered in time" in (ended["south"].reason or "")
    assert ended["north"] == other


async def test_the_token_does_not_follow_a_card_that_points_elsewhere(tmp_path: Path, pins: CardPins) -> None:
    """Whoever can change a card must not collect the operator's tokens."""
    with doors_in(tmp_path) as doors:
        elsewhere = doors.url.replace("127.0.0.1", "localhost")
        letter = Letter(
            id="l-1", peer="south", number=1, skill="market_status", question={"zone": ZONE}, written_ms=0, expires_ms=0
        )
        with pytest.raises(Undelivered, match="beyond"):
            await deliver(Peer(name="south", url=elsewhere), letter, pins)


async def test_a_card_under_another_key_than_the_first_gets_nothing_until_a_person_names_the_new_key(
    tmp_path: Path, letters: Letters, pins: CardPins
) -> None:
    """Whoever takes over an address is not whom the letters are for, and the operator learns what to do."""
    status = letters.write("south", "market_status", {"zone": ZONE}, keep_s=60)
    old, new = new_card_key(), new_card_key()
    with doors_in(tmp_path / "one", key=old) as doors:
        assert (await deliver(Peer(name="south", url=doors.url), status, pins))["zone"] == ZONE
    with doors_in(tmp_path / "two", key=new) as doors:
        changed = Peer(name="south", url=doors.url)
        for _ in range(2):
            with pytest.raises(Undelivered) as refused:
                await deliver(changed, status, pins)
            sentence = str(refused.value)
            assert f"signed by key {new.jwk()['kid']}, but {old.jwk()['kid']} is kept since" in sentence
            assert "nothing was sent" in sentence and "name the new key under `keys`" in sentence
        told = changed.model_copy(update={"keys": (new.jwk()["kid"],)})
        assert (await deliver(told, status, pins))["zone"] == ZONE
        other = changed.model_copy(update={"keys": (old.jwk()["kid"],)})
        with pytest.raises(Undelivered, match="the file of peers names"):
            await deliver(other, status, pins)


async def test_a_card_that_nobody_signed_or_that_was_changed_gets_nothing(
    tmp_path: Path, letters: Letters, pins: CardPins
) -> None:
    """A proxy that edits a card cannot sign it; a peer that signs none is taken only where the file says so."""
    status = letters.write("south", "market_status", {"zone": ZONE}, keep_s=60)
    with doors_in(tmp_path / "unsigned", key=None) as doors:
        plain = Peer(name="south", url=doors.url)
        with pytest.raises(Undelivered, match="is not signed; nothing was sent"):
            await deliver(plain, status, pins)
        assert await deliver(plain.model_copy(update={"unsigned": True}), status, pins)
    forger = Forger(private=new_card_key().private)
    with doors_in(tmp_path / "forged", key=forger) as doors, pytest.raises(Undelivered, match="none of the 1 keys"):
        await deliver(Peer(name="south", url=doors.url), status, pins)
    assert pins.of("south") is None


def test_a_letter_goes_to_whoever_answers_for_the_zone(tmp_path: Path, letters: Letters) -> None:
    """To one, or by broadcast to all; a question that no skill takes is never written."""
    peers = tuple(Peer(name=name, url="http://x.example", zones=(ZONE,)) for name in ("a", "b"))
    assert [one.name for one in peers_of(peers, name=None, zone=ZONE, broadcast=True)] == ["a", "b"]
    with pytest.raises(SkillMissing, match="a, b all answer"):
        peers_of(peers, name=None, zone=ZONE, broadcast=False)
    with pytest.raises(SkillMissing, match="no peer for zone-9"):
        peers_of(peers, name=None, zone="zone-9", broadcast=True)
    with pytest.raises(SkillError, match="limit_w"):
        letters.write("a", "open_event", {"feeder": FEEDER, "limit_w": -1, "reason": "why not"}, keep_s=60)
    assert not letters.all()
    path = tmp_path / "peers.yaml"
    path.write_text("peers: [{name: a, url: ftp://x}]")
    with pytest.raises(SetupError, match=r"peers\.0\.url"):
        read_peers(path)
