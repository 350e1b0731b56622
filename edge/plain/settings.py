"""The settings of plain values: which broker or database, how often, and what may be set from there."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge.links.settings import LinkSettings

TopicPart = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}(/[A-Za-z0-9_-]{1,40}){0,3}$")]


class Control(StrEnum):
    """What may be set from the house's broker: whoever may publish there may do it."""

    LOCK = "lock"
    IMPORT_LIMIT_W = "import_limit_w"
    EXPORT_LIMIT_W = "export_limit_w"


# The controls that are numbers: limits of the connection in W, magnitudes, lowered within the site file's.
NUMBERS = (Control.IMPORT_LIMIT_W, Control.EXPORT_LIMIT_W)


class PlainSettings(BaseModel):
    """Values as text, one topic a value, retained.

    ``broker`` is a broker of the house, not the cloud's, where each message would cost. ``topic`` stands before the
    site's id. A value that has changed is told after ``period_s`` at the latest, all of them each minute.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    broker: LinkSettings = LinkSettings(throttle=False)
    topic: TopicPart = "sitewatt-house"
    period_s: float = Field(default=5.0, ge=0.5, le=60)


class HomeAssistantSettings(PlainSettings):
    """The same with Home Assistant's discovery, so that devices and values appear there by themselves.

    ``controls`` names what Home Assistant may set; nothing by default.
    """

    discovery_prefix: TopicPart = "homeassistant"
    controls: tuple[Control, ...] = ()


class InfluxSettings(BaseModel):
    """Values as lines for a time series database: InfluxDB 1 and 2, VictoriaMetrics.

    ``url`` is the whole address that takes writes: ``http://HOST:8086/write?db=house`` (InfluxDB 1),
    ``http://HOST:8086/api/v2/write?org=home&bucket=house`` (2), ``http://HOST:8428/write`` (VictoriaMetrics).
    ``token_file`` holds a token of InfluxDB 2, or ``user:password`` of 1. Values are written each ``period_s``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(max_length=500)
    token_file: Path | None = None
    ca_file: Path | None = None
    period_s: float = Field(default=10.0, ge=1, le=3600)

    @model_validator(mode="after")
    def _an_address_that_takes_lines(self) -> Self:
        try:
            parts = urlsplit(self.url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ValueError(f"url {self.url!r} is not http://HOST:PORT/write?db=NAME, or the same with https://")
        if parts.username or parts.password:
            raise ValueError("url carries a user or password; name a token_file that holds user:password")
        if "precision" in parse_qs(parts.query):
            raise ValueError("url names a precision; instants are written in nanoseconds, which is what databases take")
        return self

    @property
    def host(self) -> str:
        """Return host and port alone: the rest may tell whose database it is."""
        return urlsplit(self.url).netloc
