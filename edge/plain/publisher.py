"""Tells the house's broker the site's values, and takes what may be set from there."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from contracts.clock import Clock
from contracts.reasons import reason_of
from edge.errors import LinkError
from edge.links.link import Ack, Announcement, Inbound, LinkState, Presence
from edge.links.making import make_link
from edge.plain.discovery import OFF, ON, control_topic, everything
from edge.plain.settings import NUMBERS, Control, HomeAssistantSettings, PlainSettings
from edge.plain.values import OFFLINE, ONLINE, EnergyCounters, Readings, messages, site_online_topic

log = logging.getLogger(__name__)

ALL_AGAIN_S: Final = 60.0
DIGITS_MAX: Final = 9
SITE_ID_MAX: Final = 63  # As long as an id of ``contracts.units.SiteId``.


@dataclass(frozen=True, kw_only=True)
class LockPort:
    """The site's maintenance lock: whether it is on, and a way to set it that raises ``OSError`` where it cannot."""

    locked: Callable[[], bool]
    set: Callable[[bool], None]


@dataclass(frozen=True, kw_only=True)
class NumberPort:
    """One limit in W, a magnitude: what stands, the most that the site's file allows, and a way to set it.

    ``set`` is called in a thread and raises ``ValueError`` with the reason where it is refused.
    """

    value: Callable[[], int]
    most: int
    set: Callable[[int], None]


class Publisher:
    """One connection to a broker of the house."""

    def __init__(
        self,
        settings: PlainSettings,
        *,
        site: str,
        profiles: dict[str, str],
        lock: LockPort,
        clock: Clock,
        numbers: Mapping[Control, NumberPort] | None = None,
    ) -> None:
        """Prepare.

        Args:
            settings: Home Assistant's settings add its discovery.
            site: The site's id.
            profiles: The profile of each device.
            lock: What the control of that name sets.
            clock: Of the site.
            numbers: What the controls that are numbers set.

        Raises:
            ConfigError: The client library of the broker's settings is not installed.
        """
        self._settings = settings
        self._site = site
        self._profiles = profiles
        self._clock = clock
        self._lock = lock
        self._numbers = numbers or {}
        self._counters = EnergyCounters()
        self._values: dict[str, bytes] = {}
        self._refused: set[str] = set()
        self._points: set[tuple[str, str]] = set()
        presence_topic = site_online_topic(settings.topic, site)
        name = "home-assistant" if isinstance(settings, HomeAssistantSettings) else "plain"
        self._link = make_link(
            settings.broker,
            client_id=f"{site[: SITE_ID_MAX - len(name) - 1]}-{name}",
            presence=Presence(
                birth=lambda: Announcement(topic=presence_topic, payload=ONLINE),
                will=Announcement(topic=presence_topic, payload=OFFLINE),
            ),
        )

    def take(self, readings: Readings, *, offline: Collection[str], taken_s: float) -> None:
        """Take what the devices said in a cycle; the newest stands."""
        self._counters.count(readings, taken_s=taken_s)
        self._points.update((device, point) for device, points in readings.items() for point in points)
        self._points.update(self._counters.wh)
        where = {"topic": self._settings.topic, "site": self._site}
        self._values = messages(readings, offline=offline, **where) | self._counters.messages(**where)

    async def run(self) -> None:
        """Tell and listen until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.run(), name="house link")
            if isinstance(self._settings, HomeAssistantSettings) and self._settings.controls:
                tasks.create_task(self._listen(self._settings), name="house controls")
            tasks.create_task(self._tell(), name="house values")

    async def _tell(self) -> None:
        told: dict[str, bytes] = {}
        connects, all_again_s = 0, 0.0
        while True:
            await self._link.wait_for(LinkState.CONNECTED)
            now_s = self._clock.monotonic()
            if self._link.status().connects != connects or now_s >= all_again_s:
                # A broker that was started anew may have kept nothing.
                connects, all_again_s, told = self._link.status().connects, now_s + ALL_AGAIN_S, {}
            while self._refused:
                told.pop(self._refused.pop(), None)
            due = {topic: value for topic, value in self._due().items() if told.get(topic) != value}
            try:
                for topic, value in due.items():
                    self._link.publish(topic, value, retain=True).add_done_callback(_seen)
                    told[topic] = value
            except LinkError:
                continue  # The next connection is told everything.
            await self._clock.sleep(self._settings.period_s)

    def _due(self) -> dict[str, bytes]:
        """Return all that the broker should hold now, discovery before values."""
        if not isinstance(self._settings, HomeAssistantSettings):
            return dict(self._values)
        found = everything(
            self._settings,
            site=self._site,
            profiles=self._profiles,
            points=sorted(self._points),
            most={control: port.most for control, port in self._numbers.items()},
        )
        for control in self._settings.controls:
            found[control_topic(self._settings, control, site=self._site)] = self._stands_at(control)
        return found | self._values

    def _stands_at(self, control: Control) -> bytes:
        if control in NUMBERS:
            return str(self._numbers[control].value()).encode()
        return ON if self._lock.locked() else OFF

    async def _listen(self, settings: HomeAssistantSettings) -> None:
        topics = {f"{control_topic(settings, one, site=self._site)}/set": one for one in settings.controls}
        self._link.subscribe([*topics])
        async for message in self._link.messages():
            await asyncio.to_thread(self._set, topics[message.topic], message)

    def _set(self, control: Control, message: Inbound) -> None:
        """Set what a control stands for; what is refused changes nothing, and what stands is told again."""
        try:
            if message.retained:
                raise ValueError("retained: it may be old")
            if control in NUMBERS:
                self._numbers[control].set(_watts(message.payload))
            elif message.payload in {ON, OFF}:
                self._lock.set(message.payload == ON)
            else:
                raise ValueError("must be ON or OFF")
        except (OSError, ValueError) as error:
            self._refused.add(message.topic.removesuffix("/set"))  # Who set it sees what stands again.
            log.warning(
                "refused from the house's broker, what stands stays",
                extra={"topic": message.topic, "payload": repr(message.payload[:32]), "reason": reason_of(error)},
            )


def _watts(payload: bytes) -> int:
    """Return a magnitude in W; Home Assistant writes whole numbers as ``5000`` or ``5000.0``.

    Raises:
        ValueError: It is none.
    """
    told = payload.decode("ascii", errors="replace").removesuffix(".0")
    if not told.isdecimal() or len(told) > DIGITS_MAX:
        raise ValueError(f"must be whole watts, with {DIGITS_MAX} digits at most")
    return int(told)


def _seen(answer: "asyncio.Future[Ack]") -> None:
    """Mark an answer as seen: what a lost connection took with it is told again on the next."""
    if not answer.cancelled():
        answer.exception()
