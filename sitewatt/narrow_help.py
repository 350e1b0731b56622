"""Help in a terminal of few columns, a phone's for instance: an option's text stands under its name, not beside it."""

import textwrap
from collections.abc import Iterable
from typing import Any

COLUMNS_MIN = 30  # Below that a line holds no two words.
# Below that a text beside the longest list of values would stand two words a line.
STACKED_BELOW = 80
_TEXT_INDENT = 4


def fit(command: Any, columns: int) -> None:
    """Have a command, and all below it, write help that is no wider than a terminal of so few columns."""
    if columns >= STACKED_BELOW:
        return
    command.context_settings = {**command.context_settings, "terminal_width": max(columns - 1, COLUMNS_MIN)}
    # The class that the installed typer takes, its own or click's.
    command.context_class.formatter_class = _stacked(command.context_class.formatter_class)


def _stacked(library: Any) -> Any:
    """Return the library's formatter with lists of names and texts one under the other."""

    class Stacked(library):  # type: ignore[misc]  # A class that is known as it runs alone.
        def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
            """Write names, and under each its text."""
            for name, text in rows:
                for line in _broken(name, self.width - self.current_indent):
                    self.write(f"{'':{self.current_indent}}{line}\n")
                indent = " " * (self.current_indent + _TEXT_INDENT)
                for line in textwrap.wrap(text, self.width, initial_indent=indent, subsequent_indent=indent):
                    self.write(f"{line}\n")

    return Stacked


def _broken(name: str, width: int) -> list[str]:
    """Return an option's name and its values in lines; values that do not fit go on under the first one."""
    lines = [""]
    for part in name.replace("|", "|\0").replace(" ", " \0").split("\0"):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > width:
            lines.append(" " * _TEXT_INDENT)
        lines[-1] += part
    return [line.rstrip() for line in lines]
