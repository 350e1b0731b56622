"""What people ask at the page, carried out by the site process: orders to control's gate, and the plan's own target.

How the batteries are to run is one wish. It is kept on the disk, and said to the gate again and again as an order of a
quarter of an hour, for no order of an owner survives a restart of control. Without this process the wish ends by
itself.
"""

import asyncio
import base64
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from contracts import control as wire
from contracts.clock import Clock
from contracts.control import AckStage, Command, CommandAck, key_id
from contracts.reasons import file_reason_of
from contracts.units import SiteId, epoch_ms, instant
from contracts.wire import SiteMessage, WireError
from edge.border.messages import Arrived, Frame
from edge.commands.page_key import ISSUERS, read_page_key
from edge.config import SiteConfig
from edge.control.keys import Role
from edge.control.model import BATTERIES, Request
from edge.errors import ConfigError
from edge.site.page_settings import PageSettings
from edge.site.page_wish import SAID, Wish, load_target, load_wish, refusal
from edge.state_store import NOTE_S, StateStore
from edge.web.actions import Action, ActionRefused, ChargeNow, Done, Lock, Mode, ReleaseOwn, Settings, Target

log = logging.getLogger(__name__)

ORDER: Final = timedelta(minutes=15)
AGAIN_S: Final = 300.0  # Site seconds after which a wish is said again.
REFUSED_AGAIN_S: Final = 30.0  # The same where the gate refused it.
ANSWER_S: Final = 8.0  # Real seconds that control may take to answer.
_DO_S: Final = 20.0  # Real seconds for a whole action.
_LOOK_S: Final = 0.5
_WISH, _TARGET, _SEQ = "page.wish", "page.target", "page.seq"


@dataclass(frozen=True, kw_only=True)
class OrdersPorts:
    """What carrying out needs of the site process.

    Args:
        send: Hands a frame to control, and says whether there was room for it.
        connects: How often control was reached: a new number is a control that knows nothing of before.
        charge_w: What the site's batteries charge with together, at most.
        serves_house: Whether batteries serve the house while nobody asks.
        settings: What may be changed within the site's file.
        retarget: Has the plan made with a changed target; ``None`` where there is no plan.
    """

    site: SiteId
    state_dir: Path
    clock: Clock
    memory: StateStore
    send: Callable[[Frame], Awaitable[bool]]
    connects: Callable[[], int]
    charge_w: int
    serves_house: Callable[[], bool]
    settings: PageSettings
    retarget: Callable[[], None] | None


