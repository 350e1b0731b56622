"""Updates on a real folder, from a real server: kept, taken back, and killed anywhere."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from contracts.clock import scaled_clock
from edge.__main__ import main
from edge.errors import UpdateFailed, UpdateInterrupted, UpdateRefused
from edge.fleet.update import launch
from edge.fleet.update.updater import Stage, Step, Updater
from tests.support.brokers.link_parts import AT
from tests.support.fleet.updates import PACKAGED, SIGNER, FileEnvironments, Shop, shop, works

__all__ = ["shop"]

SEED = 20250601
KILLS = 50
KILLED_WITHIN_S = 0.03


class PowerCut(BaseException):
    """The power goes."""


def updater(root: Path, *, reached: Callable[[str], None] = lambda _: None) -> Updater:
    """Return an updater as a fresh process makes it."""
    root.mkdir(exist_ok=True)
    return Updater(
        root,
        packaged=PACKAGED,
        trusted=SIGNER.public_key(),
        environments=FileEnvironments(),
        clock=scaled_clock(started_at=AT, speed=1),
        reached=reached,
    )


def live(root: Path, *, reached: Callable[[str], None] = lambda _: None, well: bool = True) -> Stage | None:
    """Start the gateway as the system does, again and again, until the update is at its end; return how it ended."""
    ended: Stage | None = None
    while True:
        launch.choose(root, packaged=PACKAGED)
        mine = updater(root, reached=reached)
        while (step := mine.next_step()) is not Step.NOTHING:
            if step is Step.PREPARE:
                try:
                    mine.prepare()
                except UpdateFailed as error:
                    mine.give_up(str(error))
            elif step is Step.SWITCH:
                assert mine.switch(in_event=False)
                break
            elif step is Step.PROVE and not well:
                mine.take_back("not well")
                break
            elif step is Step.PROVE:
                mine.keep()
            else:
                progress = mine.progress()
                assert progress is not None
                ended = progress.stage
                mine.finish()
        else:
            return ended


def test_a_good_version_is_kept_and_the_one_before_stays(tmp_path: Path, shop: Shop) -> None:
    """Two versions stay: the one that runs, and the one to go back to."""
    root = tmp_path / "software"
    for version in ("1.1.0", "1.2.0", "1.3.0"):
        shop.publish(version)
        updater(root).accept(f"job-{version}", shop.document(version))
        assert live(root) is Stage.KEPT
        assert launch.choose(root, packaged=PACKAGED) == version
        assert works(root, version)
    assert launch.installed(root) == ["1.2.0", "1.3.0"]
    assert not (root / "download").exists()


def test_a_version_that_is_not_well_is_taken_back(tmp_path: Path, shop: Shop) -> None:
    """Nobody drives to a site because of a bad release."""
    root = tmp_path / "software"
    shop.publish("1.1.0")
    shop.publish("1.2.0")
    updater(root).accept("good", shop.document("1.1.0"))
    assert live(root) is Stage.KEPT
    updater(root).accept("bad", shop.document("1.2.0"))
    assert live(root, well=False) is Stage.TAKEN_BACK
    assert launch.choose(root, packaged=PACKAGED) == "1.1.0"
    assert launch.installed(root) == ["1.1.0"]


def test_a_version_that_crashes_is_taken_back_by_the_launcher(tmp_path: Path, shop: Shop) -> None:
    """It may be too broken to take itself back."""
    root = tmp_path / "software"
    shop.publish("1.1.0")
    mine = updater(root)
    mine.accept("job", shop.document("1.1.0"))
    mine.prepare()
    assert mine.switch(in_event=False)
    started = [launch.choose(root, packaged=PACKAGED) for _ in range(launch.BOOTS_MAX + 2)]
    assert started == ["1.1.0"] * launch.BOOTS_MAX + [None, None]
    progress = mine.progress()
    assert progress is not None
    assert (progress.stage, mine.next_step()) == (Stage.TAKEN_BACK, Step.REPORT)
    assert "did not prove itself" in progress.reason


def test_a_newer_package_supersedes_an_older_update(tmp_path: Path, shop: Shop) -> None:
    """Whoever installs a package means it; an equal or older update is not started, and not gone back to."""
    root = tmp_path / "software"
    for version in ("1.1.0", "1.2.0"):
        shop.publish(version)
        updater(root).accept(f"job-{version}", shop.document(version))
        assert live(root) is Stage.KEPT
    assert launch.choose(root, packaged="1.1.5") == "1.2.0"
    assert launch.choose(root, packaged="1.2.0.dev3") is None
    assert launch.current(root) is None
    assert launch.choose(root, packaged="1.1.0") is None


@pytest.mark.parametrize("tried", [False, True])
def test_an_update_that_a_package_overtakes_is_reported_and_not_taken_up_again(
    tmp_path: Path, shop: Shop, tried: bool
) -> None:
    """A card is rewritten, or apt runs, while an update is under way."""
    root = tmp_path / "software"
    shop.publish("1.1.0")
    mine = updater(root)
    mine.accept("job", shop.document("1.1.0"))
    mine.prepare()
    if tried:
        mine.switch(in_event=False)
    assert launch.choose(root, packaged="1.3.0") is None
    progress = mine.progress()
    assert progress is not None
    assert (progress.stage, mine.next_step()) == (Stage.TAKEN_BACK, Step.REPORT)
    assert "package 1.3.0" in progress.reason
    mine.finish()
    assert launch.installed(root) == []


@pytest.mark.parametrize("arguments", [["run", "--config", "/none"], ["run", "--new-option"], ["walk"]])
def test_a_version_on_trial_is_not_given_up_by_who_starts_it(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """Exit code 2 would end the starts, and with them the way back to the version before."""
    monkeypatch.delenv(launch.ON_TRIAL, raising=False)
    assert main(arguments) == 2
    monkeypatch.setenv(launch.ON_TRIAL, "1")
    assert main(arguments) == 1


def test_only_a_version_on_trial_is_told_so(tmp_path: Path, shop: Shop) -> None:
    """Once proven, or taken back, a wrong configuration is a wrong configuration again."""
    root = tmp_path / "software"
    shop.publish("1.1.0")
    mine = updater(root)
    mine.accept("job", shop.document("1.1.0"))
    mine.prepare()
    assert not launch.is_on_trial(root)
    mine.switch(in_event=False)
    assert launch.is_on_trial(root)
    mine.keep()
    assert not launch.is_on_trial(root)


def test_a_version_that_does_not_start_is_never_switched_to(tmp_path: Path, shop: Shop) -> None:
    """It is tried beside the running one first."""
    root = tmp_path / "software"
    shop.publish("1.1.0", broken=True)
    updater(root).accept("job", shop.document("1.1.0"))
    assert live(root) is Stage.FAILED
    assert launch.choose(root, packaged=PACKAGED) is None


def test_nothing_is_switched_within_an_event(tmp_path: Path, shop: Shop) -> None:
    """A restart in the middle of a demand-response event would break its delivery."""
    root = tmp_path / "software"
    shop.publish("1.1.0")
    mine = updater(root)
    mine.accept("job", shop.document("1.1.0"))
    mine.prepare()
    assert not mine.switch(in_event=True)
    assert (mine.running(), mine.next_step()) == (PACKAGED, Step.SWITCH)
    assert mine.switch(in_event=False)
    assert mine.running() == "1.1.0"


def test_other_bytes_than_announced_are_discarded(tmp_path: Path, shop: Shop) -> None:
    """The signature stands for these bytes and no others, and never for more of them."""
    root = tmp_path / "software"
    shop.publish("1.1.0")
    document = shop.document("1.1.0")
    (shop.folder / "1.1.0.whl").write_bytes(b"x" * 5_000_000)
    mine = updater(root)
    mine.accept("job", document)
    with pytest.raises(UpdateFailed, match="discarded"):
        mine.prepare()
    assert list((root / "download").iterdir()) == []


def test_a_server_that_is_away_is_tried_again(tmp_path: Path, shop: Shop) -> None:
    """That is no fault of the version."""
    root = tmp_path / "software"
    shop.publish("1.1.0")
    document = shop.document("1.1.0")
    artefact = shop.folder / "1.1.0.whl"
    content = artefact.read_bytes()
    artefact.unlink()
    mine = updater(root)
    mine.accept("job", document)
    with pytest.raises(UpdateInterrupted):
        mine.prepare()
    artefact.write_bytes(content)
    assert live(root) is Stage.KEPT


def test_too_late_is_refused(tmp_path: Path, shop: Shop) -> None:
    """A job that waited in a drawer for a month is not carried out by surprise."""
    shop.publish("1.1.0")
    with pytest.raises(UpdateRefused, match="was to begin before"):
        updater(tmp_path / "software").accept("job", shop.document("1.1.0", deadline=AT - timedelta(seconds=1)))


def test_a_second_update_waits(tmp_path: Path, shop: Shop) -> None:
    """One at a time; the same job again changes nothing."""
    root = tmp_path / "software"
    for version in ("1.1.0", "1.2.0"):
        shop.publish(version)
    mine = updater(root)
    mine.accept("one", shop.document("1.1.0"))
    mine.accept("one", shop.document("1.1.0"))
    with pytest.raises(UpdateRefused, match="update one is under way"):
        mine.accept("two", shop.document("1.2.0"))


POINTS = ("fetch", "make", "try", "whole", "note trial", "switch", "switched", "keep", "kept", "prune", "forget")


@pytest.mark.parametrize("well", [True, False])
@pytest.mark.parametrize("point", [*POINTS, "take back", "taken back"])
def test_a_power_cut_at_any_point_is_continued(tmp_path: Path, shop: Shop, point: str, well: bool) -> None:
    """Whatever was written last, the launcher finds a version that works and the update comes to its end."""
    root = tmp_path / "software"
    shop.publish("1.1.0")
    updater(root).accept("job", shop.document("1.1.0"))
    cut = [point]

    def reached(name: str) -> None:
        if cut and name == cut[0]:
            cut.clear()
            raise PowerCut

    with contextlib.suppress(PowerCut):
        live(root, reached=reached, well=well)
    assert works(root, launch.choose(root, packaged=PACKAGED))
    live(root, well=well)
    assert launch.choose(root, packaged=PACKAGED) == ("1.1.0" if well else None)
    assert launch.read_progress(root) is None


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_killed_at_random_it_always_comes_back_on_a_working_version(tmp_path: Path, shop: Shop) -> None:
    """SIGKILL between any two instructions, many times, over good and bad updates."""
    generator = random.Random(SEED)
    root = tmp_path / "software"
    kills, number, within_s = 0, 0, KILLED_WITHIN_S
    ended: list[bool] = []
    while kills < KILLS or len(ended) < 2:
        number += 1
        version, well = f"1.{number}.0", number % 3 != 0
        shop.publish(version)
        updater(root).accept(f"job-{number}", shop.document(version))
        while (before := launch.read_progress(root)) is not None:
            child = os.fork()
            if child == 0:
                with contextlib.suppress(BaseException):
                    live(root, well=well)
                os._exit(0)
            time.sleep(generator.uniform(0, within_s))
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            kills += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
            assert works(root, launch.choose(root, packaged=PACKAGED)), f"seed {SEED}, kill {kills}, version {version}"
            # A machine may be too slow to end one step in this time: it gets longer until a step ends.
            within_s = within_s * 1.2 if launch.read_progress(root) == before else KILLED_WITHIN_S
        ended.append(launch.choose(root, packaged=PACKAGED) == version)
    print(f"{kills} kills over {number} updates, {sum(ended)} kept")
    assert any(ended)
