"""Fetches an artefact: never more than it should be, never one that differs by a bit."""

import hashlib
import os
import urllib.error
import urllib.request
from pathlib import Path

from edge.errors import UpdateFailed, UpdateInterrupted

SOCKET_TIMEOUT_S = 30.0
_CHUNK = 1 << 16


def fetch(url: str, path: Path, *, size_bytes: int, sha256: str) -> None:
    """Fetch a file to ``path``; what is there already and right is kept. Blocks.

    Raises:
        UpdateInterrupted: The server or the way to it failed; try again later.
        UpdateFailed: What it sent is not what was announced; nothing is kept.
    """
    if path.exists() and _digest(path) == sha256:
        return
    partial = path.with_name(path.name + ".part")
    digest, received = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(url, timeout=SOCKET_TIMEOUT_S) as response, partial.open("wb") as file:
            while received <= size_bytes and (data := response.read(_CHUNK)):
                received += len(data)
                digest.update(data)
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise UpdateInterrupted(f"{url} was not fetched: {error}; tried again later") from error
    if received != size_bytes or digest.hexdigest() != sha256:
        partial.unlink()
        raise UpdateFailed(
            f"{url} is {received} bytes (at least) with SHA-256 {digest.hexdigest()[:12]}…, "
            f"announced were {size_bytes} and {sha256[:12]}…; discarded"
        )
    partial.replace(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
