"""Who is asked during the set-up."""

from collections.abc import Callable, Sequence
from typing import Protocol

Check = Callable[[str], str | None]


class Console(Protocol):
    """Who is asked: a person at a terminal, or a test."""

    def say(self, text: str) -> None:
        """Show a line."""

    def ask(self, question: str, *, default: str = "", check: Check | None = None) -> str:
        """Return the answer; it is asked again while ``check`` returns a complaint."""

    def choose(self, question: str, options: Sequence[str], *, default: str) -> str:
        """Return one of the options."""

    def confirm(self, question: str, *, default: bool) -> bool:
        """Return yes or no."""
