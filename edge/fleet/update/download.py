"""Fetches an artefact: never more than it should be, never one that differs by a bit."""

import hashlib
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from edge.errors import UpdateFailed, UpdateInterrupted

SOCKET_TIMEOUT_S = 30.0
# The whole download: at least this long, and longer for what is large, at the slowest line that is worth waiting for.
WHOLE_S_MIN = 60.0
BYTES_PER_S_MIN = 2048.0
_CHUNK = 1 << 16


def fetch(
    url: str, path: Path, *, size_bytes: int, sha256: str, monotonic: Callable[[], float] = time.monotonic
) -> None:
    """Fetch a file to ``path``; what is there already and right is kept. Blocks.

    Raises:
        UpdateInterrupted: The server or the way to it failed; try again later.
        UpdateFailed: What it sent is not what was announced; nothing is kept.
    """
    if path.exists() and _digest(path) == sha256:
        return
    partial = path.with_name(path.name + ".part")
    digest, received = hashlib.sha256(), 0
    bound_s = max(WHOLE_S_MIN, size_bytes / BYTES_PER_S_MIN)
    begun_s = monotonic()
    try:
        with urllib.request.urlopen(url, timeout=SOCKET_TIMEOUT_S) as response, partial.open("wb") as file:
            while received <= size_bytes and (data := response.read1(_CHUNK)):
                # Each byte may come in time and the whole never: a server that drips must not hold the thread for good.
                if monotonic() - begun_s > bound_s:
                    raise UpdateInterrupted(f"{url} not fetched within {bound_s:.0f} s: {received} bytes; tried again")
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
