"""What a demonstration says while it waits, and when it is ended meanwhile."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from contracts.clock import ScaledClock, scaled_clock
from firmware_sim.series import Week
from sitewatt.demo import run
from sitewatt.demo.neighbourhood import neighbourhood
from sitewatt.demo.watch import SiteView, Watcher

if TYPE_CHECKING:
    from sitewatt.demo.processes import Processes


async def test_a_part_that_starts_slowly_is_named_until_it_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half a minute without a word looks like a program that hangs."""
    monkeypatch.setattr(run, "PROGRESS_S", 0.0)
    told = asyncio.Event()

    def asked() -> Iterator[list[str]]:
        yield ["cloud", "home-1"]
        yield ["home-1"]
        told.set()
        while True:
            yield []

    answers = asked()
    async with run.Narrator().never_silent(lambda: next(answers)):
        await told.wait()
    assert capsys.readouterr().err.splitlines() == ["still starting: cloud, home-1", "still starting: home-1"]


class _Stopped:
    """Stands for the processes of a neighbourhood; a stop of them is interrupted at the one that is named."""

    def __init__(self, *, at: str) -> None:
        self.all_started = False
        self._at = at

    def starting(self) -> list[str]:
        return []

    def ended(self) -> list[str]:
        return []

    def usage(self) -> dict[str, float]:
        return {}

    async def stop(self, names: list[str]) -> None:
        if self._at in names:
            raise asyncio.CancelledError

    async def stop_all(self) -> None:
        if self._at == "all":
            raise asyncio.CancelledError


@pytest.mark.parametrize("at", ["home-1", "cloud", "all"])
@pytest.mark.parametrize("quiet", [False, True])
async def test_a_run_that_is_ended_while_it_drains_tells_what_was_seen(
    at: str, quiet: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody who waited three minutes and then pressed Ctrl-C sees more than a prompt."""
    place = neighbourhood(sites=3, week=Week.SUNNY)
    clock = scaled_clock(started_at=place.started_at, speed=30.0)
    watcher = Watcher(port=1, clock=clock, gate_closure_s=1)
    watcher.view.sites["home-1"] = SiteView(online=True, orders=7)

    @contextlib.asynccontextmanager
    async def started(*_: Any, **__: Any) -> AsyncIterator[tuple[ScaledClock, Watcher]]:
        yield clock, watcher
        watcher.view.sites["home-1"].online = False

    async def nothing_left(*_: Any, **__: Any) -> None:
        """Drain at once."""

    monkeypatch.setattr(run, "started", started)
    monkeypatch.setattr(run, "drained", nothing_left)
    options = run.Options(duration_s=0.0, speed=30.0, headless=True, as_json=quiet)
    with pytest.raises(asyncio.CancelledError):
        await run._run(place, options, cast("Processes", _Stopped(at=at)), tmp_path)
    told = capsys.readouterr().out
    if quiet:
        assert told == ""
    else:
        assert told.count("ended early at") == 1 and "nothing is judged" in told
        assert re.search(r"home-1 +│ online +│ 7 ", told), "as it was before its gateway was stopped"
