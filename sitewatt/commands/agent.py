"""``sitewatt agent``: what the five agents can do, asked from the command line or through doors for others."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from contracts.skills.base import Agent, Effect, Role
from contracts.wire import PAYLOAD_BYTES_MAX
from sitewatt.commands import agent_letters, agent_report
from sitewatt.commands.agent_model import (
    CentsOption,
    GuardrailOption,
    ModelOption,
    ModelRegionOption,
    ModelUrlOption,
    PriceReadOption,
    PriceWrittenOption,
    Reasoner,
    ReasonerOption,
    SiteValuesOption,
    bounds_of,
    check_model,
    model_of,
)
from sitewatt.commands.agent_tables import (
    AwsOption,
    EndpointOption,
    JsonOption,
    RegionOption,
    StackOption,
    TablesOption,
    arguments_of,
    local_caller,
    offering_of,
    office_over,
    opened_tables,
    tables_of,
    tables_path,
)
from sitewatt.output import BAD_INPUT, FAILED, fail, print_json, tell

if TYPE_CHECKING:
    pass

# Beside the tables, for its owner alone.
CARD_KEY: Final = "agent-cards.pem"

app = typer.Typer(help="The five agents: list what they can do, call a skill, open doors.", no_args_is_help=True)


app.command("tell")(agent_letters.tell)
app.command("letters")(agent_letters.letters)
app.command("report")(agent_report.report)


RoleOption = Annotated[Role, typer.Option("--as", help="In whose role; rights are checked as for anybody else.")]
ZoneGrant = Annotated[list[str] | None, typer.Option("--zone", help="A granted zone; all of them without it.")]
SiteGrant = Annotated[list[str] | None, typer.Option("--site", help="A granted site; all of them without it.")]


@app.command(name="list")
def list_skills(
    agent: Annotated[Agent | None, typer.Option(help="One agent; all five without it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the skills: whose they are, what they may change, who may call them."""
    from cloud.agents.skills import SKILLS

    chosen = [each for each in SKILLS if agent is None or each.agent is agent]
    if as_json:
        print_json({"skills": [_described(each) for each in chosen]})
        return
    for each in chosen:
        tell(f"{each.agent:18} {each.name:26} {each.effect:9} {each.promise}")


