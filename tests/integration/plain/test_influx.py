"""What a time series database is told: a batch each period, what it missed afterwards, and no bad line twice."""

import contextlib
import json
import shutil
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from contracts.clock import SystemClock
from contracts.units import Quality
from edge.modbus.point import Reading
from edge.plain.influx import InfluxWriter
from edge.plain.settings import InfluxSettings
from tests.support.brokers.broker import free_port
from tests.support.brokers.link_parts import background, until
from tests.support.rigs.fault_rig import battery_site, fault_rig
from tests.support.rigs.gateway import restart


class _Database(ThreadingHTTPServer):
    """Takes writes, and answers each with what is planned, else that it took it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Writes)
        self.taken: list[str] = []
        self.refused: list[str] = []
        self.tokens: set[str | None] = set()
        self.answers: list[int] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/write?db=house"


class _Writes(BaseHTTPRequestHandler):
    server: _Database

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with self.server.lock:
            code = self.server.answers.pop(0) if self.server.answers else 204
            (self.server.taken if code == 204 else self.server.refused).extend(text.split("\n"))
            self.server.tokens.add(self.headers.get("Authorization"))
        self.send_response(code)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def database() -> Iterator[_Database]:
    with _Database() as server:
        serving = threading.Thread(target=server.serve_forever, name="database", daemon=True)
        serving.start()
        yield server
        server.shutdown()
        serving.join()


def _writer(url: str, **more: object) -> InfluxWriter:
    settings = InfluxSettings.model_validate({"url": url, "period_s": 1.0, **more})
    return InfluxWriter(settings, site="home", clock=SystemClock())


def _take(writer: InfluxWriter, power_w: float, *, taken_s: float) -> None:
    readings = {"meter": {"active_power_w": Reading(value=power_w, quality=Quality.GOOD)}}
    writer.take(readings, offline=(), taken_s=taken_s)


def _powers(lines: list[str]) -> list[str]:
    return [line.partition("active_power_w=")[2].partition(" ")[0] for line in lines]


async def test_each_period_is_told_once_and_what_was_missed_afterwards(database: _Database, tmp_path: Path) -> None:
    """A database that restarts loses no minute of the house; a token that is renewed is read again."""
    token = tmp_path / "token"
    token.write_text("first\n")
    writer = _writer(database.url, token_file=token)
    database.answers = [503, 401]
    for second in (0.0, 0.5, 1.0, 2.0):
        _take(writer, second, taken_s=second)
    async with background(writer.run(), name="influx"):
        await until(lambda: len(database.refused) == 6)
        token.write_text("second\n")
        await until(lambda: len(database.taken) == 3)
        _take(writer, 9.0, taken_s=9.0)
        await until(lambda: len(database.taken) == 4)
    assert _powers(database.taken) == ["0", "1", "2", "9"]
    assert {"Token first", "Token second"} <= database.tokens


async def test_lines_that_it_cannot_take_do_not_hold_back_the_next(database: _Database) -> None:
    """A field of another type would be refused for ever."""
    writer = _writer(database.url)
    database.answers = [400]
    async with background(writer.run(), name="influx"):
        _take(writer, 1.0, taken_s=0.0)
        await until(lambda: _powers(database.refused) == ["1"])
        _take(writer, 2.0, taken_s=5.0)
        await until(lambda: _powers(database.taken) == ["2"])


async def test_nobody_there_and_a_token_that_is_missing_end_nothing(tmp_path: Path) -> None:
    """The database of a house is switched off when somebody vacuums."""
    silent = _writer(f"http://127.0.0.1:{free_port()}/write")
    missing = _writer("http://127.0.0.1:9/write", token_file=tmp_path / "none")
    for writer in (silent, missing):
        async with background(writer.run(), name="influx"):
            _take(writer, 1.0, taken_s=0.0)
            await until(partial(getattr, writer, "fault"))
    assert silent.fault.startswith("Connection refused; values are kept")
    assert missing.fault.startswith("No such file or directory; values are kept")


async def test_a_gateway_writes_by_one_key_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: _Database
) -> None:
    """From the registers of simulated devices to lines, through both processes."""
    async with fault_rig(tmp_path, monkeypatch, [battery_site("home")]) as place:
        await restart(place, "home", lambda content: content.update(influx={"url": database.url, "period_s": 1}))
        await until(
            lambda: (
                {line.partition(" ")[0] for line in database.taken if "active_power_w=" in line}
                >= {"sitewatt,site=home,device=meter", "sitewatt,site=home,device=inverter"}
            )
        )


@contextlib.contextmanager
def _influxd(folder: Path) -> Iterator[str]:
    """Run InfluxDB 1 with a database, and yield its address."""
    program = shutil.which("influxd")
    assert program is not None, "influxd is missing: sh tests/support/debian.sh nightly"
    http, rpc = free_port(), free_port()
    config = folder / "influxdb.conf"
    config.write_text(
        f'bind-address = "127.0.0.1:{rpc}"\nreporting-disabled = true\n'
        f'[meta]\n  dir = "{folder}/meta"\n[data]\n  dir = "{folder}/data"\n  wal-dir = "{folder}/wal"\n'
        f'[http]\n  bind-address = "127.0.0.1:{http}"\n  log-enabled = false\n'
    )
    with (
        (folder / "influxd.log").open("w") as log,
        subprocess.Popen([program, "-config", str(config)], stdout=log, stderr=log) as process,
    ):
        try:
            yield f"http://127.0.0.1:{http}"
        finally:
            process.terminate()
            process.wait(60)


def _ask(address: str, query: str) -> dict[str, object]:
    data = urllib.parse.urlencode({"q": query, "db": "house", "epoch": "ms"}).encode()
    with urllib.request.urlopen(f"{address}/query", data=data, timeout=60) as answer:
        return dict(json.load(answer)["results"][0])


def _answers(address: str) -> bool:
    try:
        _ask(address, "CREATE DATABASE house")
    except OSError:
        return False
    return True


@pytest.mark.nightly
async def test_a_real_influxdb_holds_what_a_device_said(tmp_path: Path) -> None:
    """The lines as the program that they are made for reads them: odd names, texts, numbers, a silent device."""
    with _influxd(tmp_path) as address:
        await until(lambda: _answers(address))
        writer = _writer(f"{address}/write?db=house")
        before_ms = SystemClock().now().timestamp() * 1000
        readings = {
            "meter 1,x=y": {
                "active_power_w": Reading(value=-1500.25, quality=Quality.GOOD),
                "operating_state": Reading(value='say "hi" \\ now', quality=Quality.GOOD),
            },
            "inverter": {"active_power_w": Reading(value=1, quality=Quality.GOOD)},
        }
        async with background(writer.run(), name="influx"):
            writer.take(readings, offline=("inverter",), taken_s=0.0)
            query = "SELECT active_power_w, operating_state, online FROM sitewatt GROUP BY device"
            await until(lambda: "series" in _ask(address, query))
            readings["inverter"]["active_power_w"] = Reading(value=0.5, quality=Quality.GOOD)
            writer.take(readings, offline=(), taken_s=10.0)
            await until(lambda: "0.5" in json.dumps(_ask(address, query)))
        series = _ask(address, query)["series"]
        assert isinstance(series, list)
        told = {one["tags"]["device"]: one["values"] for one in series}
        assert set(told) == {"meter 1,x=y", "inverter"}
        assert told["meter 1,x=y"][0][1:] == [-1500.25, 'say "hi" \\ now', True]
        assert [row[1:] for row in told["inverter"]] == [[None, None, False], [0.5, None, True]]
        assert before_ms - 1 <= told["inverter"][0][0] <= SystemClock().now().timestamp() * 1000 + 1
        assert writer.fault == ""
