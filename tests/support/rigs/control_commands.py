"""Signed commands and a gate to send them through."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from contracts.control import Action, Command
from contracts.units import ClockTrust
from edge.control.commands import Circumstances, Verdict, judge
from edge.control.feasible import Reach
from edge.control.gate_state import GateState
from edge.control.keys import Role, SigningKey, TrustedKey

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ABLE = Reach(
    charge_w=5_000,
    discharge_w=5_000,
    room_wh=5_000,
    store_wh=5_000,
    import_w_min=-2_000,
    loads=frozenset({"boiler"}),
    batteries=1,
    limits_export=True,
)
KEYS = {role.value: Ed25519PrivateKey.from_private_bytes(bytes([index] * 32)) for index, role in enumerate(Role, 1)}


def public(key: Ed25519PrivateKey) -> bytes:
    """Return the raw public key."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


TRUSTED = {role.value: TrustedKey(role=role, keys=(SigningKey(public_key=public(KEYS[role.value])),)) for role in Role}


def signed(command: Command, key: Ed25519PrivateKey) -> Command:
    """Return the command with its signature."""
    signature = base64.b64encode(key.sign(command.signing_bytes())).decode()
    return command.model_copy(update={"signature": signature})


def command(
    action: Action,
    *,
    command_id: str = "c1",
    issuer: str = "grid_operator",
    seq: int = 1,
    site: str = "home-1",
    issued_at: datetime = NOW,
    lasts_s: float = 120,
    event_id: str | None = "e1",
    key: Ed25519PrivateKey | None = None,
) -> Command:
    """Return a command as its issuer would send it."""
    plain = Command(
        command_id=command_id,
        site=site,
        issuer=issuer,
        seq=seq,
        issued_at=issued_at,
        expires_at=issued_at + timedelta(seconds=lasts_s),
        action=action,
        event_id=event_id,
    )
    return signed(plain, key or KEYS.get(issuer, KEYS["owner"]))


@dataclass
class Gate:
    """A gate with its memory, at an instant that a test moves."""

    now: datetime = NOW
    clock: ClockTrust = ClockTrust.SYNCED
    able: Reach = ABLE
    locked: bool = False
    state: GateState = field(default_factory=GateState)
    battery_power_w_max: int | None = None
    trusted: Mapping[str, TrustedKey] = field(default_factory=lambda: TRUSTED)

    def take(self, message: Command | bytes, *, retained: bool = False) -> Verdict:
        """Judge one message and keep what the gate remembers."""
        payload = message if isinstance(message, bytes) else message.encode()
        trusted = {
            issuer: replace(key, battery_power_w_max=self.battery_power_w_max) for issuer, key in self.trusted.items()
        }
        verdict, self.state = judge(
            payload,
            retained=retained,
            state=self.state,
            circumstances=Circumstances(
                now=self.now, clock=self.clock, site="home-1", trusted=trusted, able=self.able, locked=self.locked
            ),
        )
        return verdict
