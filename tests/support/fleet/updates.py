"""Versions of a tiny software, signed as ours are, and a gateway's folder of versions."""

import base64
import functools
import hashlib
import http.server
import io
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.errors import UpdateFailed
from edge.fleet.update import launch
from edge.fleet.update.document import UpdateDocument
from tests.support.brokers.link_parts import AT

PACKAGED = "1.0.0"
SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PARTS = 8


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A folder of artefacts on a real HTTP server."""

    folder: Path
    url: str

    def publish(self, version: str, *, broken: bool = False) -> None:
        """Offer a version: a wheel whose package says its version, or fails to start."""
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as wheel:
            body = "raise RuntimeError('broken build')" if broken else f"VERSION = {version!r}"
            wheel.writestr("tiny_gateway/__init__.py", body)
        (self.folder / f"{version}.whl").write_bytes(content.getvalue())

    def document(self, version: str, **changes: Any) -> dict[str, Any]:
        """Return the signed document of a version that is offered."""
        return signed(self.folder / f"{version}.whl", version, url=f"{self.url}/{version}.whl", **changes)


def signed(
    artefact: Path,
    version: str,
    *,
    url: str,
    key: Ed25519PrivateKey = SIGNER,
    deadline: datetime | None = None,
    min_from: str = PACKAGED,
) -> dict[str, Any]:
    """Return a signed document"""
    data = artefact.read_bytes()
    unsigned = UpdateDocument(
        version=version,
        artefact_url=url,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        min_from=min_from,
        deadline=deadline or AT + timedelta(days=1),
        signature="",
    )
    signature = base64.b64encode(key.sign(unsigned.signing_bytes())).decode()
    return {**unsigned.model_dump(mode="json"), "signature": signature}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop that sells versions for the test."""
    folder = tmp_path / "shop"
    folder.mkdir()
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="shop")
        thread.start()
        yield Shop(folder=folder, url=f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()
        thread.join()


class FileEnvironments:
    """Environments of a few files each, quick to make and to kill."""

    def make(self, artefact: Path, folder: Path) -> None:
        """Unpack, in many small writes."""
        folder.mkdir(parents=True)
        with zipfile.ZipFile(artefact) as wheel:
            body = wheel.read("tiny_gateway/__init__.py")
        for part in range(PARTS):
            (folder / f"part{part}").write_bytes(body)

    def try_out(self, folder: Path) -> None:
        """Refuse what raises."""
        if b"broken" in (folder / "part0").read_bytes():
            raise UpdateFailed(f"{folder} does not start; the version is given up")


def works(root: Path, version: str | None) -> bool:
    """Say whether what the launcher starts is complete."""
    if version is None:
        return True
    folder = root / "versions" / version
    body = f"VERSION = {version!r}".encode()
    return launch.is_whole(root, version) and all((folder / f"part{n}").read_bytes() == body for n in range(PARTS))
