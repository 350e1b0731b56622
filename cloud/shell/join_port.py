"""Requests of sites to take part in a zone's market, in the tables; an accepted one is part of the registry."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from cloud.errors import ConditionFailed, SetupError, SkillError, SkillMissing
from cloud.stores import keys
from cloud.stores.registry import Registry, with_sites
from cloud.stores.tables import Item, Put, Table, Tables, prefix
from contracts.skills.joining import JoinAnswer, JoinDecision, JoinRequest, JoinState
from contracts.units import ZoneId, epoch_ms

# A stranger with a token must not fill the tables.
WAITING_MAX: Final = 1_000


class StoreJoins:
    """The requests to a registry's zones.

    Args:
        tables: Where requests are kept.
        registry: Who takes part already.
        acts: Whether requests and decisions are taken; who only looks refuses them.
    """

    def __init__(self, tables: Tables, registry: Registry, *, acts: bool) -> None:
        self._tables = tables
        self._registry = registry
        self._acts = acts

    def ask(self, request: JoinRequest, *, at: datetime) -> JoinAnswer:
        """Keep a request that could be accepted; the same one again returns what became of it.

        Raises:
            SkillMissing: No such zone or feeder.
            SkillError: The id is taken, the site cannot be registered as it is told, or too many wait.
        """
        self._may_act(request.zone)
        told = request.model_dump(mode="json")
        kept = self._tables.get(keys.join(request.zone, request.applicant))
        if kept is not None and (kept.body["request"] == told or kept.body["state"] == JoinState.ACCEPTED):
            if kept.body["request"] != told:
                raise SkillError(f"{request.applicant} takes part already, with other figures; nothing was changed")
            return _answer(kept.body)
        self._fits(request)
        if len(self._tables.query(Table.GRID_METRICS, keys.join("", "").pk, limit=WAITING_MAX)) >= WAITING_MAX:
            raise SkillError(f"{WAITING_MAX} requests are kept already; nothing was done")
        body = {
            "request": told, "state": JoinState.WAITING, "asked_ms": epoch_ms(at), "decided_ms": None, "by": None,
            "reason": None,
        }  # fmt: skip
        self._put(request.zone, request.applicant, body, kept)
        return _answer(body)

    def requests(self, zone: ZoneId) -> Sequence[JoinAnswer]:
        """Return every request for a zone, by the site's id."""
        if self._registry.zone(zone) is None:
            raise SkillMissing(f"no zone {zone!r}")
        items = self._tables.query(Table.GRID_METRICS, keys.join("", "").pk, **prefix(f"{zone}#"))
        return [_answer(item.body) for item in items]

    def decide(self, decision: JoinDecision, *, at: datetime) -> JoinAnswer:
        """Accept or refuse a request that waits.

        Raises:
            SkillMissing: No such request.
            SkillError: It is decided already, or cannot be accepted any more.
        """
        self._may_act(decision.zone)
        kept = self._tables.get(keys.join(decision.zone, decision.applicant))
        if kept is None:
            raise SkillMissing(f"{decision.applicant} has not asked to take part in {decision.zone}")
        if kept.body["state"] != JoinState.WAITING:
            raise SkillError(f"{decision.applicant} is {kept.body['state']} already; nothing was changed")
        if decision.approve:
            self._fits(JoinRequest.model_validate(kept.body["request"]))
        body = {
            **kept.body,
            "state": JoinState.ACCEPTED if decision.approve else JoinState.REFUSED,
            "decided_ms": epoch_ms(at),
            "by": decision.by,
            "reason": decision.reason,
        }
        self._put(decision.zone, decision.applicant, body, kept)
        return _answer(body)

    def _fits(self, request: JoinRequest) -> None:
        if self._registry.zone(request.zone) is None:
            raise SkillMissing(f"no zone {request.zone!r}")
        feeder = None if request.feeder is None else self._registry.feeder(request.feeder)
        if request.feeder is not None and (feeder is None or feeder.zone != request.zone):
            raise SkillMissing(f"no feeder {request.feeder!r} in {request.zone}")
        if self._registry.zone_of(request.applicant) is not None:
            raise SkillError(f"{request.applicant} is the id of another member; nothing was done")
        try:
            with_sites(self._registry, [request.model_dump(mode="json")])
        except SetupError as error:
            raise SkillError(f"{request.applicant} cannot be registered: {error}; nothing was done") from error

    def _put(self, zone: ZoneId, applicant: str, body: dict[str, Any], kept: Item | None) -> None:
        version = 0 if kept is None else kept.version
        try:
            self._tables.put(Put(key=keys.join(zone, applicant), body=body, if_version=version))
        except ConditionFailed as error:
            raise SkillError(f"another word on {applicant} came first; nothing was done") from error

    def _may_act(self, zone: ZoneId) -> None:
        if not self._acts:
            raise SkillError(f"{zone} is only read here; nothing was done")


def _answer(body: dict[str, Any]) -> JoinAnswer:
    request = body["request"]
    return JoinAnswer.model_validate(
        {
            "zone": request["zone"],
            "applicant": request["applicant"],
            "owner": request["owner"],
            "state": body["state"],
            "asked_at": body["asked_ms"],
            "decided_at": body["decided_ms"],
            "by": body["by"],
            "reason": body["reason"],
        }
    )
