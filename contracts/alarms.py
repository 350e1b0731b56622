"""How a gateway tells which alarms it has: an event that names them all, each time they have changed.

An event, because those are kept until the cloud has them. A cloud that does not know the phrase stores it as any other.
"""

from collections.abc import Mapping, Sequence
from typing import Final

ALARMS_CHANGED: Final = "alarms changed"
# Of one event: below the 5 KB that AWS IoT bills as one message.
TOLD_MAX: Final = 16
CHARACTERS_MAX: Final = 240
_COUNT: Final = "count"


def alarm_fields(alarms: Sequence[str]) -> dict[str, str | int]:
    """Return the event's fields for all alarms that there are now, the first ``TOLD_MAX`` of them in words."""
    texts = {_name(number): alarm[:CHARACTERS_MAX] for number, alarm in enumerate(alarms[:TOLD_MAX])}
    return {_COUNT: len(alarms), **texts}


def alarms_in(fields: Mapping[str, object]) -> tuple[str, ...]:
    """Return the alarms that an event's fields tell, whoever sent it; those beyond the words are one line."""
    told = [fields.get(_name(number)) for number in range(TOLD_MAX)]
    texts = [alarm[:CHARACTERS_MAX] for alarm in told if isinstance(alarm, str) and alarm]
    count = fields.get(_COUNT)
    more = count - len(texts) if isinstance(count, int) else 0
    return (*texts, f"and {more} more") if more > 0 else tuple(texts)


def _name(number: int) -> str:
    return f"alarm_{number + 1}"