@app.command()
def call(
    name: Annotated[str, typer.Argument(help="A skill, see `sitewatt agent list`.")],
    tables: TablesOption,
    arg: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="One field of the question.")] = None,
    question: Annotated[str | None, typer.Option(metavar="JSON", help="The whole question; - for a file.")] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key; needed by what acts.")] = None,
    role: RoleOption = Role.OPERATOR,
    zone: ZoneGrant = None,
    site: SiteGrant = None,
    as_json: JsonOption = False,
) -> None:
    """Call one skill over a cloud's tables; the call is recorded there."""
    import contextlib

    from cloud.errors import CallConflict, CloudError, SkillDenied, SkillError

    arguments = arguments_of(arg or [], question, as_json)
    store, registry = opened_tables(tables, as_json)
    with contextlib.closing(store):
        try:
            reply = office_over(store, registry, tables).call(
                local_caller(role, zone, site), name, arguments, door="command line", key=key
            )
        except SkillDenied as error:
            fail(str(error), code="denied", as_json=as_json)
        except CallConflict as error:
            fail(str(error), code="conflict", as_json=as_json)
        except SkillError as error:
            fail(str(error), code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
        except CloudError as error:
            fail(str(error), code="store", as_json=as_json)
    if as_json:
        print_json({"answer": reply.answer, "record": reply.record, "repeated": reply.repeated})
        return
    tell(json.dumps(reply.answer, indent=2, ensure_ascii=False), line_characters_max=PAYLOAD_BYTES_MAX)


@app.command()
def serve(
    tables: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A run's folder, or that of a cloud's tables.")
    ] = None,
    aws: AwsOption = False,
    name: StackOption = "sitewatt",
    region: RegionOption = "eu-central-1",
    endpoint: EndpointOption = None,
    agent: Annotated[Agent | None, typer.Option(help="Serve one agent; all five without it.")] = None,
    host: Annotated[str, typer.Option(help="Where to listen; beyond this machine only with --callers.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0 is any free port.")] = 8080,
    callers: Annotated[Path | None, typer.Option(metavar="FILE", help="Who may come in, by token.")] = None,
    cert: Annotated[Path | None, typer.Option(metavar="FILE", help="The server's certificate (PEM), for TLS.")] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key (PEM).")] = None,
    client_ca: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Who signs clients' certificates (PEM): they may take a token's place."),
    ] = None,
    stdio: Annotated[bool, typer.Option("--stdio", help="Speak MCP to the program that started this one.")] = False,
    role: RoleOption = Role.OPERATOR,
    public_url: Annotated[str | None, typer.Option(metavar="URL", help="How others reach it, for the cards.")] = None,
    card_key_file: Annotated[
        Path | None,
        typer.Option(
            "--card-key",
            metavar="FILE",
            help="Signs the cards (P-256, PEM); made without it: beside the tables, with --aws in this folder.",
        ),
    ] = None,
    peers: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Other organisations' agents; letters to them are delivered.")
    ] = None,
    issuer: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="An authorization server that clients are pointed to.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Open the doors: MCP at /mcp, REST at /v1 (described by /openapi.json), A2A below /agents/."""
    from cloud.doors.app import build_app
    from cloud.doors.callers import LOOPBACK
    from cloud.doors.card_key import card_key
    from cloud.doors.peers import read_peers
    from cloud.doors.serve import listen, serve_http, serve_stdio
    from cloud.errors import CloudError
    from cloud.infra.deployment.account import Account

    if callers is None and host not in LOOPBACK:
        sentence = f"{host} can be reached by others; name who may come in with --callers FILE"
        fail(sentence, code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
    if (cert is None) is not (key is None) or (client_ca is not None and cert is None):
        sentence = "--cert and --key belong together, and --client-ca needs them"
        fail(sentence, code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
    account = Account(stack=name, region=region, endpoint=endpoint) if aws else None
    with tables_of(tables, account, as_json=as_json) as (store, registry):
        try:
            offering = offering_of(store, registry, folder=tables, callers=callers, agent=agent)
            if stdio:
                local = local_caller(role, None, None)
                serve_stdio(offering, replace(local, effects=local.effects - {Effect.ACTS}))
                return
            with listen(host, port) as listener:
                address = f"{'http' if cert is None else 'https'}://{host}:{listener.getsockname()[1]}"
                if as_json:
                    print_json({"url": address})
                else:
                    tell(f"agents at {address}: MCP {address}/mcp, REST {address}/v1, {address}/openapi.json")
                doors = build_app(
                    offering,
                    url=public_url or address,
                    host=host,
                    authorization_servers=issuer or (),
                    peers=read_peers(peers) if peers is not None else (),
                    key=card_key(card_key_file or _beside(tables, as_json) / CARD_KEY),
                )
                serve_http(doors, listener, cert=cert, key=key, client_ca=client_ca)
        except CloudError as error:
            fail(str(error), code="setup", as_json=as_json, exit_code=BAD_INPUT)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="In plain words.")],
    tables: TablesOption,
    reasoner: ReasonerOption = Reasoner.NONE,
    model: ModelOption = "",
    endpoint: ModelUrlOption = None,
    region: ModelRegionOption = None,
    guardrail: GuardrailOption = None,
    site_values: SiteValuesOption = False,
    apply: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SKILL", help="Do what is proposed of this kind if the core accepts it; else it is shown."
        ),
    ] = None,
    turns: Annotated[int, typer.Option(min=1, max=50, help="How often the model may be asked.")] = 8,
    tokens: Annotated[int, typer.Option(min=100, max=1_000_000, help="How much it may read and write.")] = 40_000,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="How long it may take.")] = 60.0,
    cents: CentsOption = None,
    price_read: PriceReadOption = None,
    price_written: PriceWrittenOption = None,
    role: RoleOption = Role.OPERATOR,
    zone: ZoneGrant = None,
    site: SiteGrant = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the agents in plain words: a language model reads with your rights, and may only propose."""
    import contextlib
    from dataclasses import asdict

    from cloud.errors import CloudError
    from cloud.shell.ask_agents import ask as ask_agents

    if reasoner is Reasoner.NONE:
        sentence = "no model is configured (--reasoner, --model); `sitewatt agent call` answers without one"
        fail(sentence, code="no_reasoner", as_json=as_json)
    check_model(reasoner, model, endpoint, guardrail, as_json=as_json)
    bounds = bounds_of(
        turns=turns,
        tokens=tokens,
        seconds=seconds,
        cents=cents,
        price_read=price_read,
        price_written=price_written,
        as_json=as_json,
    )
    store, registry = opened_tables(tables, as_json)
    with contextlib.closing(store):
        local = local_caller(role, zone, site)
        granted = local if apply else replace(local, effects=local.effects - {Effect.ACTS})
        try:
            talk = ask_agents(
                question,
                model=model_of(reasoner, model, endpoint, region, guardrail),
                caller=granted,
                applies=frozenset(apply or ()),
                office=office_over(store, registry, tables),
                tables=store,
                bounds=bounds,
                site_values=site_values,
            )
        except CloudError as error:
            fail(str(error), code="store", as_json=as_json)
    if as_json:
        print_json(
            {
                "answer": talk.answer,
                "stop": talk.stop,
                "detail": talk.detail,
                "turns": talk.turns,
                "tokens": talk.tokens,
                "money_uct": talk.money_uct,
                "proposals": [asdict(one) for one in talk.proposals],
            }
        )
    for proposal in talk.proposals if not as_json else ():
        word = "done" if proposal.applied else "would hold" if proposal.accepted else "refused"
        tell(f"proposal {proposal.skill} {json.dumps(dict(proposal.question))}: {word}: {proposal.reason}")
    if talk.answer is None:
        if not as_json:
            tell(f"no answer: {talk.stop}{': ' + talk.detail if talk.detail else ''}", err=True)
        raise typer.Exit(FAILED)
    if not as_json:
        tell(talk.answer, line_characters_max=PAYLOAD_BYTES_MAX)


@app.command()
def token(
    name: Annotated[str, typer.Argument(help="Who gets it.")],
    role: Annotated[Role, typer.Option(help="What the caller is to the market.")],
    zone: ZoneGrant = None,
    site: SiteGrant = None,
    acts: Annotated[bool, typer.Option("--acts", help="Grant what acts, too.")] = False,
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Known by this client certificate (PEM), in a token's place.")
    ] = None,
) -> None:
    """Make a token: its entry for the file of callers goes to standard output, the token itself to standard error."""
    import yaml

    from cloud.doors.callers import hash_of, new_token
    from cloud.doors.client_certificate import fingerprint_of
    from cloud.errors import SetupError

    made = new_token()
    try:
        known = (
            {"token_sha256": hash_of(made)}
            if certificate is None
            else {"certificate_sha256": fingerprint_of(certificate)}
        )
    except SetupError as error:
        fail(str(error), code="bad_input", as_json=False, exit_code=BAD_INPUT)
    effects = [str(effect) for effect in Effect if acts or effect is not Effect.ACTS]
    entry = {
        "name": name, "role": str(role), **known, "zones": zone or [], "sites": site or [], "effects": effects
    }  # fmt: skip
    typer.echo(yaml.safe_dump({"callers": [entry]}, sort_keys=False), nl=False)
    if certificate is None:
        tell(made, err=True)


def _beside(folder: Path | None, as_json: bool) -> Path:
    """Return where the cards' key is made: beside the tables, or here where they are on AWS."""
    return Path() if folder is None else tables_path(folder, as_json).parent


def _described(skill: Any) -> dict[str, Any]:
    return {
        "name": skill.name,
        "agent": skill.agent,
        "promise": skill.promise,
        "effect": skill.effect,
        "scope": skill.scope,
        "roles": sorted(skill.roles),
        "question": skill.question.model_json_schema(),
        "answer": skill.answer.model_json_schema(),
    }
