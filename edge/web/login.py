"""The door of the page's actions: who signs in, by which password, and whether an action comes from who did."""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from threading import Lock
from typing import Any, Final

from edge.control.keys import Role
from edge.web.actions import Steering
from edge.web.passwords import matches, stamps
from edge.web.sessions import Session, Sessions, Tries

log = logging.getLogger(__name__)

# The prefix has browsers take it from this host over TLS alone. Source: RFC 6265bis, section 4.1.3.2.
COOKIE: Final = "__Host-sitewatt"
ATTRIBUTES: Final = "Path=/; Secure; HttpOnly; SameSite=Strict"


class NotSignedIn(Exception):
    """The request comes from nobody who may act; ``code`` says it in one word."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Entered:
    """A browser that has signed in: what its cookie is set to, and what its actions must carry."""

    cookie: str
    facts: dict[str, Any]


class Login:
    """Sessions of one page; safe to call from many threads."""

    def __init__(self, state_dir: Path, steering: Steering, *, monotonic: Callable[[], float]) -> None:
        self.steering = steering
        self._state_dir = state_dir
        self._monotonic = monotonic
        self._sessions = Sessions()
        self._tries = Tries()
        self._lock = Lock()

    def enter(self, role: object, password: object, *, address: str) -> Entered:
        """Sign somebody in.

        Raises:
            NotSignedIn: The role, the password or both are wrong, or there were too many tries.
        """
        with self._lock:
            may_try = self._tries.take(address, self._monotonic())
        if not may_try:
            log.warning("page sign-in refused", extra={"address": address, "reason": "too many tries"})
            raise NotSignedIn("too many tries; wait a minute", code="too_many_tries")
        known = stamps(self._state_dir)
        if not known:
            raise NotSignedIn(
                "no password is set: `sudo sitewatt edge page password` on the gateway sets one", code="no_password"
            )
        right = isinstance(role, str) and isinstance(password, str) and matches(self._state_dir, role, password)
        if not right or not isinstance(role, str):
            log.warning("page sign-in refused", extra={"address": address, "reason": "wrong password"})
            raise NotSignedIn("this is not the role's password", code="wrong_password")
        with self._lock:
            token, session = self._sessions.begin(Role(role), stamp=known[role], now_s=self._monotonic())
        log.info("page sign-in", extra={"address": address, "role": role})
        return Entered(cookie=f"{COOKIE}={token}; {ATTRIBUTES}", facts=_facts(session))

    def leave(self, cookies: str) -> str:
        """End a browser's session, and return what its cookie is set to."""
        with self._lock:
            self._sessions.end(_token(cookies))
        return f"{COOKIE}=; Max-Age=0; {ATTRIBUTES}"

    def told(self, cookies: str) -> dict[str, Any]:
        """Return what a browser may know of its own session."""
        known = stamps(self._state_dir)
        session = self._find(cookies, known)
        facts = {"role": None, "token": None} if session is None else _facts(session)
        return {**facts, "roles": sorted(known)}

    def acting(self, cookies: str, action_token: str) -> Role:
        """Return the role of who acts, and keep the session awake.

        Raises:
            NotSignedIn: Nobody is signed in there, or the page that sent this is none of ours.
        """
        session = self._find(cookies, stamps(self._state_dir))
        if session is None:
            raise NotSignedIn("sign in first; nothing was done", code="not_signed_in")
        if not secrets.compare_digest(session.action_token.encode(), action_token.encode()):
            raise NotSignedIn("the request does not come from this gateway's page; nothing was done", code="forged")
        session.used_s = self._monotonic()
        return session.role

    def _find(self, cookies: str, known: dict[str, str]) -> Session | None:
        with self._lock:
            return self._sessions.find(_token(cookies), stamps=known, now_s=self._monotonic())


def _facts(session: Session) -> dict[str, Any]:
    return {"role": session.role.value, "token": session.action_token}


def _token(cookies: str) -> str:
    try:
        found = SimpleCookie(cookies).get(COOKIE)
    except CookieError:
        return ""
    return "" if found is None else found.value
