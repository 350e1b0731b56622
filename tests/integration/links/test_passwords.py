"""A user with a password on a broker that lets nobody else in."""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.topics import Up
from edge.links.link import Ack, LinkState
from edge.links.mqtt import MqttLink
from edge.links.settings import LinkSettings, Protocol
from tests.support.brokers.broker import Broker, running
from tests.support.brokers.link_parts import SITE, background, topic_of, until

PASSWORD = "a:secret with spaces"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Broker]:
    """A broker that knows one user."""
    folder = tmp_path / "broker"
    folder.mkdir()
    users = folder / "users"
    users.write_text(f"farm:{_hashed(PASSWORD)}\n")
    users.chmod(0o600)
    with running(Broker(folder=folder, extra=("allow_anonymous false", f"password_file {users}"))) as broker:
        yield broker


def _hashed(password: str) -> str:
    """Return a password as mosquitto keeps it (PBKDF2, SHA-512). Source: mosquitto_passwd(1)."""
    salt, rounds = b"twelve bytes", 101  # Another length is not taken.
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
    return f"$7${rounds}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"


def _link(broker: Broker, password_file: Path | None, *, protocol: Protocol = Protocol.V5) -> MqttLink:
    user = {} if password_file is None else {"username": "farm", "password_file": password_file}
    quick = {"throttle": False, "reconnect_s_min": 0.05, "reconnect_s_max": 0.2}
    settings = LinkSettings.model_validate({"url": broker.url, "protocol": protocol, **user, **quick})
    return MqttLink(settings, client_id=SITE)


@pytest.mark.parametrize("protocol", list(Protocol))
async def test_a_user_is_let_in_by_the_password_in_a_file(guarded: Broker, tmp_path: Path, protocol: Protocol) -> None:
    """Most private brokers know users, not certificates; an editor leaves a newline at the file's end."""
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    link = _link(guarded, file, protocol=protocol)
    async with background(link.run(), name="link"):
        await until(lambda: link.status().state is LinkState.CONNECTED)
        assert await link.publish(topic_of(Up.METER), b"reading") is Ack.ACCEPTED


@pytest.mark.parametrize("protocol", list(Protocol))
@pytest.mark.parametrize("password", ["guessed", None])
async def test_who_is_refused_is_told_why_and_a_right_password_is_taken_without_a_restart(
    guarded: Broker, tmp_path: Path, protocol: Protocol, password: str | None
) -> None:
    """The installer corrects the file, and walks away."""
    file = tmp_path / "password"
    file.write_text(password or "")
    link = _link(guarded, None if password is None else file, protocol=protocol)
    async with background(link.run(), name="link"):
        await until(lambda: link.status().last_error)
        assert "uthori" in str(link.status().last_error)
        assert link.status().connects == 0
        if password is not None:
            file.write_text(PASSWORD)
            await until(lambda: link.status().state is LinkState.CONNECTED)
