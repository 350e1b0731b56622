"""Questions to the forecasting agent."""

from pydantic import Field

from contracts.forecast import ForecastKind, ForecastSeries
from contracts.skills.base import Form
from contracts.units import SiteId, ZoneId

SCORE_DAYS_MAX = 14


class ForecastQuestion(Form):
    """Which forecast: of a site, or of the zone where ``site`` is left out."""

    zone: ZoneId
    kind: ForecastKind
    site: SiteId | None = None


class ForecastAnswer(Form):
    """The newest forecast, or none."""

    forecast: ForecastSeries | None


class ScoreQuestion(Form):
    """Whose forecasts of load or PV are judged, over how many days up to now."""

    site: SiteId
    kind: ForecastKind
    days: int = Field(default=2, ge=1, le=SCORE_DAYS_MAX)


class ScoreAnswer(Form):
    """How good the forecasts were against what was metered; ``None`` where nothing can be compared yet.

    For each delivery interval the newest forecast from before its start counts. ``band_share`` is the share of the
    metered values between the quantiles p10 and p90; a sound band holds about 0.8 of them.
    """

    site: SiteId
    kind: ForecastKind
    issues: int
    intervals: int
    mean_error_w: float | None
    naive_error_w: float | None
    band_share: float | None
