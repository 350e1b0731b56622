"""How the gateway logs: a fixed phrase and its fields, on one line, to standard error.

A line about an order has the field ``command``, its id: from when it is taken to the register that is written for it.
"""

import hashlib
import json
import logging
import math
import sys
from typing import Any

from contracts.units import printable

_PLAIN = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
# A field may hold what a device or a peer said: no line of its own, no escape for a terminal.
FIELD_CHARACTERS_MAX = 4000
# A silent device and a lost broker are states that we log ourselves, once.
_QUIET = ("pymodbus", "mqtt")
COMMAND = "command"
TEXT, OTLP = "text", "otlp"
FORMS = (TEXT, OTLP)
_SEVERITY = {logging.DEBUG: 5, logging.INFO: 9, logging.WARNING: 13, logging.ERROR: 17, logging.CRITICAL: 21}


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


class OtlpLines(logging.Formatter):
    """Writes each record as one line of OTLP/JSON logs, which an OpenTelemetry collector reads from a file.

    What belongs to one command has one trace id, made of the command's.

    Source: OpenTelemetry protocol 1.x, JSON encoding and ``logs.proto``; file exporter, JSON lines; severity numbers of
    the log data model.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        fields = {name: value for name, value in vars(record).items() if name not in _PLAIN}
        told: dict[str, Any] = {
            "timeUnixNano": str(round(record.created * 1e9)),
            "severityNumber": _SEVERITY.get(record.levelno, 9),
            "severityText": record.levelname,
            "body": {"stringValue": printable(record.getMessage(), FIELD_CHARACTERS_MAX)},
            "attributes": [{"key": name, "value": _otlp_value(value)} for name, value in fields.items()],
        }
        if record.exc_info:
            traceback = {"stringValue": self.formatException(record.exc_info)}
            told["attributes"].append({"key": "exception.stacktrace", "value": traceback})
        if isinstance(command := fields.get(COMMAND), str):
            told["traceId"] = hashlib.sha256(command.encode()).hexdigest()[:32]
        scope = {"scope": {"name": record.name}, "logRecords": [told]}
        resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "sitewatt"}}]}
        return json.dumps({"resourceLogs": [{"resource": resource, "scopeLogs": [scope]}]})


def _otlp_value(value: object) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value} if math.isfinite(value) else {"stringValue": str(value)}
    return {"stringValue": printable(str(value), FIELD_CHARACTERS_MAX)}


def log_to_standard_error(level: str, *, form: str = TEXT) -> None:
    """Send everything at a level and above to standard error, in one of ``FORMS``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OtlpLines() if form == OTLP else PhraseAndFields("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for library in _QUIET:
        logging.getLogger(library).setLevel(logging.CRITICAL)
