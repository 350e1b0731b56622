"""Who may call what: a role opens a skill, and the grant says for which zones and sites."""

from dataclasses import dataclass
from typing import Any, Final, Protocol

from cloud.agents.skill import Skill
from contracts.skills.base import Effect, Role, Scope
from contracts.units import SiteId, ZoneId

# Every zone, or every site.
ALL: Final = "*"


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Somebody who is known. ``zones`` and ``sites`` hold ids or ``ALL``; ``effects`` bounds what he may bring about.

    Who holds a zone as its operator, or as an agent on the operator's behalf, holds the sites in it. A site brings the
    right to look at what its zone shows to everyone.
    """

    name: str
    role: Role
    zones: frozenset[str] = frozenset()
    sites: frozenset[str] = frozenset()
    effects: frozenset[Effect] = frozenset({Effect.READS, Effect.PROPOSES})


class Places(Protocol):
    """Where sites and feeders lie."""

    def zone_of(self, member: SiteId) -> ZoneId | None:
        """Return the zone of a site or a feeder, ``None`` where it is not known."""


def refusal(caller: Caller, skill: Skill[Any, Any], question: Any, places: Places) -> str | None:
    """Return why a caller may not ask a question, ``None`` where he may.

    The sentence names what the caller asked for and nothing that he could not know.
    """
    if caller.role not in skill.roles:
        return f"{caller.name} is {caller.role}; {skill.name} is for {', '.join(sorted(skill.roles))}"
    if skill.effect not in caller.effects:
        return f"{caller.name} was not granted what {skill.effect}; {skill.name} was not done"
    if skill.scope is Scope.CLOUD:
        return None if ALL in caller.zones else f"{caller.name} was not granted every zone, which {skill.name} needs"
    site: SiteId | None = getattr(question, "site", None)
    if site is not None and not holds_site(caller, site, places):
        return f"{caller.name} was not granted site {site}"
    if site is None and skill.scope is not Scope.FLEET:
        zone = _zone_of(question, places)
        if not _sees_zone(caller, zone, places):
            return f"{caller.name} was not granted {getattr(question, 'zone', None) or getattr(question, 'feeder', '')}"
    return None


def _zone_of(question: Any, places: Places) -> ZoneId | None:
    zone: ZoneId | None = getattr(question, "zone", None)
    return zone if zone is not None else places.zone_of(question.feeder)


def holds_site(caller: Caller, site: SiteId, places: Places) -> bool:
    """Return whether a site lies within what a caller was granted."""
    if ALL in caller.sites or site in caller.sites:
        return True
    by_zone = caller.role in {Role.OPERATOR, Role.GRID_OPERATOR, Role.AGENT}
    return by_zone and (ALL in caller.zones or places.zone_of(site) in caller.zones)


def _sees_zone(caller: Caller, zone: ZoneId | None, places: Places) -> bool:
    if ALL in caller.zones or ALL in caller.sites:
        return True
    return zone is not None and (zone in caller.zones or any(places.zone_of(site) == zone for site in caller.sites))
