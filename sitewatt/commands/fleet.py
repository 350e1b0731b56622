"""``sitewatt fleet``: claims, provisioning, certificates, updates; on AWS, or with ``--local DIR`` on the stand-in."""

import asyncio
import json
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts.reasons import file_reason_of, reason_of
from sitewatt.commands.fleet_session import answered, followed, open_hands, open_list, signed_update
from sitewatt.output import BAD_INPUT, fail, print_json, tell
from sitewatt.prompts import confirm

PAPERS = "claim.json"
ACCOUNT_DIGITS = 12

app = typer.Typer(help="The fleet of gateways: claims, provisioning, certificates, updates.", no_args_is_help=True)
claim_app = typer.Typer(help="By what right a new gateway asks for its identity.", no_args_is_help=True)
app.add_typer(claim_app, name="claim")

_Json = Annotated[bool, typer.Option("--json", help="Answer for programs.")]
_Local = Annotated[
    Path | None, typer.Option("--local", metavar="DIR", help="Folder of a local cloud; AWS (boto3) without it.")
]
_Tables = Annotated[
    str | None, typer.Option("--tables", metavar="STORE", help="The cloud's tables, as in SITEWATT_STORE.")
]
_State = Annotated[Path, typer.Option("--state", metavar="DIR", help="Where the gateway keeps its identities.")]


