"""What a device tells about how it is to be read: where its models lie, its word order, its firmware.

A reboot, an update or the installer's page changes any of it while the gateway runs. So the points that told it are
polled, and all of it is learned anew where one of them tells something else, or where what is read cannot be.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from contracts.units import Quality
from edge.devices.profile import Learn, Profile
from edge.devices.resolve import CONTROL_VALUES, Resolved, control_parts, resolve, resolve_point
from edge.errors import DeviceImplausible, DeviceRefused
from edge.modbus.bus import Bus
from edge.modbus.codec import decode
from edge.modbus.faults import NoReply
from edge.modbus.patience import read_patiently
from edge.modbus.point import Access, Reading, RegisterPoint, WordOrder
from edge.modbus.sunspec import NO_SUCH_REGISTERS, SunSpecMap, discover

FIRMWARE = "firmware_version"
LOOK_EVERY_S = 60.0  # Real seconds between two looks at where the models lie: a few small reads.
LOOK_AGAIN_S = 5.0  # The same, while something speaks for another layout.


class NoMarker(DeviceImplausible):
    """The device answers, and shows no SunSpec marker where its profile needs one."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a device told.

    Args:
        sunspec: Where its models lie; None where the profile has none.
        word_order: None where the profile does not ask for it, or the device has no register that tells it.
        told: What the telling points read, as text, by name.
    """

    sunspec: SunSpecMap | None = None
    word_order: WordOrder | None = None
    told: Mapping[str, str]

    def reads_like(self, before: "Facts", profile: Profile) -> bool:
        """Return whether the device is still to be read as it was with the facts before.

        A telling point that missed its reply this time tells nothing new, nor does what lies after a header that was
        refused in passing.
        """
        if self.word_order != before.word_order or not _lie_alike(self.sunspec, before.sunspec):
            return False
        newly = self.told.keys() - before.told.keys()
        return not newly & conditions(profile) and not any(
            tells_otherwise(profile, name, text, self.told[name])
            for name, text in before.told.items()
            if name in self.told
        )

    def resolve(self, profile: Profile) -> Resolved:
        """Return the points of a profile on this device."""
        return resolve(profile, self.sunspec, learned_order=self.word_order, told=self.told)


def telling(profile: Profile) -> frozenset[str]:
    """Return the points that tell how the device is to be read."""
    learn = profile.defaults.word_order_from
    firmware = {name for name, spec in profile.points.items() if spec.canonical == FIRMWARE}
    return frozenset(firmware | conditions(profile) | ({learn.point} if learn is not None else set()))


def conditions(profile: Profile) -> frozenset[str]:
    """Return the points by what they read others exist."""
    return frozenset(name for spec in profile.points.values() for name in spec.when)


def tells_otherwise(profile: Profile, name: str, before: str, now: str) -> bool:
    """Return whether a telling point that reads something else says that the device is to be read another way.

    A point that only others' conditions look at may read another value that fulfils the same of them: a limit that we
    write ourselves, whose size tells its unit.
    """
    asked = [wanted for spec in profile.points.values() if (wanted := spec.when.get(name)) is not None]
    learn = profile.defaults.word_order_from
    if not asked or profile.points[name].canonical == FIRMWARE or (learn is not None and learn.point == name):
        return before != now
    return any(wanted.holds(before) != wanted.holds(now) for wanted in asked)


async def learn_facts(profile: Profile, bus: Bus, unit: int) -> Facts:
    """Ask a device for all of it.

    Raises:
        NoMarker: It shows no SunSpec marker, and its profile needs one.
        DeviceImplausible: Its word order is none, or its SunSpec chain does not end.
        NoReply: It does not answer.
        DeviceRefused: It refuses, more than once, for another reason than that it has no such register; or a header
            of its chain so, before a model that has a power was found.
    """
    sunspec = None
    if profile.sunspec is not None:
        sunspec = await discover(bus, unit, bases=profile.sunspec.bases)
        if sunspec is None:
            bases = ", ".join(map(str, profile.sunspec.bases))
            raise NoMarker(f"unit {unit} shows no SunSpec marker at {bases}, as profile {profile.id} needs")
    order = await _word_order(profile, bus, unit)
    resolved = resolve(profile, sunspec, learned_order=order)
    points = resolved.points
    if sunspec is not None and sunspec.unread is not None and not _tells_power(resolved):
        raise DeviceRefused(
            f"unit {unit}: {sunspec.unread.told(sunspec.models)}, and no power that profile {profile.id} reads",
            exception_code=sunspec.unread.exception_code,
        )
    told: dict[str, str] = {}
    for name in sorted(telling(profile) & points.keys()):
        if points[name].access is Access.WRITE:
            continue
        reading = await _read(bus, unit, points[name], may_be_silent=name not in conditions(profile))
        if reading is not None and reading.quality is Quality.GOOD:
            told[name] = str(reading.value)
    return Facts(sunspec=sunspec, word_order=order, told=told)


def _lie_alike(now: SunSpecMap | None, before: SunSpecMap | None) -> bool:
    """Return whether models lie where they lay, as far as their chain could be followed now."""
    if now is None or before is None or now.unread is None:
        return now == before
    return now.base == before.base and now.models == before.models[: len(now.models)]


def _tells_power(resolved: Resolved) -> bool:
    """Return whether any point is a power by which control steers, alone or as a part of one."""
    parts, specs = control_parts(resolved.profile), resolved.profile.points
    return any(name in parts or specs[name].canonical in CONTROL_VALUES for name in resolved.points)


def word_order_of(learn: Learn, word: int) -> WordOrder:
    """Return the word order that a register tells.

    Raises:
        DeviceImplausible: It tells none.
    """
    if word not in (learn.little, learn.big):
        raise DeviceImplausible(
            f"{learn.point} reads {word}, neither {learn.little} (little) nor {learn.big} (big); nothing is read"
        )
    return WordOrder.BIG if word == learn.big else WordOrder.LITTLE


class Watch:
    """Says when facts are to be learned anew. Instants are real seconds of any one clock.

    Where models lie as the device says, its word for it is asked for from time to time.
    """

    def __init__(self, facts: Facts, profile: Profile, *, now_s: float, experience: int) -> None:
        self._facts = facts
        self._profile = profile
        self._has_models = profile.sunspec is not None
        self._looked_s = now_s
        self._experience = experience
        self._was_online = True
        self._came_back = False

    def is_due(
        self, *, latest: Mapping[str, Reading], online: bool, is_misread: bool, experience: int, now_s: float
    ) -> bool:
        """Return whether the facts are to be learned now.

        Args:
            latest: What the points read last, the telling ones among them.
            experience: Grows when the device refuses an address that it had.
        """
        self._came_back = self._came_back or (online and not self._was_online)
        self._was_online = online
        if self._came_back or not online:
            return online
        is_moved = self._has_models and experience != self._experience
        is_doubtful = is_misread or is_moved or self._tells_otherwise(latest)
        if not is_doubtful and not self._has_models:
            return False
        return now_s - self._looked_s >= (LOOK_AGAIN_S if is_doubtful else LOOK_EVERY_S)

    def looked(self, now_s: float, *, experience: int) -> None:
        """Note that the facts were learned, and were the same."""
        self._looked_s, self._experience, self._came_back = now_s, experience, False

    def _tells_otherwise(self, latest: Mapping[str, Reading]) -> bool:
        return any(
            name in latest
            and latest[name].quality is Quality.GOOD
            and tells_otherwise(self._profile, name, text, str(latest[name].value))
            for name, text in self._facts.told.items()
        )


async def _word_order(profile: Profile, bus: Bus, unit: int) -> WordOrder | None:
    learn = profile.defaults.word_order_from
    if learn is None:
        return None
    point = resolve_point(profile, learn.point)
    assert point is not None, "a profile names only points that it has"
    try:
        (word,) = await read_patiently(bus, unit, point.table, point.address, 1)
    except DeviceRefused as refusal:
        if refusal.exception_code in NO_SUCH_REGISTERS:
            return None
        raise
    return word_order_of(learn, word)


async def _read(bus: Bus, unit: int, point: RegisterPoint, *, may_be_silent: bool) -> Reading | None:
    """Return what a point reads; None where the device has no such registers, or may be silent about them alone."""
    image: dict[int, int] = {}
    with contextlib.suppress(DeviceRefused):
        for start, end in point.spans():
            try:
                words = await read_patiently(bus, unit, point.table, start, end - start)
            except NoReply:
                if not may_be_silent:
                    raise
                bus.unit(unit).excuse()
                return None
            image.update(zip(range(start, end), words, strict=True))
        return decode(point, image)
    return None
