"""The hook answers no to whatever a stranger with a claim may send, and never raises."""

from typing import Any

import pytest

from cloud.handlers.provisioning_hook import handler


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"parameters": []},
        {"parameters": "x"},
        {"parameters": {"SerialNumber": "\ud800"}},
        {"certificatePem": 7},
        [],
        None,
    ],
)
def test_hook_answers_no_to_any_event(event: Any) -> None:
    """An exception there is an alarm that anybody with a claim could ring."""
    assert handler(event, None) == {"allowProvisioning": False}
