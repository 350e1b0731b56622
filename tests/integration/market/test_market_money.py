"""``sitewatt market claims|estimates|statement`` over a cloud's tables: traded, untraded and implausible sites."""

import csv
import io
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cloud.stores.registry import save_registry
from sitewatt.commands.market import app
from tests.support.cloud.sites import house_in
from tests.support.market.claim import with_claim


def _run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.output


def _json(*arguments: str, code: int = 0) -> Any:
    return json.loads(_run(*arguments, "--json", code=code))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A cloud in which the farm sold the factory 1000 Wh, home-1 traded nothing and home-2's meter is mad."""
    with house_in(tmp_path) as (services, _):
        save_registry(services.stores.tables, services.registry)
        balances = with_claim(services)
    (tmp_path / "balances.json").write_text(json.dumps(balances), encoding="utf-8")
    yield tmp_path


def test_what_stands_on_an_estimate_is_listed_with_its_end(folder: Path) -> None:
    """An operator must see what was settled without a reading while a reading can still correct it."""
    rows = _json("estimates", str(folder))["estimates"]
    (row,) = [row for row in rows if row["method"] == "implausible"]
    assert (row["site"], row["method"], row["held"]) == ("home-2", "implausible", 10**9)
    assert row["final_at"].startswith("2026-12-20")
    assert f"{len(rows)} settlements stand on estimates" in _run("estimates", str(folder))


def test_a_held_reading_is_listed_with_its_reason_until_somebody_releases_it(folder: Path) -> None:
    """A meter may be right and its registration wrong; whoever says so stands in the journal."""
    (row,) = _json("readings", "list", str(folder))["readings"]
    assert (row["site"], row["held"]) == ("home-2", 10**9)
    assert row["reason"].startswith("import of 1000000000 Wh is above the 4675 Wh")
    words = ("--site", "home-2", "--start", row["start"], "--by", "ann", "--reason", "the connection was raised")
    assert "is released by ann" in _run("readings", "release", str(folder), *words)
    assert _run("readings", "list", str(folder)) == "0 readings are held\n"
    assert "nothing was released" in _run("readings", "release", str(folder), *words, code=1)
    assert "not an instant" in _run(
        "readings", "release", str(folder), *words[:2], "--start", "noon", *words[4:], code=2
    )
    assert not [row for row in _json("estimates", str(folder))["estimates"] if row["method"] == "implausible"]
    assert "state" in _run("replay", str(folder))


def test_a_claim_waits_until_a_person_decides_and_the_ledger_follows(folder: Path) -> None:
    """A flag holds the money, and the decision is in the journal with its name and reason."""
    (claim,) = _json("claims", "list", str(folder))["claims"]
    assert (claim["site"], claim["event"], claim["flags"], claim["claimed_eur"]) == (
        "factory",
        "e1",
        ["few-days"],
        "0.12000000",
    )
    before = _json("statement", "--tables", str(folder), "--site", "factory", "--month", "2026-11")["statements"][0]
    assert "demand-response" not in before["by_kind"]
    words = ("--event", "e1", "--site", "factory", "--by", "ann", "--reason", "its meter agrees")
    assert "approved by ann" in _run("claims", "approve", str(folder), *words)
    after = _json("statement", "--tables", str(folder), "--site", "factory", "--month", "2026-11")["statements"][0]
    assert after["by_kind"]["demand-response"] == {"energy_wh": -300, "money_uct": -12_000_000}
    assert _run("claims", "list", str(folder)) == "0 claims wait\n"
    assert "waits; nothing was decided" in _run("claims", "refuse", str(folder), *words, code=1)
    assert "state" in _run("replay", str(folder))


def test_a_statement_sums_to_the_ledger_to_the_last_unit(folder: Path, tmp_path: Path) -> None:
    """What a member is told is what stands in the book, line by line."""
    balances = json.loads((folder / "balances.json").read_text(encoding="utf-8"))
    answers = _json("statement", "--tables", str(folder), "--all", "--month", "2026-11")["statements"]
    assert {one["site"] for one in answers} >= {"farm", "factory", "home-1", "home-2"}
    for one in answers:
        money, energy = balances.get(one["site"], (0, 0))
        assert one["total_uct"] == money == sum(line["money_uct"] for line in one["lines"])
        assert sum(line["energy_wh"] for line in one["lines"]) == energy
    farm = next(one for one in answers if one["site"] == "farm")
    assert farm["sold"]["energy_wh"] == 1000
    assert farm["saved_uct"] == farm["plain_tariff_uct"] - farm["total_uct"]
    rows = list(
        csv.DictReader(io.StringIO(_run("statement", "--tables", str(folder), "--all", "--month", "2026-11", "--csv")))
    )
    assert sum(int(row["money_uct"]) for row in rows if row["site"] == "farm") == farm["total_uct"]
    assert "receives" in _run("statement", "--tables", str(folder), "--site", "farm", "--month", "2026-11")
    out = tmp_path / "farm.pdf"
    _run("statement", "--tables", str(folder), "--site", "farm", "--month", "2026-11", "--pdf", str(out))
    assert out.read_bytes().startswith(b"%PDF")
    assert _json("statement", "--tables", str(folder), "--all", "--month", "2026-10") == {"statements": []}
    nothing = _run("statement", "--tables", str(folder), "--all", "--month", "2026-10")
    assert nothing == "no site traded or was settled in 2026-10\n"


def test_the_commands_of_the_document_print_what_it_says(folder: Path) -> None:
    """An operator who follows the page must see the page: claims, held readings, a decision, a month."""
    text = (Path(__file__).parents[3] / "docs" / "market.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    steps = [step.partition("\n") for step in block.split("$ sitewatt market ")[1:]]
    assert len(steps) == 4
    for command, _, printed in steps:
        words = [str(folder) if word == "DIR" else word for word in shlex.split(command)]
        assert _run(*words) == printed


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--month", "2026-13", "--all"), "not like 2026-11"),
        (("--month", "9999-12", "--all"), "not like 2026-11"),
        (("--month", "0001-01", "--all"), "not like 2026-11"),
        (("--month", "2026-11"), "--site S or --all"),
        (("--month", "2026-11", "--site", "nobody"), "no site 'nobody'"),
    ],
)
def test_a_statement_that_cannot_be_made_is_one_sentence(folder: Path, arguments: tuple[str, ...], word: str) -> None:
    """A misspelled site is no empty bill."""
    assert word in _run("statement", "--tables", str(folder), *arguments, code=2)
