"""How the gateway logs: a fixed phrase and its fields, on one line, to standard error."""

import logging
import sys

from contracts.units import printable

_PLAIN = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
# A field may hold what a device or a peer said: no line of its own, no escape for a terminal.
FIELD_CHARACTERS_MAX = 4000
# A silent device and a lost broker are states that we log ourselves, once.
_QUIET = ("pymodbus", "mqtt")


class PhraseAndFields(logging.Formatter):
    """Writes ``time level phrase field=value …``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line = super().format(record)
        return " ".join(
            [
                line,
                *(
                    f"{name}={printable(str(value), FIELD_CHARACTERS_MAX)}"
                    for name, value in vars(record).items()
                    if name not in _PLAIN
                ),
            ]
        )


def log_to_standard_error(level: str) -> None:
    """Send everything at a level and above to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PhraseAndFields("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for library in _QUIET:
        logging.getLogger(library).setLevel(logging.CRITICAL)
