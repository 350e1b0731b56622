"""Where stations call: one port for all, who may come in, and how much of the machine a stranger may have.

Whoever calls says who it is by the last part of the address and proves it by a password, before anything else is read.
Connections that have not proven it are few: the oldest gives way, so nobody can fill the machine's descriptors, which
control needs for its devices. Of two connections of one station the newer one stays: the older is often a dead one.
Source: OCPP 1.6 security whitepaper edition 3, and OCPP 2.0.1 edition 2 part 2, A: security profiles 1 and 2.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import socket
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

from websockets.asyncio.server import Server, ServerConnection
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from contracts.reasons import reason_of
from edge.errors import ConfigError
from edge.ocpp.frames import FRAME_BYTES_MAX
from edge.ocpp.session import Session
from edge.ocpp.settings import OcppSettings, Version
from edge.ocpp.station import Station
from edge.private_files import read_small

log = logging.getLogger(__name__)
# The library logs what it is sent: passwords, and whatever a stranger sends.
_quiet: Final = logging.getLogger(f"{__name__}.wire")
_quiet.disabled = True

PENDING_MAX: Final = 16
OPEN_S: Final = 10.0  # Real seconds in which a caller has shaken hands.
WRONG_S: Final = 1.0  # A wrong password is answered after so long.
PING_S: Final = 20.0  # A connection that is dead is found in two of them.
QUEUE_MAX: Final = 8
BACKLOG: Final = 16
SUBPROTOCOLS: Final[Mapping[Version, str]] = {Version.V201: "ocpp2.0.1", Version.V16: "ocpp1.6"}


class CentralSystem:
    """The port, and the sessions behind it.

    Args:
        stations: Those that may call, by identity.
    """

    def __init__(self, settings: OcppSettings, stations: Mapping[str, Station]) -> None:
        self._settings = settings
        self._stations = stations
        self._sessions: dict[str, Session] = {}
        self._callers: dict[ServerConnection, Station] = {}
        self._pending: dict[asyncio.Task[None], socket.socket] = {}
        self._let_in: dict[ServerConnection, asyncio.Event] = {}
        self.refused = 0
        self.port: int | None = None

    async def run(self) -> None:
        """Let stations call until cancelled.

        Raises:
            ConfigError: The certificate cannot be used.
            OSError: The port cannot be had.
        """
        tls = self._tls()
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in self._settings.host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        server = Server(
            self._serve,
            process_request=self._judge,
            server_header=None,
            open_timeout=OPEN_S,
            logger=_quiet,
        )
        server.server = cast("asyncio.Server", _Open())
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((self._settings.host, self._settings.port))
            listening.listen(BACKLOG)
            listening.setblocking(False)
            self.port = int(listening.getsockname()[1])
            log.info("stations may call", extra={"port": self.port, "tls": tls is not None})
            while True:
                try:
                    caller, _ = await loop.sock_accept(listening)
                except OSError as error:
                    log.warning("a caller cannot be taken", extra={"reason": reason_of(error)})
                    await asyncio.sleep(1.0)
                    continue
                self._make_room()
                task = asyncio.create_task(self._open(caller, server, tls), name="a station calls")
                self._pending[task] = caller
                task.add_done_callback(lambda done: self._pending.pop(done, None))
        finally:
            listening.close()
            self.port = None
            await self._close(server)

    async def _close(self, server: Server) -> None:
        tasks = [*self._pending, *server.handlers.values()]
        for connection in list(server.handlers):
            connection.transport.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _make_room(self) -> None:
        """Turn away the oldest callers that have not proven who they are, where there are too many."""
        for task in list(self._pending)[: max(0, len(self._pending) - PENDING_MAX + 1)]:
            task.cancel()
            self._pending.pop(task, None)
            self.refused += 1

    async def _open(self, caller: socket.socket, server: Server, tls: ssl.SSLContext | None) -> None:
        """Shake hands with a caller, and wait until it has come in or gone."""
        connection: ServerConnection | None = None
        try:
            caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _, connection = await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._connection(server),
                caller,
                ssl=tls,
                ssl_handshake_timeout=None if tls is None else OPEN_S,
            )
            handler = server.handlers.get(connection)
            if handler is None:
                return
            entered = asyncio.create_task(self._let_in[connection].wait(), name="comes in")
            try:
                await asyncio.wait({handler, entered}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                entered.cancel()
        except OSError as error:
            self.refused += 1
            log.info("a caller did not shake hands", extra={"reason": reason_of(error)[:200]})
            caller.close()
        except asyncio.CancelledError:
            if connection is not None:
                connection.transport.abort()
            else:
                caller.close()
            raise
        finally:
            if connection is not None:
                self._let_in.pop(connection, None)
                self._callers.pop(connection, None)

    def _connection(self, server: Server) -> ServerConnection:
        protocol = ServerProtocol(
            subprotocols=[Subprotocol(name) for name in SUBPROTOCOLS.values()],
            select_subprotocol=lambda _, offered: self._version_of(connection, offered),
            max_size=FRAME_BYTES_MAX,
            logger=_quiet,
        )
        connection = ServerConnection(
            protocol,
            server,
            ping_interval=PING_S,
            ping_timeout=PING_S,
            close_timeout=OPEN_S,
            max_queue=QUEUE_MAX,
        )
        self._let_in[connection] = asyncio.Event()
        return connection

    def _version_of(self, connection: ServerConnection, offered: Any) -> Subprotocol | None:
        """Return what both speak, the newer version first; ``None`` where nothing is, and the caller is turned away."""
        station = self._callers.get(connection)
        if station is None:
            return None
        wanted = [v for v in SUBPROTOCOLS if station.version in (Version.AUTO, v)]
        return next((Subprotocol(SUBPROTOCOLS[v]) for v in wanted if SUBPROTOCOLS[v] in offered), None)

    async def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        """Return why a caller is turned away, ``None`` where it may come in; of its password nothing is kept."""
        name = unquote(urlsplit(request.path).path.rpartition("/")[2])
        station = self._stations.get(name)
        if station is None:
            self.refused += 1
            log.warning("an unknown station called", extra={"station": _shown(name)})
            return connection.respond(HTTPStatus.NOT_FOUND, "unknown station\n")
        if not self._is_genuine(station, request.headers.get("Authorization", "")):
            self.refused += 1
            await asyncio.sleep(WRONG_S)
            response = connection.respond(HTTPStatus.UNAUTHORIZED, "wrong password\n")
            response.headers["WWW-Authenticate"] = 'Basic realm="ocpp"'
            return response
        offered = request.headers.get_all("Sec-WebSocket-Protocol")
        names = [one.strip() for text in offered for one in text.split(",")]
        self._callers[connection] = station
        if self._version_of(connection, names) is None:
            self._callers.pop(connection)
            self.refused += 1
            station.last_error = f"it offers {_shown(', '.join(names)) or 'no version'}, and none of these is spoken"
            return connection.respond(HTTPStatus.BAD_REQUEST, "no common version\n")
        return None

    def _is_genuine(self, station: Station, header: str) -> bool:
        """Say whether a caller knows the station's password; takes as long whatever is wrong."""
        try:
            wanted = read_small(station.password_file).strip()
        except OSError as error:
            station.last_error = f"its password_file cannot be read: {error.strerror}"
            wanted = b""
        kind, _, told = header.partition(" ")
        try:
            given = base64.b64decode(told.strip(), validate=True) if kind.lower() == "basic" else b""
        except (binascii.Error, ValueError):
            given = b""
        expected = station.id.encode() + b":" + wanted
        same = hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(expected).digest())
        if not same and wanted:
            station.last_error = "somebody called with a wrong password"
            log.warning("a station called with a wrong password", extra={"station": station.id})
        return same and bool(wanted)

    async def _serve(self, connection: ServerConnection) -> None:
        """Serve a station that has come in; an older connection of it ends."""
        station = self._callers.pop(connection)
        entered = self._let_in.get(connection)
        if entered is not None:
            entered.set()
        version = next(v for v, name in SUBPROTOCOLS.items() if name == connection.subprotocol)
        session = Session(connection, station, version)
        before, self._sessions[station.id] = self._sessions.get(station.id), session
        if before is not None:
            before.drop()
        try:
            await session.run()
        except Exception as error:  # The border: what a station makes us stumble over ends its own connection.
            station.last_error = f"{type(error).__name__}: {error}"
            log.exception("a station's connection failed", extra={"station": station.id})
            raise
        finally:
            if self._sessions.get(station.id) is session:
                del self._sessions[station.id]

    def _tls(self) -> ssl.SSLContext | None:
        """Return what connections are secured with.

        Raises:
            ConfigError: The certificate or its key cannot be used.
        """
        files = self._settings.tls
        if files is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # Source: OCPP security profile 2.
        try:
            context.load_cert_chain(files.certificate, files.key)
        except OSError as error:
            raise ConfigError(f"ocpp.tls cannot be used: {reason_of(error)}; no station can call") from error
        return context


class _Open:
    """Stands for the library's listening server, which would take any number of callers: ours is open while it runs."""

    def is_serving(self) -> bool:
        """Return that it is open."""
        return True


def _shown(text: str) -> str:
    """Return what a stranger sent, fit for a log."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:48])
