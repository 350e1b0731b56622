"""A device whatever it speaks: what the control loop steers by, and what the gateway shows of it besides."""

from collections.abc import Mapping
from typing import Protocol

from edge.control.model import Capability
from edge.devices.apply import Applied
from edge.devices.health import Health
from edge.devices.recipes import Fallback, Lever
from edge.modbus.point import Reading


class SteeredDevice(Protocol):
    """What the control loop knows of a device: its readings, what it can be told, and whether it does it."""

    @property
    def id(self) -> str:
        """Return its name within the site."""

    @property
    def health(self) -> Health:
        """Return how it does now."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Return what the control cycle can ask of it."""

    @property
    def fallbacks(self) -> Mapping[Lever, Fallback]:
        """Return what it does with each lever once we fall silent."""

    @property
    def leftovers(self) -> frozenset[Lever]:
        """Return the levers that may still hold something of ours and that nobody may ask for any more."""

    @property
    def all_phases_from_w(self) -> float:
        """Return from which limit on it uses all its phases; what is less, it draws over its first alone."""

    def snapshot(self) -> Mapping[str, Reading]:
        """Return the newest reading of every quantity by canonical name, in our sign, stale where it has aged."""

    def attend(self) -> None:
        """Take note that a control cycle has just looked at it."""

    def drifted(self, capability: Capability) -> bool:
        """Return whether a capability that we had proven does not hold it any more."""

    def wear_period_s(self, capability: Capability) -> float:
        """Return how far apart writes to a capability must lie on average for its memory, 0 where it is RAM."""

    async def apply(
        self,
        capability: Capability | Lever,
        value_w: float | None,
        *,
        revert_s: float,
        refresh: bool = True,
        urgent: bool = True,
    ) -> Applied:
        """Bring a capability to a value, or take every restriction of ours away where it is None, and prove it.

        Raises:
            ValueRefused: The value or the state of the device does not allow it; nothing was written.
            DeviceSilent: No answer; what the device holds is unknown.
            DeviceRefused: The device said no.
        """


class SiteDevice(SteeredDevice, Protocol):
    """A device of the site: one on a Modbus line, or a connector of a charging station that calls us."""

    @property
    def profile_id(self) -> str:
        """Return the id of its profile, or the protocol that needs none."""

    @property
    def levers(self) -> frozenset[Lever]:
        """Return what can be asked of it."""

    @property
    def left_behind(self) -> frozenset[Lever]:
        """Return the levers that hold something of ours which a monitor does not take away."""

    @property
    def write_budgets(self) -> Mapping[str, int | None]:
        """Return the writes a day that each point bears which was written today; None where it is RAM."""
