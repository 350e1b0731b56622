"""What a door is: where bytes of others come in, and what a valid caller sends there."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

Take = Callable[[bytes], object]


class Form(Enum):
    """How a door's bytes are built, so that they can be changed within their structure."""

    JSON = "json"
    LINES = "lines"
    YAML = "yaml"
    TEXT = "text"
    BINARY = "binary"


@dataclass(frozen=True, kw_only=True)
class Door:
    """One place where bytes come in.

    ``open`` yields a function that takes bytes as the shipped process does. It may raise nothing: what the door refuses
    with a word of its own is caught there, anything else is a fault of the product.
    """

    name: str
    form: Form
    samples: Sequence[bytes]
    open: Callable[[Path], AbstractContextManager[Take]]
