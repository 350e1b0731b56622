"""The simulator as a process of its own, and the commands that start it."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from contracts.clock import scaled_clock
from firmware_sim.server import ModbusServer
from tests.support.modbus.simulator import SAFETY_S, RawClient, home, read_request

START_S = 120.0


@asynccontextmanager
async def process(*arguments: str, stdin: int | None = None) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run Python, and let nothing outlive the test."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdin=stdin, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


async def first_line(child: asyncio.subprocess.Process) -> dict[str, Any]:
    """Return what a process says when it is ready."""
    assert child.stdout is not None
    async with asyncio.timeout(START_S):
        line = await child.stdout.readline()
    answer: dict[str, Any] = json.loads(line)
    return answer


async def ended(child: asyncio.subprocess.Process) -> tuple[int, str]:
    """Return the exit code and what was said on standard error."""
    async with asyncio.timeout(START_S):
        _, error = await child.communicate()
    assert child.returncode is not None
    return child.returncode, error.decode()


def lines(file: Path) -> int:
    """Return how many lines a file has; none while it is not there."""
    return file.read_text(encoding="utf-8").count("\n") if file.exists() else 0


@pytest.fixture
def plant_file(tmp_path: Path) -> Path:
    """Write a plant of one home."""
    file = tmp_path / "plant.yaml"
    file.write_text(home().to_yaml(), encoding="utf-8")
    return file


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_its_plant_tells_the_truth_and_stops_quietly(
    plant_file: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """What the demo starts: one line of readiness, devices that answer, exit 0 without a word."""
    truth = tmp_path / "logs" / "truth.jsonl"
    clock = scaled_clock(started_at=datetime(2026, 3, 17, 12, tzinfo=UTC), speed=100).spec()
    arguments = ("--plant", str(plant_file), "--clock", clock, "--truth", str(truth))
    async with process("-m", "firmware_sim", *arguments) as child:
        ready = await first_line(child)
        assert set(ready["ports"]) == {"home/inverter", "home/meter"}
        client = await RawClient.connect(ready["ports"]["home/inverter"])
        assert await client.ask(read_request(40_000, 2)) == b"\x03\x04SunS"
        async with asyncio.timeout(SAFETY_S):
            while await asyncio.to_thread(lines, truth) < 3:
                await client.ask(read_request(40_000, 2))
        await client.close()
        child.send_signal(number)
        assert await ended(child) == (0, "")
    for line in (await asyncio.to_thread(truth.read_text, encoding="utf-8")).splitlines():
        one = json.loads(line)
        site = one["sites"]["home"]
        assert site["connection_w"] == pytest.approx(site["load_w"] + site["pv_w"] + site["battery_w"], abs=0.01)
        assert one["feeder_w"] == pytest.approx(site["connection_w"], abs=0.01)


async def test_it_does_not_outlive_its_parent(plant_file: Path) -> None:
    """kill -9 of the demo must leave nothing behind."""
    parent = (
        "import os, subprocess, sys\n"
        "module = [sys.executable, '-m', 'firmware_sim']\n"
        "subprocess.Popen([*module, '--plant', sys.argv[1], '--parent-pid', str(os.getpid())])\n"
        "sys.stdin.read()\n"
        "os._exit(0)\n"
    )
    async with process("-c", parent, str(plant_file), stdin=asyncio.subprocess.PIPE) as child:
        assert (await first_line(child))["ready"]
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.close()
        # Both hold the pipe: it ends when the last of them has gone.
        async with asyncio.timeout(SAFETY_S):
            assert await child.stdout.read() == b""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(("--plant", "nowhere.yaml"), "nowhere.yaml", id="no file"),
        pytest.param(("--plant", "PLANT", "--clock", "noon"), "INSTANT@ORIGINxSPEED", id="no clock"),
        pytest.param(("--plant", "PLANT", "--truth-every-s", "0"), "greater than 0", id="no period"),
    ],
)
async def test_bad_arguments_end_with_one_sentence_and_exit_2(
    plant_file: Path, arguments: tuple[str, ...], says: str
) -> None:
    """Exit codes are an interface."""
    given = [str(plant_file) if one == "PLANT" else one for one in arguments]
    async with process("-m", "firmware_sim", *given) as child:
        code, error = await ended(child)
    assert code == 2
    assert says in error
    assert "Traceback" not in error


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    """The commonest way in which a second demo fails."""
    other = ModbusServer({})
    port = await other.start()
    text = home().to_yaml().replace("kind: sdm630", f"kind: sdm630\n    port: {port}")
    (tmp_path / "plant.yaml").write_text(text, encoding="utf-8")
    async with process("-m", "firmware_sim", "--plant", str(tmp_path / "plant.yaml")) as child:
        code, error = await ended(child)
    await other.stop()
    assert code == 2
    assert f"127.0.0.1:{port}" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("like", "pdu"),
    [
        pytest.param("sunspec", read_request(40_000, 2), id="hybrid"),
        pytest.param("sunspec_pv", read_request(40_000, 2), id="pv inverter"),
        pytest.param("sunspec_meter", read_request(40_000, 2), id="meter"),
        pytest.param("sdm630", read_request(70, 2, function=4), id="serial meter"),
        pytest.param("relay", b"\x0f\x00\x00\x00\x01\x01\x01", id="relay"),
    ],
)
async def test_sim_device_serves_one_device(like: str, pdu: bytes) -> None:
    """An installer's bench: one command, one device."""
    arguments = ("-m", "sitewatt", "sim", "device", "--profile-like", like, "--seed", "7", "--json")
    async with process(*arguments) as child:
        ready = await first_line(child)
        assert ready["seed"] == 7
        assert ready["url"] == f"tcp://127.0.0.1:{ready['port']}?unit=1"
        client = await RawClient.connect(ready["port"])
        assert (await client.ask(pdu))[0] == pdu[0]
        await client.close()
        child.send_signal(signal.SIGTERM)
        assert (await ended(child))[0] == 0


