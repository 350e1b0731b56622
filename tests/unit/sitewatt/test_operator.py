"""The operator's keys and book: trust is added without harm, and no number is given twice."""

import base64
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from contracts.control import AckStage, Action, CommandAck, Diagnostics, LimitExport, LimitImport, Refusal
from edge.commands.trust import trusted_issuers
from edge.config import load_config
from edge.control.keys import Role, SigningKey, TrustedKey
from edge.errors import ConfigError
from sitewatt.__main__ import app, register
from sitewatt.durations import duration
from sitewatt.operator.book import Book, BookUnusable, left_s
from sitewatt.operator.keys import (
    KeyUnusable,
    TrustRefused,
    add_trust,
    load_key,
    load_public_key,
    make_key,
    public_key,
    trust_entry,
    trust_yaml,
)
from sitewatt.operator.post import signed
from tests.support.rigs.control_commands import KEYS, NOW, command, public
from tests.support.rigs.edge_parts import plain_config

BLOCK = """# whose orders
commands:
  trusted:
    - issuer: owner   # at home
      role: owner
      public_key: {key}
control:
  period_s: 1.0
"""
FORMS = {
    "no section": "# nothing yet\n",
    "no newline at the end": "# nothing yet",
    "a block list": BLOCK,
    "a block list at the end": BLOCK.split("control:", maxsplit=1)[0].rstrip("\n"),
    "an outdented list": "commands:\n  trusted:\n  - {{issuer: owner, role: owner, public_key: {key}}}\n",
    "an empty flow list": "commands: {{trusted: []}}\n",
    "a flow list": "commands: {{trusted: [{{issuer: owner, role: owner, public_key: {key}}}]}}\ncontrol: {{}}\n",
}


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A new private key."""
    path = tmp_path / "dso.pem"
    make_key(path)
    return path


def _config(folder: Path, form: str) -> Path:
    owner = base64.b64encode(public(KEYS["owner"])).decode()
    text = yaml.safe_dump(plain_config(), sort_keys=False) + FORMS[form].format(key=owner)
    path = folder / "site.yaml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o640)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_trust_is_added_to_every_form_of_file_and_nothing_else_changes(tmp_path: Path, key: Path, form: str) -> None:
    """An installer's comments and order are his; a rewritten file would be somebody else's."""
    path = _config(tmp_path, form)
    before, was = path.read_text(encoding="utf-8"), load_config(path)
    held = public_key(load_key(key))
    add_trust(path, trust_entry(issuer="dso", role="grid_operator", public=held), check=load_config)
    after, now = path.read_text(encoding="utf-8"), load_config(path)
    assert [one.issuer for one in now.commands.trusted] == [*(one.issuer for one in was.commands.trusted), "dso"]
    assert now.model_copy(update={"commands": was.commands}) == was
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [line for line in before.splitlines() if line.lstrip().startswith("#") and line not in after] == []


def test_trust_is_not_given_twice_or_to_a_file_that_it_would_break(tmp_path: Path, key: Path) -> None:
    """A refused change leaves every byte as it was, and no second file behind."""
    path = _config(tmp_path, "a block list")
    before = path.read_bytes()
    held = public_key(load_key(key))
    with pytest.raises(TrustRefused, match="owner is trusted already"):
        add_trust(path, trust_entry(issuer="owner", role="owner", public=held), check=load_config)
    with pytest.raises(ConfigError, match="public_key"):
        add_trust(path, trust_entry(issuer="dso", role="grid_operator", public="AAAA"), check=load_config)
    assert path.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["dso.pem", "site.yaml"]


def test_a_key_is_its_owners_and_never_overwritten(tmp_path: Path, key: Path) -> None:
    """Every site that trusts it would have to be visited."""
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    with pytest.raises(KeyUnusable, match="File exists"):
        make_key(key)
    assert key.read_bytes() == before
    (tmp_path / "none.pem").write_text("-----BEGIN NOTHING-----", encoding="utf-8")
    with pytest.raises(KeyUnusable, match="is no private key"):
        load_key(tmp_path / "none.pem")
    assert public_key(load_key(key)) in trust_yaml(
        trust_entry(issuer="dso", role="owner", public=public_key(load_key(key)))
    )


def test_a_command_signed_here_is_genuine_on_site(key: Path) -> None:
    """The gateway checks the very bytes that are signed."""
    order = signed(
        Diagnostics(), site="home-1", issuer="dso", seq=1, now=NOW, lasts=timedelta(minutes=1), key=load_key(key)
    )
    trusted = TrustedKey(role=Role.OWNER, keys=(SigningKey(public_key=public(load_key(key))),))
    assert trusted.not_signed(type(order).decode(order.encode()), now=NOW) is None
    assert len(order.command_id) <= 64


@pytest.mark.parametrize("form", FORMS)
def test_a_second_key_is_added_beside_the_first_with_its_dates(tmp_path: Path, key: Path, form: str) -> None:
    """A key is changed without an instant at which neither is taken."""
    path = _config(tmp_path, form)
    held = public_key(load_key(key))
    first = trust_entry(issuer="dso", role="grid_operator", public=base64.b64encode(bytes(32)).decode())
    add_trust(path, first, check=load_config)
    second = {**trust_entry(issuer="dso", role="grid_operator", public=held, valid_from="2027-01-01T00:00:00Z")}
    second |= {"valid_until": "2028-01-01T00:00:00Z"}
    with pytest.raises(TrustRefused, match="--also"):
        add_trust(path, second, check=load_config)
    add_trust(path, second, check=load_config, also=True)
    entries = [one for one in load_config(path).commands.trusted if one.issuer == "dso"]
    assert [one.valid_from for one in entries] == [None, datetime(2027, 1, 1, tzinfo=UTC)]
    issuer = trusted_issuers(load_config(path).commands)["dso"]
    assert [one.public_key for one in issuer.keys] == [bytes(32), base64.b64decode(held)]
    with pytest.raises(ConfigError, match="differ in role"):
        add_trust(path, {**second, "role": "owner"}, check=load_config, also=True)
    with pytest.raises(ConfigError, match="stands twice"):
        add_trust(path, second, check=load_config, also=True)
    with pytest.raises(ConfigError, match="is not after valid_from"):
        late = {
            **second,
            "public_key": base64.b64encode(bytes([1] * 32)).decode(),
            "valid_from": "2029-01-01T00:00:00Z",
        }
        add_trust(path, late, check=load_config, also=True)


def test_calls_at_the_same_time_never_share_a_number(tmp_path: Path) -> None:
    """Two shells with one key are one issuer."""
    seen: list[int] = []

    def take() -> None:
        book = Book(tmp_path / "dso.pem")
        for _ in range(20):
            seen.append(book.next_seq(issuer="dso", site="home-1", at_least=100))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(100, 180))
    assert Book(tmp_path / "dso.pem").next_seq(issuer="dso", site="home-2", at_least=7) == 7


def test_the_book_knows_what_was_sent_and_answered(tmp_path: Path) -> None:
    """``list`` and ``release`` go by it."""
    book = Book(tmp_path / "dso.pem")
    order = command(Diagnostics())
    book.sent(order, zone="east")
    book.heard(_ack("c1", AckStage.REJECTED, reason=Refusal.LOCKED))
    entry = Book(tmp_path / "dso.pem").find("c1")
    assert entry is not None
    assert (entry["zone"], entry["site"], entry["stage"], entry["reason"]) == ("east", "home-1", "rejected", "locked")
    assert (left_s(entry, NOW), left_s(entry, NOW + timedelta(hours=1))) == (120.0, 0.0)
    assert book.find("another") is None


def test_a_list_says_that_nothing_was_sent_and_refuses_a_key_that_is_not_there(tmp_path: Path, key: Path) -> None:
    """A mistyped key must not look like a site that was left alone."""
    register()
    empty = CliRunner().invoke(app, ["command", "list", "--key", str(key)])
    assert (empty.exit_code, empty.stdout) == (0, "nothing was sent with this key from here\n")
    missing = CliRunner().invoke(app, ["command", "list", "--key", str(tmp_path / "none.pem")])
    assert missing.exit_code == 2 and "there is no key" in missing.stderr


def test_an_order_whose_place_was_taken_is_not_listed_as_running(tmp_path: Path) -> None:
    """The site says that it is superseded after the newer one was accepted, when nobody may listen any more."""
    book = Book(tmp_path / "dso.pem")
    actions: tuple[Action, ...] = (LimitExport(max_w=1), LimitImport(max_w=1), LimitExport(max_w=2))
    for number, action in enumerate(actions, start=1):
        book.sent(command(action, command_id=f"c{number}"), zone="east")
        book.heard(_ack(f"c{number}", AckStage.ACCEPTED))
    assert [entry["stage"] for entry in book.entries()] == ["superseded", "accepted", "accepted"]
    book.not_sent("c3")
    assert book.entries()[-1]["stage"] == "not_sent"


def _ack(command_id: str, stage: AckStage, *, reason: Refusal | None = None) -> CommandAck:
    return CommandAck(
        site="home-1", epoch=1, seq=1, sent_at=NOW, at=NOW, command_id=command_id, stage=stage, reason=reason
    )


def test_a_public_key_is_read_as_its_owner_hands_it_over(tmp_path: Path, key: Path) -> None:
    """Nobody gives a private key away to be trusted: PEM as openssl writes it, base64 as a configuration has it."""
    private = load_key(key)
    (tmp_path / "pub.pem").write_bytes(
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    (tmp_path / "pub.txt").write_text(public_key(private) + "\n", encoding="ascii")
    for name in ("dso.pem", "pub.pem", "pub.txt"):
        assert load_public_key(tmp_path / name) == public_key(private), name
    (tmp_path / "short.txt").write_text("AAAA", encoding="ascii")
    for name, says in (("short.txt", "holds no key"), ("none.txt", "No such file")):
        with pytest.raises(KeyUnusable, match=says):
            load_public_key(tmp_path / name)


def test_a_damaged_book_sends_nothing(tmp_path: Path) -> None:
    """A number given twice would make the second order a replay."""
    (tmp_path / "dso.pem.sent.json").write_text("[", encoding="utf-8")
    with pytest.raises(BookUnusable, match="nothing was sent"):
        Book(tmp_path / "dso.pem").next_seq(issuer="dso", site="home-1", at_least=1)


@given(st.integers(1, 99_999), st.sampled_from("smhd"))
def test_a_duration_is_what_people_write(number: int, unit: str) -> None:
    """One number, one unit."""
    seconds = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[unit]
    assert duration(f"{number}{unit}").total_seconds() == number * seconds


@pytest.mark.parametrize("text", ["", "5", "0m", "-1h", "1w", "1h30m", "soon", "99999999d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """An order without an end must not come from a slip of the pen."""
    with pytest.raises(ValueError, match="is no duration"):
        duration(text)
