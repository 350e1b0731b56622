"""The first set-up in a browser: the dialogue of ``sitewatt edge setup`` over TLS, for who holds the code.

The code stands at the terminal of who started it; a browser that gave it acts, a later one that gives it takes over.
"""

import logging
import secrets
import ssl
import time
from collections.abc import Set
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from importlib.resources import files
from threading import Lock
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import page_parts
from edge.web.actions import ActionRefused
from edge.web.conversation import AnswerRefused, Conversation
from edge.web.login import ATTRIBUTES, NotSignedIn
from edge.web.posting import TOKEN_HEADER, body_of, content_of
from edge.web.sessions import Tries
from page_parts.handler import TEXT, PageHandler
from page_parts.server import BoundedServer

log = logging.getLogger(__name__)

COOKIE: Final = "__Host-sitewatt-setup"
_FILES: Final = {"": "setup.html", "setup.js": "setup.js", "icon.svg": "icon.svg"}
_CODE_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # None that is taken for another.
_CODE_LENGTH: Final = 8
_COUNT_DIGITS: Final = 6


def new_code() -> str:
    """Return a code that nobody guesses within the tries that there are: 40 bits."""
    letters = "".join(secrets.choice(_CODE_LETTERS) for _ in range(_CODE_LENGTH))
    return f"{letters[:4]}-{letters[4:]}"


class SetupServer(BoundedServer):
    """Serves one conversation."""

    def __init__(
        self,
        address: tuple[str, int],
        conversation: Conversation,
        *,
        code: str,
        tls: ssl.SSLContext,
        names: Set[str] = frozenset(),
    ) -> None:
        """Listen.

        Args:
            address: Host and port; port 0 takes a free one.
            conversation: What is asked and answered.
            code: Whoever gives it acts.
            tls: What the connections are secured with.
            names: Host names that browsers may call it by, beside addresses and ``localhost``.

        Raises:
            OSError: The port is taken, or the address is none of this machine's.
        """
        super().__init__(address, _Handler, tls=tls)
        self.conversation = conversation
        self.names = names
        self._code = code
        self._tries = Tries()
        self._lock = Lock()
        self._session = self._token = secrets.token_urlsafe(32)  # Of nobody yet.

    def enter(self, code: object, *, address: str) -> tuple[str, str]:
        """Let a browser in, and return its cookie's value and the token that its answers carry.

        Raises:
            NotSignedIn: The code is wrong, or there were too many tries.
        """
        with self._lock:
            if not self._tries.take(address, time.monotonic()):
                raise NotSignedIn("too many tries; wait a minute", code="too_many_tries")
            given = code.strip().upper() if isinstance(code, str) else ""
            if not secrets.compare_digest(given.encode(), self._code.encode()):
                log.warning("set-up page refused", extra={"address": address, "reason": "wrong code"})
                raise NotSignedIn("this is not the code at the terminal", code="wrong_code")
            self._session, self._token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
            return self._session, self._token

    def token_of(self, cookies: str) -> str | None:
        """Return the token of who is in, ``None`` for anybody else."""
        try:
            found = SimpleCookie(cookies).get(COOKIE)
        except CookieError:
            return None
        is_in = found is not None and secrets.compare_digest(found.value.encode(), self._session.encode())
        return self._token if is_in else None


class _Handler(PageHandler):
    server: SetupServer

    def do_GET(self) -> None:
        """Answer with the page, a part of it, or what is said and asked."""
        if not self._known():
            return
        url = urlsplit(self.path)
        path = url.path.removeprefix("/")
        token = self.server.token_of(self.headers.get("Cookie", ""))
        if path == "session.json":
            self.send_json({"token": token})
        elif path == "setup.json" and token is None:
            self.refuse(HTTPStatus.FORBIDDEN, "not_signed_in", "give the code first")
        elif path == "setup.json":
            after = parse_qs(url.query).get("after", ["0"])[0]
            fits = after.isascii() and after.isdecimal() and len(after) <= _COUNT_DIGITS
            self.send_json(self.server.conversation.told(after=int(after) if fits else 0))
        elif path in _FILES:
            body = files("edge.web").joinpath("static", _FILES[path]).read_bytes()
            self.send(HTTPStatus.OK, page_parts.content_type(_FILES[path]), body)
        elif not self.send_part(path.removeprefix("parts/")):
            self.send(HTTPStatus.NOT_FOUND, TEXT, b"here is /\n")

    def do_POST(self) -> None:
        """Let a browser in, or take its answer."""
        body = body_of(self)  # Read whatever follows: a client that still sends hears no answer.
        if not self._known():
            return
        try:
            self._take(content_of(self, body))
        except NotSignedIn as error:
            self.refuse(HTTPStatus.FORBIDDEN, error.code, str(error))
        except ActionRefused as error:
            self.refuse(HTTPStatus.BAD_REQUEST, error.code, str(error))
        except AnswerRefused as error:
            self.refuse(HTTPStatus.CONFLICT, "not_asked", str(error))

    def _take(self, content: dict[str, Any]) -> None:
        path = urlsplit(self.path).path
        if path == "/enter":
            session, token = self.server.enter(content.get("code"), address=self.client_address[0])
            self.send_json({"token": token}, headers={"Set-Cookie": f"{COOKIE}={session}; {ATTRIBUTES}"})
            return
        entered = self.server.token_of(self.headers.get("Cookie", ""))
        if entered is None:
            raise NotSignedIn("give the code first; nothing was done", code="not_signed_in")
        if not secrets.compare_digest(entered.encode(), self.headers.get(TOKEN_HEADER, "").encode()):
            raise NotSignedIn("the request does not come from this page; nothing was done", code="forged")
        number, answer = content.get("number"), content.get("answer")
        if path != "/answer" or not isinstance(number, int) or not isinstance(answer, str):
            raise ActionRefused("an answer is {number, answer}, sent to /answer", code="bad_answer")
        self.server.conversation.take(number, answer)
        self.send_json({"taken": number})

    def _known(self) -> bool:
        if page_parts.known_host(self.headers.get("Host", ""), self.server.names):
            return True
        self.send(HTTPStatus.FORBIDDEN, TEXT, b"this server is not known by that name\n")
        return False
