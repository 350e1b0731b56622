"""Questions that a site's own gateway answers: its plan, and the course of its power."""

from pydantic import Field

from contracts.skills.base import Form
from contracts.units import Instant, SiteId


class GatewayStep(Form):
    """One step of a plan; powers in W, positive into the asset, ``stored_wh`` at its end, prices as the plan took them.

    ``why`` is the reason in words.
    """

    start: Instant
    minutes: int
    load_w: int
    pv_w: int
    battery_w: int
    grid_w: int
    stored_wh: int
    buy_mct_per_kwh: int
    sell_mct_per_kwh: int
    why: str


class GatewayPlan(Form):
    """What the gateway is going to do; no steps before its first plan, or where nothing can be planned."""

    site: SiteId
    method: str | None
    steps: tuple[GatewayStep, ...]


class HistoryQuestion(Form):
    """Which site, and the epoch seconds ``[first_s, last_s)``."""

    site: SiteId
    first_s: int = Field(ge=0, lt=10**12)
    last_s: int = Field(ge=0, lt=10**12)


class HistoryTotals(Form):
    """Energies of the span in kWh; ``own_percent`` of what was used did not come from the grid."""

    imported_kwh: float
    exported_kwh: float
    pv_kwh: float
    charged_kwh: float
    discharged_kwh: float
    used_kwh: float
    own_percent: float | None
    cost_eur: float | None


class HistoryAnswer(Form):
    """Means of bins of ``bin_s`` seconds that begin ``at`` epoch seconds; W, positive into the asset."""

    site: SiteId
    bin_s: int
    at: tuple[int, ...]
    grid_w: tuple[int, ...]
    pv_w: tuple[int, ...]
    battery_w: tuple[int, ...]
    used_w: tuple[int, ...]
    soc_percent: tuple[float | None, ...]
    totals: HistoryTotals
