"""What every section of the configuration shares."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A group of keys; a key that is not known is refused, and nothing changes once read."""

    model_config = ConfigDict(frozen=True, extra="forbid")
