"""The door of the page's actions: each wrong way in is refused with its own word."""

from pathlib import Path

import pytest

from edge.control.keys import Role
from edge.web.actions import Action, Done
from edge.web.login import COOKIE, Login, NotSignedIn
from edge.web.passwords import set_password
from edge.web.sessions import TRIES_BURST

PASSWORD = "a kettle in the cellar"


class _Nothing:
    def do(self, action: Action, role: Role) -> Done:
        return Done(said=f"{action.kind} for {role.value}")


def _code(login: Login, role: object, password: object, *, address: str = "here") -> str:
    with pytest.raises(NotSignedIn) as refusal:
        login.enter(role, password, address=address)
    return refusal.value.code


def test_guesses_are_refused_and_the_right_password_opens_once_there_is_one(tmp_path: Path) -> None:
    """Without a password nobody is let in, and a guesser is stopped before the hash is worked out."""
    now_s = 0.0
    login = Login(tmp_path, _Nothing(), monotonic=lambda: now_s)
    assert _code(login, "owner", "") == "no_password"
    set_password(tmp_path, Role.OWNER, PASSWORD)
    assert _code(login, "owner", None) == "wrong_password"
    assert _code(login, ["owner"], PASSWORD) == "wrong_password"
    codes = [_code(login, "owner", "guess") for _ in range(TRIES_BURST)]
    assert codes[-1] == "too_many_tries"
    entered = login.enter("owner", PASSWORD, address="elsewhere")
    token = entered.facts["token"]
    cookie = entered.cookie.partition(";")[0]
    assert login.acting(cookie, token) is Role.OWNER
    for wrong_cookie, wrong_token in (("", token), (f"{COOKIE}=guess", token), (cookie, ""), (cookie, "ö")):
        with pytest.raises(NotSignedIn):
            login.acting(wrong_cookie, wrong_token)
    assert login.told(cookie)["role"] == "owner"
    login.leave(cookie)
    assert login.told(cookie) == {"role": None, "token": None, "roles": ["owner"]}
