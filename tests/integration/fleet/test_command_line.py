"""``sitewatt fleet`` as an installer and an operator call it, on a running private fleet."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from cloud.local.config import load_config
from cloud.local.opening import TABLES_FILE, open_tables
from cloud.stores.registry import save_registry
from edge.fleet.update.document import read_update
from sitewatt.commands.fleet import app
from tests.support.brokers.link_parts import until
from tests.support.cloud.sites import write_config
from tests.support.fleet.stand import ZONE, Stand, standing


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    """A private fleet in the folder of a local cloud."""
    async with standing(tmp_path) as running:
        yield running


async def fleet(*arguments: object, exit_code: int = 0) -> dict[str, Any]:
    """Run a command for programs and return its answer."""
    words = [*map(str, arguments), "--json"]
    result = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert result.exit_code == exit_code, result.output
    return dict(json.loads(result.stdout))


async def test_from_a_claim_to_a_gateway_and_its_end(stand: Stand, tmp_path: Path) -> None:
    """The life of a gateway by commands alone."""
    local = ("--local", stand.folder)
    claim, state = tmp_path / "claim", tmp_path / "identity"
    of = ("--serial", "sn-7", "--site", "site-7", "--zone", ZONE)
    made = await fleet("claim", "create", *of, "--out", claim, *local)
    assert made["site"] == "site-7"
    await until(lambda: made["certificate_id"] in (stand.folder / "fleet" / "acl").read_text())
    assert {path.stat().st_mode & 0o077 for path in claim.glob("claim.*")} == {0}
    assert (await fleet("status", "--state", state))["provisioned"] is False

    where = ("--endpoint", f"mqtts://localhost:{stand.doors.tls_port}", "--claim-dir", claim, "--state", state)
    assert (await fleet("provision", *where))["thing"] == "site-7"
    assert (await fleet("status", "--state", state))["thing"] == "site-7"
    listed = await fleet("list", *local)
    never = dict.fromkeys(("online", "heard_at", "software", "alarms", "alarms_at", "event", "event_at"))
    assert listed["gateways"] == [{"name": "site-7", "zone": ZONE, "serial": "sn-7", **never}]
    assert {one["serial"]: one["state"] for one in listed["serials"]} == {"sn-0001": "expected", "sn-7": "registered"}

    other = ("--endpoint", where[1], "--claim-dir", claim, "--state", tmp_path / "copy")
    assert (await fleet("provision", *other, exit_code=1))["error"]["code"] == "FleetRefused"
    renewed = await fleet("rotate", "site-7", *local)
    assert renewed["state"] == "QUEUED"
    assert (await fleet("provision", *where))["certificate_id"] in (await fleet("show", "site-7", *local))[
        "certificates"
    ]

    for words, code in (
        (("--out", tmp_path / "other"), "ResourceAlreadyExists"),
        (("--out", claim, "--again"), "exists"),
        (("--out", claim / "claim.pem" / "below"), "bad_folder"),
    ):
        refused = await fleet("claim", "create", *of, *words, *local, exit_code=1 if code[0] == "R" else 2)
        assert refused["error"]["code"] == code
    again = tmp_path / "again"
    await fleet("claim", "create", *of, "--out", again, "--again", *local)
    assert (again / "claim.json").read_text() != (claim / "claim.json").read_text()

    assert (await fleet("decommission", "site-7", "--yes", *local))["serial"] == "sn-7"
    assert (await fleet("list", *local))["gateways"] == []
    assert (await fleet("show", "site-7", *local, exit_code=1))["error"]["code"] == "ResourceNotFound"


async def test_who_stands_beside_a_gateway_has_five_minutes(stand: Stand, tmp_path: Path) -> None:
    """A trusted user's claim brings the identity, and is worthless when it is lost on the way home."""
    local = ("--local", stand.folder)
    claim, state = tmp_path / "claim", tmp_path / "identity"
    of = ("--serial", "sn-7", "--site", "site-7", "--zone", ZONE)
    made = await fleet("claim", "create", *of, "--out", claim, "--trusted-user", *local)
    papers = x509.load_pem_x509_certificate((claim / "claim.pem").read_bytes())
    assert papers.not_valid_after_utc - datetime.now(UTC) <= timedelta(minutes=5)
    await until(lambda: made["certificate_id"] in (stand.folder / "fleet" / "acl").read_text())
    where = ("--endpoint", f"mqtts://localhost:{stand.doors.tls_port}", "--claim-dir", claim, "--state", state)
    assert (await fleet("provision", *where))["thing"] == "site-7"


