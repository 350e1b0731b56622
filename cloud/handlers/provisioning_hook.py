"""The pre-provisioning hook: whether a gateway may register, as which site of which zone."""

import logging
import os

from cloud.shell.counting import counted
from cloud.shell.provisioning import REFUSED, answer, client_of
from cloud.stores.setup import open_stores
from cloud.stores.tables import Tables

log = logging.getLogger(__name__)


class _Store:
    tables: Tables | None = None


def install(tables: Tables | None) -> None:
    """Let the hook work on tables that somebody else has opened (``None``: open them anew, from the environment)."""
    _Store.tables = tables


@counted("provisioning-hook")
def handler(event: dict[str, object], context: object) -> dict[str, object]:
    """Answer whether provisioning may go on; whatever is wrong, the answer is no.

    The gateway asks again, so a list that cannot be read now costs it nothing else.
    """
    try:
        return answer(event, _tables)
    except Exception:  # The border of the hook: strangers with a claim choose every byte of the event.
        log.exception("provisioning refused", extra={"client": client_of(event)})
        return REFUSED


def _tables() -> Tables:
    if _Store.tables is None:
        _Store.tables = open_stores(os.environ).tables
    return _Store.tables
