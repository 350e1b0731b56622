"""Take what sites said of a key's commands, after nobody listened any more, from the tables of a cloud."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sitewatt.output import fail

if TYPE_CHECKING:
    from sitewatt.operator.book import Book

Since = Annotated[
    Path | None, typer.Option(metavar="DIR", help="A run's folder or a cloud's tables: what sites said since.")
]


def hear_since(book: "Book", tables: Path, *, as_json: bool) -> None:
    """Note the answers that the tables hold beside a book's commands; tables that cannot be read end the command."""
    from cloud.errors import CloudError
    from sitewatt.commands.agent_tables import opened_tables
    from sitewatt.operator.said_since import answers_since

    store, _ = opened_tables(tables, as_json)
    with contextlib.closing(store):
        try:
            for ack in answers_since(store, book.entries()):
                book.heard(ack)
        except CloudError as error:
            fail(str(error), code="store", as_json=as_json)
