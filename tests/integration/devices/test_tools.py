"""The installer's tools as programs call them: exact forms, answers and exit codes."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sitewatt import device_tools
from sitewatt.commands import device, profile

SAFETY_S = 120.0
FRONIUS = "fronius_gen24_int"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Serve a hybrid in a process of its own."""
    command = [sys.executable, "-m", "sitewatt", "sim", "device", "--profile-like", FRONIUS, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        try:
            yield json.loads(served.stdout.readline())["url"]
        finally:
            served.terminate()
            served.wait(SAFETY_S)


def run(*arguments: str, code: int = 0) -> Any:
    """Run a tool and return its JSON answer."""
    result = CliRunner().invoke(device.app, list(arguments))
    assert result.exit_code == code, result.output
    return json.loads(result.stdout) if result.stdout.startswith("{") else result.output


def test_read_gives_points_in_both_senses(url: str) -> None:
    """What the device means and what we mean stand side by side."""
    answers = run("read", url, "--profile", FRONIUS, "--point", "active_power_w", "--point", "battery_power", "--json")
    assert answers["m103.W"]["canonical_value"] == -answers["m103.W"]["value"]
    assert set(answers["battery_power"]) == {"value", "unit", "quality", "canonical", "canonical_value", "raw"}


def test_identify_names_the_best_profile_with_evidence(url: str) -> None:
    """The vendor's name counts more than values that merely could be."""
    first, *_ = run("identify", url, "--json")["matches"]
    assert first["profile"] == FRONIUS and any("Fronius" in one for one in first["evidence"])


def test_scan_finds_who_answers(url: str) -> None:
    """One host, two units asked, one there."""
    port = url.rpartition(":")[2].partition("?")[0]
    (found,) = run("scan", "127.0.0.1", "--port", port, "--unit", "1", "--unit", "9", "--json")["found"]
    assert found["url"] == url and 103 in found["sunspec_models"]


def test_scan_says_when_a_name_stands_for_no_host() -> None:
    """A slip of the pen is not a silent network."""
    assert run("scan", "no such host", "--json", code=1)["error"]["code"] == "device_silent"


def test_scan_says_when_a_serial_port_cannot_be_opened(tmp_path: Path) -> None:
    """An adapter that is not plugged in is not a line on which nobody answers."""
    error = run("scan", str(tmp_path / "ttyNONE"), "--json", code=1)["error"]
    assert error["code"] == "device_silent" and "cannot be opened" in error["message"]


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        (("plan", "--profile", "eastron_sdm63"), "eastron_sdm630"),
        (
            ("encode", "--profile", "sunspec_generic_int", "--point", "m123.wmaxlimpc", "--value", "3"),
            "m123.WMaxLimPct",
        ),
    ],
)
def test_a_slip_of_the_pen_gets_the_name_that_was_meant(slip: tuple[str, ...], meant: str) -> None:
    """Nobody knows 41 names and 1438 points by heart."""
    assert f"did you mean {meant!r}?" in run(*slip, "--json", code=2)["error"]["message"]


def test_registers_of_no_known_table_are_refused(tmp_path: Path) -> None:
    """An empty answer would look like a device that holds nothing."""
    file = tmp_path / "registers.json"
    file.write_text('{"holdin": {"40083": 14152}}', encoding="utf-8")
    error = run("decode", "--profile", FRONIUS, "--registers", str(file), "--json", code=2)["error"]
    assert error["code"] == "bad_argument" and "holdin" in error["message"]


