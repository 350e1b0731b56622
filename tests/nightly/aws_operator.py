"""What an operator types when a key leaks and when a person goes, against an emulator, kept for ``docs/aws.md``."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cloud.local.report import ledger
from cloud.stores.tables import Table, Tables
from tests.support.cloud.aws_stack import call
from tests.support.cloud.emulator import Emulator
from tests.support.cloud.sites import ZONE, registry_data
from tests.support.cloud.transcript import Transcript
from tests.support.market.shell import story

pytestmark = pytest.mark.slow


def test_a_key_is_replaced_and_a_site_goes_in_the_operators_words(
    aws: Emulator, stack: dict[str, Any], tables: Tables, transcript: Transcript, tmp_path: Path
) -> None:
    """What the page shows was typed and read here; the ledger is what it was before the person went."""
    where, registry_file = ("--endpoint", aws.endpoint), tmp_path / "zones.yaml"
    for handler, event in story():
        call(aws, handler.__module__.rpartition(".")[2].replace("_", "-"), event)
    before = ledger(tables, [ZONE])
    registry_file.write_text(yaml.safe_dump({"registry": registry_data()}))
    said = transcript.run("command", "keys", "new", str(tmp_path / "new.pem"))
    given = ("--registry", str(registry_file), "--signing-key", str(tmp_path / "new.pem"))
    put = transcript.run("cloud", "register", *given, *where)
    key = put.rpartition("signing key ")[2].split()[0]
    assert key and said
    assert f"signing key: {key}" in transcript.run("cloud", "status", *where)
    raw = registry_data()
    raw["sites"] = [one for one in raw["sites"] if one["id"] != "home-1"]
    registry_file.write_text(yaml.safe_dump({"registry": raw}))
    transcript.run("cloud", "export", "--site", "home-1", "--out", str(tmp_path / "home-1.zip"), *where)
    transcript.run("cloud", "register", "--registry", str(registry_file), *where)
    transcript.run("cloud", "erase", "--site", "home-1", *where, expect=2)
    transcript.run("cloud", "erase", "--site", "home-1", "--yes", *where)
    after = ledger(tables, [ZONE])
    assert after == before and before["lines"] > 0
    transcript.note(f"ledger before and after: {after['lines']} lines, sum {after['sum']}")
    assert not [put for table in Table for put in tables.walk(table) if "home-1" in str(put)]
