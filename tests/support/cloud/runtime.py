"""Lambda's side of a function's process: the real runtime client runs the handler, this answers as its API does.

Source: AWS Lambda developer guide, "Using the Lambda runtime API", version 2018-06-01; ``awslambdaric`` is the client
that AWS ships in its Python runtimes.
"""

import json
import queue
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

from tests.support.cloud.emulator import installed

VERSION: Final = "/2018-06-01/runtime"
SAFETY_S: Final = 120.0
# The client and what it needs, nothing else of the environment that it is installed in.
CLIENT: Final = ("awslambdaric", "simplejson", "snapshot_restore_py*", "runtime_client*")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a call: an answer or an error, and how long it took."""

    answer: Any = None
    error: Any = None
    took_s: float = 0.0


@dataclass(kw_only=True)
class Invoked:
    """A function's process; ``init_s`` is the time from its start to its first question for work."""

    asked: "queue.Queue[tuple[str, bytes]]" = field(default_factory=queue.Queue)
    told: "queue.Queue[Outcome]" = field(default_factory=queue.Queue)
    ready: "queue.Queue[float]" = field(default_factory=queue.Queue)
    init_s: float = 0.0
    process: "subprocess.Popen[bytes] | None" = None
    _number: int = 0

    @property
    def pid(self) -> int:
        """Return the number of the process."""
        assert self.process is not None
        return self.process.pid

    def call(self, event: object) -> Outcome:
        """Invoke the function and return what came of it."""
        self._number += 1
        begun_s = time.monotonic()
        self.asked.put((f"request-{self._number}", json.dumps(event).encode()))
        while True:
            try:
                outcome = self.told.get(timeout=0.05)
                return Outcome(answer=outcome.answer, error=outcome.error, took_s=time.monotonic() - begun_s)
            except queue.Empty:
                if self.process is not None and self.process.poll() is not None:
                    return Outcome(error=f"the process ended with {self.process.returncode}")
                assert time.monotonic() < begun_s + SAFETY_S, "the function does not answer"


@contextmanager
def invoked(bundle: Path, handler: str, *, client: Path, environ: Mapping[str, str], log: Path) -> Iterator[Invoked]:
    """Start a function as Lambda does, from its unpacked bundle alone, for the block.

    Args:
        bundle: The folder with the bundle's content.
        handler: ``module.function``.
        client: A folder for the runtime's client.
        environ: The function's variables.
        log: Where its output goes.
    """
    function = Invoked()
    with _api(function) as address, log.open("wb") as out:
        process = subprocess.Popen(
            # Without site-packages: the bundle, the client, the standard library.
            [installed(), "-S", "-m", "awslambdaric", handler],
            cwd=bundle,
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": f"{bundle}:{client_in(client)}",
                "PYTHONDONTWRITEBYTECODE": "1",
                "AWS_LAMBDA_RUNTIME_API": address,
                "LAMBDA_TASK_ROOT": str(bundle),
                "_HANDLER": handler,
                "AWS_LAMBDA_FUNCTION_NAME": f"sitewatt-{handler.rsplit('.', 2)[-2].replace('_', '-')}",
                "AWS_LAMBDA_FUNCTION_VERSION": "1",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
                "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
                **environ,
            },
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        function.process = process
        try:
            begun_s = time.monotonic()
            while function.ready.empty():
                assert process.poll() is None, log.read_text()[-3000:]
                assert time.monotonic() < begun_s + SAFETY_S, "the function does not begin"
                time.sleep(0.005)
            function.init_s = function.ready.get() - begun_s
            yield function
        finally:
            process.kill()
            process.wait()


def client_in(folder: Path) -> Path:
    """Return a folder that holds the runtime's client alone."""
    (site,) = Path(installed()).parent.parent.glob("lib/python*/site-packages")
    folder.mkdir(exist_ok=True)
    for pattern in CLIENT:
        for found in site.glob(pattern):
            if not (folder / found.name).exists():
                (folder / found.name).symlink_to(found)
    return folder


@contextmanager
def _api(function: Invoked) -> Iterator[str]:
    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if function.ready.empty() and not function.init_s:
                function.ready.put(time.monotonic())
            identity, event = function.asked.get()
            self.send_response(200)
            for name, value in (
                ("Lambda-Runtime-Aws-Request-Id", identity),
                ("Lambda-Runtime-Deadline-Ms", str(int((time.time() + 60.0) * 1000))),
                ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-central-1:111122223333:function:sitewatt"),
                ("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000;Sampled=0"),
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(event))),
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(event)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"null")
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()
            if self.path.endswith("/response"):
                function.told.put(Outcome(answer=body))
            else:
                function.told.put(Outcome(error=body))

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, name="runtime API", daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
