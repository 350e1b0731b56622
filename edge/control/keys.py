"""Whose signatures the site trusts, what each role may order, and how high it stands."""

import base64
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from contracts.control import Command
from edge.control.model import Priority


class Role(StrEnum):
    """What an issuer is to the site."""

    GRID_OPERATOR = "grid_operator"
    AGGREGATOR = "aggregator"
    OWNER = "owner"
    INSTALLER = "installer"


@dataclass(frozen=True, kw_only=True)
class TrustedKey:
    """One issuer of the site's configuration.

    Args:
        role: What it is to the site.
        public_key: 32 bytes, Ed25519.
        battery_power_w_max: Greatest battery power that it may order, a magnitude; ``None`` leaves it to the device.
    """

    role: Role
    public_key: bytes
    battery_power_w_max: int | None = None

    def signed(self, command: Command) -> bool:
        """Say whether the command's signature (Base64) over its own bytes is of this key."""
        try:
            signature = base64.b64decode(command.signature, validate=True)
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, command.signing_bytes())
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, kw_only=True)
class Permission:
    """What a role may order, how long an order may last, and where its requests stand."""

    kinds: frozenset[str]
    order_max: timedelta
    priority: Priority


_WATCH = frozenset({"read", "live", "diagnostics", "release"})
_STEER = frozenset({"battery_power", "limit_load", "switch", "limit_import", "limit_export"})

# The grid operator steers power and nothing else; the lock belongs to those who stand in front of the device.
PERMISSIONS: dict[Role, Permission] = {
    Role.GRID_OPERATOR: Permission(
        kinds=_WATCH | _STEER, order_max=timedelta(hours=24), priority=Priority.GRID_OPERATOR
    ),
    Role.AGGREGATOR: Permission(kinds=_WATCH | _STEER, order_max=timedelta(hours=24), priority=Priority.MARKET_DR),
    Role.OWNER: Permission(
        kinds=_WATCH | _STEER | {"maintenance_lock"}, order_max=timedelta(days=7), priority=Priority.OPERATOR_OVERRIDE
    ),
    Role.INSTALLER: Permission(
        kinds=_WATCH | _STEER | {"maintenance_lock"}, order_max=timedelta(days=7), priority=Priority.OPERATOR_OVERRIDE
    ),
}
