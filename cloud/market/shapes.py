"""The shapes of the engine's commands as they stand in a market's journal: JSON objects, ``op`` says which one it is.

``at_ms`` is when the sequencer took it, and ``interval_ms`` where its delivery interval begins, in epoch milliseconds.
The engine checks that a command has what its shape asks for (``engine.py``) before anything reads it. Orders are the
exception: strangers send them, so their fields are checked one by one, and refused with a reply (``checks.py``).
"""

from typing import Any, Literal, NotRequired, TypedDict


class Tick(TypedDict):
    """Time passes."""

    op: Literal["tick"]
    at_ms: int


class OrderCommand(TypedDict):
    """An order comes, changes or goes; a cancellation has no quantity and no price."""

    op: Literal["new", "modify", "cancel"]
    at_ms: int
    id: NotRequired[str]
    site: str
    order_id: str
    interval_ms: int
    side: NotRequired[str]
    quantity_wh: NotRequired[int | None]
    price_mct_per_kwh: NotRequired[int | None]
    tif: NotRequired[str]
    good_till_ms: NotRequired[int]
    post_only: NotRequired[bool]


class Register(TypedDict):
    """A site is admitted, or its limits change; the participant is a ``Participant`` as JSON."""

    op: Literal["register"]
    at_ms: int
    participant: dict[str, Any]


class Leave(TypedDict):
    """A site takes part no more."""

    op: Literal["leave"]
    at_ms: int
    site: str
    reason: str


class CloseAccount(TypedDict):
    """The account of a site that left is closed."""

    op: Literal["close_account"]
    at_ms: int
    site: str
    interval_ms: int
    reason: str


class Capacity(TypedDict):
    """What a site can carry in one interval is less than its limits."""

    op: Literal["capacity"]
    at_ms: int
    site: str
    interval_ms: int
    import_wh: int
    export_wh: int


class StorageWord(TypedDict):
    """A site's battery as it will stand when an interval begins."""

    op: Literal["storage"]
    at_ms: int
    site: str
    interval_ms: int
    stored_wh: int
    room_wh: int
    own_net_wh: list[int]


class MeterCommand(TypedDict):
    """A meter's reading of one interval; ``doubt`` says what speaks against it."""

    op: Literal["meter"]
    at_ms: int
    site: str
    interval_ms: int
    import_wh: int
    export_wh: int
    version: int
    estimated: NotRequired[bool]
    doubt: NotRequired[str]


class HoldReading(TypedDict):
    """A reading which was believed is taken back."""

    op: Literal["hold_reading"]
    at_ms: int
    site: str
    interval_ms: int
    version: int
    reason: str


class ReleaseReading(TypedDict):
    """A person says that a reading which is held is right."""

    op: Literal["release_reading"]
    at_ms: int
    site: str
    interval_ms: int
    by: str
    reason: str


class EventLine(TypedDict):
    """One site's commitment in one interval, and the baseline that it is judged by."""

    site: str
    interval_ms: int
    committed_wh: int
    baseline_wh: int
    method: NotRequired[str]
    flags: NotRequired[list[str]]


class EventCommand(TypedDict):
    """A demand-response event comes into settlement."""

    op: Literal["dr_event"]
    at_ms: int
    event: str
    price_mct_per_kwh: int
    penalty_mct_per_kwh: int
    lines: list[EventLine]


class ClaimWord(TypedDict):
    """A person says whether a flagged claim is paid."""

    op: Literal["claim"]
    at_ms: int
    event: str
    site: str
    approve: bool
    by: str
    reason: str


class MoveRules(TypedDict):
    """The market moves to other rules, a ``MarketRules`` as JSON."""

    op: Literal["move_rules"]
    at_ms: int
    rules: dict[str, Any]
    by: str
    reason: str


class Halt(TypedDict):
    """No order of the zone, or of one site, is taken."""

    op: Literal["halt"]
    at_ms: int
    site: NotRequired[str | None]
    reason: str


class Resume(TypedDict):
    """A halt ends."""

    op: Literal["resume"]
    at_ms: int
    site: NotRequired[str | None]


class Invoice(TypedDict):
    """A site's balance moves to cash."""

    op: Literal["invoice"]
    at_ms: int
    site: str
    interval_ms: int


Command = (
    Tick
    | OrderCommand
    | Register
    | Leave
    | CloseAccount
    | Capacity
    | StorageWord
    | MeterCommand
    | HoldReading
    | ReleaseReading
    | EventCommand
    | ClaimWord
    | MoveRules
    | Halt
    | Resume
    | Invoice
)
