"""A new version with a planted fault, against an emulator, kept for ``docs/aws.md`` (part of ``make aws``).

On AWS the alias turns back by itself (CodeDeploy, decision 34). The emulator has none, turns to the new version at
once, and counts no failure of a function that reads a stream, so no alarm of it is raised: the way back is an
operator's.
"""

import shutil
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloud.infra.functions import Bundle
from cloud.local.report import channel_counts
from cloud.stores.tables import Tables
from contracts.topics import Up
from tests.support.cloud.aws_stack import await_true, forward
from tests.support.cloud.emulator import Emulator
from tests.support.cloud.sites import registry
from tests.support.cloud.sites import telemetry as telemetry_of
from tests.support.cloud.transcript import Transcript

pytestmark = pytest.mark.slow
FAULTY = "cloud/handlers/telemetry.py"
FAULT = b"def handler(event, context):\n    raise RuntimeError('a planted fault')\n"
MESSAGES = 20


def _with_a_fault(bundles: Path, folder: Path) -> Path:
    """Return a folder of bundles whose function of telemetry raises at each call."""
    folder.mkdir()
    for bundle in Bundle:
        name = f"sitewatt-{bundle}-amd64.zip"
        if bundle is not Bundle.CORE:
            shutil.copy(bundles / name, folder / name)
            continue
        with zipfile.ZipFile(bundles / name) as whole, zipfile.ZipFile(folder / name, "w") as faulty:
            for part in whole.infolist():
                faulty.writestr(part, FAULT if part.filename == FAULTY else whole.read(part))
    return folder


def test_nothing_is_lost_while_a_version_with_a_fault_runs_and_until_it_is_taken_back(
    aws: Emulator, stack: dict[str, Any], tables: Tables, bundles: Path, transcript: Transcript, tmp_path: Path
) -> None:
    """What comes meanwhile stays in the stream, and is stored once by the version that is taken back."""
    where = ("--arch", "amd64", "--endpoint", aws.endpoint)
    faulty = _with_a_fault(bundles, tmp_path / "faulty")
    good = tmp_path / "before"
    good.symlink_to(bundles)
    transcript.run("cloud", "deploy", "--bundles", str(faulty), *where)
    now = datetime.now(UTC)
    values: dict[str, list[float | None]] = {"meter/active_power_w": [100.0, 200.0]}
    told = [telemetry_of("home-1", seq, now - timedelta(seconds=60 - 2 * seq), values) for seq in range(1, MESSAGES)]
    forward(aws, Up.TELEMETRY, *told)
    answer = aws.client("lambda").invoke(FunctionName="sitewatt-telemetry:live", Payload=b"{}")
    assert "FunctionError" in answer and b"a planted fault" in answer["Payload"].read()
    assert channel_counts(tables, registry(), Up.TELEMETRY)["stored"] == 0
    transcript.note("the function of telemetry raises at each call: nothing is stored")
    transcript.run("cloud", "deploy", "--bundles", str(good), *where)
    want = {"published": len(told), "stored": len(told), "lost": 0, "duplicated": 0}
    await_true(lambda: channel_counts(tables, registry(), Up.TELEMETRY) == want, why="it does not come")
    transcript.note(f"{len(told)} messages came while the version failed: {len(told)} stored, 0 lost, 0 twice")
