"""The schedule's tick that issues the forecasts of one zone."""

from datetime import datetime
from typing import Any

from cloud.errors import SetupError
from cloud.shell.counting import counted
from cloud.shell.forecast.issuing import issue
from cloud.shell.services import current


@counted("forecast-tick")
def handler(event: dict[str, Any], context: Any) -> None:
    """Issue the forecasts of one zone at the schedule's own time.

    Raises:
        SetupError: The schedule names a zone that is not registered, or a site a load class that does not exist.
        CloudError: The forecasts could not be stored or published; the next tick issues new ones.
    """
    services = current()
    zone = services.registry.zone(event["zone"])
    if zone is None:
        raise SetupError(f"forecast tick for zone {event['zone']}, which is not registered; nothing done")
    issue(services, zone, at=datetime.fromisoformat(event["time"]))
