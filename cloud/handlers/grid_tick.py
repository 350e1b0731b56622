"""Time alone moves the grid agent too: orders are renewed, released and given up while no meter speaks."""

from datetime import datetime
from typing import Any

from cloud.errors import SetupError
from cloud.grid.event import Observation
from cloud.shell.counting import counted
from cloud.shell.grid.agent import step
from cloud.shell.services import current


@counted("grid-tick")
def handler(event: dict[str, Any], context: Any) -> None:
    """Let the agent of one feeder act at the schedule's own time.

    Raises:
        SetupError: The schedule names a feeder that is not registered.
    """
    services = current()
    feeder = services.registry.feeder(event["feeder"])
    if feeder is None:
        raise SetupError(f"grid tick for feeder {event['feeder']}, which is not registered; nothing done")
    step(services, feeder, seen=Observation(), at=datetime.fromisoformat(event["time"]))
