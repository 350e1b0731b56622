"""``sitewatt agent tell`` and ``letters``: questions to other organisations' agents, delivered by ``agent serve``."""

import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer

from sitewatt import output
from sitewatt.commands.agent_tables import JsonOption, TablesOption, arguments_of, opened_tables
from sitewatt.output import BAD_INPUT, fail, print_json

_DAY_S = 86_400


def tell(
    name: Annotated[str, typer.Argument(help="A skill of theirs, see `sitewatt agent list`.")],
    tables: TablesOption,
    peers: Annotated[Path, typer.Option(metavar="FILE", help="Other organisations' agents.")],
    peer: Annotated[str | None, typer.Option(help="To whom, by name.")] = None,
    zone: Annotated[str | None, typer.Option(help="To whoever answers for a zone.")] = None,
    broadcast: Annotated[bool, typer.Option("--broadcast", help="To all who answer for the zone.")] = False,
    arg: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="One field of the question.")] = None,
    question: Annotated[str | None, typer.Option(metavar="JSON", help="The whole question; - for a file.")] = None,
    keep_s: Annotated[int, typer.Option(min=1, max=30 * _DAY_S, help="Given up after so many seconds.")] = 3600,
    as_json: JsonOption = False,
) -> None:
    """Write a letter to another organisation's agent: `agent serve --peers` delivers it, after those before it."""
    from cloud.doors.letters import Letters
    from cloud.doors.peers import peers_of, read_peers
    from cloud.errors import CloudError, SetupError, SkillError

    if (peer is None) is (zone is None):
        fail("name --peer or --zone", code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
    arguments = arguments_of(arg or [], question, as_json)
    store, _ = opened_tables(tables, as_json)
    with contextlib.closing(store):
        try:
            to = peers_of(read_peers(peers), name=peer, zone=zone, broadcast=broadcast)
            written = [Letters(store).write(one.name, name, arguments, keep_s=keep_s) for one in to]
        except (SetupError, SkillError) as error:
            fail(str(error), code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
        except CloudError as error:
            fail(str(error), code="store", as_json=as_json)
    if as_json:
        print_json({"letters": [_plain(one) for one in written]})
        return
    for one in written:
        output.tell(f"{one.id}: letter {one.number} to {one.peer}")


def letters(
    tables: TablesOption,
    state: Annotated[str | None, typer.Option(help="waiting, answered or dead; all without it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the letters to other organisations' agents, and what came of each."""
    from cloud.doors.letters import Letters
    from cloud.errors import CloudError

    store, _ = opened_tables(tables, as_json)
    with contextlib.closing(store):
        try:
            found = [one for one in Letters(store).all() if state in {None, one.state}]
        except CloudError as error:
            fail(str(error), code="store", as_json=as_json)
    if as_json:
        print_json({"letters": [_plain(one) for one in found]})
        return
    for one in found:
        said = one.reason or one.trouble or ""
        output.tell(f"{one.peer} {one.number}  {one.state:8}  {one.skill}  {said}".rstrip())


def _plain(letter: Any) -> dict[str, Any]:
    return {**vars(letter), "state": letter.state}
