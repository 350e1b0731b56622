"""Commands to a site and what became of them.

A command is permission to hold a bound or a setpoint until ``expires_at``; nothing that it asks for outlives that
instant. It is signed (Ed25519) over its own canonical bytes. Answers move through
``rejected`` or ``accepted -> applied -> effective | ineffective -> completed | expired | released | superseded``.
"""

import hashlib
import json
from enum import StrEnum
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from contracts.topics import Up
from contracts.units import Id, Instant, LimitW, Measured, Number, PointName, PowerW, Remark, SiteId, Text, known_or
from contracts.wire import Message, SiteMessage

POINTS_MAX = 200  # Asked for by one read.
# Read back after one command, or told in answer to one: every point of a read and of a large site's devices.
VALUES_MAX = 500


class _Action(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LimitImport(_Action):
    """Hold the power at the connection point at or below ``max_w`` (zero or greater)."""

    kind: Literal["limit_import"] = "limit_import"
    max_w: LimitW


class LimitExport(_Action):
    """Hold the power fed in at the connection point at or below ``max_w`` (zero or greater)."""

    kind: Literal["limit_export"] = "limit_export"
    max_w: LimitW


class BatteryPower(_Action):
    """Run the site's batteries together at ``power_w``, positive charging."""

    kind: Literal["battery_power"] = "battery_power"
    power_w: PowerW


class Switch(_Action):
    """Switch a load on or off."""

    kind: Literal["switch"] = "switch"
    device: Id
    on: bool


class LimitLoad(_Action):
    """Let one load draw ``max_w`` at most, zero or greater; below what it needs to run it is turned off.

    A gateway from before this kind refuses it as ``malformed``.
    """

    kind: Literal["limit_load"] = "limit_load"
    device: Id
    max_w: LimitW


class Release(_Action):
    """End an earlier command before it expires."""

    kind: Literal["release"] = "release"
    command_id: Id


class MaintenanceLock(_Action):
    """Freeze the site at its safe state and refuse all further remote orders, or end that."""

    kind: Literal["maintenance_lock"] = "maintenance_lock"
    on: bool


class Read(_Action):
    """Report the present values of points."""

    kind: Literal["read"] = "read"
    points: tuple[PointName, ...] = Field(max_length=POINTS_MAX)


class Live(_Action):
    """Raise the telemetry rate to one message every ``period_s`` while the command lasts."""

    kind: Literal["live"] = "live"
    period_s: int = Field(ge=1, le=60)


class Diagnostics(_Action):
    """Report the gateway's own health."""

    kind: Literal["diagnostics"] = "diagnostics"


Action = Annotated[
    LimitImport
    | LimitExport
    | BatteryPower
    | LimitLoad
    | Switch
    | Release
    | MaintenanceLock
    | Read
    | Live
    | Diagnostics,
    Field(discriminator="kind"),
]
# The words of ``kind``, of which a gateway knows those of its own version.
KINDS = frozenset(kind.model_fields["kind"].default for kind in get_args(get_args(Action)[0]))


def key_id(public_key: bytes) -> str:
    """Return the name of a signing key (Ed25519, 32 bytes): the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:16]


class Command(Message):
    """One order to one site.

    ``seq`` rises with every command of the same issuer to the same site. ``event_id`` joins the commands of one
    demand-response event. ``key_id`` names the issuer's key that signed, see ``key_id``; without it the site tries
    every key of the issuer. It is not signed itself, so that gateways which do not know it read the same bytes.
    """

    command_id: Id
    site: SiteId
    issuer: Id
    seq: Number
    issued_at: Instant
    expires_at: Instant
    action: Action
    event_id: Text | None = Field(default=None, max_length=64)
    signature: Text = Field(default="", max_length=128)
    key_id: Text | None = Field(default=None, max_length=64)

    def signing_bytes(self) -> bytes:
        """Return what the signature covers, as JSON with sorted keys and no spaces: all but itself and its key's id."""
        fields = self.model_dump(mode="json", exclude={"signature", "key_id"}, exclude_none=True)
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


class AckStage(StrEnum):
    """How far a command has come."""

    REJECTED = "rejected"
    ACCEPTED = "accepted"
    APPLIED = "applied"
    EFFECTIVE = "effective"
    INEFFECTIVE = "ineffective"
    COMPLETED = "completed"
    EXPIRED = "expired"
    RELEASED = "released"
    SUPERSEDED = "superseded"
    # Only read, never sent: a word of a newer gateway.
    UNKNOWN = "unknown"


class Refusal(StrEnum):
    """Why a command was rejected; ``NOT_APPLIED`` why an accepted one is ineffective: no device holds it."""

    MALFORMED = "malformed"
    UNKNOWN_VERSION = "unknown_version"
    WRONG_SITE = "wrong_site"
    RETAINED = "retained"
    UNKNOWN_ISSUER = "unknown_issuer"
    BAD_SIGNATURE = "bad_signature"
    NOT_PERMITTED = "not_permitted"
    OUT_OF_BOUNDS = "out_of_bounds"
    REPLAYED = "replayed"
    OUT_OF_ORDER = "out_of_order"
    EXPIRED = "expired"
    TOO_OLD = "too_old"
    FROM_THE_FUTURE = "from_the_future"
    CLOCK_UNTRUSTED = "clock_untrusted"
    CONFLICTING_ID = "conflicting_id"
    LOCKED = "locked"
    INFEASIBLE = "infeasible"
    UNSUPPORTED = "unsupported"
    OVERLOADED = "overloaded"
    NOT_APPLIED = "not_applied"
    # Only read, never sent: a word of a newer gateway.
    UNKNOWN = "unknown"


class CommandAck(SiteMessage):
    """One step of a command's life, as the site saw it.

    ``readback`` holds what the registers said after the write, by ``<device>/<point>``; ``measured_w`` the power at the
    connection point when the step was taken; ``feasible`` the nearest order that would have been accepted.
    """

    channel: ClassVar[str] = Up.ACKS

    command_id: Id
    event_id: Text | None = Field(default=None, max_length=64)
    stage: Annotated[AckStage, known_or(AckStage.UNKNOWN)]
    at: Instant
    reason: Annotated[Refusal, known_or(Refusal.UNKNOWN)] | None = None
    detail: Remark | None = None
    feasible: Action | None = None
    readback: Annotated[dict[PointName, Measured | None], Field(max_length=VALUES_MAX)] | None = None
    measured_w: Measured | None = None
    values: Annotated[dict[PointName, Measured | Remark | None], Field(max_length=VALUES_MAX)] | None = None
