"""Logs as OTLP/JSON lines: a collector reads them, and what belongs to one command has one trace."""

import json
import logging
import sys
from typing import Any

from edge.process.logs import OtlpLines


def line(**fields: Any) -> dict[str, Any]:
    """Return the one record of a line, by the names of the protocol."""
    record = logging.makeLogRecord({"name": "edge.loop", "levelno": logging.INFO, "levelname": "INFO", **fields})
    (resource,) = json.loads(OtlpLines().format(record))["resourceLogs"]
    (scope,) = resource["scopeLogs"]
    assert scope["scope"]["name"] == "edge.loop"
    (found,) = scope["logRecords"]
    return dict(found)


def test_a_record_has_the_protocols_fields_and_its_own_types() -> None:
    """Source: OTLP's JSON encoding: 64-bit integers are strings, enumerations are numbers, ids are hex."""
    told = line(msg="command at the device", created=1.5, command="c-1", power_w=-1500.5, proven=True, tries=3)
    assert told["timeUnixNano"] == "1500000000" and told["severityNumber"] == 9
    assert told["body"] == {"stringValue": "command at the device"}
    values = {one["key"]: one["value"] for one in told["attributes"]}
    assert values == {
        "command": {"stringValue": "c-1"},
        "power_w": {"doubleValue": -1500.5},
        "proven": {"boolValue": True},
        "tries": {"intValue": "3"},
    }


def test_lines_of_one_command_share_a_trace_and_no_others() -> None:
    """One id from the order to the register."""
    ids = [
        line(msg=phrase, command=command).get("traceId")
        for phrase, command in (("a", "c-1"), ("b", "c-1"), ("a", "c-2"))
    ]
    assert ids[0] == ids[1] != ids[2] and all(one is not None and len(bytes.fromhex(one)) == 16 for one in ids)
    assert "traceId" not in line(msg="started")


def test_a_devices_words_and_a_traceback_stay_text() -> None:
    """What a device says must not end the line."""
    assert "\x1b" not in str(line(msg="device identified", serial="\x1b[2J"))
    try:
        raise ValueError("no")
    except ValueError:
        told = line(msg="part failed", exc_info=sys.exc_info(), value=float("nan"))
    assert [one["key"] for one in told["attributes"]] == ["value", "exception.stacktrace"]
