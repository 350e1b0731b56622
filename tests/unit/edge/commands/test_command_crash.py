"""A crash between two writes to the disk leaves no order half taken.

Each transaction's outcome on the disk is kept as a copy of the outbox's files; every copy is a moment at which the
process could have died, and is opened as the next process would open it.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.control import AckStage, LimitImport, Release
from edge.outbox.store import Batch, Store
from tests.support.manual_clock import ManualClock
from tests.support.rigs.control_commands import command
from tests.support.rigs.edge_parts import NOON, Counter, counter

FIRST = command(LimitImport(max_w=9_000), lasts_s=600)


@pytest.fixture
def clock() -> ManualClock:
    """A clock at noon."""
    return ManualClock(NOON)


def _crashes(
    folder: Path,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    acts: Callable[[Counter], object],
    **grid_limits: int,
) -> list[Path]:
    """Let an executor that holds ``FIRST`` act, and return the disk as it was before and after each transaction."""
    images: list[Path] = []
    live = folder / "live"
    write = Store.write

    def keep() -> None:
        image = folder / f"image-{len(images)}"
        shutil.copytree(live, image)
        images.append(image)

    def kept(store: Store, batch: Batch) -> object:
        found = write(store, batch)
        keep()
        return found

    with counter(live, clock, **grid_limits) as at:
        at.executor.take(FIRST.encode(), retained=False)
        keep()
        with monkeypatch.context() as patched:
            patched.setattr(Store, "write", kept)
            acts(at)
    return images


@pytest.mark.parametrize("limits", [{}, {"failsafe_import_w": 4_200, "failsafe_export_w": 0}], ids=["", "failsafe"])
def test_an_order_is_taken_wholly_or_not_at_all(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, limits: dict[str, int]
) -> None:
    """Answered means running; at no moment does the site stand without the order before and the order after."""
    newer = command(LimitImport(max_w=5_000), command_id="c2", seq=2, lasts_s=600)
    images = _crashes(
        tmp_path, clock, monkeypatch, lambda at: at.executor.take(newer.encode(), retained=False), **limits
    )
    assert len(images) > 1
    for image in images:
        with counter(image, clock, **limits) as at:
            running = {life.command.command_id for life in at.executor.running()}
            answered = {(ack.command_id, ack.stage) for ack in at.acks()}
            taken = ("c2", AckStage.ACCEPTED) in answered
            assert ("c2" in running) == taken, f"{image.name} answered {answered} and runs {running}"
            assert ("c1" in running) == (("c1", AckStage.SUPERSEDED) not in answered)
            assert running, "the limit was lifted by a crash"
            at.executor.take(newer.encode(), retained=False)
            assert "c2" in {life.command.command_id for life in at.executor.running()}, "sent again, it is obeyed"


def test_a_release_is_done_wholly_or_not_at_all(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release that was answered and whose order came back with the next process would never be sent again."""
    release = command(Release(command_id="c1"), command_id="c2", seq=2)
    images = _crashes(tmp_path, clock, monkeypatch, lambda at: at.executor.take(release.encode(), retained=False))
    assert len(images) > 1
    for image in images:
        with counter(image, clock) as at:
            stages = {ack.command_id: ack.stage for ack in at.acks()}
            assert bool(at.executor.running()) == (stages == {"c1": AckStage.ACCEPTED})
            at.executor.take(release.encode(), retained=False)
            assert not at.executor.running(), "sent again, it is obeyed"
