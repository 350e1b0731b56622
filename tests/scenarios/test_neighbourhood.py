"""A whole neighbourhood of real processes: the main job, a gateway that is killed, a broker that goes away."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.control import AckStage, BatteryPower
from contracts.units import epoch_ms
from sitewatt.demo import report
from sitewatt.demo.run import start_gateway
from tests.support.rigs.neighbourhood import RunningNeighbourhood, running_neighbourhood

REVERT_S = 90.0  # The device's own timer, armed with each order. Source: DESIGN law 5, field default.
TOLERANCE_W = 150.0


@pytest.mark.slow
def test_the_demonstration_settles_trades_and_answers_an_event(tmp_path: Path) -> None:
    """The main job, as a user sees it; it says itself whether everything held."""
    file = tmp_path / "report.json"
    command = ["demo", "--headless", "--duration", "190", "--speed", "30", "--sites", "5", "--report", str(file)]
    done = subprocess.run(
        [sys.executable, "-m", "sitewatt", *command], capture_output=True, text=True, timeout=480, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    said = json.loads(file.read_text())
    assert said["checks"] == dict.fromkeys(said["checks"], True)
    assert sum(interval["settled"] for interval in said["intervals"]) >= 3
    assert said["ledger"]["sum"] == 0
    assert said["telemetry"]["lost"] == 0
    assert said["energy"]["max_balance_error_w"] < 0.01 * said["energy"]["feeder_peak_w"]
    assert any(event["released"] and event["effective"] for event in said["dr_events"])
    assert said["orders"]["traded"] > 0


def test_a_short_one_in_a_pipe_without_mosquitto_tells_each_step_and_loses_nothing(tmp_path: Path) -> None:
    """The other run of each change: another week and broker, no terminal, and an end before the event that it tells."""
    file = tmp_path / "report.json"
    command = ["--sites", "2", "--week", "dark", "--embedded-broker", "--speed", "20", "--duration", "15"]
    done = subprocess.run(
        [sys.executable, "-m", "sitewatt", "demo", *command, "--keep", "kept", "--report", str(file)], cwd=tmp_path,
        capture_output=True, text=True, timeout=480, check=False, env={**os.environ, "TERM": "dumb"},
    )  # fmt: skip
    steps = done.stderr.splitlines()
    assert steps[0].startswith("open http://127.0.0.1:"), done.stderr
    for said in ("broker amqtt", "the cloud is running", "2 gateways and the feeder's are running", "stopping the"):
        assert any(step.startswith(said) for step in steps), done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    told = json.loads(file.read_text())
    assert (told["ledger"]["sum"], told["telemetry"]["lost"]) == (0, 0)
    assert told["telemetry"]["published"] > 0
    assert done.returncode == (0 if all(told["checks"].values()) else 1), done.stdout
    assert sorted(path.name for path in tmp_path.rglob("control.db")) == ["control.db"] * 3, (
        "each state is in one place"
    )
    assert {path.parts[len(tmp_path.parts)] for path in tmp_path.rglob("*.db")} == {"kept"}
    assert not (tmp_path / "kept" / "kept").exists()


def test_a_demonstration_that_is_asked_to_end_does_so_in_order(tmp_path: Path) -> None:
    """A supervisor sends SIGTERM: no traceback, and no process that goes on."""
    command = ["demo", "--headless", "--sites", "2", "--keep", str(tmp_path / "kept")]
    demo = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-m", "sitewatt", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert demo.stderr is not None
    try:
        assert any(line.startswith("broker ") for line in demo.stderr)
        demo.terminate()
        try:
            printed, said = demo.communicate(timeout=180)
        except subprocess.TimeoutExpired:
            demo.send_signal(signal.SIGABRT)
            pytest.fail(f"it goes on where its threads stand: {demo.communicate(timeout=60)[1]}")
    finally:
        demo.kill()
        demo.wait()
    assert demo.returncode == 143
    assert "Traceback" not in said
    assert "ended while it started (ready: " in printed, "also one who interrupts it early is told"
    running = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False).stdout
    assert not running


@pytest.mark.slow
async def test_a_killed_gateway_lets_its_battery_go_and_catches_up(tmp_path: Path) -> None:
    """Safety depends on nobody being alive, the market on nobody in particular, and nothing is lost."""
    async with running_neighbourhood(tmp_path, sites=3) as place:
        await place.until_online(*place.gateways)
        await place.trust_test_key("home-1")
        order = await place.command("home-1", BatteryPower(power_w=-2000), for_s=3000)
        await place.until(lambda: AckStage.EFFECTIVE in place.stages(order), "the battery gives what was ordered")
        await place.until(lambda: _battery_w(place) == pytest.approx(-2000, abs=TOLERANCE_W), "the plant says so too")

        place.processes.kill("home-1")
        killed_ms = epoch_ms(place.clock.now())
        left_ms = await place.until(lambda: _left_order_ms(place, killed_ms), "the battery leaves the order")
        assert (left_ms - killed_ms) / 1000 <= REVERT_S * 1.1

        traded = await place.until(
            lambda: [one for one in place.heard.market if epoch_ms(one.issued_at) > killed_ms and one.trades],
            "the others trade on",
        )
        assert traded[0].volume_wh > 0

        readings = len([one for one in place.heard.meters if one.site == "home-1"])
        await start_gateway(place.processes, place.folder, "home-1", clock=place.clock)
        await place.until(
            lambda: len([one for one in place.heard.meters if one.site == "home-1"]) > readings, "it reports again"
        )
        await _nothing_lost_or_doubled(place)


@pytest.mark.slow
async def test_a_broker_that_goes_away_for_half_a_minute_costs_nothing(tmp_path: Path) -> None:
    """The link is down, the site is not; what was recorded meanwhile arrives once."""
    async with running_neighbourhood(tmp_path, sites=3) as place:
        await place.until_online(*place.gateways)
        await place.trust_test_key("home-1")
        order = await place.command("home-1", BatteryPower(power_w=-1500), for_s=600)
        await place.until(lambda: AckStage.EFFECTIVE in place.stages(order), "the battery gives what was ordered")

        place.processes.kill("broker")
        gone_ms = epoch_ms(place.clock.now())
        await place.clock.sleep(30 * place.clock.speed)
        held = [line for line in place.truth() if gone_ms < line["at"] < epoch_ms(order.expires_at)]
        assert held, "the outage is longer than the rest of the order"
        assert all(line["sites"]["home-1"]["battery_w"] == pytest.approx(-1500, abs=TOLERANCE_W) for line in held), (
            "an order that a site has taken needs no link"
        )
        await place.until(lambda: _battery_w(place) > -1500 + TOLERANCE_W, "the order ends by its own expiry")

        await place.restart_broker()
        await place.until(lambda: place.watcher.view.connected, "the broker is back")
        heard = len(place.heard.meters)
        await place.until(lambda: len(place.heard.meters) >= heard + len(place.gateways), "every gateway is back")
        await _nothing_lost_or_doubled(place)


@pytest.mark.slow
async def test_the_death_of_the_demonstration_leaves_no_process(tmp_path: Path) -> None:
    """Whoever kills the parent, with Ctrl-C or worse, finds nothing running five seconds later."""
    for number in (signal.SIGINT, signal.SIGKILL):
        folder = tmp_path / number.name
        demo = await _running_demo(folder)
        assert len(_processes_of(folder)) >= 6
        demo.send_signal(number)
        async with asyncio.timeout(60):
            await demo.wait()
        await _nothing_left(folder)


async def test_a_part_that_dies_ends_the_demonstration_in_a_sentence(tmp_path: Path) -> None:
    """Whoever sees it die must learn which part it was, not read a trace of ours; and nothing goes on without it."""
    folder = tmp_path / "demo"
    demo = await _running_demo(folder)
    (gateway,) = [
        pid for pid, command in _processes_of(folder).items() if "factory.yaml" in command and "--only" not in command
    ]
    os.kill(gateway, signal.SIGKILL)
    assert demo.stderr is not None
    async with asyncio.timeout(60):
        said = (await demo.stderr.read()).decode()
        assert await demo.wait() == 1
    assert "factory was ended by SIGKILL" in said and "Traceback" not in said
    await _nothing_left(folder)


async def _running_demo(folder: Path) -> asyncio.subprocess.Process:
    demo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sitewatt", "demo", "--headless", "--sites", "2", "--keep", str(folder),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, preexec_fn=_hear_ctrl_c,
    )  # fmt: skip
    assert demo.stderr is not None
    async with asyncio.timeout(60):
        while b"are running" not in await demo.stderr.readline():
            pass
    return demo


async def _nothing_left(folder: Path) -> None:
    async with asyncio.timeout(60):
        while _processes_of(folder):  # noqa: ASYNC110 (the system tells nobody)
            await asyncio.sleep(0.1)


def _hear_ctrl_c() -> None:
    """Let SIGINT do what it does at a terminal, also where the tests run in the background of a shell."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _battery_w(place: RunningNeighbourhood) -> float:
    lines = place.truth()
    return float(lines[-1]["sites"]["home-1"]["battery_w"]) if lines else 0.0