@pytest.mark.parametrize(
    ("hosts", "stops"),
    [("127.0.0.1", ()), ("127.0.0.0/30", ("1 of 2 hosts asked", "2 of 2 hosts asked"))],
)
def test_a_scan_of_several_hosts_shows_how_far_it_is(
    hosts: str, stops: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network takes minutes; a port that is closed does not."""
    monkeypatch.setattr(device_tools, "is_watched", lambda: True)
    result = CliRunner().invoke(device.app, ["scan", hosts, "--port", "1"])
    assert tuple(re.findall(r"\d of \d hosts asked", result.stderr)) == stops


def test_a_scan_of_one_host_names_the_unit_that_it_asks(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Units that are silent take their time; what was said on the way is gone when an answer is printed."""
    monkeypatch.setattr(device_tools, "is_watched", lambda: True)
    port = url.rpartition(":")[2].partition("?")[0]
    result = CliRunner().invoke(device.app, ["scan", "127.0.0.1", "--port", port, "--unit", "1"])
    said = f"127.0.0.1:{port}: unit 1, 1 of 1"
    assert result.stderr == f"\r{said}\r{' ' * len(said)}\r"
    assert result.stdout.startswith(f"{url} answers ") and "SunSpec models 1, 103" in result.stdout


def test_scan_refuses_a_network_that_is_too_large() -> None:
    """Nobody scans an internet by a slip of the pen."""
    assert run("scan", "10.0.0.0/8", "--json", code=2)["error"]["code"] == "bad_argument"


def test_a_dump_decodes_as_the_device_reads(url: str, tmp_path: Path) -> None:
    """What a bug report holds is what the reporter saw."""
    file = tmp_path / "dump.json"
    assert run("dump", url, str(file), "--profile", FRONIUS, "--json")["registers"] > 300
    answers = run("decode", "--profile", FRONIUS, "--registers", str(file), "--json")
    assert answers["m1.Mn"]["value"] == "Fronius" and answers["m124.ChaState"]["quality"] == "good"


def test_a_dump_can_be_replayed(url: str, tmp_path: Path) -> None:
    """A bug report becomes a device."""
    from firmware_sim.replay import load_dump

    file = tmp_path / "dump.json"
    run("dump", url, str(file), "--profile", FRONIUS, "--json")
    (frame,) = load_dump(file)
    assert any(frame.tables.values())


def test_write_reads_back_and_puts_back(url: str) -> None:
    """A lease ends with the old value in place, and says so."""
    arguments = ("--profile", FRONIUS, "--point", "m123.WMaxLimPct", "--value", "40", "--lease", "1", "--json")
    answer = run("write", url, *arguments)
    assert (answer["before"], answer["read_back"], answer["equal"], answer["restored"]) == (100.0, 40.0, True, True)
    assert (
        run("read", url, "--profile", FRONIUS, "--point", "m123.WMaxLimPct", "--json")["m123.WMaxLimPct"]["value"]
        == 100
    )


@pytest.mark.parametrize("how", device.STOPS)
def test_a_lease_that_is_cut_short_puts_back_and_says_so(url: str, how: signal.Signals) -> None:
    """Ctrl-C, a supervisor's stop and a terminal that closes leave the device as it was found."""
    arguments = ("write", url, "--profile", FRONIUS, "--point", "m123.WMaxLimPct", "--value", "35", "--lease", "60")
    command = [sys.executable, "-m", "sitewatt", "device", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writing:
        assert writing.stdout is not None
        assert "reads 35.0, was 100.0; back in 60 s" in writing.stdout.readline()
        writing.send_signal(how)
        said, _ = writing.communicate(timeout=SAFETY_S)
    assert "the old value is back" in said and writing.returncode == 0
    read = run("read", url, "--profile", FRONIUS, "--point", "m123.WMaxLimPct", "--json")
    assert read["m123.WMaxLimPct"]["value"] == 100


def test_a_watched_device_may_fall_silent_and_come_back() -> None:
    """Whoever watches sees when it went and when it is there again."""
    served = [sys.executable, "-m", "sitewatt", "sim", "device", "--profile-like", "sdm630", "--json", "--port"]
    watch = [sys.executable, "-m", "sitewatt", "device", "read", "--profile", "eastron_sdm630", "--point", "frequency"]
    with subprocess.Popen([*served, "0"], stdout=subprocess.PIPE, text=True) as meter:
        assert meter.stdout is not None
        answer = json.loads(meter.stdout.readline())
        with subprocess.Popen([*watch, answer["url"], "--watch", "--json"], stdout=subprocess.PIPE, text=True) as seen:
            assert seen.stdout is not None
            assert "frequency" in json.loads(seen.stdout.readline())
            meter.terminate()
            lines = map(json.loads, seen.stdout)
            assert next(line for line in lines if "error" in line)["error"]["code"] == "device_silent"
            with subprocess.Popen([*served, str(answer["port"])], stdout=subprocess.PIPE, text=True) as again:
                assert next(line for line in lines if "frequency" in line)
                seen.send_signal(signal.SIGINT)
                again.terminate()
            assert seen.wait(SAFETY_S) == 0


def test_points_that_a_device_refuses_are_named(url: str) -> None:
    """A wrong profile does not look like a device that measures nothing."""
    result = CliRunner().invoke(device.app, ["read", url, "--profile", "eastron_sdm120"])
    assert result.exit_code == 1 and "refused by the device: voltage, " in result.stderr


def test_a_folder_of_profiles_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Behind a slip of the pen ours would be taken without a word."""
    missing = str(tmp_path / "none")
    error = run("plan", "--profile", FRONIUS, "--profiles", missing, "--json", code=2)["error"]
    assert "is no folder" in error["message"]
    assert CliRunner().invoke(profile.app, ["list", "--profiles", missing]).exit_code == 2


def test_write_refuses_what_is_outside_the_range(url: str) -> None:
    """Nothing reaches the device, and the exit code says so."""
    arguments = ("--profile", FRONIUS, "--point", "m123.WMaxLimPct", "--value", "140", "--json")
    assert run("write", url, *arguments, code=1)["error"]["code"] == "out_of_range"


def test_plan_has_the_form_that_programs_read(url: str) -> None:
    """Offline for a line of any speed, and for a device at its own addresses."""
    for arguments in (("--baud", "9600", "--turnaround-ms", "30"), ("--url", url), ()):
        plan = run("plan", "--profile", FRONIUS, *arguments, "--json")
        assert set(plan) == {"requests", "registers", "predicted_ms", "lower_bound_ms"}
        assert all(set(request) == {"table", "address", "count"} for request in plan["requests"])
        assert plan["predicted_ms"] >= plan["lower_bound_ms"] > 0


def test_encode_has_the_form_that_programs_read() -> None:
    """Words at an address, or one error and exit 1."""

    def encode(point: str, value: str, code: int = 0) -> Any:
        given = ("--profile", FRONIUS, "--point", point, "--value", value, "--scale-factor", "-2")
        return run("encode", *given, code=code)

    assert encode("m124.OutWRte", "-42.5") == {"writes": [{"table": "holding", "address": 40355, "words": [61286]}]}
    assert encode("m123.WMaxLimPct", "-1", 1)["error"]["code"] == "out_of_range"
    assert encode("m103.W", "1", 1)["error"]["code"] == "not_writable"
    assert encode("nothing", "1", 2)["error"]["code"] == "bad_argument"


def test_what_is_not_there_ends_with_a_sentence(tmp_path: Path) -> None:
    """Bad arguments are 2, a silent device is 1; never a traceback."""
    assert run("read", "tcp://127.0.0.1:9", "--profile", FRONIUS, "--json", code=1)["error"]["code"] == "device_silent"
    assert run("read", "tcp://127.0.0.1:9", "--profile", "nope", "--json", code=2)["error"]["code"] == "bad_argument"
    missing = str(tmp_path / "none.json")
    assert run("decode", "--profile", FRONIUS, "--registers", missing, "--json", code=2)["error"]["code"] == "bad_file"


def test_whoever_asks_in_the_wrong_place_reads_where_such_a_device_usually_is() -> None:
    """SMA is unit 3, Kostal port 1502; a url that names neither asks unit 1 of port 502."""
    error = run("read", "tcp://127.0.0.1:9", "--profile", "kostal_plenticore", "--json", code=1)["error"]
    assert error["message"].endswith("; kostal_plenticore usually is unit 71 of port 1502")


def test_profiles_are_listed_shown_and_checked(tmp_path: Path) -> None:
    """Forty-one ship; one of the user's own is checked by the same rules."""
    runner = CliRunner()
    listed = json.loads(runner.invoke(profile.app, ["list", "--json"]).stdout)["profiles"]
    assert len(listed) >= 41
    shown = json.loads(runner.invoke(profile.app, ["show", "kmtronic_relay", "--json"]).stdout)
    assert (
        shown["points"]["relay1"]["table"]
        if "table" in shown["points"]["relay1"]
        else shown["defaults"]["table"] == "coil"
    )
    assert runner.invoke(profile.app, ["check", "kmtronic_relay"]).exit_code == 0
    mine = tmp_path / "mine.yaml"
    mine.write_text("id: mine\n", encoding="utf-8")
    result = runner.invoke(profile.app, ["check", str(mine), "--json"])
    assert result.exit_code == 1 and "vendor is missing" in json.loads(result.stdout)["error"]["message"]
