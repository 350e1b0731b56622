"""The page of a running gateway, as a browser gets it."""

import asyncio
import http.client
import json
import signal
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.rigs.fault_rig import SAFETY_S, battery_site, siege
from tests.support.rigs.gateway import config_file, until_status

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
    async with siege(tmp_path, monkeypatch, [battery_site(SITE)]) as place:
        await until_status(place, SITE, lambda said: said["cycle"] is not None, "it controls")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sitewatt", "edge", "page", "--config", config_file(place, SITE)),
            *("--listen", "127.0.0.1:0", "--json"),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            url = json.loads(await asyncio.wait_for(process.stdout.readline(), SAFETY_S))["url"]
            status, shown = await _asked(url, "/")
            assert status == 200
            assert f"<h1>{SITE}</h1>" in shown
            assert "inverter" in shown
            status, told = await _asked(url, "/status.json")
            assert (status, json.loads(told)["site"]) == (200, SITE)
            assert (await _asked(url, "/etc/passwd"))[0] == 404
            assert (await _asked(url, "/", method="POST"))[0] == 501
            assert (await _asked(url, "/", host="evil.example"))[0] == 403
            assert (await _asked(url, "/", host="localhost:8080"))[0] == 200
            assert (await _asked(url, "/", host="[::1]:8080"))[0] == 200
            await place.processes.stop([SITE])
            status, shown = await _asked(url, "/")
            assert status == 503
            assert "no gateway runs on" in shown
            await place.start(SITE)
            await until_status(place, SITE, lambda said: said["cycle"] is not None, "it controls again")
            assert (await _asked(url, "/"))[0] == 200
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), SAFETY_S) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
