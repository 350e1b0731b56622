"""Questions to the forecasting agent about a zone: weather, demand, and what was broadcast."""

from pydantic import Field

from contracts.forecast import ForecastKind
from contracts.skills.base import Form
from contracts.units import Instant, SiteId, ZoneId

HOURS_MAX = 48


class WeatherQuestion(Form):
    """Which zone, at which site's place (the zone's own without one), and how far ahead."""

    zone: ZoneId
    site: SiteId | None = None
    hours_ahead: int = Field(default=24, ge=1, le=HOURS_MAX)


class WeatherHourAnswer(Form):
    """One hour: global horizontal irradiance, and the air's temperature."""

    start: Instant
    ghi_w_m2: float
    air_temperature_c: float


class WeatherAnswer(Form):
    """The weather at a place as it was last told; no hours where no provider is configured or none has answered."""

    zone: ZoneId
    cell: str
    provider: str | None
    told_at: Instant | None
    hours: tuple[WeatherHourAnswer, ...]


class DemandQuestion(Form):
    """Which zone."""

    zone: ZoneId


class DemandStep(Form):
    """Expected mean powers of one step in W: loads positive, generation zero or negative, net their sum."""

    start: Instant
    load_w: int
    pv_w: int
    net_w: int


class DemandAnswer(Form):
    """What a zone's sites are expected to draw; of ``sites`` so many have a forecast of their load."""

    zone: ZoneId
    sites: int
    forecast: int
    step_s: int | None
    steps: tuple[DemandStep, ...]


class BroadcastQuestion(Form):
    """Which zone."""

    zone: ZoneId


class BroadcastLine(Form):
    """One forecast that was broadcast."""

    kind: ForecastKind
    site: SiteId | None
    issued_at: Instant
    start: Instant
    until: Instant
    method: str


class BroadcastAnswer(Form):
    """The newest issue of each forecast of a zone, as its sites and watchers were told."""

    zone: ZoneId
    forecasts: tuple[BroadcastLine, ...]
