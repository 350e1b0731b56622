"""A Region is lost in the middle of a product, and another goes on from the copy (part of ``make aws``).

Against an emulator of two Regions, kept for ``docs/aws.md``. The emulator brings a table back as it is now, whatever
second is asked for; that a second is kept apart from what came later is DynamoDB's own promise.
"""

import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from cloud.local.report import intervals, ledger
from cloud.stores.dynamodb import DynamoTables
from cloud.stores.tables import Tables
from tests.support.cloud.aws_stack import call
from tests.support.cloud.emulator import Emulator
from tests.support.cloud.sites import ZONE, house_in, registry_data, write_key
from tests.support.cloud.transcript import Transcript
from tests.support.market.shell import Event, run_events, story

pytestmark = pytest.mark.slow
ELSEWHERE = "eu-west-1"


def _name(event: Event) -> str:
    return event[0].__module__.rpartition(".")[2].replace("_", "-")


def test_another_region_settles_what_was_begun_in_the_one_that_is_lost(
    aws: Emulator, stack: dict[str, Any], tables: Tables, bundles: Path, transcript: Transcript, tmp_path: Path
) -> None:
    """Half of a product here, the copy, the other half there: prices, trades and ledger as where nothing happened."""
    with house_in(tmp_path / "ours") as (services, _):
        run_events(services, story())
        ours, our_ledger = intervals(services.stores.tables, ZONE), ledger(services.stores.tables, [ZONE])
    events = story()
    half = len(events) // 2
    for event in events[:half]:
        call(aws, _name(event), event[1])
    here, there = ("--endpoint", aws.endpoint), ("--region", ELSEWHERE, "--endpoint", aws.endpoint)
    good, zones, key = tmp_path / "bundles", tmp_path / "zones.yaml", tmp_path / "key.pem"
    good.symlink_to(bundles)
    zones.write_text(yaml.safe_dump({"registry": registry_data()}))
    write_key(key)
    transcript.run("cloud", "backup", "--out", str(tmp_path / "copy"), *here)
    transcript.note("eu-central-1 is lost")
    begun_s = time.monotonic()
    transcript.run("cloud", "deploy", "--bundles", str(good), "--arch", "amd64", *there)
    transcript.run("cloud", "restore", "--from", str(tmp_path / "copy"), *there)
    transcript.run("cloud", "register", "--registry", str(zones), "--signing-key", str(key), *there)
    assert "NOT WELL" not in transcript.run("cloud", "status", *there)
    took_s = time.monotonic() - begun_s
    others = DynamoTables(aws.client("dynamodb", region=ELSEWHERE), prefix="sitewatt-")
    assert intervals(others, ZONE) == intervals(tables, ZONE) != ours
    for event in events[half:]:
        call(aws, _name(event), event[1], region=ELSEWHERE)
    assert intervals(others, ZONE) == ours and any(interval["settled"] for interval in ours)
    assert ledger(others, [ZONE]) == our_ledger and (our_ledger["sum"], our_ledger["energy_sum"]) == (0, 0)
    transcript.note(
        f"the product is settled in {ELSEWHERE} as if nothing had happened: {our_ledger['lines']} lines, sum 0; "
        f"{took_s:.0f} s from the first command there to a status that is well"
    )
    print(f"\n{took_s:.0f} s until {ELSEWHERE} was well; {our_ledger['lines']} lines of the ledger sum to 0")
