"""The page of a running gateway, as a browser gets it."""

import asyncio
import http.client
import json
import signal
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.rigs.fault_rig import SAFETY_S, battery_site, fault_rig
from tests.support.rigs.gateway import config_file, restart, until_status

SITE = "home"


def _get(url: str, path: str, *, method: str = "GET", host: str | None = None) -> tuple[int, str]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=SAFETY_S)
    try:
        connection.request(method, path, headers={} if host is None else {"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


async def _asked(url: str, path: str, **how: Any) -> tuple[int, str]:
    return await asyncio.to_thread(_get, url, path, **how)


async def test_a_browser_sees_the_gateway_and_that_it_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is a process of its own: it outlives the gateway, says so, and finds the next one."""
    async with fault_rig(tmp_path, monkeypatch, [battery_site(SITE)]) as place:
        await until_status(place, SITE, lambda said: said["cycle"] is not None, "it controls")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sitewatt", "edge", "page", "--config", config_file(place, SITE)),
            *("--listen", "127.0.0.1:0", "--json"),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            url = json.loads(await asyncio.wait_for(process.stdout.readline(), SAFETY_S))["url"]
            assert (await _asked(url, "/"))[0] == 200
            status, told = await _asked(url, "/state.json")
            assert (status, json.loads(told)["status"]["site"]) == (200, SITE)
            status, shown = await _asked(url, "/tables.html")
            assert status == 200
            assert "inverter" in shown
            status, told = await _asked(url, "/status.json")
            assert (status, json.loads(told)["site"]) == (200, SITE)
            assert (await _asked(url, "/metrics"))[1].count("sitewatt_up 1.0") == 1
            assert (await _asked(url, "/ready"))[0] == 200
            listed = json.loads((await _asked(url, "/v1/skills"))[1])["items"]
            name = next(each["name"] for each in listed if each["name"].endswith("_status"))
            status, told = await _asked(url, f"/v1/skills/{name}")
            points = {each["point"]: each for each in json.loads(told)["points"]}
            assert status == 200 and points["site/grid_w"]["quality"] == "good"
            assert f"/v1/skills/{name}" in json.loads((await _asked(url, "/openapi.json"))[1])["paths"]
            assert (await _asked(url, "/v1/skills/fly"))[0] == 404
            assert (await _asked(url, "/etc/passwd"))[0] == 404
            assert (await _asked(url, "/words/../page.js"))[0] == 404
            assert (await _asked(url, "/history.json?from=x&to=5"))[0] == 400
            assert (await _asked(url, "/login", method="POST"))[0] == 403
            assert (await _asked(url, "/", host="evil.example"))[0] == 403
            assert (await _asked(url, "/", host="localhost:8080"))[0] == 200
            assert (await _asked(url, "/", host="[::1]:8080"))[0] == 200
            await place.processes.stop([SITE])
            status, told = await _asked(url, "/state.json")
            assert status == 503
            assert "no gateway runs on" in told
            assert (await _asked(url, "/ready"))[0] == 503
            assert (await _asked(url, "/health"))[0] == 200
            assert "sitewatt_up 0.0" in (await _asked(url, "/metrics"))[1]
            await place.start(SITE)
            await until_status(place, SITE, lambda said: said["cycle"] is not None, "it controls again")
            assert (await _asked(url, "/state.json"))[0] == 200
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), SAFETY_S) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def test_a_taken_port_costs_the_page_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The site is controlled, and says why it has no page."""
    async with fault_rig(tmp_path, monkeypatch, [battery_site(SITE)]) as place:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            await restart(place, SITE, lambda content: content.update(page={"port": port}))
            said = await until_status(
                place, SITE, lambda said: any(p["name"] == "page" and p["failures"] for p in said["parts"]), "no page"
            )
        assert "Address already in use" in next(p["error"] for p in said["parts"] if p["name"] == "page")
        await until_status(
            place, SITE, lambda later: later["loop"]["cycles"] > said["loop"]["cycles"], "it goes on controlling"
        )
