"""The site's part in its fleet: jobs, settings from afar, reports, and when all that asks for a new start.

Nothing here may take the site's control down: the supervisor logs what fails and starts it again.
"""

import asyncio
import base64
import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from contracts.clock import Clock
from contracts.reasons import file_reason_of
from edge.config import SiteConfig
from edge.errors import ConfigError, FleetError, LinkError
from edge.fleet.defender import METER_SILENT_S, OUTBOX_DEPTH, DefenderReports
from edge.fleet.identity import Identity, IdentityStore, require_own
from edge.fleet.jobs import FleetJobs
from edge.fleet.provisioning import Claim, Provisioner
from edge.fleet.requests import Requests
from edge.fleet.service import TopicService
from edge.fleet.settings import FleetSettings
from edge.fleet.shadow import NamedShadow, ShadowName, Wanted
from edge.fleet.update.environment import VenvEnvironments
from edge.fleet.update.updater import Updater
from edge.links.link import Inbound, Link, LinkState
from edge.loop.seen import CycleSeen
from edge.outbox.outbox import Outbox
from edge.outbox.records import OutboxState
from edge.private_files import private_folder
from edge.process.lifetime import StopRequested, reason_to_stop
from edge.site.remote_settings import RemoteSettings, read_at_start

log = logging.getLogger(__name__)

# Seconds of the site's clock without a cycle told, after which control is not well.
CONTROL_SILENT_S = 30.0
CYCLES_TO_PROVE = 10  # A version on trial has controlled for so many cycles.
ANSWER_S = 2.0  # Real seconds for a shadow's answer to leave before a new start.
_KEY_SILENT = "fleet.silent_before"


@dataclass(frozen=True, kw_only=True)
class Host:
    """What the fleet's part needs of its site.

    ``last`` returns the last cycle that control told, ``adopt`` brings a changed configuration into force.
    """

    link: Link
    clock: Clock
    outbox: Outbox
    last: Callable[[], CycleSeen | None]
    adopt: Callable[[SiteConfig], None]


def check_identity(settings: FleetSettings, *, site: str) -> None:
    """Refuse a start without an identity, or with that of another site.

    Raises:
        ConfigError: There is none, it cannot be read, or it is another site's.
    """
    store = IdentityStore(settings.identity_dir)
    try:
        identity = store.adopt_orphan() or store.active()
    except (FleetError, OSError) as error:
        raise ConfigError(f"fleet.identity_dir: {file_reason_of(error)}; the gateway does not start") from error
    require_own(identity, folder=settings.identity_dir, site=site)