async def test_an_update_is_signed_as_gateways_want_it(stand: Stand, tmp_path: Path) -> None:
    """The document that the command makes is the one that a gateway takes."""
    await stand.provisioner().provision()
    key = Ed25519PrivateKey.generate()
    key_file, artefact = tmp_path / "key.pem", tmp_path / "a.whl"
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    artefact.write_bytes(b"bytes")
    of = ("--version", "1.2.0", "--artefact", artefact, "--url", "https://example.org/a.whl", "--key", key_file)
    made = await fleet("update", "site-1", *of, "--local", stand.folder)
    (job,) = stand.operator.gateway("site-1").jobs
    assert job.id == made["job"]
    document = stand.book.jobs("site-1")[0].document
    assert read_update(document, trusted=key.public_key(), running="1.0.0").version == "1.2.0"
    bad = await fleet("update", "site-1", *of[:6], "--key", artefact, "--local", stand.folder, exit_code=2)
    assert bad["error"]["code"] == "bad_update"


async def test_an_account_is_told_all_that_a_gateway_needs() -> None:
    """A policy that was written by hand is the one that fails in the field."""
    told = await fleet("documents", "--region", "eu-central-1", "--account", "123456789012")
    assert set(told["policies"]) == {"sitewatt-claim", "sitewatt-gateway"}
    arns = json.dumps(told["policies"])
    assert "arn:aws:iot:eu-central-1:123456789012:topic/$aws/certificates/create-from-csr/json" in arns
    assert told["templates"]["sitewatt-gateway"]["Resources"]["policy"]["Properties"]["PolicyName"] in told["policies"]
    assert told["thing_groups"] == ["sitewatt-gateways"]
    bad = await fleet("documents", "--region", "eu-central-1", "--account", "12", exit_code=2)
    assert bad["error"]["code"] == "bad_account"


async def test_a_folder_that_is_no_private_cloud_is_bad_input(tmp_path: Path) -> None:
    """A mistyped folder must not look like a fleet without gateways."""
    told = await fleet("list", "--local", tmp_path / "none", exit_code=2)
    assert "sitewatt cloud local --tls makes one" in told["error"]["message"]
    assert not (tmp_path / "none").exists()


async def test_a_private_cloud_without_a_fleet_lists_its_sites_and_says_what_claims_need(tmp_path: Path) -> None:
    """An operator of a house's own broker sees who is there all the same."""
    config = load_config(write_config(tmp_path, port=1))
    config.folder.mkdir()
    tables = open_tables(config.folder / TABLES_FILE)
    save_registry(tables, config.registry)
    tables.close()
    told = await fleet("list", "--local", config.folder)
    assert await fleet("list", "--local", tmp_path) == told, "the folder around it is as good, as for other commands"
    sites = {site.id for site in config.registry.sites}
    assert {one["name"] for one in told["gateways"]} == sites != set()
    assert {one["serial"] for one in told["gateways"]} == {None} and told["serials"] == []
    of = ("--serial", "sn-7", "--site", "site-7", "--zone", ZONE, "--out", tmp_path / "claim")
    refused = await fleet("claim", "create", *of, "--local", config.folder, exit_code=2)
    assert "start it with sitewatt cloud local --tls" in refused["error"]["message"]


async def test_a_claim_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    """The installer typed another folder."""
    where = ("--endpoint", "mqtts://localhost:1", "--claim-dir", tmp_path / "none", "--state", tmp_path / "state")
    assert (await fleet("provision", *where, exit_code=2))["error"]["code"] == "bad_claim"


async def test_without_a_region_one_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first thing that is missing on a new laptop."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    told = await fleet("list", "--tables", f"sqlite:///{tmp_path}/tables.db", exit_code=2)
    assert told["error"]["code"] == "bad_config"
    assert "region" in told["error"]["message"]
