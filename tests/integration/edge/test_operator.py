"""An operator with nothing but the command line: keys, orders, what became of them, and the proof."""

import asyncio
import csv
import json
import signal
import sys
from pathlib import Path

import pytest

from sitewatt.demo import files
from tests.support.rigs.fault_rig import ZONE, battery_site, fault_rig
from tests.support.rigs.gateway import cli, command, config_file, restart, until_status

SITE = "home"
WAIT_S = 120.0


async def test_an_order_is_sent_awaited_released_and_proven_by_commands_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way of an operator, on a real site: what the commands say is what the plant and the files show."""
    key = tmp_path / "dso.pem"
    async with fault_rig(tmp_path, monkeypatch, [battery_site(SITE, sun=True)]) as place:
        assert (await cli("command", "keys", "new", str(key)))[0] == 0
        trust = ("command", "keys", "trust", str(key), "--issuer", "dso", "--role", "grid_operator")
        code, out, _ = await cli(*trust, "--config", config_file(place, SITE))
        assert code == 0, out
        await restart(place, SITE)
        ready = await until_status(
            place, SITE, lambda said: bool(said["cycle"]) and said["cycle"]["fresh"], "cycles on fresh inputs"
        )
        assert {device["id"]: device["online"] for device in ready["devices"]} == {"meter": True, "inverter": True}

        mine = ("--key", str(key), "--issuer", "dso")
        code, answer = await command(
            place, "send", SITE, "limit-export", "--max-w", "500", "--for", "2h", *mine, "--wait", "effective"
        )
        assert (code, answer["stage"]) == (0, "effective"), answer
        assert place.latest(SITE)["connection_w"] > -650
        limit_id, first_seq = answer["command_id"], answer["seq"]

        said = await until_status(place, SITE, lambda said: bool(said["commands"]), "the order runs")
        assert [(one["command_id"], one["stage"]) for one in said["commands"]] == [(limit_id, "effective")]
        winner = next(link for link in said["cycle"]["chain"] if link["requester"] == "dso/limit_export")
        assert (winner["outcome"], winner["left"][0]) == ("held", -500)

        code, answer = await command(place, "send", SITE, "battery-power", "--power-w", "900000", *mine)
        refusal = answer["error"]
        assert (code, refusal["code"]) == (1, "infeasible")
        assert "the site would take battery_power power_w=" in refusal["message"]

        code, answer = await command(place, "send", SITE, "read", "--points", "meter/active_power_w", *mine)
        assert code == 0
        assert isinstance(answer["answers"][-1]["values"]["meter/active_power_w"], float)
        assert answer["seq"] > first_seq, "the numbers of an issuer rise over calls"

        code, answer = await command(place, "release", limit_id, "--key", str(key))
        assert (code, answer["stage"]) == (0, "completed")
        await until_status(place, SITE, lambda said: not said["commands"], "the order is over")

        clock = ("--clock", place.clock.spec())
        code, out, _ = await cli("command", "list", "--key", str(key), "--json", *clock)
        assert [one["action"]["kind"] for one in json.loads(out)] == [
            "limit_export",
            "battery_power",
            "read",
            "release",
        ]

        await place.processes.stop([SITE])
        state = str(files.state(tmp_path, SITE))
        sheet = tmp_path / "proof.csv"
        code, out, _ = await cli(
            "command", "evidence", limit_id, "--state", state, "--verify", "--json", "--csv", str(sheet)
        )
        proof = json.loads(out)
        assert (code, proof["holds"]) == (0, True)
        kinds = [record["kind"] for record in proof["records"]]
        assert kinds[:2] == ["order", "check"]
        assert {"setpoint", "read_back", "meter", "stage"} <= set(kinds)
        stages = [record["fields"]["stage"] for record in proof["records"] if record["kind"] == "stage"]
        assert stages == ["applied", "effective", "released"]
        with sheet.open(encoding="utf-8") as rows:
            assert len(list(csv.DictReader(rows))) == len(proof["records"])


async def test_what_cannot_be_sent_is_said_in_one_sentence(tmp_path: Path) -> None:
    """Exit 2 for what is wrong here, exit 1 for what went wrong elsewhere; never a traceback."""
    key = tmp_path / "key.pem"
    await cli("command", "keys", "new", str(key))
    way = ("--broker", "mqtt://127.0.0.1:9", "--zone", ZONE, "--issuer", "dso", "--key", str(key))
    cases = {
        ("send", SITE, "dance", *way): (2, "is none of limit_import"),
        ("send", SITE, "limit_import", *way): (2, "limit_import: needs --max-w"),
        ("send", SITE, "limit_import", "--max-w", "1", "--power-w", "1", *way): (2, "takes no --power-w"),
        ("send", SITE, "limit_import", "--max-w", "-1", *way): (2, "greater than or equal to 0"),
        ("send", SITE, "diagnostics", "--for", "soon", *way): (2, "'soon' is no duration"),
        ("send", SITE, "diagnostics", "--timeout", "0.5", *way): (1, "Connection refused; nothing was sent"),
        ("send", SITE, "diagnostics", *way[2:], "--broker", "mqtt://x:99999"): (2, "'mqtt://x:99999' names no port"),
        ("release", "unknown-1", *way[:2], "--key", str(key)): (2, "say --site --zone --issuer"),
        ("keys", "new", str(key)): (2, "File exists"),
        ("keys", "show", str(tmp_path / "none.pem")): (2, "No such file"),
        ("evidence", "e1"): (2, "say where the evidence is"),
        ("evidence", "e1", "--state", str(tmp_path)): (1, "holds no control.db"),
    }
    for arguments, (code, says) in cases.items():
        got, _, err = await cli("command", *arguments)
        assert (got, says in err, err.count("\n")) == (code, True, 1), (arguments, got, err)


async def test_ctrl_c_says_that_the_order_may_run_on(tmp_path: Path) -> None:
    """Who stops waiting has not taken anything back, and must know the name of what to release."""
    key = tmp_path / "key.pem"
    await cli("command", "keys", "new", str(key))
    # A broker that takes the connection and says nothing: one that refuses it would end the wait first.
    async with await asyncio.start_server(lambda _, __: None, "127.0.0.1", 0) as silent:
        broker = f"mqtt://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        way = ("--broker", broker, "--zone", ZONE, "--issuer", "dso", "--key", str(key))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sitewatt", "command", "send", SITE, "limit_import", "--max-w", "1", *way,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        book = tmp_path / "key.pem.sent.json"
        async with asyncio.timeout(WAIT_S):
            while not (book.exists() and json.loads(book.read_text())["sent"]):  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    (entry,) = json.loads(book.read_text())["sent"]
    said = f"interrupted; {entry['command_id']} may run on until it is released or expires\n"
    assert (process.returncode, out, err.decode()) == (130, b"", said)


async def test_the_maintenance_lock_on_site_refuses_remote_orders_until_it_is_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who works on the device must not be surprised by somebody far away, not even after a restart."""
    key = tmp_path / "agg.pem"
    async with fault_rig(tmp_path, monkeypatch, [battery_site(SITE)]) as place:
        await cli("command", "keys", "new", str(key))
        await cli(
            "command", "keys", "trust", str(key), "--issuer", "agg", "--role", "aggregator",
            "--config", config_file(place, SITE),
        )  # fmt: skip
        code, out, _ = await cli("edge", "lock", "--config", config_file(place, SITE), "--json")
        assert (code, json.loads(out)["locked"]) == (0, True)
        await restart(place, SITE)
        await until_status(place, SITE, lambda said: said["locked"] and said["cycle"], "locked, and it runs")
        await place.until(lambda: abs(place.latest(SITE).get("battery_w", 1e9)) < 100, "the battery rests")

        mine = ("--key", str(key), "--issuer", "agg")
        code, answer = await command(place, "send", SITE, "battery-power", "--power-w", "1000", *mine)
        assert (code, answer["error"]["code"]) == (1, "locked")

        assert (await cli("edge", "unlock", "--config", config_file(place, SITE)))[0] == 0
        await until_status(place, SITE, lambda said: not said["locked"], "unlocked")
        code, answer = await command(
            place, "send", SITE, "battery-power", "--power-w", "1000", "--wait", "effective", *mine
        )
        assert code == 0, answer

        code, out, _ = await cli("edge", "status", "--config", config_file(place, SITE))
        assert code == 0
        assert "agg/battery_power on batteries asks 1000 to 1000 W" in out
        await place.processes.stop([SITE])
        code, _, err = await cli("edge", "status", "--config", config_file(place, SITE))
        assert (code, err.startswith("no gateway runs on")) == (1, True)


