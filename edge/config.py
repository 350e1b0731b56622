"""The configuration of one site, read once, checked once; unknown keys are refused.

A complaint is one sentence that names the file, the key, the value and the bound.
"""

import base64
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from contracts.units import SiteId, ZoneId
from edge.errors import ConfigError
from edge.links.settings import LinkSettings

ED25519_KEY_BYTES = 32


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Agent(StrEnum):
    """What a site's agent does on the market."""

    PRODUCER = "producer"
    CONSUMER = "consumer"
    MONITOR = "monitor"


class DeviceRole(StrEnum):
    """What a device is to the site."""

    METER = "meter"
    PV = "pv"
    HYBRID = "hybrid"
    BATTERY = "battery"


class Idle(StrEnum):
    """What a battery does while nobody asks anything of it."""

    SELF_CONSUMPTION = "self_consumption"
    HOLD = "hold"


class IssuerRole(StrEnum):
    """What an issuer of commands is to the site."""

    GRID_OPERATOR = "grid_operator"
    AGGREGATOR = "aggregator"
    OWNER = "owner"
    INSTALLER = "installer"


def _is_public_key(text: str) -> str:
    try:
        size = len(base64.b64decode(text, validate=True))
    except ValueError as error:
        raise ValueError("must be an Ed25519 public key in base64") from error
    if size != ED25519_KEY_BYTES:
        raise ValueError(f"must be an Ed25519 public key of {ED25519_KEY_BYTES} bytes in base64, this has {size}")
    return text


class SiteSection(_Section):
    """Who the site is."""

    id: SiteId
    zone: ZoneId
    agent: Agent


class ConnectionSection(_Section):
    """Where the site meets the grid. Both limits are zero or greater."""

    meter: str
    import_limit_w: int = Field(gt=0)
    export_limit_w: int = Field(ge=0)


class BatterySection(_Section):
    """A battery behind a device; power limits are magnitudes."""

    capacity_wh: int = Field(gt=0)
    charge_limit_w: int = Field(gt=0)
    discharge_limit_w: int = Field(gt=0)
    soc_min_percent: float = Field(default=5, ge=0, lt=100)
    soc_max_percent: float = Field(default=100, gt=0, le=100)
    efficiency: float = Field(default=0.95, gt=0.5, le=1, description="one way")

    @model_validator(mode="after")
    def _some_room(self) -> "BatterySection":
        if self.soc_min_percent >= self.soc_max_percent:
            raise ValueError(f"soc_min_percent {self.soc_min_percent} is not below soc_max_percent")
        return self


class DeviceSection(_Section):
    """One device, what reads it and what it is to the site.

    ``use`` names the point that stands for a quantity where the profile offers several, ``turned`` the quantities that
    this installation counts the other way round.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
    profile: str
    url: str
    role: DeviceRole
    pv_peak_w: int = Field(default=0, ge=0)
    battery: BatterySection | None = None
    use: dict[str, str] = Field(default_factory=dict)
    turned: tuple[str, ...] = ()


class ProxySection(_Section):
    """A device whose one connection other programs may share, on a port of ours; read-only unless told otherwise."""

    device: str
    listen: Annotated[str, Field(pattern=r"^[^\s:]+:[0-9]{1,5}$")]
    writable: bool = False

    @property
    def host(self) -> str:
        """Return the address to listen on."""
        return self.listen.rpartition(":")[0]

    @property
    def port(self) -> int:
        """Return the port to listen on."""
        return int(self.listen.rpartition(":")[2])


class ControlSection(_Section):
    """How the site is controlled."""

    period_s: float = Field(default=1.0, ge=0.2, le=10)
    idle: Idle = Idle.SELF_CONSUMPTION


class TrustedIssuer(_Section):
    """Whose commands the site obeys."""

    issuer: str
    role: IssuerRole
    public_key: Annotated[str, AfterValidator(_is_public_key)]


class CommandsSection(_Section):
    """Whose commands the site obeys; nobody's by default."""

    trusted: tuple[TrustedIssuer, ...] = ()


class TelemetrySection(_Section):
    """What is reported, how often. ``period_s`` is the time between messages, the samples in them are each second's."""

    period_s: float = Field(default=60, ge=1, le=3600)


class TradingSection(_Section):
    """What energy costs when it is not traded, in thousandths of a cent per kWh, and when orders are due.

    ``follow_schedule`` lets batteries make good what the site takes more or less than it traded; without it they are
    kept for other uses, and the difference is settled as imbalance.
    """

    enabled: bool = True
    follow_schedule: bool = True
    import_tariff_mct_per_kwh: int = 30_000
    export_tariff_mct_per_kwh: int = 8_000
    gate_closure_s: int = Field(default=300, ge=0, le=86_400)


class SiteConfig(_Section):
    """Everything that a gateway is told."""

    site: SiteSection
    connection: ConnectionSection
    devices: tuple[DeviceSection, ...] = Field(min_length=1)
    link: LinkSettings
    state_dir: Path
    profile_dir: Path | None = None
    control: ControlSection = ControlSection()
    commands: CommandsSection = CommandsSection()
    telemetry: TelemetrySection = TelemetrySection()
    trading: TradingSection = TradingSection()
    proxy: tuple[ProxySection, ...] = ()

    @model_validator(mode="after")
    def _devices_fit(self) -> "SiteConfig":
        ids = [device.id for device in self.devices]
        if len(ids) != len(set(ids)):
            raise ValueError(f"devices: two devices share an id among {', '.join(ids)}")
        roles = {device.id: device.role for device in self.devices}
        if roles.get(self.connection.meter) is not DeviceRole.METER:
            raise ValueError(f"connection.meter is {self.connection.meter!r}, which is no device with the role meter")
        for proxy in self.proxy:
            if proxy.device not in roles:
                raise ValueError(f"proxy.device is {proxy.device!r}, which is none of {', '.join(ids)}")
        return self


def load_config(path: Path) -> SiteConfig:
    """Read and check a configuration file.

    Raises:
        ConfigError: The file cannot be read, is not YAML, or breaks a rule; one sentence says which.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; the gateway does not start") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where is not None else ""
        raise ConfigError(f"{path} is not YAML{line}; the gateway does not start") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} holds no keys, expected site, connection, devices, link, state_dir")
    try:
        return SiteConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{path}: {sentence(error)}; the gateway does not start") from error


def sentence(error: ValidationError) -> str:
    """Say the first thing that is wrong in one sentence: the key, the value, the bound, and how many more there are."""
    first, *more = error.errors(include_url=False)
    key = ".".join(str(part) for part in first["loc"])
    said = _said(key, first["type"], first["msg"], first.get("input"))
    return f"{said} ({len(more)} more)" if more else said


def _said(key: str, kind: str, message: str, value: Any) -> str:
    bound = message.removeprefix("Value error, ").removeprefix("Input ").replace("should be", "must be")
    if kind == "extra_forbidden":
        return f"{key} is not a known key"
    if kind == "missing":
        return f"{key} is missing"
    if not key:
        return bound
    shown = "a section" if isinstance(value, dict | list) else repr(value)
    return f"{key} is {shown}, {bound}"
