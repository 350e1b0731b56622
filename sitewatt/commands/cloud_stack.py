"""``sitewatt cloud synth``: the stack on AWS as a CloudFormation template, checked."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sitewatt.output import BAD_INPUT, fail, print_json, tell

if TYPE_CHECKING:
    from cloud.infra.stack.door import Doorkeeper

ACCOUNT_DIGITS = 12

TokenIssuer = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Whose tokens open the API (an OpenID Connect issuer, https); none, no API."),
]
TokenAudience = Annotated[str, typer.Option(help="Whom a token must be for.")]
ForSites = Annotated[int, typer.Option(min=1, help="How many sites streams and tables are to carry.")]
Backups = Annotated[
    bool, typer.Option("--backups", help="Monthly copies of the market's tables and the register, kept for a year.")
]
PrivateNetwork = Annotated[
    bool, typer.Option("--private-network", help="Functions in a network without a way to the internet, by endpoints.")
]
Guards = Annotated[
    bool, typer.Option("--guards", help="CloudTrail, Config and GuardDuty, for an account that has none of them.")
]
Budget = Annotated[
    int | None, typer.Option("--budget", min=1, metavar="USD", help="A word when the account's month comes to more.")
]
_Json = Annotated[bool, typer.Option("--json", help="Answer for programs.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file to a group."""
    app.command()(synth)


def synth(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The template goes there.")] = Path("dist/stack"),
    name: Annotated[str, typer.Option(help="The stack's name, and what stands before the names in it.")] = "sitewatt",
    region: Annotated[str, typer.Option(help="The AWS region.")] = "eu-central-1",
    account: Annotated[str, typer.Option(help="The AWS account, twelve digits.")] = "111122223333",
    token_issuer: TokenIssuer = None,
    token_audience: TokenAudience = "sitewatt",
    for_sites: ForSites = 1000,
    backups: Backups = False,
    private_network: PrivateNetwork = False,
    guards: Guards = False,
    budget: Budget = None,
    as_json: _Json = False,
) -> None:
    """Write the CloudFormation template of the whole stack, from the definitions that also run on one machine.

    The AwsSolutions checks judge it; a finding that is not explained in the source fails. It needs Node 22 or newer and
    sitewatt[deploy], no AWS account and no network. Exit 1 a check found something, 2 it cannot run here.
    """
    try:
        from cloud.cost.headroom import capacity_for, shards_for
        from cloud.infra.stack.app import StackSettings, synth_stack
    except ImportError as error:
        sentence = f"the stack needs aws-cdk-lib (pip install 'sitewatt[deploy]'): {error}"
        fail(sentence, code="no_cdk", as_json=as_json, exit_code=BAD_INPUT)
    if not account.isdecimal() or len(account) != ACCOUNT_DIGITS:
        fail(f"--account is {account!r}, must be twelve digits", code="account", as_json=as_json, exit_code=BAD_INPUT)
    keeper = doorkeeper(token_issuer, token_audience, as_json=as_json)
    if not as_json:
        tell("building the stack, about ten seconds", err=True)
    out.mkdir(parents=True, exist_ok=True)
    settings = StackSettings(
        name=name,
        region=region,
        account=account,
        doorkeeper=keeper,
        shards=shards_for(for_sites),
        capacity=capacity_for(for_sites),
        backups=backups,
        private_network=private_network,
        guards=guards,
        budget_usd=budget,
    )
    try:
        template = synth_stack(settings, out_dir=out)
    except RuntimeError as error:
        fail(f"the stack was not written: {error}", code="synth", as_json=as_json)
    path = out / f"{name}.template.json"
    count = len(template["Resources"])
    if as_json:
        print_json({"template": str(path), "resources": count, "bytes": path.stat().st_size})
    else:
        tell(f"{path}: {count} resources, {path.stat().st_size // 1024} KiB; no finding that is not explained")


def doorkeeper(issuer: str | None, audience: str, *, as_json: bool) -> "Doorkeeper | None":
    """Return whose tokens open the API, ``None`` where there is to be none."""
    from cloud.infra.stack.door import Doorkeeper

    if issuer is None:
        return None
    if not issuer.startswith("https://") or not audience:
        sentence = f"--token-issuer is {issuer!r}, must be https://…, with an audience; nothing built"
        fail(sentence, code="token_issuer", as_json=as_json, exit_code=BAD_INPUT)
    return Doorkeeper(issuer=issuer, audience=audience)
