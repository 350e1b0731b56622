"""Questions about the gateways of a fleet: which there are, their jobs and settings; an update or a setting for one."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from contracts.skills.base import Form
from contracts.units import Instant

_Gateway = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", max_length=63)]


class GatewaysQuestion(Form):
    """All gateways."""


class GatewayRow(Form):
    """A gateway as it was last heard; ``None`` where nothing was heard, or where it is not known here.

    ``alarms`` are those that it told last, at ``alarms_at``; an empty list says that it has none. ``certificate_until``
    is the end of the certificate by which it connects.
    """

    gateway: str
    zone: str
    serial: str
    online: bool | None
    heard_at: Instant | None
    software: str | None
    event: str | None
    event_at: Instant | None
    certificate_until: Instant | None
    alarms: tuple[str, ...] | None = None
    alarms_at: Instant | None = None


class GatewaysAnswer(Form):
    """The gateways by name."""

    gateways: tuple[GatewayRow, ...]


class GatewayQuestion(Form):
    """Which gateway."""

    gateway: _Gateway


class JobRow(Form):
    """A job of a gateway and how it stands; ``details`` are the gateway's own words."""

    id: str
    state: str
    details: str


class SettingsRow(Form):
    """What is wished of a gateway's settings, and what it reported, each as JSON."""

    shadow: str
    version: int
    desired: str
    reported: str


class GatewayAnswer(Form):
    """A gateway with its jobs and settings."""

    gateway: str
    certificates: tuple[str, ...]
    jobs: tuple[JobRow, ...]
    settings: tuple[SettingsRow, ...]


class SettingsRequest(Form):
    """Wish settings or lower limits of a gateway, as {"telemetry": {"period_s": 30}}; it answers in its settings."""

    gateway: _Gateway
    shadow: Literal["config", "limits"] = "config"
    wish: dict[str, JsonValue] = Field(min_length=1, max_length=64)


class SettingsSent(Form):
    """The version of the wish; the gateway's answer names it."""

    gateway: str
    shadow: str
    version: int


class UpdateRequest(Form):
    """Give a gateway a signed update, as ``sitewatt fleet sign`` prints it; the gateway checks the signature."""

    gateway: _Gateway
    document: dict[str, JsonValue] = Field(min_length=1, max_length=32)


class JobAnswer(Form):
    """The job that was made; how it goes on stands among the gateway's jobs."""

    gateway: str
    job: str
    state: str