def _left_order_ms(place: RunningNeighbourhood, since_ms: int) -> int | None:
    """Return when the battery was first seen away from its order after an instant."""
    return next(
        (
            line["at"]
            for line in place.truth()
            if line["at"] > since_ms and abs(line["sites"]["home-1"]["battery_w"] + 2000) > TOLERANCE_W
        ),
        None,
    )


async def _nothing_lost_or_doubled(place: RunningNeighbourhood) -> None:
    """Stop the gateways, and compare what they handed over with what the tables hold."""
    await place.processes.stop(place.gateways)
    await place.until(lambda: report.all_stored(place.folder, place.place), "everything is stored")
    await place.processes.stop_all()
    counts = report.channels(place.folder, place.place)
    assert {name: one["lost"] for name, one in counts.items()} == dict.fromkeys(counts, 0)
    assert all(one["stored"] == one["published"] for one in counts.values()), counts
    readings = [(one.site, one.interval_start, one.version) for one in place.heard.meters]
    numbers = {(one.site, one.epoch, one.seq) for one in place.heard.meters}
    assert len(set(readings)) == len(numbers), "an interval was reported twice under two numbers"


def _processes_of(folder: Path) -> dict[int, str]:
    """Return the processes whose command line names a folder, with that line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in line and b"sitewatt" not in line.split(b"\0")[2:3]:
            found[int(entry.name)] = line.replace(b"\0", b" ").decode()
    return found
