"""The tables that commands of the agents and of the operator read, and questions from a command line."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.reasons import reason_of
from sitewatt.output import BAD_INPUT, fail

if TYPE_CHECKING:
    from cloud.agents.office import CallBook, Office
    from cloud.agents.rights import Caller
    from cloud.doors.offering import Offering
    from cloud.infra.deployment.account import Account
    from cloud.stores.registry import Registry
    from cloud.stores.tables import Tables
    from contracts.skills.base import Agent, Role

TablesOption = Annotated[Path, typer.Option(metavar="DIR", help="A run's folder, or that of a cloud's tables.")]
AwsOption = Annotated[bool, typer.Option("--aws", help="The tables of a stack on AWS, in the place of --tables.")]
StackOption = Annotated[str, typer.Option("--name", help="With --aws: the stack's name.")]
RegionOption = Annotated[str, typer.Option("--region", help="With --aws: the Region.")]
EndpointOption = Annotated[
    str | None, typer.Option("--endpoint", metavar="URL", help="With --aws: an emulator's address; AWS without it.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def opened_tables(folder: Path, as_json: bool) -> "tuple[Tables, Registry]":
    """Return the tables of a folder and who takes part; what cannot be opened ends the command with one sentence."""
    from cloud.errors import CloudError
    from cloud.local.opening import open_tables
    from cloud.stores.registry import load_registry

    path = tables_path(folder, as_json)
    try:
        store = open_tables(path)
        return store, load_registry(store)
    except CloudError as error:
        fail(str(error), code="store", as_json=as_json)


@contextlib.contextmanager
def tables_of(folder: Path | None, account: "Account | None", *, as_json: bool) -> "Iterator[tuple[Tables, Registry]]":
    """Open the tables of a folder or of a stack on AWS for the block, with who takes part."""
    if (folder is None) is (account is None):
        fail("name --tables DIR or --aws", code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
    if folder is not None:
        store, registry = opened_tables(folder, as_json)
        with contextlib.closing(store):
            yield store, registry
        return
    assert account is not None, "one of both was named"
    from cloud.errors import CloudError
    from cloud.stores.dynamodb import DynamoTables
    from cloud.stores.registry import load_registry

    try:
        on_aws = DynamoTables(account.client("dynamodb"), prefix=account.prefix)
        registry = load_registry(on_aws)
    except CloudError as error:
        fail(str(error), code="store", as_json=as_json)
    yield on_aws, registry


def offering_of(
    store: "Tables",
    registry: "Registry",
    *,
    folder: Path | None,
    callers: Path | None,
    agent: "Agent | None" = None,
) -> "Offering":
    """Return what the doors of opened tables offer, to the callers of a file: all agents, or one.

    Raises:
        CloudError: The file of callers cannot be used.
    """
    from cloud.doors.callers import Callers, read_callers
    from cloud.doors.offering import Offering
    from cloud.shell.call_groups import CallGroups
    from cloud.stores.registry import load_registry
    from sitewatt.documents import documents, version

    calls = CallGroups(store)

    def office_with(members: "Registry") -> "Office":
        return office_over(store, members, folder, book=calls)

    return Offering(
        office=office_with(registry),
        registry=registry,
        reread=lambda: load_registry(store),
        office_with=office_with,
        tables=store,
        calls=calls,
        callers=read_callers(callers) if callers is not None else Callers(),
        agent=agent,
        documents=documents(),
        version=version(),
    )


def office_over(
    store: "Tables", registry: "Registry", folder: Path | None, *, book: "CallBook | None" = None
) -> "Office":
    """Return the office over opened tables; in a private cloud's folder with its set-aside records and its fleet."""
    from cloud.local.opening import tables_place
    from cloud.local.operator_ports import fleet_of, set_aside_of
    from cloud.shell.agents_office import office_of

    path = tables_place(folder) if folder is not None else None
    if path is None:
        return office_of(store, registry, book=book)
    return office_of(
        store, registry, set_aside=set_aside_of(path.parent), fleet=fleet_of(path.parent, store), book=book
    )


def tables_path(folder: Path, as_json: bool) -> Path:
    """Return the file of the tables; a folder without one ends the command."""
    from cloud.local.opening import tables_place

    path = tables_place(folder)
    if path is None:
        fail(f"{folder} holds no tables.db", code="unreadable", as_json=as_json, exit_code=BAD_INPUT)
    return path


def arguments_of(pairs: list[str], question: str | None, as_json: bool) -> dict[str, Any]:
    """Return the question that a command line holds: whole as JSON, and its single fields over it."""
    arguments: dict[str, Any] = {}
    if question is not None:
        try:
            read = json.loads(typer.get_text_stream("stdin").read() if question == "-" else question)
        except (ValueError, RecursionError) as error:
            told = f"the question cannot be read: {reason_of(error)}"
            fail(told, code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
        if not isinstance(read, dict):
            fail("the question is not a JSON object", code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
        arguments |= read
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            fail(f"{pair!r} is not NAME=VALUE", code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
        arguments[name] = _value(value)
    return arguments


def _value(text: str) -> Any:
    """Return a number where the text is one; identifiers stay text."""
    try:
        return int(text)
    except ValueError:
        return text


def local_caller(role: "Role", zones: list[str] | None, sites: list[str] | None) -> "Caller":
    """Return the caller at this machine: who can write the tables may do what the role may."""
    from cloud.agents.rights import ALL, Caller
    from contracts.skills.base import Effect

    everything = not zones and not sites
    return Caller(
        name=f"local {role}",
        role=role,
        zones=frozenset([ALL] if everything else zones or []),
        sites=frozenset([ALL] if everything else sites or []),
        effects=frozenset(Effect),
    )
