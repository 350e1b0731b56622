"""Where something published comes from, as a configuration says it: the part that all providers share."""

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ProviderSource(BaseModel):
    """A provider and what it must be told; ``URLS`` are their addresses, ``NEEDS`` what each cannot do without."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    URLS: ClassVar[Mapping[str, str]]
    NEEDS: ClassVar[Mapping[str, tuple[str, ...]]]

    provider: StrEnum
    area: str = Field(default="", max_length=80)
    token_env: str = Field(default="", max_length=80)
    file: str = Field(default="", max_length=400)
    url: str = Field(default="", max_length=400, pattern=r"^(https?://\S+)?$")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for name in self.NEEDS[self.provider]:
            if not getattr(self, name):
                raise ValueError(f"provider {self.provider} needs {name}")
        return self

    @property
    def base_url(self) -> str:
        """Return the address that is asked, without a slash at its end."""
        return (self.url or self.URLS.get(self.provider, "")).rstrip("/")
