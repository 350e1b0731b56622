"""The doors of a run's broker: gateways come by TLS with certificates of their own, which end or are wrong for a while.

Each gateway has a door that ends its TLS and passes on what it says to the broker. Behind a certificate that ended,
that another authority signed, that was revoked or that is half written nobody comes in; where the door itself shows
one of another authority the gateway must say nothing; and once the file is renewed it comes back by itself.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import yaml

from cloud.local.fleet.authority import LocalAuthority
from contracts.clock import Clock
from sitewatt.demo import files
from sitewatt.swarm.plan import FaultKind, Plan

ENDED, FOREIGN, REVOKED, TORN, DOOR, RENEWED = "ended", "foreign", "revoked", "torn", "door", "renewed"
CERTIFICATES: Final = (ENDED, FOREIGN, REVOKED, TORN, DOOR, RENEWED)
"""What becomes of a certificate. ``DOOR``: the broker shows one of another authority; ``RENEWED`` is no fault."""
RECONNECT_S_MAX: Final = 3.0  # Real seconds: a link comes back before the promises of the site's time are due.
_HOST: Final = "127.0.0.1"
_CHUNK: Final = 65_536


@dataclass(frozen=True, kw_only=True)
class Session:
    """A gateway came in at a site instant, and said something; ``wrong`` is what was wrong with its certificate."""

    gateway: str
    at_s: float
    wrong: str


class Doors:
    """The doors of a run, one for each gateway."""

    def __init__(self, plan: Plan) -> None:
        self.sessions: list[Session] = []
        self._plan = plan
        self._ports = {name: files.free_port() for name in plan.gateways}
        self._wrong = dict.fromkeys(plan.gateways, "")
        self._revoked: set[int] = set()
        self._servers: dict[str, asyncio.Server] = {}
        self._inside: set[asyncio.Task[None]] = set()
        self._open: dict[str, set[asyncio.StreamWriter]] = {name: set() for name in plan.gateways}

    @staticmethod
    def wanted(plan: Plan) -> bool:
        """Say whether a plan speaks of certificates."""
        return any(fault.kind is FaultKind.CERTIFICATE for fault in plan.faults)

    def wire(self, folder: Path) -> None:
        """Give each gateway a certificate, and lead its link through its door."""
        self._folder = folder
        self._ours, self._others = (LocalAuthority(folder / "authorities" / name) for name in ("ours", "others"))
        self._ours.revoke(())
        for name in self._plan.gateways:
            self._give(name, RENEWED)
            path = files.gateway(folder, name)
            content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
            link = content["link"]
            self._broker_port = int(str(link["url"]).rpartition(":")[2])
            link |= {
                "url": f"mqtts://{_HOST}:{self._ports[name]}",
                "ca_file": str(self._ours.ca_path),
                "cert_file": str(self._cert(name)),
                "key_file": str(self._key(name)),
                "reconnect_s_max": RECONNECT_S_MAX,
            }
            path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    @contextlib.asynccontextmanager
    async def standing(self, clock: Clock) -> AsyncIterator[None]:
        """Let gateways in for the block."""
        self._clock = clock
        try:
            for name in self._plan.gateways:
                await self._stand(name)
            yield
        finally:
            for name in list(self._servers):
                self._shut(name)
            await asyncio.gather(*self._inside, return_exceptions=True)

    async def strike(self, gateway: str, what: str, *, for_s: float) -> None:
        """Let a certificate be wrong for so long of the site's time, then renew it."""
        await self.turn(gateway, what)
        try:
            await self._clock.sleep(for_s)
        finally:
            await self.turn(gateway, RENEWED)

    async def turn(self, gateway: str, what: str) -> None:
        """Let a certificate be wrong from now on, or renew it; whoever was in is out."""
        self._wrong[gateway] = "" if what == RENEWED else what
        self._give(gateway, what)
        await self._stand(gateway)

    def _give(self, name: str, what: str) -> None:
        """Write the certificate of a gateway, as it is then."""
        authority = self._others if what == FOREIGN else self._ours
        issued = authority.issue(valid_for=timedelta(hours=-1) if what == ENDED else None)
        if what == REVOKED:
            self._revoked.add(issued.serial_number)
            self._ours.revoke(self._revoked)
        text = issued.certificate[: len(issued.certificate) // 2] if what == TORN else issued.certificate
        self._key(name).touch(mode=0o600)
        self._key(name).write_text(issued.key or "", encoding="ascii")
        self._cert(name).write_text(text, encoding="ascii")

    async def _stand(self, name: str) -> None:
        """Open the door of a gateway anew; who was in is out."""
        self._shut(name)
        authority = self._others if self._wrong[name] == DOOR else self._ours
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.server())
        context.load_verify_locations(self._ours.ca_path)
        context.load_verify_locations(self._ours.revocation_path)
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF

        async def come_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._inside.add(task)
            task.add_done_callback(self._inside.discard)
            await self._come_in(name, reader, writer)

        self._servers[name] = await asyncio.start_server(come_in, _HOST, self._ports[name], ssl=context)

    def _shut(self, name: str) -> None:
        if (server := self._servers.pop(name, None)) is not None:
            server.close()
        for writer in self._open[name]:
            writer.transport.abort()
        self._open[name].clear()

    async def _come_in(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError), self._held(name, writer):
            to_broker, broker = await asyncio.open_connection(_HOST, self._broker_port)
            with self._held(name, broker):
                back = asyncio.create_task(_pass_on(to_broker, writer), name=f"from the broker to {name}")
                try:
                    first = await reader.read(_CHUNK)
                    if first:
                        self.sessions.append(
                            Session(gateway=name, at_s=self._clock.monotonic(), wrong=self._wrong[name])
                        )
                        broker.write(first)
                    there = asyncio.create_task(_pass_on(reader, broker), name=f"from {name} to the broker")
                    await asyncio.wait({back, there}, return_when=asyncio.FIRST_COMPLETED)
                    there.cancel()
                finally:
                    back.cancel()

    @contextlib.contextmanager
    def _held(self, name: str, writer: asyncio.StreamWriter) -> Iterator[None]:
        self._open[name].add(writer)
        try:
            yield
        finally:
            self._open[name].discard(writer)
            writer.transport.abort()

    def _cert(self, name: str) -> Path:
        return self._folder / f"{name}.cert.pem"

    def _key(self, name: str) -> Path:
        return self._folder / f"{name}.key.pem"


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes until it ends or cannot be passed on."""
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
