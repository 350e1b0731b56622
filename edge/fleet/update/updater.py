"""Carries out one update, from the job to the report, over any number of power cuts.

accepted -> (artefact fetched, environment made and tried: found again by what is on the disk) -> trial: switched, must
prove itself -> kept, or taken back -> reported. Each stage is a note on the disk before it is acted upon, so whoever
starts next goes on from it. Until ``switch`` the running version is not touched; from then on ``launch`` decides.
"""

import functools
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from contracts.clock import Clock
from edge.errors import UpdateFailed, UpdateRefused
from edge.fleet.update import launch
from edge.fleet.update.document import UpdateDocument, read_update
from edge.fleet.update.download import fetch
from edge.fleet.update.environment import Environments

log = logging.getLogger(__name__)

KEPT_VERSIONS = 2


class Stage(StrEnum):
    """How far the update has come; the launcher knows two of the names too."""

    ACCEPTED = "accepted"
    TRIAL = launch.TRIAL
    KEPT = "kept"
    TAKEN_BACK = launch.TAKEN_BACK
    FAILED = "failed"


class Step(StrEnum):
    """What whoever runs the gateway does next."""

    NOTHING = "nothing"
    PREPARE = "prepare"
    SWITCH = "switch"
    PROVE = "prove"
    REPORT = "report"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The note on the disk."""

    job_id: str
    stage: Stage
    version: str
    running: str
    document: dict[str, Any]
    boots: int = 0
    site_boots: int = 0
    reason: str = ""


Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def _alone(method: Callable[Concatenate["Updater", Given], Answer]) -> Callable[Concatenate["Updater", Given], Answer]:
    """Hold the folder's lock while a method reads the note and writes it: a launcher counts starts in it meanwhile."""

    @functools.wraps(method)
    def held(updater: "Updater", /, *given: Given.args, **named: Given.kwargs) -> Answer:
        with launch.alone(updater._root):
            return method(updater, *given, **named)

    return held


