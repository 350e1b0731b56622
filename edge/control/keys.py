"""Whose signatures the site trusts, what each role may order, and how high it stands."""

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from contracts.control import Command, key_id
from edge.control.model import Priority


class Role(StrEnum):
    """What an issuer is to the site."""

    GRID_OPERATOR = "grid_operator"
    AGGREGATOR = "aggregator"
    OWNER = "owner"
    INSTALLER = "installer"


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """One key of an issuer, and from when until when the site takes what it signs; without an instant, always.

    Args:
        public_key: 32 bytes, Ed25519.
        valid_from: The first instant.
        valid_until: The first instant at which it is not taken any more.
    """

    public_key: bytes
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    @property
    def id(self) -> str:
        """Return its name, by which a command says who signed it."""
        return key_id(self.public_key)

    def not_valid(self, now: datetime) -> str | None:
        """Return why the site does not take it now, ``None`` where it does."""
        if self.valid_from is not None and now < self.valid_from:
            return f"key {self.id} is not valid before {self.valid_from.isoformat(timespec='seconds')}"
        if self.valid_until is not None and now >= self.valid_until:
            return f"key {self.id} was valid until {self.valid_until.isoformat(timespec='seconds')}"
        return None

    def signed(self, command: Command) -> bool:
        """Say whether the command's signature (Base64) over its own bytes is of this key."""
        try:
            signature = base64.b64decode(command.signature, validate=True)
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, command.signing_bytes())
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, kw_only=True)
class TrustedKey:
    """One issuer of the site's configuration.

    Args:
        role: What it is to the site.
        keys: What it may sign with; two while one key takes the other's place.
        battery_power_w_max: Greatest battery power that it may order, a magnitude; ``None`` leaves it to the device.
    """

    role: Role
    keys: tuple[SigningKey, ...]
    battery_power_w_max: int | None = None

    def not_signed(self, command: Command, *, now: datetime) -> str | None:
        """Return why a command is not genuine, ``None`` where a key that is valid now signed it.

        A command that names its key is tried with that key alone; those of earlier senders name none.
        """
        keys = [key for key in self.keys if command.key_id in (None, key.id)]
        if not keys:
            return f"signed by key {command.key_id}, which this site does not know of {command.issuer}"
        signing = next((key for key in keys if key.signed(command)), None)
        if signing is None:
            return f"not signed by the key that this site trusts for {command.issuer}"
        return signing.not_valid(now)


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
