"""Serves the gateway's page to browsers, its figures to Prometheus, its health to who watches it.

It asks the gateway as ``sitewatt edge status`` does, and reads the history beside it. A page that hangs, or is flooded,
takes nothing from a control cycle. Whoever reaches it may read; over TLS, whoever signs in may act.
"""

import json
import sqlite3
import ssl
from collections.abc import Callable
from http import HTTPStatus
from importlib.resources import files
from threading import BoundedSemaphore, Event
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import page_parts
from edge.agent.site_tariff import SiteTariff
from edge.config import SiteConfig
from edge.errors import StatusUnavailable
from edge.web import skills
from edge.web.actions import ActionRefused, action_of
from edge.web.course import Unwritten, all_written, names_of, read_course
from edge.web.latest import FRESH_S, Latest
from edge.web.login import Login, NotSignedIn
from edge.web.notes import notes
from edge.web.posting import TOKEN_HEADER, body_of, content_of
from edge.web.proof import Proof
from edge.web.tables import Plain, tables
from page_parts.handler import HTML, TEXT, PageHandler
from page_parts.server import BoundedServer

OWN: Final = ("index.html", "page.js", "steering.js", "words/en.json", "words/de.json", "manifest.json", "icon.svg")
EVENTS: Final = "text/event-stream"
STREAMS_MAX: Final = 8  # Of the clients that are served at once; the others can always ask.
_EPOCH_DIGITS: Final = 12
_WAIT_S: Final = "60"
_HERE: Final = (
    b"here are /, /status.json, /history.json, /proof.json, /v1/skills, /openapi.json, /metrics, /health, /ready\n"
)


class PageServer(BoundedServer):
    """An HTTP server of the gateway's page and what it is made of."""

    def __init__(
        self,
        address: tuple[str, int],
        config: SiteConfig,
        ask: Callable[[], Plain],
        *,
        names: frozenset[str] = frozenset(),
        tls: ssl.SSLContext | None = None,
        login: Login | None = None,
        secure_port: int | None = None,
        unwritten: Unwritten = all_written,
    ) -> None:
        """Listen.

        Args:
            address: Host and port; port 0 takes a free one.
            config: Of the site that is shown.
            ask: Returns the gateway's status.
            names: Host names that browsers may call it by, beside addresses and ``localhost``.
            tls: What the connections are secured with; without it they are plain.
            login: Who may act here; ``None`` where nobody may, which is so on every plain connection.
            secure_port: Where those who want to act find the page over TLS, told on the plain one.
            unwritten: What the gateway's history holds in memory.

        Raises:
            OSError: The port is taken, or the address is none of this machine's.
        """
        assert login is None or tls is not None, "passwords travel over TLS alone"
        super().__init__(address, _Handler, tls=tls)
        self.ask = ask
        self.latest = Latest(ask)
        self.streams = BoundedSemaphore(STREAMS_MAX)
        self.ending = Event()
        self.names = names
        self.login = login
        self.secure_port = secure_port
        self._config = config
        self._state_dir = config.state_dir
        self.proof = Proof(config.state_dir)
        self._history_names = names_of(config)
        self._unwritten = unwritten
        tariff = SiteTariff(config.trading)
        self._rates = None if tariff.follows_market else lambda at: tariff.at(at, None)

    def shutdown(self) -> None:
        """Stop serving, the streams too."""
        self.ending.set()
        super().shutdown()

    @property
    def gateway(self) -> skills.Gateway:
        """Return what the skills of this site stand on."""
        return skills.Gateway(config=self._config, ask=self.ask, course=self.course)

    def course(self, first_s: int, last_s: int) -> dict[str, Any]:
        """Return what the history holds of a span.

        Raises:
            ValueError: The span cannot be used.
            sqlite3.Error: There is no history yet, or it cannot be read.
        """
        return read_course(
            self._state_dir,
            self._history_names,
            first_s=first_s,
            last_s=last_s,
            rates=self._rates,
            unwritten=self._unwritten,
        )


