"""What is no frame is refused before anything of it is looked at."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.ocpp.frames import CALL, ERROR, RESULT, FrameRefused, call_text, check_payload, error_text, read_frame
from edge.ocpp.settings import Version


def test_a_call_a_result_and_an_error_are_read() -> None:
    """The three frames of the standard."""
    assert read_frame(call_text("1", "Heartbeat", {})).kind == CALL
    assert read_frame('[3, "1", {"currentTime": "x"}]').payload == {"currentTime": "x"}
    told = read_frame(error_text("1", "NotImplemented", "no"))
    assert (told.kind, told.action) == (ERROR, "NotImplemented")
    assert read_frame('[3, "1", {}]').kind == RESULT


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "{}", "[]", "[2]", '[2, "1"]', '[2, "1", "Heartbeat"]', '[2, 1, "Heartbeat", {}]', '[2, "1", "A", []]',
        '[5, "1", "A", {}]', '[2, "", "A", {}]', f'[2, "{"9" * 37}", "A", {{}}]', f'[2, "1", "{"A" * 37}", {{}}]',
        '[3, "1", []]', '[[2], "1", "A", {}]', "[" * 60_000, "1" * 6_000, '[2, "1", null, {}]',
    ],
)  # fmt: skip
def test_what_is_no_frame_is_refused(text: str) -> None:
    """Whatever a stranger sends ends in one error that is caught."""
    with pytest.raises(FrameRefused):
        read_frame(text)


@given(st.text(max_size=64) | st.lists(st.integers() | st.text(max_size=4) | st.none(), max_size=5).map(json.dumps))
def test_reading_raises_nothing_else(text: str) -> None:
    """One error for all that is no frame."""
    with contextlib.suppress(FrameRefused):
        read_frame(text)


def test_a_payload_that_does_not_fit_says_where_and_in_the_words_of_its_version() -> None:
    """The code is the protocol's own, which the two versions spell differently."""
    with pytest.raises(FrameRefused, match="chargePointModel") as refusal:
        check_payload(Version.V16, CALL, "BootNotification", {"chargePointVendor": "x"})
    assert refusal.value.code == "OccurenceConstraintViolation"
    with pytest.raises(FrameRefused) as refusal:
        check_payload(Version.V201, CALL, "BootNotification", {"reason": "PowerUp"})
    assert refusal.value.code == "OccurrenceConstraintViolation"
    with pytest.raises(FrameRefused) as refusal:
        check_payload(Version.V16, CALL, "MeterValues", {"connectorId": "1", "meterValue": []})
    assert refusal.value.code == "TypeConstraintViolation"
