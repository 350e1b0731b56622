"""What people may ask of their site at the page, as typed requests, and what each role may ask.

Whatever is asked here is an order of the page's own issuer, below the site's limits and the grid operator's, or a
setting within the site's file.
"""

from dataclasses import dataclass, field
from datetime import time
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from edge.config import Idle, sentence
from edge.control.keys import Role

HOURS_MAX = 24.0
LOCK_HOURS_MAX = 24.0 * 7
PRICE_MCT_MAX = 1_000_000  # 10 EUR a kWh.


class _Action(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Mode(_Action):
    """How the batteries are run until somebody asks otherwise: by plan and market, for the house alone, or at rest."""

    kind: Literal["mode"]
    mode: Literal["auto", "self_consumption", "hold"]


class ChargeNow(_Action):
    """Charge the batteries as hard as the site can, for so many hours."""

    kind: Literal["charge"]
    hours: float = Field(gt=0, le=HOURS_MAX)


class Target(_Action):
    """Have the batteries so full each day at a time of the site's wall clock, or take that wish back (``None``)."""

    kind: Literal["target"]
    soc_percent: float | None = Field(gt=0, le=100)
    by: time | None = None


class ReleaseOwn(_Action):
    """End an order that was given at the page."""

    kind: Literal["release"]
    command_id: Annotated[str, Field(min_length=1, max_length=64)]


class Lock(_Action):
    """Lock the site for maintenance for so many hours, or end a lock that was set here."""

    kind: Literal["lock"]
    on: bool
    hours: float = Field(default=8.0, gt=0, le=LOCK_HOURS_MAX)


class Settings(_Action):
    """Settings within the site's file, all of them: what is ``None`` is as the file says.

    Prices are in thousandths of a cent per kWh, limits in W, magnitudes and never above the file's.
    """

    kind: Literal["settings"]
    idle: Idle | None = None
    tariff: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    import_tariff_mct_per_kwh: int | None = Field(default=None, ge=-PRICE_MCT_MAX, le=PRICE_MCT_MAX)
    export_tariff_mct_per_kwh: int | None = Field(default=None, ge=-PRICE_MCT_MAX, le=PRICE_MCT_MAX)
    charge_from_grid: bool | None = None
    discharge_to_grid: bool | None = None
    import_limit_w: int | None = Field(default=None, gt=0)
    export_limit_w: int | None = Field(default=None, ge=0)


Action = Mode | ChargeNow | Target | ReleaseOwn | Lock | Settings
_ACTION: TypeAdapter[Action] = TypeAdapter(Annotated[Action, Field(discriminator="kind")])
# The lock belongs to those who open the cabinet.
_INSTALLER_ALONE = frozenset({"lock"})


class ActionRefused(ValueError):
    """What was asked is not done, and why; ``code`` says it in one word."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Done:
    """What became of an action: a sentence for who asked, and what the gate said where it was an order."""

    said: str
    facts: dict[str, Any] = field(default_factory=dict)


class Steering(Protocol):
    """Whoever carries out what is asked; called from a server's threads, it waits for the gate's answer."""

    def do(self, action: Action, role: Role) -> Done:
        """Carry out an action.

        Raises:
            ActionRefused: It is not done, by the gate or before.
        """


def action_of(content: Any, role: Role) -> Action:
    """Return what a request's body asks for.

    Raises:
        ActionRefused: It asks for nothing that there is, or for what the role may not ask.
    """
    try:
        action = _ACTION.validate_python(content)
    except ValidationError as error:
        raise ActionRefused(f"{sentence(error)}; nothing was done", code="bad_action") from error
    if action.kind in _INSTALLER_ALONE and role is not Role.INSTALLER:
        raise ActionRefused(f"{action.kind} is the installer's; nothing was done", code="not_permitted")
    return action
