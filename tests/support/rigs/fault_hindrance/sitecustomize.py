"""Hinders a gateway from outside, so that nothing of it need stand in the product.

Python imports a module of this name at start. In a gateway's process, and only while ``SITEWATT_HINDER`` names a
folder, the site's clock is replaced by one that obeys two files there: ``hang`` lets the control task wait for ever
while everything else of the process runs on, ``step`` holds seconds by which the wall clock is off.
"""

import asyncio
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path


def _hinder(folder: Path) -> None:
    import contracts.clock

    plain = contracts.clock.parse_clock
    hang, step = folder / "hang", folder / "step"

    class HinderedClock:
        """A clock whose wall time is not derived from the monotonic clock, and so may step."""

        def __init__(self, inner: contracts.clock.Clock) -> None:
            self._inner = inner
            self.speed = inner.speed

        def now(self) -> datetime:
            try:
                off_s = float(step.read_text())
            except FileNotFoundError:
                off_s = 0.0
            return self._inner.now() + timedelta(seconds=off_s)

        def monotonic(self) -> float:
            return self._inner.monotonic()

        async def sleep(self, seconds: float) -> None:
            task = asyncio.current_task()
            if task is not None and task.get_name() == "control" and hang.exists():
                await asyncio.Event().wait()
            await self._inner.sleep(seconds)

    contracts.clock.parse_clock = lambda text: HinderedClock(plain(text))  # type: ignore[assignment]


if "SITEWATT_HINDER" in os.environ and "edge" in sys.orig_argv:
    _hinder(Path(os.environ["SITEWATT_HINDER"]))
