"""The demonstration's gateways live with the deployed stack, against an emulator (part of ``make aws``)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cloud.aws_stack import command
from tests.support.cloud.emulator import ROOT_USER, Emulator

pytestmark = pytest.mark.slow
SPEED = 5  # The emulator calls one function after the other.


def test_gateways_trade_and_answer_an_event_with_a_stack_in_the_place_of_the_cloud(
    aws: Emulator, bundles: Path, tmp_path: Path
) -> None:
    """Devices, gateways and broker here, everything else in the stack: an interval settles, nothing is lost."""
    where = ("--endpoint", aws.endpoint)
    command("cloud", "deploy", "--bundles", str(bundles), "--arch", "amd64", *where)
    report = tmp_path / "report.json"
    asked = ("--cloud", "aws", *where, "--sites", "3", "--speed", str(SPEED), "--no-page", "--report", str(report))
    done = subprocess.run(
        [sys.executable, "-m", "sitewatt", "demo", "--headless", *asked, "--keep", str(tmp_path / "kept")],
        env={**os.environ, **ROOT_USER},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:] + aws.log.read_text()[-3000:]
    told = json.loads(report.read_text())
    assert told["passed"] and told["kept_up"] and all(told["checks"].values())
    assert told["ledger"]["lines"] > 0 and told["orders"]["traded"] > 0
    effective = [event for event in told["dr_events"] if event["effective"]]
    print(
        f"\n{told['telemetry']['stored']} messages stored, {told['ledger']['lines']} lines of the ledger sum to "
        f"{told['ledger']['sum']}, {len(effective)} events effective"
    )
    again = command("demo", "--headless", "--no-page", "--cloud", "aws", *where, expect=2)
    assert "somebody takes part" in again["error"]["message"]
