"""What the grid agent's acting skills stand on: requests in the tables, and the agent's own dispatch."""

from datetime import datetime

from cloud.errors import ConditionFailed, SkillError, SkillMissing
from cloud.grid.dispatch import Need, cheapest
from cloud.grid.model import Direction
from cloud.grid.offers import Natural, offers_of
from cloud.shell.grid import view
from cloud.shell.grid.requests import LimitRequest, held, limited, request_at
from cloud.shell.site_port import STALE_AFTER
from cloud.stores import keys
from cloud.stores.registry import FeederRecord, Registry
from cloud.stores.tables import Delete, Put, Tables
from contracts.skills.relief import CoordinateAnswer, EventState, ProgrammeState, SiteShare
from contracts.units import SiteId

_NEED = "feeder"


class StoreRelief:
    """The feeders of a registry; the running grid agent reads a request with its next step.

    Args:
        tables: Where requests are kept.
        registry: Which feeders and sites there are.
        acts: Whether requests are taken; who only looks refuses them.
    """

    def __init__(self, tables: Tables, registry: Registry, *, acts: bool) -> None:
        self._tables = tables
        self._registry = registry
        self._acts = acts

    def ask(self, feeder: SiteId, *, direction: str, limit_w: int, at: datetime, until: datetime, reason: str) -> None:
        """Let the grid agent hold a feeder below a limit until an instant; a feeder has one request at a time."""
        self._may_act(feeder)
        if (why := self.refusal(feeder, direction=direction, limit_w=limit_w, at=at)) is not None:
            raise SkillError(f"{why}; nothing was done")
        request = LimitRequest(direction=Direction(direction), limit_w=limit_w, until=until, reason=reason)
        ended = self._tables.get(keys.feeder_request(feeder))
        version = ended.version if ended is not None else 0
        try:
            self._tables.put(Put(key=keys.feeder_request(feeder), body=request.body(), if_version=version))
        except ConditionFailed as error:
            raise SkillError(f"another request for {feeder} came first; nothing was done") from error

    def refusal(self, feeder: SiteId, *, direction: str, limit_w: int, at: datetime) -> str | None:
        """Return why a limit would not be taken at an instant, ``None`` where it would."""
        if (request := request_at(self._tables, feeder, at=at)) is not None:
            return (
                f"{feeder} is held at {request.limit_w} W until {request.until:%Y-%m-%dT%H:%M:%SZ} ({request.reason}); "
                "close that request first"
            )
        settings = view.settings_of(self._feeder(feeder))
        way = Direction(direction)
        own_w = settings.import_limit_w if way is Direction.REDUCE_IMPORT else settings.export_limit_w
        if limit_w >= own_w:
            return f"{feeder} holds {own_w} W by itself; {limit_w} W asks for nothing"
        try:
            limited(settings, way, limit_w)
        except ValueError as error:
            return f"{limit_w} W cannot be held at {feeder}: {error}"
        return None

    def programme(self, feeder: SiteId) -> ProgrammeState:
        """Return at which prices relief is paid."""
        record, kept = self._feeder(feeder), self._tables.get(keys.programme(feeder))
        body = kept.body if kept is not None else {}
        return ProgrammeState(
            feeder=feeder,
            price_mct_per_kwh=body.get("price_mct_per_kwh", record.dr_price_mct_per_kwh),
            penalty_mct_per_kwh=body.get("penalty_mct_per_kwh", record.dr_penalty_mct_per_kwh),
            reason=body.get("reason"),
        )

    def pay(self, feeder: SiteId, *, price_mct_per_kwh: int, penalty_mct_per_kwh: int, reason: str) -> ProgrammeState:
        """Set the prices anew; whoever runs the market and the grid reads them within a minute, with the registry."""
        self._may_act(feeder)
        self._feeder(feeder)
        body = {
            "price_mct_per_kwh": price_mct_per_kwh, "penalty_mct_per_kwh": penalty_mct_per_kwh, "reason": reason
        }  # fmt: skip
        self._tables.put(Put(key=keys.programme(feeder), body=body))
        return self.programme(feeder)

    def lift(self, feeder: SiteId) -> None:
        """End a request; without one nothing changes."""
        self._may_act(feeder)
        self._feeder(feeder)
        self._tables.transact([Delete(key=keys.feeder_request(feeder))])

    def limits(self, feeder: SiteId, *, at: datetime) -> EventState:
        """Return the limits that hold at an instant."""
        request = request_at(self._tables, feeder, at=at)
        settings = held(view.settings_of(self._feeder(feeder)), request)
        return EventState(
            feeder=feeder,
            import_limit_w=settings.import_limit_w,
            export_limit_w=settings.export_limit_w,
            until=request.until if request is not None else None,
            reason=request.reason if request is not None else None,
        )

    def shares(self, feeder: SiteId, *, direction: str, need_w: int, duration_s: int, at: datetime) -> CoordinateAnswer:
        """Return the cheapest shares of the sites that give a relief, found as the agent itself finds them."""
        record, way = self._feeder(feeder), Direction(direction)
        sites = {one.site: one for one in view.offers_of(self._registry, record)}
        seen = [
            one
            for one in view.observations(self._tables, self._registry.sites_on(feeder))
            if one.site in sites and at - one.at <= STALE_AFTER
        ]
        offers = [
            offer
            for one in seen
            for offer in offers_of(
                sites[one.site],
                seen=one,
                natural=Natural(
                    connection_w=one.connection_power_w or 0.0,
                    battery_w=one.battery_power_w or 0.0,
                    pv_w=one.pv_power_w or 0.0,
                ),
                direction=way,
                duration_s=float(duration_s),
            )
        ]
        found = cheapest(offers=offers, needs=[Need(name=_NEED, need_w=float(need_w))], duration_s=float(duration_s))
        missing_w = round(found.shortfall_w.get(_NEED, 0.0))
        silent = len(sites) - len(seen)
        told = f"{len(seen)} sites of {feeder} can be asked" + (
            f", {silent} have not reported lately" if silent else ""
        )
        return CoordinateAnswer(
            feeder=feeder,
            accepted=not missing_w,
            reason=f"{told}; {f'{missing_w} W are missing' if missing_w else f'they give {need_w} W'}",
            shares=tuple(
                SiteShare(
                    site=offer.site,
                    means=str(offer.means),
                    change_w=round(change_w),
                    change_w_max=int(offer.change_w_max),
                    price_mct_per_kwh=offer.price_mct_per_kwh,
                )
                for offer, change_w in zip(offers, found.changes_w, strict=True)
                if change_w >= 1
            ),
            shortfall_w=missing_w,
            cost_uct=found.cost_uct,
            method=str(found.method),
        )

    def _may_act(self, feeder: SiteId) -> None:
        if not self._acts:
            raise SkillError(f"feeder {feeder} is only read here; nothing was done")

    def _feeder(self, feeder: SiteId) -> FeederRecord:
        record = self._registry.feeder(feeder)
        if record is None:
            raise SkillMissing(f"no feeder {feeder!r}")
        return record
