"""Doors: calls a second and the slowest hundredth, by a hundred agents at once; readers of one live stream.

    python -m benchmarks doors [--json]

The server is `sitewatt agent serve`, with a token for each agent, over the tables of a market's story. Beside it the
same load meets the least that the same libraries can serve: a bare route, and a hello server of each SDK. Client and
server share the machine, so the figures say more against one another than alone.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import httpx2
import yaml
from a2a.client import ClientConfig, create_client
from a2a.helpers import new_text_part
from a2a.types import a2a_pb2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from cloud.doors.callers import CallerEntry, hash_of
from cloud.stores.registry import save_registry
from contracts.skills.base import Effect, Role
from tests.support.cloud.doors import served_process
from tests.support.cloud.sites import ZONE, house_in
from tests.support.market.shell import run_events, story

AGENTS: Final = 100
CALLS: Final = 10  # Of each agent.
ACTS: Final = 200
READERS: Final = 1_000
READERS_S: Final = 300.0
TIMEOUT_S: Final = 600.0
_OPERATOR: Final = "operator"
QUESTION: Final[dict[str, str | int]] = {"zone": ZONE, "hours_back": 4}

Call = Callable[[], Awaitable[None]]
Agent = Callable[[str, str, Callable[[Call], Awaitable[None]]], Coroutine[None, None, None]]


def run() -> dict[str, float]:
    """Measure everything and return it by name."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with house_in(folder) as (services, _):
            save_registry(services.stores.tables, services.registry)
            run_events(services, story())
        with served_process("--tables", str(folder), "--callers", str(_callers(folder))) as served:
            pid = served.process.pid
            figures |= _measured("REST", served.url, _rest, pid)
            figures |= _acts(served.url, pid)
            figures |= _measured("MCP", served.url, _mcp, pid)
            figures |= _measured("A2A", f"{served.url}/agents/market-supervisor", _a2a, pid)
            figures |= asyncio.run(_streams(served.url))
    for kind, label, agent in (("bare", "bare route", _rest), ("mcp", "MCP hello", _mcp), ("a2a", "A2A hello", _a2a)):
        with _hello(kind) as (url, pid):
            figures |= _measured(label, url, agent, pid)
    return figures


def _callers(folder: Path) -> Path:
    entries = [
        CallerEntry(name=f"agent-{number}", role=Role.AGENT, token_sha256=hash_of(_token(number)), zones=("*",))
        for number in range(AGENTS)
    ]
    operator = {"name": "operator", "role": Role.OPERATOR, "token_sha256": hash_of(_OPERATOR), "zones": ("*",)}
    entries.append(CallerEntry.model_validate({**operator, "effects": tuple(Effect)}))
    path = folder / "callers.yaml"
    path.write_text(yaml.safe_dump({"callers": [entry.model_dump(mode="json") for entry in entries]}))
    return path


def _token(number: int) -> str:
    return f"token-{number}"


