"""A client's certificate takes a token's place: over the process that ships, on real TLS."""

import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import yaml
from typer.testing import CliRunner
from websockets.sync.client import connect

from cloud.doors.callers import CallerEntry, Callers
from cloud.doors.card_trust import CardPins
from cloud.doors.courier import Undelivered, deliver
from cloud.doors.letters import Letter
from cloud.doors.peers import read_peers
from cloud.errors import SetupError
from cloud.local.fleet.authority import LocalAuthority
from cloud.stores.registry import save_registry
from cloud.stores.sqlite import SqliteTables
from contracts.units import epoch_ms
from sitewatt.commands.agent import app
from tests.support.cloud.doors import ENTRIES, OPERATOR, served_process
from tests.support.cloud.sites import FEEDER, ZONE, house_in
from tests.support.market.shell import run_events, story

WAIT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Rig:
    """A server over TLS, and what clients need."""

    url: str
    authority: LocalAuthority
    folder: Path

    def trust(self, client: Path | None = None) -> ssl.SSLContext:
        """Return the settings of a client, with a certificate and its key of one file."""
        made = ssl.create_default_context(cafile=str(self.authority.ca_path))
        if client is not None:
            made.load_cert_chain(client)
        return made

    def client(self, authority: LocalAuthority, name: str) -> Path:
        """Return a file with a new certificate of an authority and its key."""
        return _client(authority, self.folder / f"{name}.pem")


