"""The settings of plain values: which broker, below which topic, how often, and what may be set from there."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from edge.links.settings import LinkSettings

TopicPart = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}(/[A-Za-z0-9_-]{1,40}){0,3}$")]


class Control(StrEnum):
    """What may be set from the house's broker: whoever may publish there may do it."""

    LOCK = "lock"
    IMPORT_LIMIT_W = "import_limit_w"
    EXPORT_LIMIT_W = "export_limit_w"


# The controls that are numbers: limits of the connection in W, magnitudes, lowered within the site file's.
NUMBERS = (Control.IMPORT_LIMIT_W, Control.EXPORT_LIMIT_W)


class PlainSettings(BaseModel):
    """Values as text, one topic a value, retained.

    ``broker`` is a broker of the house, not the cloud's, where each message would cost. ``topic`` stands before the
    site's id. A value that has changed is told after ``period_s`` at the latest, all of them each minute.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    broker: LinkSettings = LinkSettings(throttle=False)
    topic: TopicPart = "sitewatt-house"
    period_s: float = Field(default=5.0, ge=0.5, le=60)


class HomeAssistantSettings(PlainSettings):
    """The same with Home Assistant's discovery, so that devices and values appear there by themselves.

    ``controls`` names what Home Assistant may set; nothing by default.
    """

    discovery_prefix: TopicPart = "homeassistant"
    controls: tuple[Control, ...] = ()