@claim_app.command("create")
def claim_create(
    serial: Annotated[str, typer.Option(help="Serial number of the gateway.")],
    site: Annotated[str, typer.Option(help="The site it will be.")],
    zone: Annotated[str, typer.Option(help="The zone of the site.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the claim; nobody else may read it.")],
    trusted_user: Annotated[bool, typer.Option(help="A claim for five minutes, for who stands beside it.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="A listed serial gets a new secret, and may register another key once.")
    ] = False,
    earlier: Annotated[
        bool, typer.Option("--earlier", help="For a gateway of version 0.1: the list keeps the secret itself.")
    ] = False,
    local: _Local = None,
    tables: _Tables = None,
    as_json: _Json = False,
) -> None:
    """Put a serial on the list and make a claim for it."""
    from cloud.stores.private_files import write_private
    from cloud.stores.serials import admit
    from contracts.claim_proof import Proof

    try:
        # First the folder: a secret that cannot be written down is lost, and its serial taken.
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        fail(f"{out}: {error.strerror}; nothing listed", code="bad_folder", as_json=as_json, exit_code=BAD_INPUT)
    if (out / PAPERS).exists():
        fail(f"{out} holds a claim already; nothing listed", code="exists", as_json=as_json, exit_code=BAD_INPUT)
    with open_hands(local, tables, as_json=as_json) as hands:
        secret = admit(hands.tables, serial=serial, site=site, zone=zone, again=again, earlier=earlier)
        papers = hands.operator.create_claim(trusted_user=trusted_user)
        told = {
            "serial": serial,
            "secret": secret.hex(),
            "certificate_id": papers.certificate_id,
            "proof": Proof.EARLIER if earlier else Proof.DERIVED,
        }
        write_private(out / "claim.pem", papers.certificate.encode())
        write_private(out / "claim.key", papers.key.encode())
        write_private(out / PAPERS, json.dumps(told).encode())
        if hands.ca_path is not None:
            (out / "ca.pem").write_bytes(hands.ca_path.read_bytes())
    _answer(
        {"serial": serial, "site": site, "certificate_id": papers.certificate_id, "folder": str(out)},
        f"claim for {serial} (site {site}) in {out}",
        as_json=as_json,
    )


@claim_app.command("revoke")
def claim_revoke(certificate_id: str, local: _Local = None, tables: _Tables = None, as_json: _Json = False) -> None:
    """Make a claim worthless."""
    with open_hands(local, tables, as_json=as_json) as hands:
        hands.operator.revoke_claim(certificate_id)
    _answer({"revoked": certificate_id}, f"claim {certificate_id} is revoked", as_json=as_json)


@app.command()
def provision(
    endpoint: Annotated[str, typer.Option(metavar="URL", help="The broker, mqtts://HOST[:PORT].")],
    claim_dir: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the claim.")],
    state: _State,
    template: Annotated[str, typer.Option(help="Name of the fleet's template.")] = "sitewatt-gateway",
    client: Annotated[str, typer.Option(help="Client library: mqtt or aws.")] = "mqtt",
    proxy: Annotated[str | None, typer.Option(metavar="URL", help="http://HOST:PORT; with --client aws.")] = None,
    as_json: _Json = False,
) -> None:
    """Give this gateway an identity of its own; begun ones are continued."""
    from pydantic import ValidationError

    from contracts.claim_proof import Proof
    from contracts.clock import SystemClock
    from edge.config import sentence
    from edge.errors import ConfigError, FleetError
    from edge.fleet.identity import IdentityStore, Papers
    from edge.fleet.provisioning import Claim, Provisioner
    from edge.links.settings import LinkSettings
    from edge.process.logs import log_to_standard_error

    # Each attempt that fails says why: the installer waits beside it.
    log_to_standard_error("warning")
    try:
        papers = json.loads((claim_dir / PAPERS).read_bytes())
        ca = claim_dir / "ca.pem"
        cert, key = claim_dir / "claim.pem", claim_dir / "claim.key"
        settings = LinkSettings.model_validate(
            {
                "client": client,
                "url": endpoint,
                "proxy_url": proxy,
                "ca_file": ca if ca.exists() else None,
                "cert_file": cert,
                "key_file": key,
            }
        )
        claim = Claim(
            cert_file=cert,
            key_file=key,
            client_id=f"claim-{papers['serial']}",
            serial=papers["serial"],
            secret=bytes.fromhex(papers["secret"]),
            proof=Proof(papers.get("proof", Proof.EARLIER)),
        )
    except ValidationError as error:
        fail(f"{sentence(error)}; nothing asked", code="bad_link", as_json=as_json, exit_code=BAD_INPUT)
    except (OSError, KeyError, ValueError, TypeError) as error:
        fail(
            f"claim in {claim_dir} cannot be used: {reason_of(error)}; nothing asked",
            code="bad_claim",
            as_json=as_json,
            exit_code=BAD_INPUT,
        )
    store = IdentityStore(state)
    provisioner = Provisioner(store=store, settings=settings, template=template, claim=claim, clock=SystemClock())
    try:
        # Before the claim is thrown away: the gateway renews its certificate by them.
        kept = Papers(serial=claim.serial, secret=claim.secret, template=template, proof=claim.proof)
        store.keep_papers(kept)
        identity = asyncio.run(provisioner.provision())
    except OSError as error:
        fail(f"{state}: {error.strerror}; nothing asked", code="bad_state", as_json=as_json, exit_code=BAD_INPUT)
    except ConfigError as error:
        fail(str(error), code="bad_config", as_json=as_json, exit_code=BAD_INPUT)
    except FleetError as error:
        fail(str(error), code=type(error).__name__, as_json=as_json)
    _answer(
        {
            "thing": identity.thing_name,
            "certificate_id": identity.certificate_id,
            "cert_file": str(identity.cert_file),
            "key_file": str(identity.key_file),
            "configuration": identity.configuration,
        },
        f"provisioned as {identity.thing_name}; certificate {identity.cert_file}",
        as_json=as_json,
    )


@app.command()
def status(state: _State, as_json: _Json = False) -> None:
    """Show which identity this gateway has, and how far the next one has come."""
    from edge.errors import FleetError
    from edge.fleet.identity import IdentityStore

    store = IdentityStore(state)
    try:
        active, pending = store.active(), store.pending()
    except (FleetError, OSError) as error:
        fail(file_reason_of(error), code="bad_identity", as_json=as_json)
    told = {
        "provisioned": active is not None,
        "thing": active.thing_name if active else None,
        "certificate_id": active.certificate_id if active else None,
        "pending": pending.stage.value,
        "token_until": pending.token_until.isoformat() if pending.token_until else None,
    }
    word = f"provisioned as {active.thing_name}" if active else "not provisioned"
    _answer(told, f"{word}; next identity: {pending.stage.value}", as_json=as_json)


@app.command()
def documents(
    region: Annotated[str, typer.Option(help="As eu-central-1.")],
    account: Annotated[str, typer.Option(help="Twelve digits.")],
    as_json: _Json = False,
) -> None:
    """Print what an AWS account must hold before its first gateway: policies, template, group, metrics."""
    from cloud.infra.fleet import account_documents

    if not (account.isascii() and account.isdigit() and len(account) == ACCOUNT_DIGITS):
        told = f"account {account!r} is not {ACCOUNT_DIGITS} digits; nothing printed"
        fail(told, code="bad_account", as_json=as_json, exit_code=BAD_INPUT)
    told_all = account_documents(region=region, account=account)
    _answer(told_all, json.dumps(told_all, indent=2), as_json=as_json)


@app.command("list")
def list_gateways(local: _Local = None, tables: _Tables = None, as_json: _Json = False) -> None:
    """List the gateways (online, last heard, version, alarms, newest event), and the serials still expected."""
    from cloud.shell.heard import heard_of
    from cloud.stores.serials import serials
    from contracts.clock import SystemClock

    with open_list(local, tables, as_json=as_json) as (opened, listed_gateways):
        now = SystemClock().now()
        found = [(one, heard_of(opened, one.name, now=now)) for one in listed_gateways]
        listed = [
            {"serial": item.key.sk, "site": item.body["site"], "zone": item.body["zone"], "state": _serial_state(item)}
            for item in serials(opened)
        ]
    gateways = [{"name": one.name, "zone": one.zone, "serial": one.serial, **heard.plain()} for one, heard in found]
    lines = [f"{one.name}  {one.zone}  {one.serial or 'no identity'}  {heard.words()}" for one, heard in found]
    lines += [f"{one['serial']}  {one['state']}  (site {one['site']})" for one in listed]
    _answer({"gateways": gateways, "serials": listed}, "\n".join(lines) or "no gateways", as_json=as_json)


@app.command()
def show(name: str, local: _Local = None, tables: _Tables = None, as_json: _Json = False) -> None:
    """Show one gateway: certificates, shadows, jobs."""
    with open_hands(local, tables, as_json=as_json) as hands:
        told = asdict(hands.operator.gateway(name))
    text = "\n".join(f"{key}: {json.dumps(value, default=str)}" for key, value in told.items())
    _answer(told, text, as_json=as_json)


@app.command()
def rotate(
    name: str,
    follow_s: Annotated[float, typer.Option("--follow", metavar="SECONDS", min=0, help="Wait for its end.")] = 0,
    job: Annotated[str | None, typer.Option(metavar="ID", help="Go on with a rotation that was begun.")] = None,
    local: _Local = None,
    tables: _Tables = None,
    as_json: _Json = False,
) -> None:
    """Let a gateway make a new key and certificate; once it connects by them, those of before are revoked."""
    from cloud.stores.serials import release

    job_id = job or f"renew-{uuid.uuid4().hex[:12]}"
    with open_hands(local, tables, as_json=as_json) as hands:
        if job is None:
            release(hands.tables, hands.operator.gateway(name).serial)
            hands.operator.create_job(name, job_id=job_id, document={"operation": "renew"})
        told = followed(hands.operator, name, job_id, follow_s=follow_s, as_json=as_json)
        if told["state"] == "SUCCEEDED":
            kept = told["details"].get("certificate_id", "")
            told["revoked"] = hands.operator.retire_certificates(name, keep=kept)
    if "revoked" in told:
        after = f"certificates of before revoked: {told['revoked']}"
    else:
        after = f"those of before stay good until: sitewatt fleet rotate {name} --job {job_id} --follow 300"
    _answer(told, f"job {job_id} of {name}: {told['state'].lower()}; {after}", as_json=as_json)


@app.command()
def update(
    name: str,
    version: Annotated[str, typer.Option(help="Version of the artefact, as 1.2.3.")],
    artefact: Annotated[Path, typer.Option(metavar="FILE", help="The wheel.")],
    url: Annotated[str, typer.Option(help="Where gateways fetch the very same file.")],
    key: Annotated[Path, typer.Option(metavar="FILE", help="Ed25519 key (PEM) that gateways trust.")],
    min_from: Annotated[str, typer.Option(help="Oldest version that may be updated.")] = "0.0.0",
    within_h: Annotated[float, typer.Option(min=0.1, max=8760, help="Begun within so many hours, or not.")] = 168,
    follow_s: Annotated[float, typer.Option("--follow", metavar="SECONDS", min=0, help="Wait for its end.")] = 0,
    local: _Local = None,
    tables: _Tables = None,
    as_json: _Json = False,
) -> None:
    """Give a gateway another version: signed, tried, taken back by itself when it is not well."""
    try:
        document = signed_update(version, artefact, url, key, min_from=min_from, within_h=within_h)
    except (OSError, ValueError) as error:
        fail(f"no update made: {file_reason_of(error)}", code="bad_update", as_json=as_json, exit_code=BAD_INPUT)
    job_id = f"update-{version.replace('.', '-')}-{uuid.uuid4().hex[:8]}"
    with open_hands(local, tables, as_json=as_json) as hands:
        hands.operator.create_job(name, job_id=job_id, document=document)
        told = followed(hands.operator, name, job_id, follow_s=follow_s, as_json=as_json)
    _answer(told, f"job {job_id} of {name}: {told['state'].lower()}", as_json=as_json)


@app.command()
def sign(
    version: Annotated[str, typer.Option(help="Version of the artefact, as 1.2.3.")],
    artefact: Annotated[Path, typer.Option(metavar="FILE", help="The wheel.")],
    url: Annotated[str, typer.Option(help="Where gateways fetch the very same file.")],
    key: Annotated[Path, typer.Option(metavar="FILE", help="Ed25519 key (PEM) that gateways trust.")],
    min_from: Annotated[str, typer.Option(help="Oldest version that may be updated.")] = "0.0.0",
    within_h: Annotated[float, typer.Option(min=0.1, max=8760, help="Begun within so many hours, or not.")] = 168,
) -> None:
    """Print a signed update, for the operator's console: the key stays on this machine."""
    try:
        document = signed_update(version, artefact, url, key, min_from=min_from, within_h=within_h)
    except (OSError, ValueError) as error:
        fail(f"no update made: {file_reason_of(error)}", code="bad_update", as_json=False, exit_code=BAD_INPUT)
    print_json(document)


@app.command("set")
def set_(
    name: str,
    wish: Annotated[str, typer.Argument(metavar="JSON", help='As {"telemetry": {"period_s": 30}}.')],
    shadow: Annotated[str, typer.Option(help="config or limits.")] = "config",
    follow_s: Annotated[float, typer.Option("--follow", metavar="SECONDS", min=0, help="Wait for its answer.")] = 0,
    local: _Local = None,
    tables: _Tables = None,
    as_json: _Json = False,
) -> None:
    """Change settings or lower limits of a gateway; it answers whether they were applied, or why not."""
    from edge.fleet.shadow import ShadowName

    try:
        wanted = json.loads(wish)
    except (ValueError, RecursionError) as error:
        told = f"{wish[:200]} cannot be read: {reason_of(error)}; nothing sent"
        fail(told, code="bad_wish", as_json=as_json, exit_code=BAD_INPUT)
    if not isinstance(wanted, dict) or shadow not in set(ShadowName):
        told = f"needs a JSON object and one of {', '.join(ShadowName)}; nothing sent"
        fail(told, code="bad_wish", as_json=as_json, exit_code=BAD_INPUT)
    with open_hands(local, tables, as_json=as_json) as hands:
        version = hands.operator.want(name, shadow, wanted)
        answer = answered(hands.operator, name, shadow, version, follow_s=follow_s)
    outcome = "sent" if answer is None else answer["outcome"]
    reason = f": {answer['reason']}" if answer is not None and answer.get("reason") else ""
    if outcome == "rejected":
        hint = "; it stays wished until it is changed, or withdrawn with null"
        fail(f"{name} rejected version {version}{reason}{hint}", code="rejected", as_json=as_json)
    _answer(
        {"gateway": name, "shadow": shadow, "version": version, "answer": answer},
        f"{name}: {outcome}, version {version}",
        as_json=as_json,
    )


@app.command()
def decommission(
    name: str,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    local: _Local = None,
    tables: _Tables = None,
    as_json: _Json = False,
) -> None:
    """Revoke a gateway's certificates, forget it, and retire its serial."""
    from cloud.stores.serials import retire

    if not yes and not confirm(
        f"{name} will not connect any more. Go on?", default=False, left="nothing was done", err=True
    ):
        fail("nothing done", code="not_confirmed", as_json=as_json)
    with open_hands(local, tables, as_json=as_json) as hands:
        serial = hands.operator.gateway(name).serial
        # The serial first: what fails after that leaves a gateway that cannot come back.
        retire(hands.tables, serial)
        hands.operator.decommission(name)
    _answer({"decommissioned": name, "serial": serial}, f"{name} is decommissioned", as_json=as_json)


def _serial_state(item: Any) -> str:
    if item.body.get("retired"):
        return "retired"
    if item.body.get("released"):
        return "released"
    return "registered" if item.body.get("fingerprint") else "expected"


def _answer(told: dict[str, Any], text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(told)
    else:
        tell(text)
