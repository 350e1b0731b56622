"""``sitewatt forecast`` on small files: what it answers, and the one sentence where it cannot."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

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


def _hours(tmp_path: Path, changed: dict[str, str] | None = None) -> Path:
    """Write four weeks of an hourly load, with some cells changed."""
    rows = ["time,value"]
    for hour in range(24 * 28):
        at = datetime(2025, 6, 1) + timedelta(hours=hour)  # noqa: DTZ001 - stamped as UTC below
        value = (changed or {}).get(
            f"h{hour}", f"{0.4 + 1.6 * np.exp(-((hour % 24 - 19) ** 2) / 6) + 0.01 * (hour % 7):.3f}"
        )
        rows.append(f"{at.isoformat()}+00:00,{value}")
    file = tmp_path / "hours.csv"
    file.write_text("\n".join(rows), encoding="utf-8")
    return file


def test_forecast_and_backtest_say_the_same_of_a_file(tmp_path: Path) -> None:
    """An outlier that the forecast leaves out is not what the backtest is scored on."""
    file = _hours(tmp_path, {"h451": "12475.9"})
    told, scored = answer("run", file, "--hours", 24), answer("backtest", file, "--hours", 24, "--days", 14)
    assert told["understood"] == scored["understood"] and "outlier 12475.9" in str(told["notes"])
    p50, scores = told["p50"], scored["scores"]
    assert isinstance(p50, list) and max(p50) < 3 and isinstance(scores, list) and scores[0]["mae"] < 0.2
    assert "read: hourly" in RUNNER.invoke(app, ["run", str(file), "--hours", "3"]).output


def test_a_band_is_no_narrower_for_what_was_left_out(tmp_path: Path) -> None:
    """With a value less known, the forecast is not the surer."""
    clean = answer("run", _hours(tmp_path), "--hours", 24)
    odd = answer("run", _hours(tmp_path, {"h451": "65535"}), "--hours", 24)
    width = [np.subtract(found["p90"], found["p10"]).mean() for found in (clean, odd)]  # type: ignore[call-overload]
    assert width[1] >= width[0]


def test_an_origin_far_from_the_file_and_a_file_of_nothing_are_refused(tmp_path: Path) -> None:
    """Both were a forecast of zeros and exit 0."""
    error = answer("run", _hours(tmp_path), "--at", "2030-01-01", exit_code=2)["error"]
    assert isinstance(error, dict) and "2025-06-29" in error["message"]
    empty = _hours(tmp_path, {f"h{hour}": "" for hour in range(24 * 28)})
    for command in ("run", "backtest"):
        assert "holds no value" in str(answer(command, empty, exit_code=2)["error"])


def test_a_net_meter_is_forecast_below_zero(tmp_path: Path) -> None:
    """Export forced to zero is a plan for nothing."""
    net = _hours(tmp_path, {f"h{hour}": "-500" if 9 <= hour % 24 <= 15 else "500" for hour in range(24 * 28)})
    p50 = answer("run", net, "--hours", 24)["p50"]
    assert isinstance(p50, list) and p50[12] == -500 and p50[2] == 500


@pytest.mark.parametrize("at", ["2025-10-24", "2025-10-27", "2025-10-28"])
def test_a_forecast_is_as_good_after_the_clock_changed(tmp_path: Path, at: str) -> None:
    """A household follows the clock on the wall, and so does its forecast."""
    berlin, rows, real = ZoneInfo("Europe/Berlin"), ["time;load_kw"], {}
    for hour in range(24 * 65):
        moment = (datetime(2025, 9, 1, tzinfo=UTC) + timedelta(hours=hour)).astimezone(berlin)
        real[moment.astimezone(UTC)] = 0.4 + 1.6 * np.exp(-((moment.hour - 19) ** 2) / 6) + 0.01 * (hour % 5)
        rows.append(f"{moment:%d.%m.%Y %H:%M};{real[moment.astimezone(UTC)]:.3f}")
    file = tmp_path / "local.csv"
    file.write_text("\n".join(rows), encoding="utf-8")
    found = answer("run", file, "--timezone", "Europe/Berlin", "--at", at, "--hours", 24)
    start, p50 = datetime.fromisoformat(str(found["start"])), found["p50"]
    assert start.astimezone(berlin).hour == 0 and isinstance(p50, list)
    errors = [abs(value - real[start + timedelta(hours=hour)]) for hour, value in enumerate(p50)]
    assert np.mean(errors) < 0.03, errors


def test_covariates_that_tell_the_load_make_a_better_forecast(tmp_path: Path) -> None:
    """A published load forecast, or a production schedule, through the same path as a site's own record."""
    random = np.random.default_rng(3)
    start = datetime(2026, 3, 2, tzinfo=UTC)
    shifts = random.integers(0, 2, 24 * 50 // 8).repeat(8) * 10.0
    load, given = ["time,load_kw"], ["start,shift"]
    for hour, shift in enumerate(shifts):
        at = (start + timedelta(hours=hour)).isoformat()
        given.append(f"{at},{shift}")
        if hour < 24 * 47:
            load.append(f"{at},{5 + shift + random.normal(0, 0.2):.3f}")
    (tmp_path / "load.csv").write_text("\n".join(load))
    (tmp_path / "given.csv").write_text("\n".join(given))
    found = []
    for more in ([], ["--covariates", tmp_path / "given.csv"]):
        told = answer("backtest", tmp_path / "load.csv", "--days", 5, "--hours", 24, *more)
        found.append(told["scores"][0]["mae"])  # type: ignore[index]
    assert found[1] < 0.5 * found[0]


def test_weather_of_a_file_makes_a_better_pv_forecast_and_wrong_files_are_named(tmp_path: Path) -> None:
    """The path of the cloud's own issues, on a person's files."""
    random = np.random.default_rng(5)
    start = datetime(2026, 5, 1, tzinfo=UTC)
    cloudiness = random.uniform(0.2, 1.0, 45).repeat(24)
    power, weather = ["time,pv_kw"], ["start,ghi_w_m2,air_temperature_c"]
    for hour in range(24 * 45):
        at = (start + timedelta(hours=hour)).isoformat()
        ghi = max(0.0, np.sin((hour % 24 - 5.5) / 14 * np.pi)) * 800 * cloudiness[hour] if 5 < hour % 24 < 20 else 0.0
        weather.append(f"{at},{ghi:.1f},15")
        if hour < 24 * 42:
            power.append(f"{at},{ghi / 200:.3f}")
    (tmp_path / "pv.csv").write_text("\n".join(power))
    (tmp_path / "weather.csv").write_text("\n".join(weather))
    place = ["--kind", "pv", "--place", "50,8,30,180"]
    found = []
    for more in ([], ["--weather", tmp_path / "weather.csv"]):
        told = answer("backtest", tmp_path / "pv.csv", *place, "--days", 6, "--hours", 24, *more)
        found.append(told["scores"][0]["mae"])  # type: ignore[index]
    assert found[1] < 0.6 * found[0]
    told = answer("run", tmp_path / "pv.csv", *place, "--hours", 48, "--weather", tmp_path / "weather.csv")
    assert told["method"] == "mix with weather"
    bad = RUNNER.invoke(app, ["run", str(tmp_path / "pv.csv"), *place, "--weather", str(tmp_path / "pv.csv")])
    assert bad.exit_code == 2 and "no column" in bad.output
    wrong = RUNNER.invoke(app, ["run", str(tmp_path / "pv.csv"), "--weather", str(tmp_path / "weather.csv")])
    assert wrong.exit_code == 2 and "--weather is of PV" in wrong.output
