"""What every door of one server stands on."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import anyio
import anyio.to_thread

from cloud.agents.office import Office
from cloud.agents.rights import ALL, Caller, holds_site
from cloud.agents.skill import AnySkill
from cloud.agents.skills import SKILLS
from cloud.doors.callers import Callers
from cloud.errors import CloudError
from cloud.shell.call_groups import FIRST_S, CallGroups
from cloud.stores.registry import FeederRecord, Registry, SiteRecord, ZoneRecord
from cloud.stores.tables import Tables
from contracts.skills.base import Agent, Scope

log = logging.getLogger(__name__)
# A site that joins takes part within a minute, as with the functions.
RENEW_S: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text that others may read: a device profile, a page of the manual."""

    uri: str
    name: str
    description: str
    mime_type: str
    read: Callable[[], str]


@dataclass(kw_only=True)
class Offering:
    """An office, who takes part, who may come in, and the documents that were handed in; ``agent`` narrows to one.

    ``calls`` is the office's book where it gathers repeated reads; it is told to write here.

    ``reread`` reads who takes part as it is now, each ``renew_s``, and ``office_with`` makes the office over it;
    without them those given stand.
    """

    office: Office
    registry: Registry
    tables: Tables
    calls: CallGroups | None = None
    reread: Callable[[], Registry] | None = None
    office_with: Callable[[Registry], Office] | None = None
    renew_s: float = RENEW_S
    callers: Callers
    agent: Agent | None = None
    documents: Mapping[str, Document] = field(default_factory=dict)
    version: str = "0"

    async def keep_new(self) -> None:
        """Look again and again who takes part; who did a minute ago still does where that cannot be read."""
        while self.reread is not None:
            await anyio.sleep(self.renew_s)
            try:
                await anyio.to_thread.run_sync(self.renew)
            except CloudError as error:
                log.warning("registry not read again", extra={"error": str(error)})

    async def keep_calls(self) -> None:
        """Write again and again what was read, and once more at the end."""
        if self.calls is None:
            return
        try:
            while True:
                await anyio.sleep(FIRST_S)
                await self._write_calls(self.calls)
        finally:
            with anyio.CancelScope(shield=True):
                await self._write_calls(self.calls, everything=True)

    async def _write_calls(self, calls: CallGroups, *, everything: bool = False) -> None:
        try:
            await anyio.to_thread.run_sync(lambda: calls.flush(everything=everything))
        except CloudError as error:
            log.warning("calls not recorded yet", extra={"error": str(error)})

    def renew(self) -> None:
        """Take over who takes part now.

        Raises:
            CloudError: It cannot be read; nothing was changed.
        """
        if self.reread is None or self.office_with is None:
            return
        registry = self.reread()
        if registry != self.registry:
            self.registry, self.office = registry, self.office_with(registry)

    def skills(self, caller: Caller) -> tuple[AnySkill, ...]:
        """Return what a caller can ask here."""
        return tuple(
            each
            for each in SKILLS
            if (self.agent is None or each.agent is self.agent)
            and caller.role in each.roles
            and each.effect in caller.effects
            and (each.scope is not Scope.CLOUD or ALL in caller.zones)
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
