"""What the nightly runs on AWS share: bundles built once, and a stack for each file."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud.stores.dynamodb import DynamoTables
from cloud.stores.tables import Tables
from edge.deploy.source_tree import ROOT
from tests.support.cloud.aws_stack import BUNDLES_VARIABLE, bring_up, command, unpack
from tests.support.cloud.emulator import Emulator, emulator, installed
from tests.support.cloud.transcript import Transcript

REPORT = ROOT / "build" / "aws-report.md"
_reports: list[pytest.TestReport] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep what became of each test on AWS, and what it cost to prepare it where that failed."""
    if Path(report.fspath).name.startswith("aws") and (report.when == "call" or report.failed):
        _reports.append(report)


def pytest_sessionfinish() -> None:
    """Write one report of all files that ran, with what their tests measured."""
    if not _reports:
        return
    lines = [f"# The stack on an emulator: {len(_reports)} tests", ""]
    for report in _reports:
        lines.append(f"- {report.outcome}, {report.duration:.0f} s: `{report.nodeid.removeprefix('tests/nightly/')}`")
        lines += [f"  {line}" for line in report.capstdout.splitlines() if line.strip()]
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text("\n".join([*lines, ""]), encoding="utf-8")


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundles for this machine's processor."""
    if built := os.environ.get(BUNDLES_VARIABLE):
        return Path(built)
    folder = tmp_path_factory.mktemp("bundles")
    command("cloud", "bundle", "--arch", "amd64", "--out", str(folder))
    return folder


@pytest.fixture(scope="session")
def unpacked(bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with each bundle as Lambda lays it out."""
    return unpack(bundles, tmp_path_factory.mktemp("unpacked"))


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An account that nothing was done to, where a role's grants count."""
    installed()
    with emulator(tmp_path_factory.mktemp("aws"), AUTH="true") as running:
        yield running


@pytest.fixture(scope="module")
def stack(aws: Emulator, bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The stack, deployed and told of a neighbourhood."""
    return bring_up(aws, bundles, tmp_path_factory.mktemp("operator"))


@pytest.fixture
def tables(aws: Emulator, stack: dict[str, Any]) -> Tables:
    """The stack's tables."""
    return DynamoTables(aws.client("dynamodb"), prefix="sitewatt-")


@pytest.fixture(scope="session")
def transcript() -> Transcript:
    """What was typed and read in the drills, for the page about AWS."""
    return Transcript(ROOT / "build" / "aws-drills.txt")
