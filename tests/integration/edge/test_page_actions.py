"""People act on a running site at its page: over TLS, signed in, through the gate of every command."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edge.control.keys import Role
from edge.web.certificate import FILE as CERTIFICATE
from edge.web.passwords import set_password
from sitewatt.demo import files
from tests.support.rigs.fault_rig import BATTERY_W, SAFETY_S, FaultRig, battery_site, fault_rig
from tests.support.rigs.gateway import config_file, until_status
from tests.support.rigs.page import PageClient, until_listens

SITE = "home"
PASSWORD = "a kettle in the cellar"
# An order that is 30 s old is refused: a hiccup of three real seconds may be none.
SPEED = 10.0


def _set_password(place: FaultRig, role: str, password: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*(sys.executable, "-m", "sitewatt", "edge", "page", "password"), "--config", config_file(place, SITE),
         "--role", role],
        input=f"{password}\n",
        capture_output=True,
        text=True,
        timeout=SAFETY_S,
        check=False,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def _steered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[FaultRig, PageClient]]:
    """Run a site whose page takes actions."""
    port, tls_port = files.free_port(), files.free_port()
    sections = {
        "page": {"port": port, "tls_port": tls_port},
        "trading": {"enabled": False, "tariff": "de-14a-module-3"},
    }
    async with fault_rig(folder, monkeypatch, [battery_site(SITE)], speed=SPEED, sections={SITE: sections}) as place:
        await until_status(
            place, SITE, lambda said: said["cycle"] and said["trading"] and said["trading"]["plan"], "it plans"
        )
        await until_listens(tls_port)
        yield place, PageClient(files.state(folder, SITE), tls_port)


def _battery_told(said: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in said["cycle"]["setpoints"] if one["capability"] == "battery_power"]


def _orders(said: dict[str, Any], issuer: str) -> list[dict[str, Any]]:
    return [one for one in said["commands"] if one["issuer"] == issuer]


async def test_people_act_at_the_page_through_the_gate_and_nobody_else_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No password by default, no action without one, and each action is an order that the gate judged."""
    async with _steered(tmp_path, monkeypatch) as (place, page):
        state_dir = files.state(place.folder, SITE)
        assert (await page.sign_in("owner", ""))[1]["error"]["code"] == "no_password"
        assert (await asyncio.to_thread(_set_password, place, "owner", PASSWORD)).returncode == 0
        assert (await page.act(kind="mode", mode="hold"))[1]["error"]["code"] == "not_signed_in"
        assert (await page.sign_in("installer", PASSWORD))[1]["error"]["code"] == "wrong_password"
        assert (await page.sign_in("owner", PASSWORD))[0] == 200
        assert {"Secure", "HttpOnly", "SameSite=Strict"} <= set(page.set_cookie.split("; "))

        status, answer = await page.act(kind="mode", mode="hold")
        assert (status, answer.get("stage")) == (200, "accepted"), answer
        said = await until_status(
            place,
            SITE,
            lambda said: [one["requester"] for one in _battery_told(said)] == ["page-owner/battery_power"],
            "the batteries rest for the owner",
        )
        assert said["wish"]["mode"] == "hold"
        first = _orders(said, "page-owner")[0]["command_id"]

        # No order of an owner survives control; the wish does.
        os.kill(said["processes"]["control"]["pid"], signal.SIGKILL)
        said = await until_status(
            place,
            SITE,
            lambda said: any(one["command_id"] != first for one in _orders(said, "page-owner")),
            "a new control is told the wish",
        )
        assert _orders(said, "page-owner")[0]["action"] == {"kind": "battery_power", "power_w": 0}

        assert (await page.act(kind="charge", hours=0))[1]["error"]["code"] == "bad_action"
        status, answer = await page.act(kind="charge", hours=2)
        assert status == 200, answer
        await place.until(
            lambda: place.latest(SITE).get("battery_w", 0) > BATTERY_W / 4,
            "the battery charges",
        )
        status, answer = await page.act(kind="mode", mode="self_consumption")
        assert status == 200, answer
        await until_status(
            place,
            SITE,
            lambda said: [one["reason"] for one in _battery_told(said)] == ["self_consumption"],
            "the batteries serve the house alone, the plan is not followed",
        )
        status, answer = await page.act(kind="target", soc_percent=80, by="07:00")
        assert status == 200, answer
        said = await until_status(place, SITE, lambda said: said["wish"]["target"] is not None, "the target is there")
        assert said["wish"]["target"]["soc_percent"] == 80
        assert (await page.act(kind="lock", on=True))[1]["error"]["code"] == "not_permitted"
        assert (await page.act(kind="mode", mode="auto"))[0] == 200
        await until_status(
            place,
            SITE,
            lambda said: said["wish"]["mode"] == "auto" and not _orders(said, "page-owner"),
            "all is let go",
        )
        assert oct((state_dir / CERTIFICATE).stat().st_mode & 0o777) == "0o600"

        # Settings within the site's file, in force in control at once; the owner has no limits to set.
        limits = {"import_limit_w": 9_000, "export_limit_w": 0}
        assert (await page.act(kind="settings", **limits))[1]["error"]["code"] == "not_permitted"
        status, answer = await page.act(kind="settings", idle="hold", tariff="no-such-tariff")
        assert (status, answer["error"]["code"]) == (409, "not_allowed"), answer
        assert (await page.act(kind="settings", idle="hold"))[0] == 200
        said = await until_status(
            place,
            SITE,
            lambda said: said["wish"]["settings"]["now"]["idle"] == "hold" and not said["wish"]["refused"],
            "batteries are to rest while nobody asks",
        )
        assert said["wish"]["settings"]["file"]["idle"] == "self_consumption"

        # Another page, another origin, an old password: each is refused, and said why. The installer locks.
        set_password(state_dir, Role.INSTALLER, PASSWORD)
        assert (await page.sign_in("installer", PASSWORD))[0] == 200
        above = await page.act(kind="settings", export_limit_w=1_000_000)
        assert above[1]["error"]["message"].startswith("limits.export_limit_w is 1000000, above the 20000"), above
        assert (await page.act(kind="settings", **limits))[0] == 200
        await place.processes.stop([SITE])
        await place.start(SITE)
        said = await until_status(place, SITE, lambda said: said["cycle"] and said["wish"], "it controls again")
        assert said["wish"]["settings"]["wished"] == limits, "what was set is kept over a new start"
        await until_status(
            place,
            SITE,
            lambda said: said["cycle"]["left"][1] == 9_000,
            "control holds the lower limit",
        )
        await until_listens(page.port)
        assert (await page.sign_in("installer", PASSWORD))[0] == 200
        lock = {"kind": "lock", "on": True, "hours": 1}
        forged = await page.post("/action", lock, headers={"X-Sitewatt-Token": "guessed"})
        assert forged[1]["error"]["code"] == "forged"
        framed = await page.post("/action", lock, headers={"Origin": "https://evil.example"})
        assert framed[1]["error"]["code"] == "forged"
        form = await page.post("/action", lock, headers={"Content-Type": "application/x-www-form-urlencoded"})
        assert form[1]["error"]["code"] == "bad_body"
        rebound = await page.post("/action", {"kind": "lock"}, headers={"Host": "[::1]"})
        assert rebound[0] == 409
        assert (await page.post("/action", ["lock"]))[1]["error"]["code"] == "bad_body"
        assert (await page.act(**lock))[0] == 200
        await until_status(place, SITE, lambda said: said["locked"], "it is locked")
        status, answer = await page.act(kind="mode", mode="hold")
        assert (status, answer["error"]["code"]) == (409, "locked")
        assert (await page.act(kind="lock", on=False))[0] == 200
        await until_status(place, SITE, lambda said: not said["locked"], "it is unlocked")

        # A new password ends what the old one opened.
        set_password(state_dir, Role.INSTALLER, f"{PASSWORD} again")
        assert (await page.act(**lock))[1]["error"]["code"] == "not_signed_in"
        assert (await page.session())["role"] is None

        # Who only connects, and says nothing, holds nobody up.
        idle = [socket.create_connection(("127.0.0.1", page.port)) for _ in range(4)]
        assert (await page.session())["roles"] == ["installer", "owner"]
        for one in idle:
            one.close()
        log = place.log(SITE)
        assert "page sign-in refused" in log
        assert PASSWORD not in log
