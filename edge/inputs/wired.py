"""Wired inputs: what the contacts of a receiver or a switch ask of the site.

A contact that cannot be read keeps what it last said, also over a restart; one that was never read counts as closed on
the side that limits. So a cut wire or a dead relay box never lifts a limit.
"""

import functools
import logging
from collections.abc import Callable, Mapping, Sequence

from contracts.units import Quality
from edge.config import RelayBounds, RelayKind, RelaySection, SiteConfig
from edge.control.lease import LEASE_S
from edge.control.model import CONNECTION, LOAD_CAPABILITIES, LOADS, Priority, Reason, Request, Resource
from edge.control.statutory import ripple_limit_w, ripple_step, steerable_minimum_w
from edge.devices.catalogue import load_profile
from edge.devices.recipes import Lever
from edge.errors import ConfigError
from edge.loop.load_state import APPARENT_POWER, EV_STATE
from edge.loop.readings import CURRENTS, Readings
from edge.modbus.point import Access, Reading
from edge.process.supervisor import Supervisor
from edge.state_store import StateStore

log = logging.getLogger(__name__)

_KEY = "relays.contacts"


def check_contacts(config: SiteConfig) -> None:
    """Make sure that every contact is a point of its device's profile.

    Raises:
        ConfigError: It is none; it could never be read, and would count as closed for ever.
    """
    sections = {section.id: section for section in config.devices}
    for relay in config.relays:
        if relay.on_board:
            continue
        profile = load_profile(sections[relay.device].profile, config.profile_dir)
        known = sorted({spec.canonical for spec in profile.points.values()})
        for point in relay.contacts:
            if point not in known:
                raise ConfigError(
                    f"relays: {relay.device} has no point {point!r}; its profile {profile.id} has "
                    f"{', '.join(known)}; the gateway does not start"
                )


def check_loads(config: SiteConfig) -> None:
    """Make sure that every load can be moved as its section says, and reads the point that says whether it is on.

    Raises:
        ConfigError: Its profile cannot move it so, or has no such point to read.
    """
    for section in config.on_modbus:
        if section.load is None:
            continue
        profile = load_profile(section.profile, config.profile_dir)
        ways = [one for one in LOAD_CAPABILITIES if Lever(one.value) in profile.capabilities]
        if not ways:
            raise ConfigError(
                f"device {section.id}: profile {profile.id} can neither limit nor switch what it draws; "
                "the gateway does not start"
            )
        if section.load.by is not None and section.load.by not in ways:
            raise ConfigError(
                f"device {section.id}: load.by is {section.load.by.value}; profile {profile.id} has "
                f"{', '.join(ways)}; the gateway does not start"
            )
        recipes = profile.capabilities.get(Lever.LIMIT_CONSUMPTION, ())
        if section.load.switches_phases and not any(recipe.phase_codes for recipe in recipes):
            raise ConfigError(
                f"device {section.id}: load.switches_phases is set, and profile {profile.id} cannot tell its device "
                "how many phases to use; the gateway does not start"
            )
        known = sorted({spec.canonical for spec in profile.points.values() if spec.access is not Access.WRITE})
        if section.load.state is not None and section.load.state not in known:
            raise ConfigError(
                f"device {section.id}: load.state is {section.load.state!r}; profile {profile.id} reads "
                f"{', '.join(known)}; the gateway does not start"
            )


def watched(config: SiteConfig) -> dict[str, frozenset[str]]:
    """Return by device the points that decide something in each cycle.

    That is wired contacts, whether a load is on, and what it draws on each phase where those have a fuse.
    """
    currents = CURRENTS if config.connection.phase_limit_w is not None else ()
    found: dict[str, set[str]] = {
        section.id: {EV_STATE, APPARENT_POWER, *currents, *([section.load.state] if section.load.state else [])}
        for section in config.devices
        if section.load
    }
    for relay in config.relays:
        found.setdefault(relay.device, set()).update(relay.contacts)
    return {device: frozenset(points) for device, points in found.items()}


