"""A simulated charging station with a car behind it: it calls a central system and plays charging profiles by itself.

It is no witness of the protocol: what it says is worked out from the text of the standard by the same project. What it
proves is the plumbing, and that a limit ends in the station when nobody renews it.
"""

import asyncio
import base64
import json
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException
from websockets.typing import Subprotocol

from contracts.clock import Clock
from firmware_sim.station_profiles import PHASE_V, Profiles
from firmware_sim.station_talk import Call, NotKnown, Payload, TalkV16, TalkV201

LEAST_A: Final = 6.0  # Source: IEC 61851-1.
TICK_S: Final = 1.0
ANSWER_S: Final = 30.0  # Real seconds.
AGAIN_S: Final = 1.0  # Real seconds between two calls; a real station waits longer.
NO_WITNESS: Final = "made by this project, so it is no witness of the protocol"


@dataclass(frozen=True, kw_only=True)
class StationConfig:
    """A station and its car.

    Args:
        url: Where the central system answers, up to the station's own name.
        version: ``1.6`` or ``2.0.1``.
        most_a: What the station and the car can, per phase.
        car_a: What the car takes at most, per phase; ``None`` for all that it may.
        refuses_profiles: It says no to every charging profile.
        no_composite: It does not tell which limit is in force.
        waits: A car that comes charges only once it is asked to.
        switches_phases: It can use one phase of three.
    """

    url: str
    name: str
    password: str
    version: str = "1.6"
    phases: int = 3
    most_a: float = 16.0
    car_a: float | None = None
    id_tag: str = "sim"
    plugged: bool = True
    capacity_wh: float = 60_000.0
    soc_percent: float = 30.0
    refuses_profiles: bool = False
    no_composite: bool = False
    waits: bool = False
    switches_phases: bool = False


