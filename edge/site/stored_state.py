"""What control remembered in the site's store, when both were one process: copied into its own, once.

The copy and the note that it was made are one commit: a power cut leaves the store as it was, and the next start copies
again. What control's store holds already is newer and stays. The old values stay too, for a version that is taken back.
"""

import contextlib
import json
import logging
import sqlite3
from pathlib import Path

from edge.outbox.outbox import Outbox

log = logging.getLogger(__name__)

_KEY = "control.state_of_before"
# The gate, running orders, limits, contacts, proof, what was learned of and done to devices, settings from afar.
_PREFIXES = ("commands.", "grid.", "relays.", "evidence", "device/", "fleet.wanted")


def adopt_state_of_before(outbox: Outbox, journal: Path) -> int:
    """Copy what control kept in ``journal`` into its own store, unless that was done; return how many values.

    A file that cannot be read is told and tried again at the next start.
    """
    if outbox.recall(_KEY) is not None:
        return 0
    try:
        found = _read(journal) if journal.exists() else {}
    except (sqlite3.Error, ValueError) as error:
        log.error("state of the version before not taken over", extra={"file": str(journal), "error": str(error)})  # noqa: TRY400
        return 0
    fresh = {key: value for key, value in found.items() if outbox.recall(key) is None}
    with outbox.together():
        for key, value in fresh.items():
            outbox.remember(key, value, durable=False)
        outbox.remember(_KEY, {"values": len(fresh)})
    if fresh:
        log.warning("state of the version before taken over", extra={"values": len(fresh)})
    return len(fresh)


def _read(journal: Path) -> dict[str, object]:
    with contextlib.closing(sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as file:
        rows = file.execute("SELECT key, value FROM state").fetchall()
    return {str(key): json.loads(value) for key, value in rows if str(key).startswith(_PREFIXES)}
