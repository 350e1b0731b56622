"""The two questions of provisioning, asked through whichever client library the link's settings name."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from edge.errors import ConfigError
from edge.fleet.requests import Requests
from edge.fleet.stopping import stopped
from edge.links.making import make_link
from edge.links.settings import Client, LinkSettings

_CSR_TOPIC = "$aws/certificates/create-from-csr/json"


class FleetService(Protocol):
    """The fleet's provisioning service over an open session.

    Raises:
        FleetRefused: From both, when it said no.
        FleetSilent: When it did not answer in time, or the session was lost; the request may have been carried out.
        FleetError: When it answered what cannot be used.
    """

    async def certify(self, signing_request: str) -> dict[str, Any]:
        """Ask for a certificate by a signing request (PEM), and return the answer in the service's own names."""

    async def register(self, *, template: str, token: str, parameters: dict[str, str]) -> dict[str, Any]:
        """Register what the token stands for, and return the answer in the service's own names."""


def fleet_service(
    settings: LinkSettings, *, client_id: str, timeout_s: float
) -> AbstractAsyncContextManager[FleetService]:
    """Return a session for the block; ``timeout_s`` is how long one answer may take, in real seconds.

    Raises:
        ConfigError: The client library is not installed.
    """
    if settings.client is Client.MQTT:
        return _over_link(settings, client_id=client_id, timeout_s=timeout_s)
    try:
        from edge.fleet.aws_service import over_sdk
    except ImportError as error:
        raise ConfigError(f"link.client aws needs awsiotsdk (pip install 'sitewatt[aws]'): {error}") from error
    return over_sdk(settings, client_id=client_id, timeout_s=timeout_s)


class TopicService:
    """The service on its reserved topics."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def certify(self, signing_request: str) -> dict[str, Any]:
        """See ``FleetService``."""
        return await self._requests.ask(_CSR_TOPIC, {"certificateSigningRequest": signing_request})

    async def register(self, *, template: str, token: str, parameters: dict[str, str]) -> dict[str, Any]:
        """See ``FleetService``."""
        request = {"certificateOwnershipToken": token, "parameters": parameters}
        return await self._requests.ask(f"$aws/provisioning-templates/{template}/provision/json", request)


@contextlib.asynccontextmanager
async def _over_link(settings: LinkSettings, *, client_id: str, timeout_s: float) -> AsyncIterator[FleetService]:
    link = make_link(settings, client_id=client_id)
    requests = Requests(link, timeout_s=timeout_s)
    tasks = [
        asyncio.create_task(link.run(), name="claim session"),
        asyncio.create_task(requests.run(), name="claim answers"),
    ]
    try:
        yield TopicService(requests)
    finally:
        await stopped(*tasks)
