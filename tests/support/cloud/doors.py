"""The agents' real server on a free port of this machine, over the tables of a market's story."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from a2a.server.agent_execution import AgentExecutor
from a2a.utils.push_url_validator import validate_push_notification_url
from mcp.server import Server

from cloud.doors.a2a_door import PushCheck
from cloud.doors.app import build_app
from cloud.doors.callers import CallerEntry, Callers, hash_of
from cloud.doors.card_key import CardKey, new_card_key
from cloud.doors.offering import Document, Offering
from cloud.doors.serve import config_of, listen
from cloud.shell.agents_office import office_of
from cloud.shell.services import Services
from cloud.stores.tables import Tables
from contracts.skills.base import Effect, Role
from tests.support.cloud.sites import Recorder, house_in
from tests.support.market.shell import Event, run_events, story

STOP_S = 10.0
OPERATOR, OWNER = "operator-token", "owner-token"
BEARER = {"Authorization": f"Bearer {OPERATOR}"}

KEY = new_card_key()

ENTRIES = (
    CallerEntry(
        name="anna", role=Role.OPERATOR, token_sha256=hash_of(OPERATOR), zones=("*",), effects=tuple(Effect)
    ),
    CallerEntry(name="olga", role=Role.SITE_OWNER, token_sha256=hash_of(OWNER), sites=("home-1",)),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Doors:
    """A server that runs."""

    url: str
    services: Services
    publisher: Recorder


@contextmanager
def doors_in(
    folder: Path,
    *,
    tokens: bool = False,
    entries: tuple[CallerEntry, ...] = (),
    push_allowed: PushCheck = validate_push_notification_url,
    begin: Callable[[Tables], None] = lambda tables: None,
    ports: Callable[[Path, Tables], Mapping[str, Any]] = lambda folder, tables: {},
    events: list[Event] | None = None,
    executor: AgentExecutor | None = None,
    extend_mcp: Callable[[Server[Any]], None] = lambda server: None,
    key: CardKey | None = KEY,
    **more: Any,
) -> Iterator[Doors]:
    """Serve over files in a folder for the block; ``ports`` are those of an office that also runs a cloud."""
    with house_in(folder) as (services, publisher):
        run_events(services, story() if events is None else events)
        begin(services.stores.tables)
        document = Document(
            uri="sitewatt://document/note",
            name="note",
            description="A note.",
            mime_type="text/plain",
            read=lambda: "hello",
        )
        offering = Offering(
            office=office_of(services.stores.tables, services.registry, **ports(folder, services.stores.tables)),
            registry=services.registry,
            tables=services.stores.tables,
            callers=Callers(entries or (ENTRIES if tokens else ())),
            documents={document.uri: document},
            **more,
        )
        with listen("127.0.0.1", 0) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            app = build_app(
                offering, url=url, push_allowed=push_allowed, executor=executor, extend_mcp=extend_mcp, key=key
            )
            server = uvicorn.Server(config_of(app))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="doors")
            thread.start()
            try:
                yield Doors(url=url, services=services, publisher=publisher)
            finally:
                server.should_exit = True
                thread.join(STOP_S)
                assert not thread.is_alive(), "the server did not stop"


@dataclass(frozen=True, kw_only=True)
class Served:
    """A process that serves."""

    url: str
    process: "subprocess.Popen[str]"


@contextmanager
def served_process(*options: str) -> Iterator[Served]:
    """Run `sitewatt agent serve` for the block and yield it when it listens."""
    with served_by("sitewatt", "agent", "serve", options=options) as served:
        yield served


@contextmanager
def served_by(*program: str, options: Sequence[str] = ()) -> Iterator[Served]:
    """Run a module, with its arguments, that serves the doors for the block and yield it when it listens."""
    command = [sys.executable, "-m", *program, "--json", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            # Functions that make the tables in the same process write their figures first, a line each.
            said = next((one for line in process.stdout if "url" in (one := json.loads(line))), None)
            assert said is not None, f"{' '.join(command)} ended before it was ready"
            yield Served(url=said["url"], process=process)
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
