"""Who is signed in at the page: sessions in memory, tries that are bounded, and what a request must bring along.

Sessions end with the process, half an hour after the last action, after twelve hours, and when the password changes.
"""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from edge.commands.allowance import Allowance
from edge.control.keys import Role

IDLE_S: Final = 1800.0
LIFE_S: Final = 12 * 3600.0
SESSIONS_MAX: Final = 32
# Guesses of one address, and of all: so many at once, then so many a second.
TRIES_BURST: Final = 5
TRIES_PER_S: Final = 1 / 30
ALL_TRIES_BURST: Final = 30
ALL_TRIES_PER_S: Final = 1 / 6
ADDRESSES_MAX: Final = 256


@dataclass(kw_only=True)
class Session:
    """One signed-in browser: its role, the token that its actions carry, the password that it came in with."""

    role: Role
    action_token: str
    stamp: str
    began_s: float
    used_s: float


class Sessions:
    """All sessions of a page; instants are monotonic seconds. The caller holds the lock."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def begin(self, role: Role, *, stamp: str, now_s: float) -> tuple[str, Session]:
        """Begin a session, and return the cookie's token with it; of too many the oldest ends."""
        token = secrets.token_urlsafe(32)
        session = Session(role=role, action_token=secrets.token_urlsafe(32), stamp=stamp, began_s=now_s, used_s=now_s)
        self._sessions[_key(token)] = session
        while len(self._sessions) > SESSIONS_MAX:
            self._sessions.popitem(last=False)
        return token, session

    def find(self, token: str, *, stamps: Mapping[str, str], now_s: float) -> Session | None:
        """Return the session of a cookie, ``None`` where there is none any more.

        Args:
            token: As the cookie has it.
            stamps: What the roles' passwords are now; a session outlives none.
            now_s: The instant.
        """
        session = self._sessions.get(_key(token))
        if session is None:
            return None
        over = now_s - session.used_s > IDLE_S or now_s - session.began_s > LIFE_S
        if over or stamps.get(session.role.value) != session.stamp:
            self.end(token)
            return None
        return session

    def end(self, token: str) -> None:
        """End a session; one that is not there stays so."""
        self._sessions.pop(_key(token), None)


class Tries:
    """How often somebody may still guess."""

    def __init__(self) -> None:
        self._all = Allowance(burst=ALL_TRIES_BURST, per_s=ALL_TRIES_PER_S)
        self._by_address: OrderedDict[str, Allowance] = OrderedDict()

    def take(self, address: str, now_s: float) -> bool:
        """Use up a try of an address, and say whether there was one; a refused address uses up nobody else's."""
        tries = self._by_address.setdefault(address, Allowance(burst=TRIES_BURST, per_s=TRIES_PER_S))
        self._by_address.move_to_end(address)
        while len(self._by_address) > ADDRESSES_MAX:
            self._by_address.popitem(last=False)
        return tries.take(now_s) and self._all.take(now_s)


def _key(token: str) -> str:
    """Return what is kept of a token: who reads our memory or looks up by time learns none."""
    return hashlib.sha256(token.encode()).hexdigest()
