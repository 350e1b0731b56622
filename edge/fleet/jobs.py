"""What the fleet asks a gateway to do: take another version, or renew its certificate. One job at a time.

Source: AWS IoT Core developer guide, "Jobs device MQTT API". A job that was begun is handed out again after a restart,
so an update goes on from its note on the disk whoever was switched off meanwhile.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from contracts.clock import Clock
from contracts.reasons import file_reason_of
from contracts.units import SiteId
from edge.errors import FleetError, FleetRefused, FleetSilent, UpdateFailed, UpdateRefused
from edge.fleet.identity import Identity
from edge.fleet.requests import Requests
from edge.fleet.update.updater import Stage, Step, Updater
from edge.links.link import Inbound, Link
from edge.process.lifetime import StopRequested

log = logging.getLogger(__name__)

PROVE_S = 300.0  # A version on trial must be healthy within this time after its start.
ASK_EVERY_S = 3600.0  # Notices may be lost; a question each hour finds what they told.
RETRY_S = 60.0
EVENT_LOOK_S = 5.0
HEALTH_LOOK_S = 1.0
# A report is asked for again so soon at first, then each time twice as late, up to RETRY_S.
REPORT_AGAIN_S = 0.5
# Refusals that say "not now". Source: AWS IoT Core developer guide, Jobs error codes; API reference, common errors.
_LATER = frozenset(
    {"RequestThrottled", "InternalError", "ThrottlingException", "ServiceUnavailable", "429", "500", "503"}
)
_DETAIL_CHARS_MAX = 1000  # Source: AWS IoT Core quotas, a job's status detail has at most 1024 characters.


class FleetJobs:
    """The jobs of one gateway; lives in ``run``."""

    def __init__(
        self,
        *,
        link: Link,
        requests: Requests,
        thing: SiteId,
        updater: Updater,
        clock: Clock,
        complaint: Callable[[], str | None],
        in_event: Callable[[], bool],
        renew: Callable[[str], Awaitable[object]],
        identity: Callable[[], Identity],
    ) -> None:
        """Prepare.

        Args:
            link: Where jobs come from.
            requests: Questions over that link; the site hands it what arrives.
            thing: The site's name in the fleet.
            updater: The versions.
            clock: Paces.
            complaint: Says what is not well (control cycles, link, devices), ``None`` where all is.
            in_event: Says whether a demand-response event is under way.
            renew: Makes and proves a new certificate for a job; raises ``FleetError``.
            identity: Returns the present identity; it says for which job it was made.
        """
        self._link = link
        self._requests = requests
        self._prefix = f"$aws/things/{thing}/jobs"
        self._updater = updater
        self._clock = clock
        self._complaint = complaint
        self._in_event = in_event
        self._renew = renew
        self._identity = identity
        self._noticed = asyncio.Event()
        link.subscribe([f"{self._prefix}/notify-next"])

    def arrived(self, message: Inbound) -> None:
        """Take a message that may be for us."""
        if message.topic == f"{self._prefix}/notify-next":
            self._noticed.set()
        self._requests.arrived(message)

    async def run(self) -> None:
        """Carry out jobs until cancelled.

        Raises:
            StopRequested: The gateway is to be started anew, in another version or with another certificate.
        """
        while True:
            try:
                await self._one_step()
            except (FleetError, OSError) as error:
                # A service that answers nonsense, a disk without room: the site is controlled all the same.
                log.warning("fleet job waits", extra={"reason": file_reason_of(error)})
                await self._clock.sleep(RETRY_S)

    async def _one_step(self) -> None:
        match await asyncio.to_thread(self._updater.next_step):
            case Step.NOTHING:
                await self._next_job()
            case Step.PREPARE:
                await self._prepare()
            case Step.SWITCH:
                await self._switch()
            case Step.PROVE:
                await self._prove()
            case Step.REPORT:
                await self._report()

    async def _next_job(self) -> None:
        self._noticed.clear()
        answer = await self._requests.ask(f"{self._prefix}/start-next", {})
        execution = answer.get("execution")
        if not isinstance(execution, dict) or not isinstance(execution.get("jobId"), str):
            await self._wait_for_notice()
            return
        job_id, document = execution["jobId"], execution.get("jobDocument")
        operation = document.get("operation") if isinstance(document, dict) else None
        try:
            if operation == "renew":
                await self._renew_now(job_id)
            else:
                await asyncio.to_thread(self._updater.accept, job_id, document)
        except UpdateRefused as error:
            log.warning("update refused", extra={"job": job_id, "reason": str(error)})
            await self._tell(job_id, "REJECTED", {"reason": str(error), "code": error.code})

    async def _wait_for_notice(self) -> None:
        waits = [
            asyncio.create_task(self._noticed.wait(), name="job notice"),
            asyncio.create_task(self._clock.sleep(ASK_EVERY_S), name="ask for jobs"),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _renew_now(self, job_id: str) -> None:
        """Take a new certificate, and report it once the gateway has been started with it."""
        if (identity := self._identity()).purpose == job_id:
            # We are connected by it: whoever ordered it may now make the certificates of before worthless.
            await self._tell(job_id, "SUCCEEDED", {"certificate_id": identity.certificate_id})
            return
        try:
            await self._renew(job_id)
        except FleetSilent:
            raise
        except FleetError as error:
            await self._tell(job_id, "FAILED", {"reason": str(error)})
            return
        raise StopRequested("certificate renewed")

    async def _prepare(self) -> None:
        try:
            await asyncio.to_thread(self._updater.prepare)
        except (UpdateFailed, UpdateRefused) as error:
            await asyncio.to_thread(self._updater.give_up, str(error))

    async def _switch(self) -> None:
        progress = self._updater.progress()
        if progress is not None and progress.stage is Stage.ACCEPTED and not await self._still_ours(progress.job_id):
            await asyncio.to_thread(
                self._updater.give_up, "the job was cancelled before the version was put into force"
            )
            return
        try:
            switched = await asyncio.to_thread(self._updater.switch, in_event=self._in_event())
        except UpdateRefused as error:
            await asyncio.to_thread(self._updater.give_up, str(error))
            return
        if switched:
            raise StopRequested("another version is current")
        await self._clock.sleep(EVENT_LOOK_S)

    async def _still_ours(self, job_id: str) -> bool:
        """Ask whether a job is still to be done: it may have waited for hours, and been cancelled meanwhile.

        A job that was begun is the one that is handed out; another, or none, says that ours is over.
        """
        answer = await self._requests.ask(f"{self._prefix}/start-next", {})
        execution = answer.get("execution")
        return isinstance(execution, dict) and execution.get("jobId") == job_id

    async def _prove(self) -> None:
        """Keep the version on trial as soon as nothing is to complain about, or take it back at its deadline."""
        give_up_at = self._clock.monotonic() + PROVE_S
        while complaint := self._complaint():
            if self._clock.monotonic() >= give_up_at:
                await asyncio.to_thread(self._updater.take_back, f"not well after {PROVE_S:g} s: {complaint}")
                raise StopRequested("the version before is current again")
            await self._clock.sleep(HEALTH_LOOK_S)
        await asyncio.to_thread(self._updater.keep)

    async def _report(self) -> None:
        progress = self._updater.progress()
        assert progress is not None, "a report needs a note"
        kept = progress.stage is Stage.KEPT
        details = {"version": self._updater.running(), "reason": progress.reason}
        await self._tell(progress.job_id, "SUCCEEDED" if kept else "FAILED", details)
        await asyncio.to_thread(self._updater.finish)

    async def _tell(self, job_id: str, status: str, details: dict[str, str]) -> None:
        """Report a job's end, again and again where the service says "not now"; a job that it lost is done with."""
        told: dict[str, Any] = {key: value[:_DETAIL_CHARS_MAX] for key, value in details.items() if value}
        again_s = REPORT_AGAIN_S
        while True:
            try:
                await self._requests.ask(f"{self._prefix}/{job_id}/update", {"status": status, "statusDetails": told})
            except FleetRefused as error:
                log.warning("job report refused", extra={"job": job_id, "reason": str(error)})
                if error.code in _LATER:
                    await self._clock.sleep(again_s)
                    again_s = min(RETRY_S, 2 * again_s)
                    continue
            return
