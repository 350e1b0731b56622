"""The link's settings are checked once, and a complaint says what is wrong."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from edge.errors import ConfigError
from edge.links.making import make_link
from edge.links.mqtt import tls_context
from edge.links.settings import Client, LinkSettings


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"url": "http://broker"}, "is not mqtt://"),
        ({"url": "mqtt://user:secret@broker"}, "password_file or password_env"),
        ({"url": "mqtts://broker", "cert_file": "c.pem"}, "go together"),
        ({"url": "mqtt://broker", "cert_file": "c.pem", "key_file": "k.pem"}, "needs a TLS url"),
        ({"client": "aws", "url": "mqtt://broker"}, "client aws needs"),
        (
            {"client": "aws", "url": "mqtts://b", "cert_file": "c", "key_file": "k", "proxy_url": "proxy:8080"},
            "is not http://HOST:PORT",
        ),
        ({"reconnect_s_min": 0.9}, "as fast as AWS IoT Core takes"),
        ({"url": "mqtts://broker:abc"}, "names no port from 1 to 65535"),
        ({"url": "mqtts://broker:0"}, "names no port from 1 to 65535"),
        (
            {"client": "aws", "url": "mqtts://b", "cert_file": "c", "key_file": "k", "proxy_url": "http://p:70000"},
            "proxy_url 'http://p:70000' names no port",
        ),
        ({"rules_prefix": "sitewatt_"}, "no other broker routes"),
        ({"reconnect_s_min": 5, "reconnect_s_max": 2}, "is below reconnect_s_min"),
        ({"keep_alive_s": 2000}, "less than or equal to 1200"),
        ({"user": "me"}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_cannot_work_are_refused(fields: dict[str, object], complaint: str) -> None:
    """A typo found at the desk costs a minute, on the wall an afternoon."""
    with pytest.raises(ValidationError, match=complaint):
        LinkSettings.model_validate(fields)


def test_a_private_broker_may_be_asked_faster() -> None:
    """Its operator knows what it bears; nobody comes back faster by accident."""
    assert LinkSettings(throttle=False, reconnect_s_min=0.05).reconnect_s_min == 0.05


def test_ports_follow_the_scheme() -> None:
    """Most people never name a port."""
    ports = [LinkSettings(url=f"{scheme}://broker").port for scheme in ("mqtt", "mqtts", "ws", "wss")]
    assert ports == [1883, 8883, 80, 443]
    assert LinkSettings(url="wss://broker:8443/mqtt").websocket_path == "/mqtt"
    assert LinkSettings(url="mqtt://broker").websocket_path is None


def test_a_password_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration is copied into tickets and chats; a password in it would be too."""
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    assert LinkSettings(password_file=secret).password() == "s3cret"
    monkeypatch.setenv("SITEWATT_TEST_PASSWORD", "other")
    assert LinkSettings(password_env="SITEWATT_TEST_PASSWORD").password() == "other"
    with pytest.raises(ConfigError, match="cannot be read"):
        LinkSettings(password_file=tmp_path / "absent").password()
    with pytest.raises(ConfigError, match="is not set"):
        LinkSettings(password_env="SITEWATT_TEST_ABSENT").password()


def test_an_unusable_certificate_is_named(tmp_path: Path) -> None:
    """Which of three files was wrong is the first question."""
    bad = tmp_path / "bad.pem"
    bad.write_text("not a certificate")
    settings = LinkSettings(url="mqtts://broker", ca_file=bad, cert_file=bad, key_file=bad)
    with pytest.raises(ConfigError, match=r"bad\.pem"):
        tls_context(settings)


async def test_the_settings_choose_the_library() -> None:
    """One line of configuration moves a site from its own broker to AWS."""
    mqtt = make_link(LinkSettings(), client_id="site-1")
    aws = make_link(
        LinkSettings(client=Client.AWS, url="mqtts://broker", cert_file=Path("c"), key_file=Path("k")),
        client_id="site-1",
    )
    assert (type(mqtt).__name__, type(aws).__name__) == ("MqttLink", "AwsLink")