class SiteFleet:
    """The fleet's part of one site; lives in ``run``."""

    def __init__(self, settings: FleetSettings, remote: RemoteSettings, host: Host) -> None:
        """Prepare; ``remote`` holds the settings in force."""
        self._settings = settings
        self._remote = remote
        self._host = host
        self._store = IdentityStore(settings.identity_dir)
        self._requests = Requests(host.link)
        self._new_start: str | None = None
        self._settings_changed = asyncio.Event()
        self._silent_before = frozenset(host.outbox.recall(_KEY_SILENT) or ())
        thing = remote.config.site.id
        self._shadows = [
            NamedShadow(link=host.link, thing=thing, name=name, apply=functools.partial(self.apply, name))
            for name in ShadowName
        ]
        self._jobs = FleetJobs(
            link=host.link,
            requests=self._requests,
            thing=thing,
            updater=self._updater(),
            clock=host.clock,
            complaint=self.complaint,
            in_event=self.in_event,
            renew=self._renew,
            identity=self._active,
        )
        self._reports = DefenderReports(link=host.link, thing=thing, clock=host.clock, measure=self.measure)

    def arrived(self, message: Inbound) -> None:
        """Take a message that is on none of the site's own channels."""
        if not any(shadow.arrived(message) for shadow in self._shadows):
            self._jobs.arrived(message)

    async def run(self) -> None:
        """Take part in the fleet until cancelled; the supervisor begins anew after a fault.

        Raises:
            StopRequested: The gateway is to be started anew: in another version, with another certificate, with
                settings that are read at a start.
        """
        try:
            await self._take_part()
        except StopRequested:
            self._host.outbox.remember(_KEY_SILENT, sorted(self._silent()))
            raise

    def complaint(self) -> str | None:
        """Say what is not well: control, link, devices that answered before the last new start."""
        cycle = self._host.last()
        cycles = 0 if cycle is None else cycle.number
        if cycle is None or cycles < CYCLES_TO_PROVE:
            return f"{cycles} control cycles, fewer than {CYCLES_TO_PROVE}"
        silent_s = self._host.clock.monotonic() - cycle.taken_s
        if silent_s > CONTROL_SILENT_S:
            return f"control has been silent for {silent_s:.0f} s"
        link = self._host.link.status()
        if link.state is not LinkState.CONNECTED:
            return f"the link is {link.state}: {link.last_error}"
        silent = sorted(self._silent() - self._silent_before)
        return f"no answer from {', '.join(silent)}" if silent else None

    def in_event(self) -> bool:
        """Say whether something is owed to the grid or to an order now."""
        cycle = self._host.last()
        # Nothing told yet: something may be owed.
        return cycle is None or cycle.in_event

    def measure(self) -> dict[str, float | None]:
        """Return what Device Defender is told."""
        cycle = self._host.last()
        silent_s = None
        if cycle is not None:
            since_s = self._host.clock.monotonic() - cycle.taken_s
            silent_s = round(since_s + cycle.connection_power.age_s, 1)
        depth = sum(self._host.outbox.stats().depth.values())
        return {OUTBOX_DEPTH: depth, METER_SILENT_S: None if silent_s == float("inf") else silent_s}

    async def _take_part(self) -> None:
        stop: StopRequested | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._jobs.run(), name="fleet jobs")
                tasks.create_task(self._reports.run(), name="fleet reports")
                tasks.create_task(self._fetch_shadows(), name="fleet shadows")
                tasks.create_task(self._start_anew(), name="fleet settings")
        except* StopRequested as reasons:
            stop = StopRequested(reason_to_stop(reasons))
        if stop is not None:
            raise stop

    async def _fetch_shadows(self) -> None:
        """Ask for the shadows on every connection: what was wanted meanwhile is not sent again."""
        link = self._host.link
        while True:
            await link.wait_for(LinkState.CONNECTED)
            try:
                for shadow in self._shadows:
                    shadow.fetch()
            except LinkError as error:
                log.info("shadows not asked for", extra={"reason": str(error)})
            await link.wait_while(LinkState.CONNECTED)

    async def _start_anew(self) -> None:
        await self._settings_changed.wait()
        await asyncio.sleep(ANSWER_S)
        raise StopRequested(f"{self._new_start} changed from afar")

    def apply(self, name: ShadowName, wish: Wanted) -> None:
        """Bring what a shadow wishes into force, at once or by a new start.

        Raises:
            ConfigError: The site's file could not say so either; nothing changed.
        """
        before, proposal = self._remote.config, self._remote.propose(name, wish)
        try:
            proposal.refuse_unsafe()
        except ConfigError as error:
            raise ConfigError(f"{name}: a file that said so would be refused: {error}; nothing changed") from error
        keys = read_at_start(before, proposal.config)
        if keys and self._host.outbox.stats().state is not OutboxState.DISK:
            # Not remembered, it would be wished again after the new start, and so on.
            raise ConfigError(
                f"{keys[0]} needs a new start, and the outbox has no disk to remember it; nothing changed"
            )
        self._remote.keep(proposal)
        if keys:
            # All of it comes with the new start: half of a wish is not what was wished.
            self._new_start = ", ".join(keys)
            self._settings_changed.set()
        elif proposal.config != before:
            self._host.adopt(proposal.config)

    async def _renew(self, job_id: str) -> Identity:
        active, papers, link = self._active(), self._store.papers(), self._remote.config.link
        assert link is not None, "a fleet has a broker"
        provisioner = Provisioner(
            store=self._store,
            settings=link,
            template=papers.template,
            claim=Claim(
                cert_file=active.cert_file,
                key_file=active.key_file,
                client_id=active.thing_name,
                serial=papers.serial,
                secret=papers.secret,
                proof=papers.proof,
            ),
            clock=self._host.clock,
            session=TopicService(self._requests, cert_file=active.cert_file),
            purpose=job_id,
        )
        return await provisioner.provision()

    def _active(self) -> Identity:
        identity = self._store.active()
        if identity is None:
            raise FleetError(f"{self._settings.identity_dir} holds no identity any more; provision again")
        return identity

    def _updater(self) -> Updater:
        return Updater(
            private_folder(self._settings.software_dir),
            packaged=version("sitewatt"),
            trusted=Ed25519PublicKey.from_public_bytes(base64.b64decode(self._settings.update_key)),
            environments=VenvEnvironments(),
            clock=self._host.clock,
        )

    def _silent(self) -> frozenset[str]:
        cycle = self._host.last()
        return frozenset(() if cycle is None else cycle.offline)
