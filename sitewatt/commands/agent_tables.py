"""The tables that commands of the agents and of the operator read: those of a run, or of a cloud on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING

from sitewatt.output import BAD_INPUT, fail

if TYPE_CHECKING:
    from cloud.stores.registry import Registry
    from cloud.stores.sqlite import SqliteTables


def opened_tables(folder: Path, as_json: bool) -> "tuple[SqliteTables, Registry]":
    """Return the tables of a folder and who takes part; what cannot be opened ends the command with one sentence."""
    from cloud.errors import CloudError
    from cloud.stores.registry import load_registry
    from cloud.stores.sqlite import SqliteTables

    path = tables_path(folder, as_json)
    try:
        store = SqliteTables.open(path)
        return store, load_registry(store)
    except CloudError as error:
        fail(str(error), code="store", as_json=as_json)


def tables_path(folder: Path, as_json: bool) -> Path:
    """Return the file of the tables; a folder without one ends the command."""
    from cloud.local.proof import tables_file

    path = tables_file(folder)
    if path is None:
        fail(f"{folder} holds no tables.db", code="unreadable", as_json=as_json, exit_code=BAD_INPUT)
    return path
