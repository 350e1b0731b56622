"""The station on another's library as a process, and what it last said of itself."""

import asyncio
import contextlib
import json
import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[3]
PACKAGE: Final = "ocpp-rpc@2.2.1"
FOLDER: Final = ROOT / "build" / "ocpp"


def install() -> Path:
    """Return where the library is, brought by npm where it is not there yet."""
    found = FOLDER / "node_modules" / "ocpp-rpc"
    if not found.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / "package.json").write_text('{"private": true}\n', encoding="utf-8")
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", PACKAGE], cwd=FOLDER, check=True)
    return found


@dataclass
class Independent:
    """What the station last said."""

    state: dict[str, Any] = field(default_factory=dict)

    def draws(self, current_a: float) -> bool:
        """Say whether it charges with a current."""
        return abs(float(self.state.get("current_a", -1.0)) - current_a) < 0.2


@contextlib.asynccontextmanager
async def independent(
    endpoint: str, *, name: str, password: str, version: str, speed: float, ca_file: Path | None = None
) -> AsyncIterator[Independent]:
    """Let the station call for the block."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(Path(__file__).with_name("station.js")),
        endpoint,
        name,
        password,
        version,
        str(speed),
        *([] if ca_file is None else [str(ca_file)]),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "OCPP_RPC": str(install())},
    )
    station = Independent()
    lines = process.stdout
    assert lines is not None

    async def hear() -> None:
        while line := await lines.readline():
            station.state = json.loads(line)

    hearing = asyncio.create_task(hear(), name="hear the station")
    try:
        yield station
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
