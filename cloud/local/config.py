"""The settings of the local cloud: one YAML file, checked once, unknown keys refused."""

from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from cloud.errors import SetupError
from cloud.infra.rules import SCHEDULES
from cloud.local.fleet.passwords import CLOUD_USER, PlainDoor
from cloud.local.opening import STORES_FILE, STREAM_SCHEMES, STREAMS_FILE, TABLES_FILE, Servers
from cloud.stores.registry import Registry, check_markets, check_networks
from cloud.stores.setup import POSTGRESQL, S3
from contracts.reasons import reason_of
from contracts.spelling import first_fault
from domain.yaml_text import load_yaml


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BrokerSettings(_Settings):
    """Where the broker is. amqtt knows only ``protocol`` 3.1.1, which has no message expiry.

    ``username`` and ``password_file`` are what the broker asks for. A private fleet's broker makes its own; without a
    ``password_file`` here the one in ``folder``/fleet is used, where there is one.
    """

    url: str = "mqtt://127.0.0.1:1883"
    protocol: Literal["3.1.1", "5"] = "3.1.1"
    client_id: str = Field(default="sitewatt-cloud", min_length=1, max_length=128)
    keepalive_s: int = Field(default=45, ge=5, le=1200)
    username: str = Field(default=CLOUD_USER, min_length=1, max_length=128)
    password_file: Path | None = None

    @field_validator("url")
    @classmethod
    def _usable(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme != "mqtt" or not parts.hostname:
            raise ValueError(f"{url!r} is not mqtt://HOST:PORT")
        return url

    @property
    def host(self) -> str:
        """Return the broker's host."""
        return str(urlsplit(self.url).hostname)

    @property
    def port(self) -> int:
        """Return the broker's port."""
        return urlsplit(self.url).port or 1883

    def password(self) -> str | None:
        """Read the password, ``None`` where the broker asks for none.

        Raises:
            SetupError: Its file cannot be read.
        """
        if self.password_file is None:
            return None
        try:
            return self.password_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SetupError(f"broker.password_file {self.password_file} cannot be read: {reason_of(error)}") from error


class SigningSettings(_Settings):
    """Who signs commands, with which key file (Ed25519, PEM)."""

    issuer: str = Field(default="grid-agent", min_length=1, max_length=64)
    key_file: Path


class MetricsSettings(_Settings):
    """Where ``/metrics`` is answered, for Prometheus on this machine; port 0 takes a free one, which is told."""

    host: str = Field(default="127.0.0.1", min_length=1, max_length=255)
    port: int = Field(ge=0, le=65_535)


class CloudConfig(_Settings):
    """Everything that the local cloud is told.

    ``folder`` holds the tables, the streams and the lake. ``tables`` (``postgresql://USER@HOST/DATABASE``) and
    ``streams`` (``nats://HOST:PORT/NAME``, ``kinesis://NAME``) keep them in servers instead. ``lake`` is another
    folder, or ``s3://BUCKET/PREFIX?endpoint=URL``. ``schedules`` overrides periods in seconds by name. Without
    ``metrics`` nobody can ask for the counters.
    """

    broker: BrokerSettings = BrokerSettings()
    folder: Path
    signing: SigningSettings
    registry: Registry
    schedules: dict[str, float] = Field(default_factory=dict)
    metrics: MetricsSettings | None = None
    tables: str | None = None
    streams: str | None = None
    lake: str | None = Field(default=None, min_length=1, max_length=1024)

    @field_validator("tables")
    @classmethod
    def _database(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(POSTGRESQL):
            raise ValueError(f"must be {POSTGRESQL}USER@HOST/DATABASE")
        parts = urlsplit(url or "")
        if parts.password is not None or "password" in parse_qs(parts.query):
            raise ValueError("holds a password; name a file with it, ?passfile=FILE, instead")
        return url

    @field_validator("streams")
    @classmethod
    def _servers(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(STREAM_SCHEMES):
            raise ValueError("must be nats://HOST:PORT/NAME or kinesis://NAME")
        if "@" in urlsplit(url or "").netloc:
            raise ValueError("holds who connects; name a credentials file, ?creds=FILE, instead")
        return url

    @field_validator("schedules")
    @classmethod
    def _known(cls, schedules: dict[str, float]) -> dict[str, float]:
        known = {schedule.name for schedule in SCHEDULES}
        for name, every_s in schedules.items():
            if name not in known:
                raise ValueError(f"{name} is not one of {', '.join(sorted(known))}")
            if not 1 <= every_s <= 86_400:
                raise ValueError(f"{name} is every {every_s} s, must be 1 to 86400")
        return schedules

    @property
    def servers(self) -> Servers:
        """Return the addresses of what is kept in servers."""
        return Servers(tables=self.tables, streams=self.streams)

    @property
    def tables_path(self) -> Path:
        """Return the file of the tables, or the one that says in which server they are."""
        return self.folder / (TABLES_FILE if self.tables is None else STORES_FILE)

    @property
    def streams_path(self) -> Path:
        """Return the file of the streams, where they are in one."""
        return self.folder / STREAMS_FILE


def load_config(path: Path, *, tables: str | None = None, streams: str | None = None) -> CloudConfig:
    """Read the settings; paths in them are relative to the file's folder. ``tables`` and ``streams`` replace theirs.

    Raises:
        SetupError: The file cannot be read, or breaks the schema; the message names the key.
    """
    try:
        raw: Any = load_yaml(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SetupError(f"configuration {path} cannot be read: {reason_of(error)}") from error
    told = {name: url for name, url in (("tables", tables), ("streams", streams)) if url is not None}
    try:
        config = CloudConfig.model_validate({**raw, **told} if told and isinstance(raw, dict) else raw)
    except ValidationError as error:
        fault = first_fault(error, of=CloudConfig, whole="file")
        raise SetupError(f"configuration {path} cannot be used: {fault}") from error
    check_markets(config.registry, where=f"configuration {path}")
    check_networks(config.registry, where=f"configuration {path}")
    base = path.absolute().parent
    signing = config.signing.model_copy(update={"key_file": base / config.signing.key_file})
    folder = base / config.folder
    broker = config.broker.model_copy(update={"password_file": _password_file(config.broker, base, folder)})
    lake = config.lake if config.lake is None or config.lake.startswith(S3) else str(base / config.lake)
    return config.model_copy(update={"folder": folder, "signing": signing, "broker": broker, "lake": lake})


def _password_file(broker: BrokerSettings, base: Path, folder: Path) -> Path | None:
    if broker.password_file is not None:
        return base / broker.password_file
    made = PlainDoor(folder=folder / "fleet").password_path(CLOUD_USER)
    return made if made.exists() else None
