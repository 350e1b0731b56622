"""Who a TLS client is by its certificate: the server checks it, and each request carries its fingerprint.

uvicorn tells an application nothing of the client's certificate, so the two protocols below put it in the scope.
Source: RFC 8705, section 2.2 and 3.1 (the SHA-256 fingerprint of a certificate that the TLS layer has verified).
"""

import asyncio
import hashlib
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from cloud.errors import SetupError

SCOPE_KEY: Final = "sitewatt.client_certificate_sha256"


class CertifiedHttp(H11Protocol):
    """HTTP whose requests say which certificate the client has shown."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember the certificate of a connection."""
        super().connection_made(transport)
        self.app: object = _certified(self.app, transport)


class CertifiedSocket(WebSocketsSansIOProtocol):
    """A WebSocket that says the same."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the certificate of a connection."""
        super().connection_made(transport)
        self.app: object = _certified(self.app, transport)


def _certified(app: Any, transport: asyncio.BaseTransport) -> ASGIApp:
    tls = transport.get_extra_info("ssl_object")
    der = tls.getpeercert(binary_form=True) if tls is not None else None
    if der is None:
        result: ASGIApp = app
        return result
    fingerprint = hashlib.sha256(der).hexdigest()

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        scope[SCOPE_KEY] = fingerprint
        await app(scope, receive, send)

    return told


def fingerprint_of(path: Path) -> str:
    """Return the SHA-256 fingerprint of a certificate in PEM.

    Raises:
        SetupError: The file cannot be read or holds none.
    """
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise SetupError(f"certificate {path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise SetupError(f"{path} holds no certificate in PEM: {error}") from error
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