class Updater:
    """The versions of one gateway and the update under way. Its calls block; run them in a thread."""

    def __init__(
        self,
        root: Path,
        *,
        packaged: str,
        trusted: Ed25519PublicKey,
        environments: Environments,
        clock: Clock,
        reached: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Prepare.

        Args:
            root: The folder that ``launch`` starts from.
            packaged: The version that runs where the folder has none.
            trusted: Who signs versions.
            environments: How environments are made and tried.
            clock: Tells whether an update comes too late.
            reached: Told the name of each point of the way, before what follows it.
        """
        self._root = root
        self._packaged = packaged
        self._trusted = trusted
        self._environments = environments
        self._clock = clock
        self._reached = reached

    def running(self) -> str:
        """Return the version that is current."""
        return launch.current(self._root) or self._packaged

    def progress(self) -> Progress | None:
        """Return the update that is under way."""
        found = launch.read_progress(self._root)
        if found is None:
            return None
        known = {name: value for name, value in found.items() if name in Progress.__dataclass_fields__}
        return Progress(**{**known, "stage": Stage(str(found["stage"]))})  # type: ignore[arg-type]

    def next_step(self) -> Step:
        """Return what is to be done, from what is on the disk alone."""
        progress = self.progress()
        if progress is None:
            return Step.NOTHING
        if progress.stage is Stage.ACCEPTED:
            return Step.SWITCH if self._is_made(progress) else Step.PREPARE
        if progress.stage is Stage.TRIAL:
            # The power went between the note and the link: the old version runs, and switches again.
            return Step.PROVE if self.running() == progress.version else Step.SWITCH
        return Step.REPORT

    @_alone
    def accept(self, job_id: str, raw: Any) -> None:
        """Take a job on.

        Raises:
            UpdateRefused: Its document is refused, it comes too late, or another update is under way.
        """
        before = self.progress()
        if before is not None and before.job_id != job_id:
            raise UpdateRefused(f"update {before.job_id} is under way; {job_id} not begun", code="busy")
        if before is not None:
            return
        document = read_update(raw, trusted=self._trusted, running=self.running())
        self._check_deadline(document)
        content = document.model_dump(mode="json")
        self._note(
            Progress(
                job_id=job_id,
                stage=Stage.ACCEPTED,
                version=document.version,
                running=self.running(),
                document=content,
            )
        )

    def prepare(self) -> None:
        """Fetch the artefact, make the environment and try it, beside the running one.

        Raises:
            UpdateInterrupted: The artefact could not be fetched; try again later.
            UpdateFailed: The version cannot be used.
        """
        progress = self._under_way(Stage.ACCEPTED)
        document = UpdateDocument.model_validate(progress.document)
        self._check_deadline(document)
        download = self._root / "download"
        download.mkdir(mode=0o700, exist_ok=True)
        artefact = download / f"{document.version}.whl"
        self._reached("fetch")
        fetch(document.artefact_url, artefact, size_bytes=document.size_bytes, sha256=document.sha256)
        folder = self._root / "versions" / document.version
        self._reached("make")
        if folder.exists():
            shutil.rmtree(folder)
        self._environments.make(artefact, folder)
        self._reached("try")
        self._environments.try_out(folder)
        self._reached("sync")
        launch.sync_tree(folder)
        self._reached("whole")
        launch.write_whole(folder / launch.WHOLE, json.dumps({"sha256": document.sha256}).encode())

    @_alone
    def switch(self, *, in_event: bool) -> bool:
        """Make the new version current, on trial; return whether the gateway is to be started anew.

        Within a demand-response event nothing is done.

        Raises:
            UpdateFailed: It comes too late.
        """
        if in_event:
            return False
        progress = self._under_way(Stage.ACCEPTED, Stage.TRIAL)
        if progress.stage is Stage.ACCEPTED:
            self._check_deadline(UpdateDocument.model_validate(progress.document))
            self._reached("note trial")
            self._note(_with(progress, stage=Stage.TRIAL))
        self._reached("switch")
        launch.switch(self._root, progress.version)
        self._reached("switched")
        return True

    @_alone
    def keep(self) -> None:
        """Keep the version on trial: it has proven itself."""
        progress = self._under_way(Stage.TRIAL)
        self._reached("keep")
        self._note(_with(progress, stage=Stage.KEPT))
        self._reached("kept")

    @_alone
    def take_back(self, reason: str) -> None:
        """Return to the version before; the gateway is to be started anew."""
        progress = self._under_way(Stage.TRIAL)
        self._reached("take back")
        launch.switch(self._root, progress.running)
        self._reached("taken back")
        self._note(_with(progress, stage=Stage.TAKEN_BACK, reason=reason))

    @_alone
    def give_up(self, reason: str) -> None:
        """Note that the version will not be tried; the running one goes on."""
        self._note(_with(self._under_way(Stage.ACCEPTED), stage=Stage.FAILED, reason=reason))

    @_alone
    def finish(self) -> None:
        """Forget the update once it was reported, and the versions and downloads that are not needed any more."""
        progress = self._under_way(Stage.KEPT, Stage.TAKEN_BACK, Stage.FAILED)
        self._reached("prune")
        for version in self._spare(progress):
            # First it is no whole version any more, so that half of it is never started.
            (self._root / "versions" / version / launch.WHOLE).unlink(missing_ok=True)
            shutil.rmtree(self._root / "versions" / version)
        shutil.rmtree(self._root / "download", ignore_errors=True)
        self._reached("forget")
        (self._root / launch.PROGRESS).unlink()
        launch.sync(self._root)

    def _spare(self, progress: Progress) -> list[str]:
        """Return the versions that are neither current nor the last good one before it."""
        good = [each for each in launch.installed(self._root) if launch.is_whole(self._root, each)]
        if progress.stage is not Stage.KEPT and progress.version in good:
            good.remove(progress.version)
        current = self.running()
        others = [each for each in good if each != current]
        kept = {current, *others[-(KEPT_VERSIONS - 1) :]}
        return [each for each in launch.installed(self._root) if each not in kept]

    def _is_made(self, progress: Progress) -> bool:
        """Say whether the version's environment is there, and made of the very artefact of this update."""
        try:
            whole = json.loads((self._root / "versions" / progress.version / launch.WHOLE).read_bytes())
        except (OSError, ValueError):
            return False
        return bool(whole.get("sha256") == progress.document["sha256"])

    def _check_deadline(self, document: UpdateDocument) -> None:
        if self._clock.now() >= document.deadline:
            raise UpdateRefused(
                f"update to {document.version} was to begin before {document.deadline.isoformat()}; not begun",
                code="too_late",
            )

    def _under_way(self, *stages: Stage) -> Progress:
        progress = self.progress()
        if progress is None or progress.stage not in stages:
            raise UpdateFailed(f"the update is {progress.stage if progress else 'none'}, not {' or '.join(stages)}")
        return progress

    def _note(self, progress: Progress) -> None:
        log.info("update", extra={"stage": progress.stage, "version": progress.version, "reason": progress.reason})
        launch.write_progress(self._root, {**vars(progress), "stage": progress.stage.value})


def _with(progress: Progress, *, stage: Stage, reason: str = "") -> Progress:
    return Progress(**{**vars(progress), "stage": stage, "reason": reason})