async def test_sim_device_spoils_its_answers_as_the_file_says(tmp_path: Path) -> None:
    """Faults from the command line."""
    faults = tmp_path / "faults.json"
    faults.write_text(json.dumps([{"kind": "exception", "code": 6}]), encoding="utf-8")
    arguments = ("--profile-like", "sdm630", "--faults", str(faults), "--json")
    async with process("-m", "sitewatt", "sim", "device", *arguments) as child:
        client = await RawClient.connect((await first_line(child))["port"])
        assert await client.ask(read_request(0, 2, function=4)) == b"\x84\x06"
        await client.close()


async def test_sim_device_answers_on_a_pseudo_terminal() -> None:
    """The path that is printed can be opened."""
    async with process("-m", "sitewatt", "sim", "device", "--profile-like", "sdm630", "--rtu", "--json") as child:
        ready = await first_line(child)
        assert ready["url"].startswith(f"rtu://{ready['path']}?baud=9600")
        assert await asyncio.to_thread(Path(ready["path"]).is_char_device)


async def test_sim_replay_serves_a_dump(tmp_path: Path) -> None:
    """A user's dump becomes a device on the developer's desk."""
    dump = tmp_path / "dump.json"
    dump.write_text(json.dumps({"holding": {"100": 4711}}), encoding="utf-8")
    async with process("-m", "sitewatt", "sim", "replay", str(dump), "--json") as child:
        client = await RawClient.connect((await first_line(child))["port"])
        assert await client.ask(read_request(100, 1)) == b"\x03\x02\x12\x67"
        await client.close()


async def test_a_serial_line_has_no_half_open_connection(tmp_path: Path) -> None:
    """Nobody could open it anew, so it would be silent for ever and look like a gateway that does not recover."""
    faults = tmp_path / "faults.json"
    faults.write_text('{"rules": [{"kind": "half_open"}]}', encoding="utf-8")
    arguments = ("device", "--profile-like", "sdm630", "--rtu", "--faults", str(faults), "--json")
    async with process("-m", "sitewatt", "sim", *arguments) as child:
        answer = await first_line(child)
        code, _ = await ended(child)
    assert code == 2 and "half_open" in answer["error"]["message"]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("device", "--profile-like", "toaster"), id="unlike anything"),
        pytest.param(("device", "--profile-like", "sdm630", "--faults", "nowhere"), id="no faults file"),
        pytest.param(("replay", "nowhere.json"), id="no dump"),
        pytest.param(("run", "nowhere.yaml"), id="no plant"),
        pytest.param(("device", "--profile-like", "sdm630", "--clock", "noon"), id="no clock"),
    ],
)
async def test_the_commands_answer_a_mistake_for_programs_too(arguments: tuple[str, ...]) -> None:
    """Exit 2 and an error object, never a trace."""
    async with process("-m", "sitewatt", "sim", *arguments, "--json") as child:
        answer = await first_line(child)
        code, error = await ended(child)
    assert code == 2
    assert answer["error"]["message"]
    assert error == ""
