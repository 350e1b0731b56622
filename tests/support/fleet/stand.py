"""A private fleet for the test: broker with client certificates, services, an operator, a gateway's papers."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiomqtt

from cloud.infra.fleet import TEMPLATE_NAME
from cloud.local.fleet.authority import LocalAuthority
from cloud.local.fleet.book import Book
from cloud.local.fleet.broker import Doors
from cloud.local.fleet.fault_injection import FaultInjection
from cloud.local.fleet.operator import LocalOperator
from cloud.local.fleet.passwords import CLOUD_USER, PlainDoor
from cloud.local.fleet.responder import Responder
from cloud.local.fleet.run import FleetFolder, running_fleet
from cloud.stores.serials import admit
from cloud.stores.sqlite import SqliteTables
from cloud.stores.tables import Tables
from contracts.claim_proof import Proof
from contracts.clock import Clock, scaled_clock
from edge.fleet.identity import Identity, IdentityStore
from edge.fleet.provisioning import Claim, Provisioner
from edge.links.settings import Client, LinkSettings
from tests.support.brokers.broker import free_port
from tests.support.brokers.link_parts import AT

SERIAL = "sn-0001"
SITE = "site-1"
ZONE = "zone-a"


@dataclass
class Stand:
    """A running private fleet with one admitted serial."""

    folder: Path
    doors: Doors
    clock: Clock
    responder: Responder
    book: Book
    tables: Tables
    operator: LocalOperator
    authority: LocalAuthority
    secret: bytes
    claim_id: str
    claim_cert: Path
    claim_key: Path

    @property
    def fault_injection(self) -> FaultInjection:
        """Return what the services do wrong."""
        return self.responder.fault_injection

    def settings(self, client: Client, *, identity: Identity | None = None, port: int | None = None) -> LinkSettings:
        """Return a link's settings, with the claim or with an identity."""
        return LinkSettings(
            client=client,
            url=f"mqtts://localhost:{port or self.doors.tls_port}",
            ca_file=self.authority.ca_path,
            cert_file=identity.cert_file if identity else self.claim_cert,
            key_file=identity.key_file if identity else self.claim_key,
            throttle=False,
            reconnect_s_min=0.05,
            reconnect_s_max=0.2,
        )

    def provisioner(
        self,
        client: Client = Client.MQTT,
        *,
        store: IdentityStore | None = None,
        answer_timeout_s: float = 5.0,
        secret: bytes | None = None,
        serial: str = SERIAL,
        port: int | None = None,
    ) -> Provisioner:
        """Return a provisioner as a fresh process of the gateway would make it."""
        return Provisioner(
            store=store or self.store(),
            settings=self.settings(client, port=port),
            template=TEMPLATE_NAME,
            claim=Claim(
                cert_file=self.claim_cert,
                key_file=self.claim_key,
                client_id=f"claim-{serial}",
                serial=serial,
                secret=secret or self.secret,
                proof=Proof.DERIVED,
            ),
            clock=scaled_clock(started_at=AT, speed=1000),
            answer_timeout_s=answer_timeout_s,
        )

    def plain_client(self, user: str = CLOUD_USER) -> aiomqtt.Client:
        """Return a client of the plain door: the cloud's own, or the operator's."""
        password = PlainDoor(folder=self.folder / "fleet").password(user)
        return aiomqtt.Client("127.0.0.1", self.doors.plain_port, username=user, password=password)

    def store(self) -> IdentityStore:
        """Return the gateway's identities as they are on the disk."""
        return IdentityStore(self.folder / "gateway")


@contextlib.asynccontextmanager
async def standing(folder: Path) -> AsyncIterator[Stand]:
    """Run a private fleet for the block."""
    clock = scaled_clock(started_at=AT, speed=1)
    place = FleetFolder(folder=folder / "fleet")
    doors = Doors(plain_port=free_port(), tls_port=free_port())
    tables_path = folder / "tables.db"
    async with contextlib.AsyncExitStack() as stack:
        tables = SqliteTables.open(tables_path)
        stack.callback(tables.close)
        authority = LocalAuthority(place.authority_folder)
        book = Book.open(place.book_path)
        stack.callback(book.close)
        operator = LocalOperator(book=book, authority=authority, clock=clock)
        claim = operator.create_claim(trusted_user=False)
        cert, key = folder / "claim.pem", folder / "claim.key"
        cert.write_text(claim.certificate)
        key.write_text(claim.key)
        secret = admit(tables, serial=SERIAL, site=SITE, zone=ZONE)
        responder = await stack.enter_async_context(
            running_fleet(folder=place.folder, tables_path=tables_path, doors=doors, clock=clock)
        )
        yield Stand(
            folder=folder,
            doors=doors,
            clock=clock,
            responder=responder,
            book=book,
            tables=tables,
            operator=operator,
            authority=authority,
            secret=secret,
            claim_id=claim.certificate_id,
            claim_cert=cert,
            claim_key=key,
        )
