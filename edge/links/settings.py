"""The link's settings: where the broker is, who we are, how we prove it."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge.errors import ConfigError

_RECONNECT_S_MIN = 1.0  # Source: AWS IoT Core quotas, CONNECT requests per second per client id.
_PROXY_PORT = 8080
_SHARED_PORT = 443
# Source: AWS IoT Core developer guide, protocols, port mappings and authentication (MQTT with a certificate on 443).
_ALPN_ON_SHARED_PORT = "x-amzn-mqtt-ca"
_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}


class Protocol(StrEnum):
    """Version of MQTT. The embedded Python broker speaks only 3.1.1; everything else speaks 5."""

    V5 = "5"
    V311 = "3.1.1"


class Client(StrEnum):
    """Which client library is below the link."""

    MQTT = "mqtt"
    AWS = "aws"


class LinkSettings(BaseModel):
    """One link.

    ``url`` is ``mqtt://host:port``, ``mqtts://…`` (TLS), ``ws://…/path`` or ``wss://…/path``. A password comes from a
    file or an environment variable, never from here. ``cert_file`` and ``key_file`` are this client's own, ``ca_file``
    is what the broker is checked against (the system's authorities where it is absent). ``alpn`` names the protocol on
    a shared port (client ``aws`` on 443 asks for ``x-amzn-mqtt-ca`` by itself). ``throttle`` keeps within AWS IoT
    Core's bounds, a backlog within a fifth of them, and connections a second apart; without it a private broker is used
    as fast as it goes.

    For client ``aws`` only: ``rules_prefix`` sends the up-channels by Basic Ingest to
    ``$aws/rules/<prefix><channel>/…``, ``proxy_url`` (``http://host:port``) leads through a proxy.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    client: Client = Client.MQTT
    url: str = "mqtt://127.0.0.1:1883"
    protocol: Protocol = Protocol.V5
    username: str | None = None
    password_file: Path | None = None
    password_env: str | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    alpn: str | None = None
    proxy_url: str | None = None
    keep_alive_s: int = Field(default=45, ge=5, le=1200)
    session_expiry_s: int = Field(default=3600, ge=0, le=604_800)
    reconnect_s_min: float = Field(default=1.0, ge=0.05, le=60)
    reconnect_s_max: float = Field(default=30.0, ge=0.05, le=3600)
    ack_timeout_s: float = Field(default=20.0, gt=0, le=120)
    throttle: bool = True
    rules_prefix: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        parts = urlsplit(self.url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError(f"url {self.url!r} is not mqtt://, mqtts://, ws:// or wss:// with a host")
        _check_port("url", self.url)
        try:
            parts.port  # noqa: B018 (reading it checks it)
        except ValueError as error:
            raise ValueError(f"url {self.url!r} has no port from 1 to 65535") from error
        if parts.username or parts.password:
            raise ValueError("url carries a user or password; use username with password_file or password_env")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        if self.cert_file and not self.tls:
            raise ValueError(f"cert_file needs a TLS url (mqtts:// or wss://), url is {self.url!r}")
        if self.reconnect_s_max < self.reconnect_s_min:
            raise ValueError(f"reconnect_s_max {self.reconnect_s_max} is below reconnect_s_min {self.reconnect_s_min}")
        if self.client is Client.AWS and not (self.cert_file and parts.scheme == "mqtts"):
            raise ValueError("client aws needs an mqtts:// url, cert_file and key_file")
        if self.throttle and self.reconnect_s_min < _RECONNECT_S_MIN:
            raise ValueError(
                f"reconnect_s_min {self.reconnect_s_min} is below {_RECONNECT_S_MIN:g}, as fast as AWS IoT Core "
                "takes a client id; throttle: false is for a private broker"
            )
        if self.proxy_url is not None and self.client is not Client.AWS:
            raise ValueError("proxy_url is for client aws")
        if self.proxy_url is not None and (
            urlsplit(self.proxy_url).scheme != "http" or not urlsplit(self.proxy_url).hostname
        ):
            raise ValueError(f"proxy_url {self.proxy_url!r} is not http://HOST:PORT")
        if self.proxy_url is not None:
            _check_port("proxy_url", self.proxy_url)
        if self.rules_prefix is not None and self.client is not Client.AWS:
            raise ValueError("rules_prefix is for client aws: no other broker routes $aws/rules/…")
        return self

    @property
    def host(self) -> str:
        """Return the broker's host."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """Return the broker's port, the scheme's usual one where the url names none."""
        parts = urlsplit(self.url)
        return parts.port or _PORTS[parts.scheme]

    @property
    def alpn_asked(self) -> str | None:
        """Return the protocol that is asked for in the TLS handshake: ours, or the one of AWS's shared port."""
        shared = self.client is Client.AWS and self.port == _SHARED_PORT
        return self.alpn or (_ALPN_ON_SHARED_PORT if shared else None)

    @property
    def proxy(self) -> tuple[str, int] | None:
        """Return the proxy's host and port."""
        if self.proxy_url is None:
            return None
        parts = urlsplit(self.proxy_url)
        return parts.hostname or "", parts.port or _PROXY_PORT

    @property
    def tls(self) -> bool:
        """Return whether the connection is encrypted."""
        return urlsplit(self.url).scheme in {"mqtts", "wss"}

    @property
    def websocket_path(self) -> str | None:
        """Return the path of a WebSocket url, ``None`` for plain MQTT."""
        parts = urlsplit(self.url)
        return (parts.path or "/mqtt") if parts.scheme in {"ws", "wss"} else None

    def password(self) -> str | None:
        """Read the password.

        Raises:
            ConfigError: The file or the variable that the settings name is not there.
        """
        if self.password_file is not None:
            try:
                return self.password_file.read_text().strip()
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not text"
                raise ConfigError(f"link.password_file {self.password_file} cannot be read: {reason}") from error
        if self.password_env is not None:
            if self.password_env not in os.environ:
                raise ConfigError(f"link.password_env {self.password_env} is not set in the environment")
            return os.environ[self.password_env]
        return None


def _check_port(key: str, url: str) -> None:
    """Raise ``ValueError`` where a url's port is no port."""
    try:
        port = urlsplit(url).port
    except ValueError as error:
        raise ValueError(f"{key} {url!r} names no port from 1 to 65535") from error
    if port == 0:
        raise ValueError(f"{key} {url!r} names no port from 1 to 65535")
