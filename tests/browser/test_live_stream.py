"""A browser and a `curl -N` read one live stream while its server is killed and started again: each value once."""

import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Page

from cloud.handlers import telemetry
from cloud.shell.services import Services
from cloud.stores import keys
from cloud.stores.registry import save_registry
from contracts.topics import Up
from tests.support.cloud.doors import served_process
from tests.support.cloud.sites import START, batch, house_in
from tests.support.cloud.sites import telemetry as message
from tests.support.market.shell import run_events

CHANNEL: Final = "site/home-1"
POINT: Final = "meter/active_power_w"
WAIT_S: Final = 240.0
LISTEN: Final = """where => {
    window.told = [];
    const source = new EventSource(where);
    for (const kind of ["latest", "gap"])
        source.addEventListener(kind, event => window.told.push([event.lastEventId, kind, event.data]));
}"""

Told = tuple[str, str, Any]


class Curl:
    """A reader of a stream by `curl -N`, which is called again with the last number when its connection ends."""

    def __init__(self, url: str) -> None:
        self.told: list[Told] = []
        self._url = url
        self._stopped = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name="curl")
        self._thread.start()

    def stop(self) -> None:
        """End the reader."""
        self._stopped.set()
        if self._process is not None:
            self._process.kill()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopped.wait(0.2):
            last = ["-H", f"Last-Event-ID: {self.told[-1][0]}"] if self.told else []
            command = ["curl", "-sN", *last, self._url]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as self._process:
                assert self._process.stdout is not None
                fields: dict[str, str] = {}
                for line in self._process.stdout:
                    name, _, value = line.rstrip("\n").partition(": ")
                    if name:
                        fields[name] = value
                    elif "event" in fields:  # A blank line ends an event; what was cut off before it comes again.
                        self.told.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
                        fields = {}
                if self._stopped.is_set():
                    self._process.kill()


@contextmanager
def curl(url: str) -> Iterator[Curl]:
    """Read for the block."""
    reader = Curl(url)
    try:
        yield reader
    finally:
        reader.stop()


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for a condition."""
    ends_s = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < ends_s, what
        time.sleep(0.05)


def report(services: Services, number: int) -> None:
    """Let the site report its number as a power."""
    at = START + timedelta(seconds=10 * number)
    run_events(
        services,
        [(telemetry.handler, batch(Up.TELEMETRY, message("home-1", number, at, {POINT: [number]}), at=at))],
    )


def numbers(told: list[Told]) -> list[int]:
    """Return the numbers that a reader was told, and that none was missing for the server."""
    assert [kind for _, kind, _ in told] == ["latest"] * len(told), told
    return [int(data["points"][POINT][1]) for _, _, data in told]


def read_with_restarts(
    folder: Path, page: Page, *, go_on: Callable[[int], bool], restart: Callable[[int], bool]
) -> int:
    """Report numbers one after the other; return how many there were once both readers had each of them once.

    Args:
        folder: Of the tables.
        page: Of the browser that reads.
        go_on: Whether another number is reported after the one given.
        restart: Whether the server is ended right after a number was reported, and started again.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ("--tables", str(folder), "--port", str(port))
    where = f"http://127.0.0.1:{port}/v1/live/{CHANNEL}"
    with house_in(folder) as (services, _):
        tables = services.stores.tables
        save_registry(tables, services.registry)
        first = keys.live_event(CHANNEL, 1)

        def kept(number: int) -> bool:
            newest = tables.query(first.table, first.pk, reverse=True, limit=1)
            return bool(newest) and int(newest[0].body["data"]["points"][POINT][1]) == number

        report(services, 1)
        number, running = 1, served_process(*options)
        served = running.__enter__()
        try:
            page.goto(f"{served.url}/healthz")
            page.evaluate(LISTEN, where)
            with curl(where) as reader:
                until(lambda: bool(reader.told), "curl was told nothing")
                page.wait_for_function("window.told.length > 0", timeout=1000 * WAIT_S)
                while go_on(number):
                    number += 1
                    report(services, number)
                    if restart(number):
                        if number % 2:
                            served.process.kill()
                        running.__exit__(None, None, None)
                        running = served_process(*options)
                        served = running.__enter__()
                    until(partial(kept, number), f"{number} became no event")
                until(lambda: len(reader.told) >= number, f"curl was told {len(reader.told)} of {number}")
                page.wait_for_function(f"window.told.length >= {number}", timeout=1000 * WAIT_S)
                by_curl = list(reader.told)
        finally:
            running.__exit__(None, None, None)
    by_browser = [(seq, kind, json.loads(data)) for seq, kind, data in page.evaluate("window.told")]
    assert numbers(by_curl) == list(range(1, number + 1))
    assert by_browser == by_curl
    return number


def test_a_browser_and_curl_read_each_value_once_over_a_kill_and_a_stop(tmp_path: Path, page: Page) -> None:
    """Who reads a site's power live neither loses a value nor gets one twice when the server is started again."""
    assert read_with_restarts(tmp_path, page, go_on=lambda n: n < 6, restart={3, 4}.__contains__) == 6


@pytest.mark.nightly
def test_a_browser_and_curl_read_each_value_once_for_ten_minutes_with_restarts(tmp_path: Path, page: Page) -> None:
    """The same for as long as somebody looks at a page."""
    ends_s = time.monotonic() + 600
    count = read_with_restarts(tmp_path, page, go_on=lambda _: time.monotonic() < ends_s, restart=lambda n: n % 25 == 0)
    print(f"{count} values in ten minutes, {count // 25} restarts")
    assert count > 100
