"""The two questions of provisioning, asked through whichever client library the link's settings name."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

from cryptography import x509
from cryptography.x509.oid import NameOID

from contracts.topics import PRIVATE_AUTHORITY, provisioning_topic
from edge.errors import ConfigError, FleetSilent
from edge.fleet.requests import Requests
from edge.fleet.stopping import stopped
from edge.links.making import make_link
from edge.links.settings import Client, LinkSettings

log = logging.getLogger(__name__)

_CSR_TOPIC = "$aws/certificates/create-from-csr/json"
_ISSUER = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, PRIVATE_AUTHORITY)])


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
    if settings.client is Client.MQTT or private_certificate(settings.cert_file) is not None:
        return _over_link(settings, client_id=client_id, timeout_s=timeout_s)
    try:
        from edge.fleet.aws_service import over_sdk
    except ImportError as error:
        raise ConfigError(f"link.client aws needs awsiotsdk (pip install 'sitewatt[aws]'): {error}") from error
    return over_sdk(settings, client_id=client_id, timeout_s=timeout_s)


class TopicService:
    """The service on its reserved topics; a private fleet's on those of our certificate, which nobody else hears."""

    def __init__(self, requests: Requests, *, cert_file: Path | None) -> None:
        """Prepare; ``cert_file`` is the certificate by which the session is open."""
        self._requests = requests
        self._certificate_id = private_certificate(cert_file)

    async def certify(self, signing_request: str) -> dict[str, Any]:
        """See ``FleetService``."""
        return await self._ask(_CSR_TOPIC, {"certificateSigningRequest": signing_request})

    async def register(self, *, template: str, token: str, parameters: dict[str, str]) -> dict[str, Any]:
        """See ``FleetService``."""
        request = {"certificateOwnershipToken": token, "parameters": parameters}
        return await self._ask(f"$aws/provisioning-templates/{template}/provision/json", request)

    async def _ask(self, topic: str, request: dict[str, Any]) -> dict[str, Any]:
        if self._certificate_id is None:
            return await self._requests.ask(topic, request)
        try:
            return await self._requests.ask(provisioning_topic(topic, certificate_id=self._certificate_id), request)
        except FleetSilent as error:
            log.warning("no answer on our own topic, asked as of an older fleet", extra={"reason": str(error)})
            return await self._requests.ask(topic, request)


def private_certificate(cert_file: Path | None) -> str | None:
    """Return the id of a private fleet's certificate, ``None`` for another's or one that cannot be read.

    A file that cannot be read is the link's to report, which needs it first.
    """
    try:
        certificate = x509.load_pem_x509_certificate(cert_file.read_bytes()) if cert_file is not None else None
    except (OSError, ValueError):
        return None
    if certificate is None or certificate.issuer != _ISSUER:
        return None
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(name.value)


@contextlib.asynccontextmanager
async def _over_link(settings: LinkSettings, *, client_id: str, timeout_s: float) -> AsyncIterator[FleetService]:
    link = make_link(settings, client_id=client_id)
    requests = Requests(link, timeout_s=timeout_s)
    tasks = [
        asyncio.create_task(link.run(), name="claim session"),
        asyncio.create_task(requests.run(), name="claim answers"),
    ]
    try:
        yield TopicService(requests, cert_file=settings.cert_file)
    finally:
        await stopped(*tasks)
