"""What a demonstration says while it waits."""

import asyncio
from collections.abc import Iterator

import pytest

from sitewatt.demo import run


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
