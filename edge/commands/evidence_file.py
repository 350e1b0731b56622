"""The proof that a gateway keeps, read from its state folder, while it runs or not."""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

# Where a gateway keeps proof: control's own store, and what was one store before.
STORES: Final = ("control.db", "journal.db")


@contextlib.contextmanager
def kept_proof(state_dir: Path) -> Iterator[Callable[[str], Any]]:
    """Open the store that holds the proof, as of one moment: a chain and its end belong together.

    Yields:
        What ``read_chain`` and ``known_events`` of ``evidence_book`` recall by.

    Raises:
        FileNotFoundError: It is no gateway's state folder.
        sqlite3.Error: The store cannot be read.
        ValueError: The same, of a value in it.
    """
    path = next((path for name in STORES if (path := state_dir / name).is_file()), None)
    if path is None:
        raise FileNotFoundError(f"{state_dir} holds no {STORES[0]}; it is no gateway's state folder")
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:

        def recall(key: str) -> Any:
            row = connection.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
            return None if row is None else json.loads(row[0])

        connection.execute("BEGIN")
        yield recall