async def test_the_order_by_hand_in_the_operations_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Openssl and mosquitto_pub alone: what the page shows is run as it stands."""
    page = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")
    recipe = page.split("<!-- by hand: begin -->")[1].split("```bash\n")[1].split("```")[0]
    key = tmp_path / "dso.pem"
    async with fault_rig(tmp_path, monkeypatch, [battery_site(SITE, sun=True)]) as place:
        await cli("command", "keys", "new", str(key))
        await cli(
            "command", "keys", "trust", str(key), "--issuer", "dso", "--role", "grid_operator",
            "--config", config_file(place, SITE),
        )  # fmt: skip
        await restart(place, SITE)
        await until_status(place, SITE, lambda said: bool(said["cycle"] and said["cycle"]["fresh"]), "it runs")
        here = {
            "PORT=1883": f"PORT={place.broker_port}",
            "ZONE=east": f"ZONE={ZONE}",
            "SITE=home-1": f"SITE={SITE}",
            "$(date +%s%3N)": str(place.now_ms()),
        }
        for shown, real in here.items():
            assert shown in recipe
            recipe = recipe.replace(shown, real)
        shell = await asyncio.create_subprocess_exec(
            "bash", "-euc", recipe, cwd=tmp_path, stderr=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
        )
        _, said = await shell.communicate()
        assert shell.returncode == 0, said.decode()
        status = await until_status(place, SITE, lambda said: bool(said["commands"]), "the order runs")
        assert status["commands"][0]["action"] == {"kind": "limit_export", "max_w": 500}