@contextmanager
def _hello(kind: str) -> Iterator[tuple[str, int]]:
    command = [sys.executable, "-m", "benchmarks.doors_hello", kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"], process.pid
        finally:
            process.terminate()


def _worked_s(pid: int) -> float:
    """Return how long a process and its threads have worked; a busy machine hardly changes it. Source: proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _measured(label: str, url: str, agent: Agent, pid: int) -> dict[str, float]:
    taken_s: list[float] = []

    async def timed(call: Call) -> None:
        began = time.perf_counter()
        await call()
        taken_s.append(time.perf_counter() - began)

    async def everyone() -> float:
        began = time.perf_counter()
        async with asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as tasks:
            for number in range(AGENTS):
                tasks.create_task(agent(url, _token(number), timed), name=f"agent {number}")
        return time.perf_counter() - began

    worked_s = _worked_s(pid)
    span_s = asyncio.run(everyone())
    worked_s = _worked_s(pid) - worked_s
    assert len(taken_s) == AGENTS * CALLS, "an agent gave up"
    slowest = sorted(taken_s)[int(len(taken_s) * 0.99)]
    return {
        f"{label} | calls/s": len(taken_s) / span_s,
        f"{label} | p99 ms": 1000 * slowest,
        f"{label} | server ms a call": 1000 * worked_s / len(taken_s),
    }


def _acts(url: str, pid: int) -> dict[str, float]:
    """Return how long a person waits for an act, one after the other: a market is halted and resumed."""
    taken_s: list[float] = []
    worked_s = _worked_s(pid)
    with httpx.Client(headers={"Authorization": f"Bearer {_OPERATOR}"}, timeout=TIMEOUT_S) as http:
        for number in range(ACTS):
            name, more = (("halt_market", {"reason": "bench"}), ("resume_market", {}))[number % 2]
            began = time.perf_counter()
            answer = http.post(
                f"{url}/v1/skills/{name}", json={"zone": ZONE, **more}, headers={"Idempotency-Key": uuid.uuid4().hex}
            )
            answer.raise_for_status()
            taken_s.append(time.perf_counter() - began)
    worked_s = _worked_s(pid) - worked_s
    taken_s.sort()
    return {
        "REST act | p50 ms": 1000 * taken_s[ACTS // 2],
        "REST act | p99 ms": 1000 * taken_s[int(ACTS * 0.99)],
        "REST act | server ms a call": 1000 * worked_s / ACTS,
    }


async def _rest(url: str, token: str, timed: Callable[[Call], Awaitable[None]]) -> None:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_S) as http:

        async def call() -> None:
            answer = await http.get(f"{url}/v1/skills/market_status", params=QUESTION)
            answer.raise_for_status()

        for _ in range(CALLS):
            await timed(call)


async def _mcp(url: str, token: str, timed: Callable[[Call], Awaitable[None]]) -> None:
    http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_S)
    async with http, Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client:

        async def call() -> None:
            assert not (await client.call_tool("market_status", {"zone": ZONE})).is_error

        for _ in range(CALLS):
            await timed(call)


async def _a2a(url: str, token: str, timed: Callable[[Call], Awaitable[None]]) -> None:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_S) as http:
        client = await create_client(url, ClientConfig(httpx_client=http, streaming=False))
        asked = json.dumps({"skill": "market_status", "question": QUESTION})

        async def call() -> None:
            message = a2a_pb2.Message(role=a2a_pb2.Role.ROLE_USER, message_id="m", parts=[new_text_part(asked)])
            async for response in client.send_message(a2a_pb2.SendMessageRequest(message=message)):
                assert response.HasField("task") or response.HasField("message")

        for _ in range(CALLS):
            await timed(call)


async def _streams(url: str) -> dict[str, float]:
    """Return how long the last of many readers of one zone waits for its first event."""
    began, first_s = time.perf_counter(), []
    limits = httpx.Limits(max_connections=READERS + 10)
    everybody = asyncio.Event()

    async with httpx.AsyncClient(limits=limits, timeout=TIMEOUT_S) as http:

        async def read(number: int) -> None:
            headers = {"Authorization": f"Bearer {_token(number % AGENTS)}"}
            async with http.stream("GET", f"{url}/v1/live/zone/{ZONE}", headers=headers) as answer:
                answer.raise_for_status()
                lines: Any = answer.aiter_lines()
                async for line in lines:
                    if line.startswith("event:"):
                        break
                first_s.append(time.perf_counter() - began)
                if len(first_s) == READERS:
                    everybody.set()
                await everybody.wait()  # All of them are open at once.

        async with asyncio.timeout(READERS_S), asyncio.TaskGroup() as tasks:
            for number in range(READERS):
                tasks.create_task(read(number), name=f"reader {number}")
    return {"live readers at once": float(len(first_s)), "live: the last reader's first event, s": max(first_s)}
