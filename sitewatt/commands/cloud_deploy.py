"""``sitewatt cloud deploy|register|status|destroy``: the stack in an AWS account, or in an emulator of one."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cloud.infra.functions import Bundle
from sitewatt.commands import cloud_stack
from sitewatt.output import BAD_INPUT, fail, print_json, tell

if TYPE_CHECKING:
    from cloud.infra.deployment.account import Account
    from cloud.infra.deployment.rollout import StackState

Name = Annotated[str, typer.Option("--name", help="The stack's name, and what stands before the names in it.")]
Region = Annotated[str, typer.Option(help="The AWS Region.")]
Endpoint = Annotated[
    str | None, typer.Option(metavar="URL", help="An emulator's address, http://127.0.0.1:4566; AWS without it.")
]
Json = Annotated[bool, typer.Option("--json", help="Answer for programs.")]


def register_commands(app: typer.Typer) -> None:
    """Add the commands of this file to a group."""
    app.command()(deploy)
    app.command()(register)
    app.command()(status)
    app.command()(destroy)


def deploy(
    bundles: Annotated[Path, typer.Option(metavar="DIR", help="What `cloud bundle` built.")] = Path("dist/bundles"),
    arch: Annotated[str, typer.Option(help="The bundles' processor; amd64 only for a trial on an emulator.")] = "arm64",
    name: Name = "sitewatt",
    region: Region = "eu-central-1",
    endpoint: Endpoint = None,
    token_issuer: cloud_stack.TokenIssuer = None,
    token_audience: cloud_stack.TokenAudience = "sitewatt",
    for_sites: cloud_stack.ForSites = 1000,
    backups: cloud_stack.Backups = False,
    private_network: cloud_stack.PrivateNetwork = False,
    guards: cloud_stack.Guards = False,
    budget: cloud_stack.Budget = None,
    as_json: Json = False,
) -> None:
    """Make the stack, or bring it to the state of this source tree: upload the code, hand over the template, wait.

    Credentials are found as boto3 finds them (environment, profile, role). Where a change fails, CloudFormation takes
    it back and the reasons are told. What an emulator lacks is left out of the template by name. It needs
    sitewatt[deploy] and Node. Exit 1 AWS refused, 2 a bundle is missing or the command cannot run here.
    """
    files = _files(bundles, arch, as_json=as_json)
    with told_in_one_sentence(as_json):
        from cloud.cost.headroom import capacity_for, shards_for
        from cloud.infra.deployment import emulator
        from cloud.infra.deployment.rollout import deploy as roll_out
        from cloud.infra.stack.app import StackSettings, synth_stack

        account = account_of(name, region, endpoint)
        settings = StackSettings(
            name=name,
            region=region,
            account=account.number,
            bundles={bundle: digest for bundle, (_, digest) in files.items()},
            doorkeeper=cloud_stack.doorkeeper(token_issuer, token_audience, as_json=as_json),
            shards=shards_for(for_sites),
            capacity=capacity_for(for_sites),
            backups=backups,
            private_network=private_network,
            guards=guards,
            budget_usd=budget,
        )
        say = _say(as_json)
        say("building the template, about ten seconds")
        with tempfile.TemporaryDirectory(prefix="sitewatt-stack-") as folder:
            try:
                template = synth_stack(settings, out_dir=Path(folder))
            except RuntimeError as error:
                fail(f"the stack was not built: {error}", code="synth", as_json=as_json)
        left_out = sorted(emulator.LACKS) if endpoint else []
        state = roll_out(account, emulator.without(template) if endpoint else template, files, say=say)
    answer = {"stack": name, "state": state.state, "outputs": dict(state.outputs), "left_out": left_out}
    if as_json:
        print_json(answer)
        return
    tell(f"stack {name} in {region}: {state.state}")
    for what, value in state.outputs.items():
        tell(f"  {what}: {value}")
    if left_out:
        tell(f"left out, the emulator lacks it: {', '.join(left_out)}")


def register(
    registry: Annotated[Path, typer.Option(metavar="FILE", help="Zones, feeders and sites, YAML; the whole of them.")],
    signing_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The key that commands are signed with (Ed25519, PEM).")
    ] = None,
    name: Name = "sitewatt",
    region: Region = "eu-central-1",
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> None:
    """Tell a stack who takes part: write the registry, make a schedule for each zone and feeder, put the signing key.

    It may be given again: what fits already is left alone, and schedules of who is gone are ended. The file may be that
    of a local cloud (`registry:` in it is read). Make a key with `sitewatt command keys new`; its public half goes into
    the configuration of each site. Functions that run read the registry again within a minute. Exit 1 AWS refused, 2 a
    file is wrong, there is no such stack, or it has no signing key yet and none is given.
    """
    with told_in_one_sentence(as_json):
        from cloud.infra.deployment import registration
        from cloud.stores.registry import load_registry_file

        told = load_registry_file(registry)
        for warning in told.warnings:
            tell(f"warning: {warning}", err=True)
        key = _key(signing_key) if signing_key is not None else None
        account = account_of(name, region, endpoint)
        stack = stack_of(account, as_json=as_json)
        if key is None and registration.signing_key_id(account, stack) is None:
            sentence = f"stack {name} has no signing key yet: give --signing-key FILE"
            fail(sentence, code="no_key", as_json=as_json, exit_code=BAD_INPUT)
        if key is not None:
            registration.put_signing_key(account, stack, pem=key[0], key_id=key[1])
        done = registration.register(account, stack, told)
    if as_json:
        print_json({**asdict(done), "signing_key": key[1] if key else None})
        return
    tell(f"registered {done.sites} sites and {done.feeders} feeders in {done.zones} zones")
    tell(
        f"schedules: {done.schedules_made} made, {done.schedules_changed} changed, {done.schedules_ended} ended"
        + (f"; signing key {key[1]} put" if key else "")
    )


def status(
    name: Name = "sitewatt", region: Region = "eu-central-1", endpoint: Endpoint = None, as_json: Json = False
) -> None:
    """Show how a stack stands: its state, functions, tables, schedules, who is registered, what was set aside.

    Exit 1 something is not well or AWS cannot be asked, 2 there is no such stack.
    """
    with told_in_one_sentence(as_json):
        from cloud.infra.deployment.status import look

        account = account_of(name, region, endpoint)
        told = look(account, stack_of(account, as_json=as_json))
    if as_json:
        print_json({**asdict(told), "well": told.well})
    else:
        tell(f"stack {name} in {region}: {told.state}")
        for function in told.functions:
            tell(f"  function {function.name:<18} version {function.version:<4} {function.state}")
        for table in told.tables:
            recovery = "recovery to any second" if table.recovery else "no recovery"
            tell(f"  table {table.name:<21} {table.state}, {recovery}")
        who = "nobody registered" if told.sites is None else f"{told.sites} sites in {told.zones} zones registered"
        tell(f"  {who}; {told.schedules} schedules; {told.set_aside} records set aside")
        tell(f"  signing key: {told.signing_key or 'none'}")
        for fault in told.faults:
            tell(f"  NOT WELL: {fault}")
    if not told.well:
        raise typer.Exit(1)


def destroy(
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it; without it the command only says what it would do.")
    ] = False,
    with_data: Annotated[
        bool, typer.Option("--with-data", help="Tables, lake, keys and code too, which are kept without it.")
    ] = False,
    name: Name = "sitewatt",
    region: Region = "eu-central-1",
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> None:
    """Take a stack down. The market's tables, the register, the lake and the keys outlive it without --with-data.

    Exit 1 something could not be removed (give the command again), 2 without --yes.
    """
    what = "with all its data, for good" if with_data else "but keep its tables, lake and keys"
    if not yes:
        sentence = f"this would remove stack {name} in {region} {what}: give --yes"
        fail(sentence, code="not_confirmed", as_json=as_json, exit_code=BAD_INPUT)
    with told_in_one_sentence(as_json):
        from cloud.infra.deployment.rollout import destroy as take_down

        kept = take_down(account_of(name, region, endpoint), with_data=with_data, say=_say(as_json))
    if as_json:
        print_json({"stack": name, "state": "gone", "kept": kept})
        return
    tell(f"stack {name} is gone" + (f"; kept: {', '.join(kept)}" if kept else "; nothing is kept"))


def account_of(name: str, region: str, endpoint: str | None) -> "Account":
    from cloud.infra.deployment.account import Account

    return Account(stack=name, region=region, endpoint=endpoint)


def stack_of(account: "Account", *, as_json: bool) -> "StackState":
    from cloud.infra.deployment.rollout import state_of

    state = state_of(account)
    if state is None:
        sentence = f"there is no stack {account.stack} in {account.region}: sitewatt cloud deploy makes it"
        fail(sentence, code="no_stack", as_json=as_json, exit_code=BAD_INPUT)
    return state


def _files(folder: Path, arch: str, *, as_json: bool) -> Mapping[Bundle, tuple[Path, str]]:
    """Return each bundle's file and its SHA-256, read from the file itself."""
    found = {}
    for bundle in Bundle:
        path = folder / f"sitewatt-{bundle}-{arch}.zip"
        if not path.is_file():
            sentence = f"{path} is missing: sitewatt cloud bundle --arch {arch} --out {folder} builds it"
            fail(sentence, code="no_bundle", as_json=as_json, exit_code=BAD_INPUT)
        found[bundle] = (path, hashlib.sha256(path.read_bytes()).hexdigest())
    return found


def _key(path: Path) -> tuple[str, str]:
    """Return a private key as it is kept, and its id."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from cloud.shell.signing import read_signer_file
    from contracts.control import key_id

    public = read_signer_file(issuer="operator", path=path).key.public_key()
    return path.read_text(encoding="ascii"), key_id(public.public_bytes(Encoding.Raw, PublicFormat.Raw))


def _say(as_json: bool) -> Any:
    return (lambda _: None) if as_json else (lambda text: tell(text, err=True))


@contextmanager
def told_in_one_sentence(as_json: bool) -> Iterator[None]:
    """End a command with one sentence where something that can be expected went wrong."""
    from cloud.errors import CloudError, SetupError

    try:
        yield
    except ImportError as error:
        sentence = f"this needs pip install 'sitewatt[cloud,deploy]': {error}"
        fail(sentence, code="not_installed", as_json=as_json, exit_code=BAD_INPUT)
    except SetupError as error:
        fail(str(error), code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
    except CloudError as error:
        fail(str(error), code="aws", as_json=as_json)
