"""How a site process comes to its end: what may ask for it, and what is still handed over."""

import asyncio
import contextlib
from typing import TYPE_CHECKING

from contracts.topics import Up
from edge.border.messages import Adopt, NewStart
from edge.process.apart import apart
from edge.process.lifetime import StopRequested, reason_to_stop, stop_on_signal, stop_with
from edge.site.parts import Site

if TYPE_CHECKING:
    from edge.site.fleet_part import SiteFleet

CONTROL_END_S = 1.0  # Real seconds at a stop for control to hand over what waits there.
CLOSE_TIMEOUT_S = 1.5  # Real seconds after that to hand over what is due; the outbox keeps the rest.
_HAND_OVER_LOOK_S = 0.05
NEW_START_S = 1.0  # Real seconds between the answer to who asked for a new start and the start.


async def stop(site: Site, parent_pid: int | None) -> None:
    """Wait for a reason to stop, then take what control hands over, and hand over what is due while the link runs.

    Raises:
        StopRequested: Always.
    """
    try:
        await apart(_wait_for_a_reason(site, parent_pid))
    except* StopRequested as reasons:
        site.manager.stopping()
        # Who stops us may lose patience: what is in memory goes first, and once more what control hands over at last.
        site.supervisor.call("recorder", site.recorder.close, otherwise=None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONTROL_END_S):
                await site.end.ended()
        site.supervisor.call("recorder", site.recorder.close, otherwise=None)
        site.outbox.flush()
        if site.link is None:
            raise StopRequested(reason_to_stop(reasons)) from None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                while any(site.outbox.read(channel, limit=1) for channel in Up):  # noqa: ASYNC110
                    await asyncio.sleep(_HAND_OVER_LOOK_S)
        raise StopRequested(reason_to_stop(reasons)) from None


async def _wait_for_a_reason(site: Site, parent_pid: int | None) -> None:
    """Wait for the first of all that may stop us.

    Raises:
        StopRequested: In a group, always.
    """
    async with asyncio.TaskGroup() as waits:
        waits.create_task(stop_on_signal(), name="stop on signal")
        waits.create_task(_stop_for_new_start(site), name="stop for a new start")
        if parent_pid is not None:
            waits.create_task(stop_with(parent_pid), name="stop with parent")
        if site.fleet is not None:
            waits.create_task(_take_part(site, site.fleet), name="fleet")


async def _take_part(site: Site, fleet: "SiteFleet") -> None:
    """Take part in the fleet; a new start that it asks for is control's too.

    Raises:
        StopRequested: The whole gateway is to be started anew.
    """
    try:
        await site.supervisor.run("fleet", fleet.run)
    except StopRequested as reason:
        await _take_control_along(site, str(reason))
        raise


async def _stop_for_new_start(site: Site) -> None:
    reason = await site.new_start
    await asyncio.sleep(NEW_START_S)  # The page still has to say so.
    await _take_control_along(site, reason)
    raise StopRequested(reason)


async def _take_control_along(site: Site, reason: str) -> None:
    """Have control start anew too."""
    if site.remote is not None:
        await site.end.send(Adopt(wanted=site.remote.wanted))  # Control starts with it, before we are there.
    await site.end.send(NewStart(reason=reason[:200]))


def ask_new_start(site: Site, reason: str) -> None:
    if not site.new_start.done():
        site.new_start.set_result(reason)
