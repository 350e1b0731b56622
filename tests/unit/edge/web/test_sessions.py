"""Sessions of the page end when they should, and guesses are bounded."""

from edge.control.keys import Role
from edge.web.sessions import (
    ADDRESSES_MAX,
    ALL_TRIES_BURST,
    IDLE_S,
    LIFE_S,
    SESSIONS_MAX,
    TRIES_BURST,
    Sessions,
    Tries,
)

STAMPS = {"owner": "first"}


def test_a_session_ends_by_idleness_by_age_and_with_its_password() -> None:
    """A phone that was left on the table must not stay signed in."""
    sessions = Sessions()
    token, session = sessions.begin(Role.OWNER, stamp="first", now_s=0.0)
    assert sessions.find(token, stamps=STAMPS, now_s=IDLE_S) is session
    assert sessions.find(token, stamps=STAMPS, now_s=IDLE_S + 1) is None
    token, session = sessions.begin(Role.OWNER, stamp="first", now_s=0.0)
    session.used_s = LIFE_S
    assert sessions.find(token, stamps=STAMPS, now_s=LIFE_S + 1) is None
    token, _ = sessions.begin(Role.OWNER, stamp="first", now_s=0.0)
    assert sessions.find(token, stamps={"owner": "second"}, now_s=1.0) is None
    token, _ = sessions.begin(Role.OWNER, stamp="first", now_s=0.0)
    assert sessions.find(token, stamps={}, now_s=1.0) is None
    assert sessions.find("guessed", stamps=STAMPS, now_s=1.0) is None


def test_sessions_are_bounded_and_the_oldest_goes() -> None:
    """Whoever knows the password cannot fill a gateway's memory."""
    sessions = Sessions()
    tokens = [sessions.begin(Role.OWNER, stamp="first", now_s=0.0)[0] for _ in range(SESSIONS_MAX + 1)]
    assert sessions.find(tokens[0], stamps=STAMPS, now_s=1.0) is None
    assert sessions.find(tokens[-1], stamps=STAMPS, now_s=1.0) is not None


def test_a_guesser_is_refused_and_keeps_nobody_else_out() -> None:
    """One address uses up its own tries; all together have a bound too, and both fill up again."""
    tries = Tries()
    assert [tries.take("guesser", 0.0) for _ in range(TRIES_BURST + 3)] == [True] * TRIES_BURST + [False] * 3
    assert tries.take("owner", 0.0)
    assert not tries.take("guesser", 10.0)
    assert tries.take("guesser", 31.0)
    crowd = [tries.take(f"address {number}", 31.0) for number in range(ADDRESSES_MAX * 2)]
    assert 0 < crowd.count(True) <= ALL_TRIES_BURST