class PageOrders:
    """The wishes of who signs in at the page. ``run`` keeps them; ``do`` is for the page's threads."""

    def __init__(self, ports: OrdersPorts) -> None:
        """Go on where an earlier process stopped."""
        self._ports = ports
        self._wish = load_wish(ports.memory.recall(_WISH))
        self._target = load_target(ports.memory.recall(_TARGET))
        self._said_s = float("-inf")
        self._said_to = 0
        self._again_s = AGAIN_S
        self._why: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._one = asyncio.Lock()
        self._awaited: dict[str, asyncio.Future[CommandAck]] = {}

    async def run(self) -> None:
        """Keep the wish said to control, until cancelled."""
        self._loop = asyncio.get_running_loop()
        while True:
            async with self._one:
                await self._keep()
            await asyncio.sleep(_LOOK_S)

    def do(self, action: Action, role: Role) -> Done:
        """Carry out an action, from a thread of the page.

        Raises:
            ActionRefused: It is not done.
        """
        if self._loop is None:
            raise ActionRefused("the gateway is starting; try again", code="not_ready")
        future = asyncio.run_coroutine_threadsafe(self._do(action, role), self._loop)
        try:
            return future.result(timeout=_DO_S)
        except TimeoutError:
            future.cancel()
            raise ActionRefused(f"control did not answer within {_DO_S:.0f} s", code="no_answer") from None

    def heard(self, message: SiteMessage) -> None:
        """Take an answer of control's gate."""
        if not isinstance(message, CommandAck):
            return
        awaited = self._awaited.pop(message.command_id, None)
        if awaited is not None and not awaited.done():
            awaited.set_result(message)

    def follows_plan(self, request: Request) -> bool:
        """Say whether what plan or market ask stands: while batteries serve the house alone, only their bounds do."""
        if self._wish is None or self._wish.mode != "self_consumption":
            return True
        return request.resource != BATTERIES and request.preferred_w is None

    def planned(self, config: SiteConfig) -> SiteConfig:
        """Return the configuration that the plan is made by: the site's, with the target that was asked here."""
        if self._target is None:
            return config
        devices = [
            device
            if device.battery is None
            else device.model_copy(update={"battery": device.battery.model_copy(update={"target": self._target})})
            for device in config.devices
        ]
        return config.model_copy(update={"devices": tuple(devices)})

    def told(self) -> dict[str, Any]:
        """Return what is wished for now, in plain values."""
        wish = self._wish
        return {
            "mode": "auto" if wish is None else wish.mode,
            "by": None if wish is None else wish.role.value,
            "until_at": None if wish is None or wish.until_ms is None else instant(wish.until_ms).isoformat(),
            "refused": self._why,
            "target": None if self._target is None else self._target.model_dump(mode="json"),
            "settings": self._ports.settings.told(),
        }

    async def _do(self, action: Action, role: Role) -> Done:
        """Carry out an action; who asked is told when it is on the disk, unless that takes its time."""
        done = await self._carry_out(action, role)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NOTE_S):
                await self._ports.memory.on_disk()
        return done

    async def _carry_out(self, action: Action, role: Role) -> Done:
        async with self._one:
            log.info("page action", extra={"action": action.kind, "role": role.value})
            if isinstance(action, Mode):
                return await self._take_wish(None if action.mode == "auto" else Wish(mode=action.mode, role=role))
            if isinstance(action, ChargeNow):
                until = self._ports.clock.now() + timedelta(hours=action.hours)
                return await self._take_wish(Wish(mode="charge", role=role, until_ms=epoch_ms(until)))
            if isinstance(action, Target):
                return self._take_target(action)
            if isinstance(action, Settings):
                return Done(said=self._ports.settings.take(action, role))
            if isinstance(action, ReleaseOwn):
                return await self._release(action, role)
            return await self._lock(action, role)

    async def _take_wish(self, wish: Wish | None) -> Done:
        """Put a wish in the place of the one before; one that the gate refuses at once is not kept."""
        before, self._why = self._wish, None
        if wish is not None and wish.mode == "self_consumption" and not self._ports.serves_house():
            raise ActionRefused(
                "batteries rest on this site while nobody asks: control.idle is hold", code="unsupported"
            )
        if wish is None or wish.mode == "self_consumption":
            self._keep_wish(wish)
            return Done(said=SAID[None if wish is None else wish.mode] + await self._let_go(before))
        said = await self._say(wish)
        if said.stage is AckStage.REJECTED:
            raise ActionRefused(refusal(said), code=said.reason.value if said.reason else "refused")
        # An order of the same issuer takes the place of the one before by itself.
        late = await self._let_go(before) if before is not None and before.role is not wish.role else ""
        self._keep_wish(replace(wish, command_id=said.command_id))
        return Done(said=SAID[wish.mode] + late, facts={"command_id": said.command_id, "stage": said.stage.value})

    def _take_target(self, action: Target) -> Done:
        if self._ports.retarget is None:
            raise ActionRefused(
                "there is no plan that a target could shape: name trading.tariff in the site's file", code="no_plan"
            )
        if action.soc_percent is not None and action.by is None:
            raise ActionRefused("a target needs the time by which it is wanted", code="bad_action")
        self._target = None if action.soc_percent is None else load_target(action.model_dump(mode="json"))
        kept = None if self._target is None else self._target.model_dump(mode="json")
        self._ports.memory.remember(_TARGET, kept)
        self._ports.retarget()
        return Done(said="the plan is made anew with it" if self._target else "the plan is made without it again")

    async def _release(self, action: ReleaseOwn, role: Role) -> Done:
        said = await self._order(wire.Release(command_id=action.command_id), role, lasts=ORDER)
        if said.stage is AckStage.REJECTED:
            raise ActionRefused(refusal(said), code=said.reason.value if said.reason else "refused")
        if self._wish is not None and self._wish.command_id == action.command_id:
            self._keep_wish(None)
        return Done(said="released")

    async def _lock(self, action: Lock, role: Role) -> Done:
        said = await self._order(wire.MaintenanceLock(on=action.on), role, lasts=timedelta(hours=action.hours))
        if said.stage is AckStage.REJECTED:
            raise ActionRefused(refusal(said), code=said.reason.value if said.reason else "refused")
        if action.on:
            return Done(said=f"locked for {action.hours:g} h")
        return Done(said="the lock that was set from afar is off; one set at the gateway or by a switch stays")

    async def _keep(self) -> None:
        """Say the wish again where it is due, and let it go where it has ended."""
        wish = self._wish
        if wish is None:
            return
        if wish.over(self._ports.clock.now()):
            log.info("page wish ended", extra={"mode": wish.mode})
            self._keep_wish(None)
            await self._let_go(wish)
            return
        due = self._ports.clock.monotonic() - self._said_s >= self._again_s
        if wish.mode != "self_consumption" and (due or self._ports.connects() != self._said_to):
            await self._say_again(wish)

    async def _say_again(self, wish: Wish) -> None:
        """Give the order anew; where it is refused the wish stands, and the page says why it does nothing."""
        try:
            said = await self._say(wish)
        except ActionRefused as error:
            self._why = str(error)
            return
        refused = said.stage is AckStage.REJECTED
        self._why = refusal(said) if refused else None
        if not refused:
            self._keep_wish(replace(wish, command_id=said.command_id))

    async def _say(self, wish: Wish) -> CommandAck:
        """Give the order that a wish needs now; what the site can do less of is asked as the gate offers it."""
        self._said_s, self._said_to = self._ports.clock.monotonic(), self._ports.connects()
        power_w = self._ports.charge_w if wish.mode == "charge" else 0
        try:
            said = await self._order(wire.BatteryPower(power_w=power_w), wish.role, lasts=ORDER)
            if said.stage is AckStage.REJECTED and isinstance(said.feasible, wire.BatteryPower):
                said = await self._order(said.feasible, wish.role, lasts=ORDER)
        except ActionRefused:
            self._again_s = REFUSED_AGAIN_S
            raise
        self._again_s = REFUSED_AGAIN_S if said.stage is AckStage.REJECTED else AGAIN_S
        return said

    async def _let_go(self, wish: Wish | None) -> str:
        """Release the order of a wish, and return what to add where it could not be: it then ends by itself."""
        if wish is None or wish.command_id is None:
            return ""
        try:
            await self._order(wire.Release(command_id=wish.command_id), wish.role, lasts=ORDER)
        except ActionRefused as error:
            return f"; the order of before ends within {ORDER.total_seconds() / 60:.0f} minutes: {error}"
        return ""

    async def _order(self, action: wire.Action, role: Role, *, lasts: timedelta) -> CommandAck:
        """Sign an order as the page's issuer, hand it to control, and return the gate's answer.

        Raises:
            ActionRefused: There is no key, control is not there, or it does not answer.
        """
        try:
            command = self._signed(action, role, lasts=lasts)
        except (FileNotFoundError, ConfigError) as error:
            raise ActionRefused(f"the page has no key to sign with: {file_reason_of(error)}", code="no_key") from error
        answer: asyncio.Future[CommandAck] = asyncio.get_running_loop().create_future()
        self._awaited[command.command_id] = answer
        try:
            if not await self._ports.send(Arrived.of(command.encode(), retained=False)):
                raise ActionRefused("control is not there; nothing was done", code="no_control")
            async with asyncio.timeout(ANSWER_S):
                return await answer
        except TimeoutError:
            raise ActionRefused(f"control did not answer within {ANSWER_S:.0f} s", code="no_answer") from None
        except WireError as error:
            raise ActionRefused(str(error), code="bad_action") from error
        finally:
            self._awaited.pop(command.command_id, None)

    def _signed(self, action: wire.Action, role: Role, *, lasts: timedelta) -> Command:
        key, now = read_page_key(self._ports.state_dir), self._ports.clock.now()
        seq = max(int(self._ports.memory.recall(_SEQ) or 0) + 1, epoch_ms(now))
        self._ports.memory.remember(_SEQ, seq, durable=False)
        command = Command(
            command_id=f"page-{seq}",
            site=self._ports.site,
            issuer=ISSUERS[role],
            seq=seq,
            issued_at=now,
            expires_at=now + lasts,
            action=action,
        )
        signature = base64.b64encode(key.sign(command.signing_bytes())).decode()
        public = key.public_key().public_bytes_raw()
        return command.model_copy(update={"signature": signature, "key_id": key_id(public)})

    def _keep_wish(self, wish: Wish | None) -> None:
        self._wish = wish
        self._ports.memory.remember(_WISH, None if wish is None else wish.kept())
