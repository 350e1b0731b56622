"""The alarms that a gateway tells are those that the cloud reads."""

import json

from hypothesis import given
from hypothesis import strategies as st

from contracts.alarms import ALARMS_CHANGED, CHARACTERS_MAX, TOLD_MAX, alarm_fields, alarms_in
from contracts.telemetry import EventMessage
from contracts.units import instant

_TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=CHARACTERS_MAX)


def _sent(fields: dict[str, str | int]) -> EventMessage:
    at = instant(1_770_000_000_000)
    event = EventMessage(site="home-1", epoch=1, seq=1, sent_at=at, at=at, phrase=ALARMS_CHANGED, fields=dict(fields))
    encoded = event.encode()
    assert len(encoded) < 5 * 1024, "one message of those that AWS bills"
    return EventMessage.decode(encoded)


@given(st.lists(_TEXTS, max_size=TOLD_MAX))
def test_what_is_told_is_what_is_read(alarms: list[str]) -> None:
    """Over the wire, in its order, none twice and none left out."""
    assert alarms_in(_sent(alarm_fields(alarms)).fields) == tuple(alarms)


def test_more_alarms_than_a_message_holds_are_counted() -> None:
    """An operator who reads sixteen must not take them for all."""
    many = [f"device {number} " + "x" * CHARACTERS_MAX for number in range(TOLD_MAX + 3)]
    read = alarms_in(_sent(alarm_fields(many)).fields)
    assert len(read) == TOLD_MAX + 1 and read[-1] == "and 3 more"


def test_fields_that_tell_no_alarms_are_none() -> None:
    """Whoever sends an event of this phrase with other fields raises nothing here."""
    assert alarms_in(json.loads('{"alarm_1": 7, "alarm_2": "", "count": "many", "other": "text"}')) == ()
    assert alarms_in({}) == ()
