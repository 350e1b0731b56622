"""What every door of one server stands on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cloud.agents.office import Office
from cloud.agents.rights import ALL, Caller, holds_site
from cloud.agents.skill import Skill
from cloud.agents.skills import SKILLS
from cloud.doors.callers import Callers
from cloud.stores.registry import FeederRecord, Registry, SiteRecord, ZoneRecord
from cloud.stores.tables import Tables
from contracts.skills.base import Agent


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text that others may read: a device profile, a page of the manual."""

    uri: str
    name: str
    description: str
    mime_type: str
    read: Callable[[], str]


@dataclass(frozen=True, kw_only=True)
class Offering:
    """An office, who takes part, who may come in, and the documents that were handed in; ``agent`` narrows to one."""

    office: Office
    registry: Registry
    tables: Tables
    callers: Callers
    agent: Agent | None = None
    documents: Mapping[str, Document] = field(default_factory=dict)
    version: str = "0"

    def skills(self, caller: Caller) -> tuple[Skill[Any, Any], ...]:
        """Return what a caller can ask here."""
        return tuple(
            each
            for each in SKILLS
            if (self.agent is None or each.agent is self.agent)
            and caller.role in each.roles
            and each.effect in caller.effects
        )

    def zones(self, caller: Caller) -> tuple[ZoneRecord, ...]:
        """Return the zones that a caller may see."""
        through_sites = {self.registry.zone_of(site) for site in caller.sites}
        everything = ALL in caller.zones or ALL in caller.sites
        return tuple(
            zone for zone in self.registry.zones if everything or zone.id in caller.zones or zone.id in through_sites
        )

    def feeders(self, caller: Caller) -> tuple[FeederRecord, ...]:
        """Return the feeders of those zones."""
        zones = {zone.id for zone in self.zones(caller)}
        return tuple(feeder for feeder in self.registry.feeders if feeder.zone in zones)

    def sites(self, caller: Caller) -> tuple[SiteRecord, ...]:
        """Return the sites that a caller may ask about."""
        return tuple(site for site in self.registry.sites if holds_site(caller, site.id, self.registry))