class WiredInputs:
    """The wired inputs of one site."""

    def __init__(self, sections: Sequence[RelaySection], *, memory: StateStore) -> None:
        """Go on with what the contacts last said before a restart."""
        self._sections = tuple(sections)
        self._memory = memory
        kept = memory.recall(_KEY)
        self._closed: dict[str, bool] = (
            {str(name): bool(closed) for name, closed in kept.items()} if isinstance(kept, dict) else {}
        )
        self._unread: frozenset[str] = frozenset()

    @property
    def unread(self) -> frozenset[str]:
        """Return the contacts that cannot be read now, by ``<device>/<point>``."""
        return self._unread

    @property
    def contacts(self) -> Mapping[str, bool]:
        """Return what each contact last said, true for closed."""
        return dict(self._closed)

    def look(self, readings: Mapping[str, Readings]) -> None:
        """Take what the contacts say in this cycle."""
        before, unread = dict(self._closed), set()
        for section in self._sections:
            for point in section.contacts:
                name = f"{section.device}/{point}"
                level = _level(readings.get(section.device, {}).get(point))
                if level is None:
                    unread.add(name)
                else:
                    self._closed[name] = level == section.closed
        if self._closed != before:
            log.warning("wired input changed", extra={"contacts": dict(self._closed)})
            self._memory.remember(_KEY, self._closed)
        if unread != self._unread:
            log.warning("wired inputs that cannot be read", extra={"contacts": sorted(unread)})
            self._unread = frozenset(unread)

    def locked(self) -> bool:
        """Say whether a wired switch locks the site for maintenance."""
        return any(self._is_closed(one, one.point) for one in self._sections if one.kind is RelayKind.LOCK)

    def requests(self, now_s: float) -> list[Request]:
        """Return what the contacts ask at the connection point.

        Section 14a is held for the whole connection, which is stricter than the decision asks of a site whose other
        loads draw power too; or for the loads alone, where the site says so. Source: Bundesnetzagentur BK6-22-300,
        annex 1, number 4.5, of the power that steerable loads draw from the grid.
        """
        found = []
        for section in self._sections:
            if section.kind is RelayKind.STEERABLE_LOADS and self._is_closed(section, section.point):
                resource = LOADS if section.bounds is RelayBounds.LOADS else CONNECTION
                found.append(_request(section, now_s, resource=resource, max_w=_steerable_w(section)))
            elif section.kind is RelayKind.RIPPLE:
                limit_w = self._ripple_w(section)
                if limit_w is not None:
                    found.append(_request(section, now_s, min_w=-limit_w))
        return found

    def _ripple_w(self, section: RelaySection) -> float | None:
        assert section.installed_w is not None, "checked with the configuration"
        step = ripple_step(
            k60=self._is_closed(section, section.k60),
            k30=self._is_closed(section, section.k30),
            k0=self._is_closed(section, section.k0),
        )
        return ripple_limit_w(step, installed_w=float(section.installed_w))

    def _is_closed(self, section: RelaySection, point: str | None) -> bool:
        return point is not None and self._closed.get(f"{section.device}/{point}", True)


class WiredRequester:
    """Looks at the contacts in each cycle, and asks what they ask.

    Args:
        board: Returns what the lines of the board read now.
        supervisor: Counts a look that raises; what the contacts said before is then asked on.
    """

    def __init__(
        self, inputs: WiredInputs, *, board: Callable[[], Mapping[str, Readings]], supervisor: Supervisor
    ) -> None:
        self._inputs = inputs
        self._board = board
        self._supervisor = supervisor

    def requests(self, now_s: float, readings: Mapping[str, Readings]) -> list[Request]:
        """Return what the contacts ask at the connection point."""
        look = functools.partial(self._look, readings)
        self._supervisor.call("wired inputs", look, otherwise=None)
        return self._inputs.requests(now_s)

    def _look(self, readings: Mapping[str, Readings]) -> None:
        self._inputs.look({**readings, **self._board()})


def _steerable_w(section: RelaySection) -> float:
    return steerable_minimum_w(
        loads=section.steerable_loads,
        large_heat_pumps_w=float(section.large_heat_pumps_w),
        large_cooling_w=float(section.large_cooling_w),
    )


def _request(
    section: RelaySection,
    now_s: float,
    *,
    resource: Resource = CONNECTION,
    min_w: float = float("-inf"),
    max_w: float = float("inf"),
) -> Request:
    contacts = "+".join(section.contacts)
    return Request(
        requester=f"relay/{section.kind.value}/{section.device}/{contacts}",
        resource=resource,
        priority=Priority.GRID_OPERATOR,
        reason=Reason.GRID_LIMIT,
        expires_s=now_s + LEASE_S,
        min_w=min_w,
        max_w=max_w,
        bound_until_s=float("inf"),
    )


def _level(reading: Reading | None) -> int | None:
    """Return what a contact reads, 0 or 1; ``None`` where the reading is not good."""
    if reading is None or reading.quality is not Quality.GOOD or not isinstance(reading.value, bool | int | float):
        return None
    return int(bool(reading.value))
