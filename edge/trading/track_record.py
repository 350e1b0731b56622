"""How each forecast did on this site, so that the best serves: load and generation apart, six hours ahead.

A plan moves energy from some hours to others: what counts is the energy of six hours and not the noise of a quarter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypedDict

from edge.trading.model import ForecastSource, IntervalEnergy, SiteForecast

JUDGED = (ForecastSource.BROADCAST, ForecastSource.OWN, ForecastSource.BLEND)
# A plan's main decisions lie some hours ahead.
AHEAD = timedelta(hours=6)
_SPAN_QUARTERS = 24
_HALF_LIFE_SPANS = 4 * 7
_SPANS_TO_JUDGE = 4
# Yesterday tells a working day well on four of five and misses each Saturday: its days are looked at by the week.
_SPANS_TO_JUDGE_YESTERDAY = 4 * 7
# One that is ranked behind another by nature takes its place if it is better by so much.
_BETTER = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The sources of load and of generation, the one that serves first."""

    load: tuple[ForecastSource, ...] = JUDGED
    pv: tuple[ForecastSource, ...] = JUDGED


@dataclass(slots=True, kw_only=True)
class _Errors:
    """What one source told beyond what was metered, in Wh: of the running span, and of spans by their age."""

    running: dict[str, float] = field(default_factory=lambda: {"load": 0.0, "pv": 0.0})
    past: dict[str, float] = field(default_factory=lambda: {"load": 0.0, "pv": 0.0})
    quarters: int = 0
    spans: float = 0.0


class KeptErrors(TypedDict):
    """The past errors of one source in Wh, by kind, and over how many spans, each weighed by its age."""

    load: float
    pv: float
    spans: float


class KeptRecord(TypedDict):
    """A record in plain values: how many spans were judged, and the errors of each source by its name."""

    judged: int
    errors: dict[str, KeptErrors]


class TrackRecord:
    """What each source told and what came."""

    def __init__(self, kept: KeptRecord | None = None) -> None:
        """Go on with the closed spans of an earlier record; what its running span told is gone."""
        self._told: dict[datetime, dict[ForecastSource, SiteForecast]] = {}
        self._errors = {source: _Errors() for source in JUDGED}
        self._running = 0
        self._judged = kept["judged"] if kept else 0
        for source, errors in self._errors.items():
            past = kept["errors"].get(source.value) if kept else None
            if past:
                errors.past = {"load": past["load"], "pv": past["pv"]}
                errors.spans = past["spans"]

    @property
    def kept(self) -> KeptRecord:
        """Return the closed spans, to go on with in another process."""
        return {
            "judged": self._judged,
            "errors": {
                source.value: {"load": errors.past["load"], "pv": errors.past["pv"], "spans": errors.spans}
                for source, errors in self._errors.items()
            },
        }

    def has(self, start: datetime, source: ForecastSource) -> bool:
        """Return whether something was noted already."""
        return source in self._told.get(start, {})

    def told(self, source: ForecastSource, forecast: SiteForecast) -> None:
        """Note what was told of an interval."""
        self._told.setdefault(forecast.start, {})[source] = forecast

    def judge(self, start: datetime, energy: IntervalEnergy) -> bool:
        """Compare what was told of an interval with what was metered; what lies before it is forgotten.

        Returns:
            Whether a span was closed by it, so that ``kept`` is another.
        """
        told = self._told.get(start, {})
        self._told = {at: each for at, each in self._told.items() if at > start}
        if not told:
            return False
        for source, forecast in told.items():
            errors = self._errors[source]
            errors.running["load"] += forecast.load_wh - energy.load_wh
            errors.running["pv"] += forecast.pv_wh - energy.pv_wh
            errors.quarters += 1
        self._running += 1
        if self._running < _SPAN_QUARTERS:
            return False
        self._close_span()
        return True

    def _close_span(self) -> None:
        """Count the span for those that told all of it."""
        keep = 0.5 ** (1 / _HALF_LIFE_SPANS)
        for errors in self._errors.values():
            if errors.quarters == _SPAN_QUARTERS:
                for kind, sum_wh in errors.running.items():
                    errors.past[kind] = keep * errors.past[kind] + abs(sum_wh)
                errors.spans = keep * errors.spans + 1.0
            errors.running, errors.quarters = {"load": 0.0, "pv": 0.0}, 0
        self._running = 0
        self._judged += 1

    @property
    def ranking(self) -> Ranking:
        """Return who serves first; by nature until a day was judged, and yesterday last until a week was."""
        if self._judged < _SPANS_TO_JUDGE:
            return Ranking()
        return Ranking(load=self._ranked("load"), pv=self._ranked("pv"))

    def _ranked(self, kind: str) -> tuple[ForecastSource, ...]:
        means: Mapping[ForecastSource, float] = {
            source: errors.past[kind] / errors.spans if errors.spans else float("inf")
            for source, errors in self._errors.items()
        }
        judged = JUDGED if self._judged >= _SPANS_TO_JUDGE_YESTERDAY else (ForecastSource.BROADCAST, ForecastSource.OWN)
        ranked = sorted(judged, key=lambda source: means[source] / _BETTER ** JUDGED.index(source))
        return (*ranked, *(source for source in JUDGED if source not in judged))