def _client(authority: LocalAuthority, path: Path) -> Path:
    issued = authority.issue()
    assert issued.key is not None
    path.write_text(issued.certificate + issued.key)
    return path


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A server that knows one client by certificate, and two callers by token."""
    folder = tmp_path_factory.mktemp("doors")
    with house_in(folder) as (services, _):
        run_events(services, story())
        save_registry(services.stores.tables, services.registry)
    authority = LocalAuthority(folder / "fleet" / "authority")
    known = _client(authority, folder / "known.pem")
    told = CliRunner().invoke(
        app, ["token", "utility", "--role", "grid-operator", "--zone", ZONE, "--certificate", str(known)]
    )
    assert told.exit_code == 0, told.output
    entries = yaml.safe_load(told.output)["callers"] + [one.model_dump(mode="json") for one in ENTRIES]
    callers = folder / "callers.yaml"
    callers.write_text(yaml.safe_dump({"callers": entries}))
    cert, key = authority.server()
    tls = ("--cert", str(cert), "--key", str(key), "--client-ca", str(authority.ca_path))
    with served_process("--tables", str(folder), "--callers", str(callers), *tls) as served:
        yield Rig(url=served.url, authority=authority, folder=folder)


def test_a_known_certificate_names_its_caller_at_every_door(rig: Rig) -> None:
    """Who has one needs no token, and has the rights of his entry."""
    trust = rig.trust(rig.folder / "known.pem")
    with httpx.Client(verify=trust, base_url=rig.url, timeout=WAIT_S) as client:
        skills = {each["name"] for each in client.get("/v1/skills", params={"limit": 200}).json()["items"]}
        assert "grid_status" in skills and "market_health" not in skills
        card = client.get("/.well-known/agent-card.json").json()
        assert set(card["securitySchemes"]) == {"bearer", "mtls"}
    where = f"{rig.url.replace('https', 'wss')}/v1/live/zone/{ZONE}/socket"
    with connect(where, ssl=trust, open_timeout=WAIT_S) as socket:
        assert json.loads(socket.recv(timeout=WAIT_S))["kind"].startswith("product/")


def test_without_one_a_token_is_needed_as_before(rig: Rig) -> None:
    """A server that takes certificates takes tokens, too, and one that is shown counts alone."""
    with httpx.Client(verify=rig.trust(), base_url=rig.url, timeout=WAIT_S) as client:
        assert client.get("/v1/skills").status_code == 401
        assert client.get("/v1/skills", headers={"Authorization": f"Bearer {OPERATOR}"}).status_code == 200
    with httpx.Client(verify=rig.trust(rig.folder / "known.pem"), base_url=rig.url, timeout=WAIT_S) as client:
        assert client.get("/v1/skills", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_a_certificate_that_nobody_entered_or_that_another_signed_opens_nothing(rig: Rig) -> None:
    """The authority says that a certificate is real, the file says whose it is."""
    other = LocalAuthority(rig.folder / "elsewhere" / "authority")
    stranger = rig.client(rig.authority, "stranger")
    with httpx.Client(verify=rig.trust(stranger), base_url=rig.url, timeout=WAIT_S) as client:
        assert client.get("/v1/skills").status_code == 401
    forged = rig.client(other, "forged")
    with (
        httpx.Client(verify=rig.trust(forged), base_url=rig.url, timeout=WAIT_S) as client,
        pytest.raises(httpx.TransportError),
    ):
        client.get("/v1/skills")


def test_a_caller_whom_nothing_makes_known_and_half_of_tls_are_refused(tmp_path: Path) -> None:
    """What could let nobody in, or anybody, does not start."""
    with pytest.raises(ValueError, match="needs token_sha256 or certificate_sha256"):
        CallerEntry.model_validate({"name": "x", "role": "operator"})
    assert Callers(()).of({}, certificate="a" * 64) is not None  # Where nobody is asked who he is.
    for wrong in (("--cert", "a"), ("--key", "a"), ("--client-ca", "a")):
        done = CliRunner().invoke(app, ["serve", "--tables", str(tmp_path), *wrong, "--json"])
        assert done.exit_code == 2 and "belong together" in done.output
    done = CliRunner().invoke(app, ["token", "x", "--role", "operator", "--certificate", str(tmp_path / "none.pem")])
    assert done.exit_code == 2 and "cannot be read" in done.output


def _letter() -> Letter:
    now_ms = epoch_ms(datetime.now(UTC))
    return Letter(
        id="letter-1",
        number=1,
        peer="south",
        skill="grid_status",
        question={"feeder": FEEDER},
        written_ms=now_ms,
        expires_ms=now_ms + 3_600_000,
    )


async def test_our_agents_call_one_another_by_certificate(rig: Rig) -> None:
    """Two organisations need no shared secret: each names the other's authority."""
    settings = {"url": rig.url, "zones": [ZONE], "certificate_file": "known.pem", "ca_file": str(rig.authority.ca_path)}
    file = rig.folder / "peers.yaml"
    file.write_text(yaml.safe_dump({"peers": [{"name": "south", **settings}]}))
    (peer,) = read_peers(file)
    tables = SqliteTables.open(rig.folder / "north.db", power_safe=False)
    try:
        pins = CardPins(tables)
        assert (await deliver(peer, _letter(), pins))["feeder"] == FEEDER
        nameless = peer.model_copy(update={"certificate_file": None})
        with pytest.raises(Undelivered, match="401"):
            await deliver(nameless, _letter(), pins)
        with pytest.raises(Undelivered, match="CERTIFICATE_VERIFY_FAILED"):
            await deliver(nameless.model_copy(update={"ca_file": None}), _letter(), pins)
        gone = peer.model_copy(update={"certificate_file": rig.folder / "gone.pem"})
        with pytest.raises(Undelivered, match=r"certificates of peer south in .*gone\.pem cannot be used"):
            await deliver(gone, _letter(), pins)
    finally:
        tables.close()


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"url": "http://a", "certificate_file": "x.pem"}, "which is not https"),
        ({"url": "https://a", "key_file": "x.pem"}, "without a certificate_file"),
    ],
)
def test_certificates_that_could_serve_nothing_are_refused(tmp_path: Path, settings: dict[str, str], word: str) -> None:
    """A key that no connection would use is a mistake of who wrote it."""
    file = tmp_path / "peers.yaml"
    file.write_text(yaml.safe_dump({"peers": [{"name": "south", **settings}]}))
    with pytest.raises(SetupError, match=word):
        read_peers(file)
