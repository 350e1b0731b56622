"""Who looks live costs the gateway one question a second, however many they are."""

import pytest

from edge.errors import StatusUnavailable
from edge.web.latest import FRESH_S, Latest
from edge.web.tables import Plain


def test_many_lookers_ask_once_a_second_and_hear_of_a_gateway_that_is_gone() -> None:
    """Its socket serves four askers at once; browsers must not take them all."""
    now_s, answers, asked = [0.0], [{"site": "home"}, None, {"site": "back"}], []

    def ask() -> Plain:
        asked.append(now_s[0])
        answer = answers[len(asked) - 1]
        if answer is None:
            raise StatusUnavailable("no gateway runs")
        return answer

    latest = Latest(ask, monotonic=lambda: now_s[0])
    assert [latest()["site"] for _ in range(5)] == ["home"] * 5
    now_s[0] += FRESH_S
    for _ in range(3):
        with pytest.raises(StatusUnavailable, match="no gateway runs"):
            latest()
    now_s[0] += FRESH_S
    assert latest()["site"] == "back"
    assert asked == [0.0, FRESH_S, 2 * FRESH_S]
