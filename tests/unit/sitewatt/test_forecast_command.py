"""``sitewatt forecast`` on small files: what it answers, and the one sentence where it cannot."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sitewatt.commands.forecast import app

RUNNER = CliRunner()


@pytest.fixture
def load_file(tmp_path: Path) -> Path:
    """Write forty days of an hourly load with a daily shape, and a gap."""
    random = np.random.default_rng(1)
    lines = ["time,load_kw,other"]
    for hour in range(24 * 40):
        at = datetime(2026, 3, 2) + timedelta(hours=hour)  # noqa: DTZ001 - the file's own time has no zone
        value = "" if 200 <= hour < 210 else f"{2 + np.sin(hour / 24 * 2 * np.pi) + random.normal(0, 0.1):.3f}"
        lines.append(f"{at:%Y-%m-%d %H:%M:%S},{value},1.0")
    file = tmp_path / "load.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def answer(*arguments: object, exit_code: int = 0) -> dict[str, object]:
    """Return the JSON answer of a command."""
    result = RUNNER.invoke(app, [*(str(argument) for argument in arguments), "--json"])
    assert result.exit_code == exit_code, result.output
    found: dict[str, object] = json.loads(result.output)
    return found


def test_run_tells_the_steps_after_the_file(load_file: Path) -> None:
    """Other programs read this."""
    found = answer("run", load_file, "--hours", 24)
    assert found["start"] == "2026-04-11T00:00:00+00:00" and found["column"] == "load_kw"
    p50 = found["p50"]
    assert isinstance(p50, list) and len(p50) == 24 and abs(p50[6] - 3) < 0.3


def test_run_can_begin_within_the_file(load_file: Path) -> None:
    """A past forecast is made from what was known then."""
    assert answer("run", load_file, "--at", "2026-03-20")["start"] == "2026-03-20T00:00:00+00:00"


def test_backtest_scores_by_lead_and_beats_last_week(load_file: Path) -> None:
    """The claim and its proof are one command."""
    scores = answer("backtest", load_file, "--days", 5)["scores"]
    assert isinstance(scores, list) and [score["lead"] for score in scores] == ["0-24h", "24-48h"]
    assert scores[0]["rmae_week"] < 1 and scores[0]["points"] == 120


def test_report_scores_every_column(load_file: Path) -> None:
    """All sites of a file side by side."""
    columns = answer("report", load_file, "--days", 2, "--hours", 24)["columns"]
    assert isinstance(columns, dict) and list(columns) == ["load_kw", "other"]
    text = RUNNER.invoke(app, ["report", str(load_file), "--days", "2", "--hours", "24"]).output
    assert "load_kw" in text and "rmae week" in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--column", "pv"], "no column 'pv', only load_kw, other"),
        (["--kind", "pv"], "--place '' is not latitude,longitude,tilt,azimuth"),
        (["--at", "soon"], "'soon' is not an ISO 8601 instant"),
    ],
)
def test_wrong_arguments_end_with_a_sentence_and_two(load_file: Path, arguments: list[str], sentence: str) -> None:
    """The caller's mistake is named."""
    error = answer("run", load_file, *arguments, exit_code=2)["error"]
    assert isinstance(error, dict) and sentence in error["message"]


def test_a_file_that_is_no_series_names_its_line(tmp_path: Path) -> None:
    """A broken export is found at its line."""
    file = tmp_path / "bad.csv"
    file.write_text("time,kw\n2026-01-01 00:00:00,1\n2026-01-01 01:00:00,x\n", encoding="utf-8")
    error = answer("run", file, exit_code=2)["error"]
    assert isinstance(error, dict) and "line 3" in error["message"]
    assert "cannot be read" in str(answer("run", tmp_path / "none.csv", exit_code=2)["error"])
