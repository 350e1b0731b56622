"""One question to a provider on the internet, before it is asked: pure, for the cloud and for a gateway without one."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Question:
    """One request; ``secret`` is struck from every message about it."""

    url: str
    params: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None
    json: object = None
    secret: str = ""
