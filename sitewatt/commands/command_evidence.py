"""``sitewatt command evidence``: the proof of an event or a command, exported and verified."""

from pathlib import Path
from typing import Annotated

import typer

from sitewatt.commands.command_inputs import AsJson
from sitewatt.output import BAD_INPUT, fail, print_json, tell


def evidence(
    event: Annotated[str, typer.Argument(metavar="ID", help="An event, or a command.")],
    state: Annotated[Path | None, typer.Option(metavar="DIR", help="A gateway's state folder.")] = None,
    tables: Annotated[Path | None, typer.Option(metavar="DIR", help="A local cloud's folder or tables.")] = None,
    site: Annotated[str | None, typer.Option(help="The site, with --tables.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Exit 1 where the chain does not hold.")] = False,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the records as CSV.")] = None,
    as_json: AsJson = False,
) -> None:
    """Export the proof of an event or a command, and verify that no record was changed, lost or moved.

    Exit 0 the chain holds (or was not asked about), 1 it does not or there is none, 2 bad arguments.
    """
    from sitewatt.operator.proof import EvidenceMissing, as_csv, from_state, from_tables

    try:
        if state is not None and tables is None:
            found = from_state(state, event)
        elif state is None and tables is not None and site is not None:
            found = from_tables(tables, site, event)
        else:
            sentence = "say where the evidence is: --state DIR, or --tables DIR with --site"
            fail(sentence, code="bad_arguments", as_json=as_json, exit_code=BAD_INPUT)
    except EvidenceMissing as error:
        fail(str(error), code="no_evidence", as_json=as_json)
    if csv is not None:
        try:
            csv.write_text(as_csv(found.records), encoding="utf-8")
        except OSError as error:
            fail(f"{csv} cannot be written: {error.strerror}", code="unwritable", as_json=as_json, exit_code=BAD_INPUT)
    broken = found.broken()
    if as_json:
        print_json(found.plain())
    else:
        for line in found.lines():
            tell(line)
        tell(
            f"{len(found.records)} records, the chain holds" if broken is None else f"the chain is broken: {broken.why}"
        )
    if verify and broken is not None:
        raise typer.Exit(1)