class ChargingStation:
    """One station with one connector. ``run`` calls and charges until cancelled.

    Args:
        tls: What the connection is secured with; None for a plain one.
        note: Told of the state each second of the clock.
    """

    def __init__(
        self,
        config: StationConfig,
        clock: Clock,
        *,
        tls: ssl.SSLContext | None = None,
        note: Callable[[Payload], None] | None = None,
    ) -> None:
        self.config = config
        self._clock = clock
        self._tls = tls
        self._note = note
        self._talk: TalkV16 | TalkV201 = TalkV16(self) if config.version == "1.6" else TalkV201(self)
        self.profiles = Profiles()
        self.plugged = config.plugged
        self.start_as: str | None = None if config.waits else config.id_tag
        self.transaction: str | None = None
        self.energy_wh = 1_000.0
        self.soc_percent = config.soc_percent
        self.current_a = 0.0
        self.voltage_v = PHASE_V
        self.meter_s = 60.0
        self.heartbeat_s = 60.0
        self.connects = 0
        self.last_error: str | None = None
        self.asked: deque[tuple[str, Payload]] = deque(maxlen=256)
        self._since: datetime | None = None
        self._soon: deque[Call] = deque(maxlen=16)
        self._connection: ClientConnection | None = None
        self._answers: dict[str, asyncio.Future[Payload]] = {}
        self._numbers = 0
        self._booted = False
        self._is_cut = False

    def now(self) -> datetime:
        """Return the station's own time."""
        return self._clock.now()

    @property
    def power_w(self) -> float:
        """Return what it draws."""
        return self.current_a * self.phases * self.voltage_v

    @property
    def phases(self) -> int:
        """Return over how many phases it draws: as many as the profile in force names, where it can switch."""
        named = self.profiles.phases_now(1, self.now(), transaction=self.transaction, charging_since=self._since)
        return (
            min(named or self.config.phases, self.config.phases) if self.config.switches_phases else self.config.phases
        )

    def limit(self) -> tuple[float, str]:
        """Return what the profiles allow now, and which of them says so."""
        return self.profiles.limit_a(
            1,
            self.now(),
            transaction=self.transaction,
            charging_since=self._since,
            phases=self.config.phases,
            most_a=self.config.most_a,
        )

    def say_soon(self, call: Call) -> None:
        """Have something said after the answer that is due now."""
        self._soon.append(call)

    def cut(self) -> None:
        """Lose the network for good: the connection is dead, and it calls nobody any more."""
        self._is_cut = True
        if self._connection is not None:
            self._connection.transport.abort()

    def reboot(self) -> None:
        """Lose the supply for a moment: the car stops, what is permanent is kept, and it boots and calls again."""
        self.profiles.rebooted()
        self.transaction, self._since, self.current_a, self._booted = None, None, 0.0, False
        if self._connection is not None:
            self._connection.transport.abort()

    def state(self) -> Payload:
        """Return the state for a truth file."""
        limit_a, of = self.limit()
        return {
            "at": self.now().isoformat(),
            "connected": self._connection is not None,
            "plugged": self.plugged,
            "transaction": self.transaction,
            "limit_a": limit_a,
            "limit_of": of,
            "leases": self.profiles.leases,
            "current_a": self.current_a,
            "phases": self.phases,
            "power_w": self.power_w,
            "energy_wh": self.energy_wh,
            "error": self.last_error,
        }

    async def run(self) -> None:
        """Call, charge, and call again where the connection ends, until cancelled."""
        charging = asyncio.create_task(self._charge(), name="charge")
        try:
            while True:
                try:
                    if not self._is_cut:
                        await self._call_once()
                except (OSError, WebSocketException, TimeoutError) as error:
                    self.last_error = _said(error)
                await asyncio.sleep(AGAIN_S)
        finally:
            charging.cancel()
            await asyncio.gather(charging, return_exceptions=True)

    async def _charge(self) -> None:
        """Let the car draw what the profiles allow, second by second, connected or not."""
        while True:
            car_a = self.config.most_a if self.config.car_a is None else self.config.car_a
            wanted_a = min(self.limit()[0], car_a) if self.transaction and self.soc_percent < 100 else 0.0
            self.current_a = wanted_a if wanted_a >= LEAST_A else 0.0
            charged_wh = self.power_w * TICK_S / 3600
            self.energy_wh += charged_wh
            self.soc_percent = min(100.0, self.soc_percent + 100 * charged_wh / self.config.capacity_wh)
            if self._note is not None:
                self._note(self.state())
            await self._clock.sleep(TICK_S)

    async def _call_once(self) -> None:
        secret = base64.b64encode(f"{self.config.name}:{self.config.password}".encode()).decode()
        async with connect(
            f"{self.config.url.rstrip('/')}/{self.config.name}",
            subprotocols=[Subprotocol(self._talk.subprotocol)],
            additional_headers={"Authorization": f"Basic {secret}"},
            ssl=self._tls,
            compression=None,
            proxy=None,
        ) as connection:
            self._connection, self.last_error = connection, None
            self.connects += 1
            hearing = asyncio.create_task(self._hear(connection), name="hear")
            living = asyncio.create_task(self._live(), name="live")
            try:
                done, _ = await asyncio.wait({hearing, living}, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                self._connection = None
                for task in (hearing, living):
                    task.cancel()
                await asyncio.gather(hearing, living, return_exceptions=True)
                for answer in self._answers.values():
                    answer.cancel()
                self._answers.clear()

    async def _live(self) -> None:
        """Boot, say how it is, then measure at the pace that it was told."""
        if not self._booted:
            answer = await self._ask(*self._talk.boot())
            self.heartbeat_s, self._booted = float(answer["interval"]), answer["status"] == "Accepted"
        await self._ask(*self._talk.status())
        said, was_plugged = self._talk.state(), self.plugged
        beat_s = measured_s = self._clock.monotonic()
        while True:
            while self._soon:
                await self._ask(*self._soon.popleft())
            if self.plugged != was_plugged:
                was_plugged = self.plugged
                await self._ask(*self._talk.status())
            if self.plugged and self.transaction is None and self.soc_percent < 100 and self.start_as is not None:
                self._since = self.now()
                self.transaction = self._talk.taken(await self._ask(*self._talk.started(self.start_as)))
            if not self.plugged and self.config.waits:
                self.start_as = None
            if not self.plugged and self.transaction is not None:
                await self._ask(*self._talk.stopped())
                self.profiles.ended(self.transaction)
                self.transaction = None
            if (state := self._talk.state()) != said:
                said = state
                await self._ask(*self._talk.changed())
            now_s = self._clock.monotonic()
            if now_s - measured_s >= self.meter_s:
                measured_s = now_s
                await self._ask(*self._talk.measured())
            if now_s - beat_s >= self.heartbeat_s:
                beat_s = now_s
                await self._ask("Heartbeat", {})
            await self._clock.sleep(TICK_S / 4)

    async def _ask(self, action: str, payload: Payload) -> Payload:
        assert self._connection is not None
        self._numbers += 1
        number = str(self._numbers)
        answer: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        await self._connection.send(json.dumps([2, number, action, payload]))
        async with asyncio.timeout(ANSWER_S):
            return await answer

    async def _hear(self, connection: ClientConnection) -> None:
        async for text in connection:
            parts: list[Any] = json.loads(text)
            if parts[0] == 2:
                await connection.send(json.dumps(self._answered(*parts[1:])))
            elif (answer := self._answers.pop(parts[1], None)) is not None and not answer.done():
                if parts[0] == 3:
                    answer.set_result(parts[2])
                else:
                    answer.set_exception(TimeoutError(f"answered {parts[2]}: {parts[3]}"))

    def _answered(self, number: str, action: str, asked: Payload) -> list[Any]:
        self.asked.append((action, asked))
        try:
            return [3, number, self._talk.answer(action, asked)]
        except NotKnown:
            return [4, number, "NotImplemented", f"{action} is not known", {}]


def _said(error: BaseException) -> str:
    """Return why a call failed: the status where the central system turned it away."""
    if isinstance(error, InvalidHandshake):
        status = getattr(getattr(error, "response", None), "status_code", None)
        return f"turned away with {status}" if status is not None else str(error)
    return str(error) or type(error).__name__


def trusting(ca_file: str) -> ssl.SSLContext:
    """Return what a station checks the central system's certificate with."""
    return ssl.create_default_context(cafile=ca_file)