class _Handler(PageHandler):
    server: PageServer

    def do_GET(self) -> None:
        """Answer with the page, a part of it, or what it shows."""
        if self._known():
            self._answer()

    def do_POST(self) -> None:
        """Sign in or out, or act; on a plain connection nobody can."""
        body = body_of(self)  # Read whatever follows: a client that still sends hears no answer.
        if not self._known():
            return
        login = self.server.login
        if login is None:
            self.refuse(HTTPStatus.FORBIDDEN, "read_only", self._where_to_act())
            return
        try:
            self._act(login, content_of(self, body))
        except NotSignedIn as error:
            too_many = error.code == "too_many_tries"
            status = HTTPStatus.TOO_MANY_REQUESTS if too_many else HTTPStatus.FORBIDDEN
            self.refuse(status, error.code, str(error), headers={"Retry-After": _WAIT_S} if too_many else None)
        except ActionRefused as error:
            self.refuse(HTTPStatus.CONFLICT, error.code, str(error))

    def _known(self) -> bool:
        """Say whether this server is called by a name of its own; who calls it otherwise is told off."""
        if page_parts.known_host(self.headers.get("Host", ""), self.server.names):
            return True
        self.send(HTTPStatus.FORBIDDEN, TEXT, b"this server is not known by that name\n")
        return False

    def _act(self, login: Login, content: Any) -> None:
        """Do what a body asks.

        Raises:
            NotSignedIn: By nobody who may.
            ActionRefused: It is not done.
        """
        cookies = self.headers.get("Cookie", "")
        match urlsplit(self.path).path:
            case "/login":
                entered = login.enter(content.get("role"), content.get("password"), address=self.client_address[0])
                self.send_json(entered.facts, headers={"Set-Cookie": entered.cookie})
            case "/logout":
                login.acting(cookies, self.headers.get(TOKEN_HEADER, ""))
                self.send_json({"role": None}, headers={"Set-Cookie": login.leave(cookies)})
            case "/action":
                role = login.acting(cookies, self.headers.get(TOKEN_HEADER, ""))
                done = login.steering.do(action_of(content, role), role)
                self.send_json({"said": done.said, **done.facts})
            case _:
                raise ActionRefused("here are /login, /logout and /action", code="unknown_path")

    def _where_to_act(self) -> str:
        port = self.server.secure_port
        return "this page is read-only" if port is None else f"sign in over TLS, on port {port}"

    def _answer(self) -> None:
        url = urlsplit(self.path)
        path = url.path.removeprefix("/") or "index.html"
        match path:
            case "state.json":
                self._with_status(lambda status: {"status": status, "notes": notes(status)})
            case "live":
                self._live()
            case "status.json":
                self._with_status(lambda status: status)
            case "session.json":
                self._session()
            case "tables.html":
                self._tables()
            case "history.json":
                self._history(url.query)
            case "proof.json":
                self._proof(url.query)
            case "metrics":
                self._metrics()
            case "health":
                self.send(HTTPStatus.OK, TEXT, b"ok\n")
            case "ready":
                self._ready()
            case "openapi.json" | "v1/skills":
                made = skills.openapi if path == "openapi.json" else skills.listed
                self.send_json(made(self.server.gateway))
            case _ if path.startswith("v1/skills/"):
                self._skill(path.removeprefix("v1/skills/"), url.query)
            case _:
                self._file(path)

    def _live(self) -> None:
        """Tell the state again and again as server-sent events, until the browser goes away."""
        if not self.server.streams.acquire(blocking=False):
            told = f"{STREAMS_MAX} browsers look live already; ask /state.json"
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too_many", told)
            return
        try:
            self.begin(HTTPStatus.OK, EVENTS)
            self.wfile.write(b"retry: 2000\n\n")
            while not self.server.ending.is_set():
                self.wfile.write(self._event())
                self.server.ending.wait(FRESH_S)
        except OSError:
            pass  # The browser went away, which is how a stream ends.
        finally:
            self.server.streams.release()

    def _event(self) -> bytes:
        try:
            status = self.server.latest()
        except StatusUnavailable as error:
            return b"event: gone\ndata: " + json.dumps(str(error)).encode() + b"\n\n"
        return b"data: " + json.dumps({"status": status, "notes": notes(status)}).encode() + b"\n\n"

    def _skill(self, name: str, query: str) -> None:
        try:
            told = skills.answer(self.server.gateway, name, query)
        except skills.SkillRefused as error:
            self.send(error.status, skills.PROBLEM, error.body)
        else:
            self.send_json(told)

    def _session(self) -> None:
        login = self.server.login
        nobody: dict[str, Any] = {"role": None, "token": None, "roles": [], "secure_port": self.server.secure_port}
        self.send_json(nobody if login is None else {**nobody, **login.told(self.headers.get("Cookie", ""))})

    def _file(self, path: str) -> None:
        if path in OWN:
            self.send(HTTPStatus.OK, page_parts.content_type(path), _static(path))
        elif not self.send_part(path.removeprefix("parts/")):
            self.send(HTTPStatus.NOT_FOUND, TEXT, _HERE)

    def _with_status(self, made: Callable[[Plain], Any]) -> None:
        try:
            status = self.server.ask()
        except StatusUnavailable as error:
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "not_running", str(error))
            return
        self.send_json(made(status))

    def _tables(self) -> None:
        try:
            body = tables(self.server.ask())
        except StatusUnavailable as error:
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "not_running", str(error))
            return
        self.send(HTTPStatus.OK, HTML, body.encode())

    def _history(self, query: str) -> None:
        asked = parse_qs(query)
        try:
            first_s, last_s = _epoch_s(asked, "from"), _epoch_s(asked, "to")
            course = self.server.course(first_s, last_s)
        except ValueError as error:
            self.refuse(HTTPStatus.BAD_REQUEST, "bad_span", str(error))
        except sqlite3.Error as error:
            self.refuse(HTTPStatus.NOT_FOUND, "no_history", f"nothing is kept yet: {error}")
        else:
            self.send_json(course)

    def _proof(self, query: str) -> None:
        """Answer with the newest events in short, or with every record of the one that is named."""
        event = parse_qs(query).get("event", [None])[0]
        try:
            told = self.server.proof.newest() if event is None else self.server.proof.whole(event)
        except (sqlite3.Error, ValueError) as error:
            self.refuse(HTTPStatus.NOT_FOUND, "no_proof", f"the proof cannot be read: {error}")
        else:
            self.send_json(told)

    def _metrics(self) -> None:
        from edge.web.metrics import CONTENT_TYPE, exposition  # Only a gateway that is asked bears its memory.

        try:
            status: Plain | None = self.server.ask()
        except StatusUnavailable:
            status = None
        self.send(HTTPStatus.OK, CONTENT_TYPE, exposition(status))

    def _ready(self) -> None:
        try:
            controls = self.server.ask()["cycle"] is not None
        except StatusUnavailable:
            controls = False
        if controls:
            self.send(HTTPStatus.OK, TEXT, b"ready\n")
        else:
            self.send(HTTPStatus.SERVICE_UNAVAILABLE, TEXT, b"not ready: no control cycle was seen\n")


def _static(path: str) -> bytes:
    return files("edge.web").joinpath("static", *path.split("/")).read_bytes()


def _epoch_s(asked: dict[str, list[str]], name: str) -> int:
    """Return an epoch second of a query.

    Raises:
        ValueError: It is missing or none.
    """
    told = asked.get(name, [""])[0]
    if not told.isascii() or not told.isdecimal() or len(told) > _EPOCH_DIGITS:
        raise ValueError(f"{name}={told!r} must be an epoch second; /history.json?from=1773746400&to=1773832800")
    return int(told)
