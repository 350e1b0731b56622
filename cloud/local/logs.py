"""How the local cloud logs: a fixed phrase and its fields, on one line."""

import logging
from typing import Final

_PLAIN: Final = frozenset({*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"})


class FieldFormatter(logging.Formatter):
    """Writes ``time level phrase field=value …``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        fields = " ".join(f"{name}={value}" for name, value in record.__dict__.items() if name not in _PLAIN)
        return f"{super().format(record)} {fields}".rstrip()
