"""Whether this process runs an older choice of the gateway's version than the process at the other end.

Where each process has a unit of its own, an update or its return may reach the one before the other. Every start is a
fresh choice of the launcher, so of two that differ the later choice holds, and the process of the earlier one ends
itself, to be started in the other's version.
"""

import os
from collections.abc import Mapping
from typing import Final

from edge.border.messages import Hello

# As ``edge.fleet.update.launch`` sets it; without it nobody chose, and nobody would start us in another version.
CHOSEN_S: Final = "SITEWATT_CHOSEN_S"


def chosen_s(environ: Mapping[str, str] = os.environ) -> float:
    """Return when this process's version was chosen, on the machine's monotonic clock; 0 where nobody chose."""
    try:
        return max(0.0, float(environ.get(CHOSEN_S, "0")))
    except ValueError:
        return 0.0


def is_outdated(own: Hello, other: Hello) -> bool:
    """Say whether the other side runs another version that was chosen later."""
    return own.software != other.software and 0.0 < own.chosen_s < other.chosen_s
