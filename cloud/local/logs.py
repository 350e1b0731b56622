"""How the local cloud logs: a fixed phrase and its fields, on one line."""

import logging
from typing import Final

from contracts.units import printable

_PLAIN: Final = frozenset({*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"})

# A field may hold what a site or a device said: no line of its own, no escape for a terminal.
FIELD_CHARACTERS_MAX: Final = 4000


class FieldFormatter(logging.Formatter):
    """Writes ``time level phrase field=value …``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        fields = " ".join(
            f"{name}={printable(str(value), FIELD_CHARACTERS_MAX)}"
            for name, value in record.__dict__.items()
            if name not in _PLAIN
        )
        return f"{super().format(record)} {fields}".rstrip()
