"""What every part of a profile is: frozen, and refusing keys that it does not know."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of a profile."""

    model_config = ConfigDict(frozen=True, extra="forbid")
