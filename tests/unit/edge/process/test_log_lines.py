"""A device's own words stay words in a log."""

import logging

from cloud.local.logs import FieldFormatter
from edge.process.logs import PhraseAndFields


def test_escape_codes_and_lines_of_a_device_are_harmless_in_a_log() -> None:
    """A SunSpec string could clear the terminal of whoever looked, or forge a line."""
    record = logging.makeLogRecord({"msg": "device identified", "serial": "\x1b[2J\nERROR all is lost"})
    for line in (PhraseAndFields("%(message)s").format(record), FieldFormatter().format(record)):
        assert "\x1b" not in line
        assert "\n" not in line
        assert "?[2J?ERROR" in line
