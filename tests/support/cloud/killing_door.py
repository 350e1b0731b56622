"""A door to a service that kills who comes through it: before a write is done, or after it and before the answer."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Final
from urllib.parse import urlsplit

# Source: Amazon DynamoDB API reference, the operations that change items; the target header names the operation.
WRITES: Final = ("PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem")
TAKEN_S: Final = 120.0


@dataclass(kw_only=True)
class Door:
    """The door at its address.

    Args:
        victim: The process that is killed at a write, ``None``: nobody is.
        at_write: Which write from now on, counted from 1.
        done: Whether that write is let through first.
        killed: How many were killed, by whether the write was done.
    """

    address: str = ""
    victim: int | None = None
    at_write: int = 1
    done: bool = False
    killed: dict[bool, int] = field(default_factory=lambda: {False: 0, True: 0})
    lock: Lock = field(default_factory=Lock)

    def aim(self, victim: int, *, at_write: int, done: bool) -> None:
        """Kill a process at its write of a number."""
        self.victim, self.at_write, self.done = victim, at_write, done

    def falls(self) -> int | None:
        """Return who falls at the write that is asked for now."""
        with self.lock:
            self.at_write -= 1
            if self.victim is None or self.at_write != 0:
                return None
            victim, self.victim = self.victim, None
            return victim


@contextmanager
def killing_door(service: str) -> Iterator[Door]:
    """Open a door to a service, given by its address, for the block."""
    door, behind = Door(), urlsplit(service)
    assert behind.hostname is not None

    class Passing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
            victim = door.falls() if operation in WRITES else None
            if victim is not None and not door.done:
                self._kill(victim)
                return
            connection = HTTPConnection(behind.hostname or "", behind.port, timeout=TAKEN_S)
            connection.request("POST", self.path, body=body, headers=dict(self.headers))
            answer = connection.getresponse()
            said = answer.read()
            connection.close()
            if victim is not None:
                self._kill(victim)
                return
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def _kill(self, victim: int) -> None:
            os.kill(victim, signal.SIGKILL)
            door.killed[door.done] += 1
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Passing)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, name="killing door", daemon=True)
    thread.start()
    door.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield door
    finally:
        server.shutdown()
        server.server_close()
