"""The parent of the two processes of a gateway: starts both, starts either alone again, ends both.

It is thin on purpose: nothing but the standard library, no event loop, no configuration. When it ends, however it
ends, the kernel ends its children (``lifetime.die_with``). Once both are ready that is passed on as one line; the
service manager hears it of control alone. Which end is whose:

* 0 of a child that nobody asked: the whole gateway is to be started anew, so all end in order with 0;
* 2 of a child that was never ready: the configuration cannot be used, or the state is in use, so all end with 2;
* anything else: that process alone is started again, after a pause that doubles. Where control does so again and again,
  and for a version on trial at once, all end with 1, so that who started us may choose another version.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.one_thread import ONE_THREAD
from edge.process.memory import MALLOC

CONTROL = "control"
SITE = "site"
BAD_INPUT = 2
FAILED = 1
LOOK_S = 0.5  # Real seconds. The kernel tells nobody that a parent is gone, so we look.
END_S = 10.0  # For a process that was asked to end; then it is killed.
SETTLED_S = 60.0  # A process that ran so long begins a new row of failures.
CONTROL_FAILURES_MAX = 8  # In a row.
# Pauses before a start: control must be back before a device's timer ends, the rest may take its time.
PAUSES_S: Mapping[str, tuple[float, float]] = {CONTROL: (0.1, 5.0), SITE: (0.5, 60.0)}
_LINE_BYTES_MAX = 64 * 1024


@dataclass(kw_only=True)
class _Child:
    """One of the two processes."""

    name: str
    process: "subprocess.Popen[bytes] | None" = None
    ready: dict[str, Any] | None = None
    said: bytes = b""
    failures: int = 0
    began_s: float = 0.0
    again_s: float | None = 0.0
    held: bool = False
    proven: bool = False

    @property
    def runs(self) -> bool:
        return self.process is not None


@dataclass(kw_only=True)
class Pair:
    """The two processes of one gateway.

    Args:
        arguments: Of ``python -m edge run``, without those that this parent adds.
        on_trial: A version on trial is not started again here: who started us counts its starts.
        parent_pid: End when this process is no longer our parent.
    """

    arguments: Sequence[str]
    on_trial: bool = False
    parent_pid: int | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def run(self) -> int:
        """Run until a signal, the end of our parent, or an end of a child that ends all; return the exit code."""
        self._children = {name: _Child(name=name) for name in (CONTROL, SITE)}
        self._children[SITE].held = True  # Until control is ready: one complaint about a configuration is enough.
        self._asked = False
        self._told = False
        self._wake, self._wake_write = os.pipe()
        for end in (self._wake, self._wake_write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wake_write)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask_to_end)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        try:
            return self._run()
        finally:
            self._end_all()

    def _run(self) -> int:
        while not self._asked:
            for child in self._children.values():
                if not child.runs and child.again_s is not None and time.monotonic() >= child.again_s:
                    self._start(child)
            self._look()
            code = self._ended()
            if code is not None:
                return code
            if self.parent_pid is not None and os.getppid() != self.parent_pid:
                _log("stop requested", reason="parent gone")
                return 0
        return 0

    def _start(self, child: _Child) -> None:
        """Start a child; the site waits for a line before it does more than load its code."""
        isolated = ["-I"] if sys.flags.isolated else []
        command = [
            sys.executable, *isolated, "-m", "edge", "run", *self.arguments,
            "--only", child.name, "--parent-pid", str(os.getpid()), *(["--held"] if child.name == SITE else []),
        ]  # fmt: skip
        environ = {**MALLOC, **ONE_THREAD, **self.environ}
        if child.name == SITE:
            # The service manager's watchdog is control's alone.
            environ.pop("NOTIFY_SOCKET", None)
        child.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if child.name == SITE else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=environ,
        )
        child.began_s, child.again_s, child.ready, child.said = time.monotonic(), None, None, b""
        assert child.process.stdout is not None
        os.set_blocking(child.process.stdout.fileno(), False)
        self._selector.register(child.process.stdout, selectors.EVENT_READ, child)
        if child.name == SITE and not child.held:
            self._let_go(child)

    def _let_go(self, child: _Child) -> None:
        """Let a held child go on."""
        child.held = False
        if child.process is not None and child.process.stdin is not None:
            with contextlib.suppress(OSError):  # It has ended; its end is seen next.
                child.process.stdin.close()

    def _look(self) -> None:
        """Wait a moment for a signal, a child's end, or what a child says."""
        for key, _ in self._selector.select(LOOK_S if self._all_run() else 0.05):
            if key.data is None:
                os.read(self._wake, 4096)
            else:
                self._hear(key.data)

    def _all_run(self) -> bool:
        return all(child.runs for child in self._children.values())

    def _hear(self, child: _Child) -> None:
        assert child.process is not None and child.process.stdout is not None
        said = os.read(child.process.stdout.fileno(), _LINE_BYTES_MAX)
        if not said:
            self._selector.unregister(child.process.stdout)
            return
        if child.ready is not None:
            return  # Nothing more is said there.
        child.said = (child.said + said)[-_LINE_BYTES_MAX:]
        line, newline, _ = child.said.partition(b"\n")
        if newline:
            child.ready = json.loads(line)
            self._became_ready(child)

    def _became_ready(self, child: _Child) -> None:
        control, site = self._children[CONTROL], self._children[SITE]
        child.proven = True
        if child is control and site.held:
            self._let_go(site)
        if control.ready is not None and site.ready is not None and not self._told:
            self._told = True
            pids = {f"{one.name}_pid": one.process.pid for one in (control, site) if one.process is not None}
            sys.stdout.write(json.dumps({**control.ready, **pids}) + "\n")
            sys.stdout.flush()

    def _ended(self) -> int | None:
        """Take note of children that have ended, and return the code where all is to end."""
        for child in self._children.values():
            if child.process is None or child.process.poll() is None:
                continue
            code = child.process.returncode
            self._forget(child)
            if self._asked:
                continue
            if code == 0:
                _log("a process asks for a new start", process=child.name)
                return 0
            if code == BAD_INPUT and not child.proven:
                return BAD_INPUT
            if self.on_trial:
                _log("a process of a version on trial failed", process=child.name, code=code)
                return FAILED
            if time.monotonic() - child.began_s >= SETTLED_S:
                child.failures = 0
            child.failures += 1
            if child.name == CONTROL and child.failures >= CONTROL_FAILURES_MAX:
                _log("control keeps failing", code=code, in_a_row=child.failures)
                return FAILED
            first_s, longest_s = PAUSES_S[child.name]
            pause_s = min(longest_s, first_s * 2.0 ** (child.failures - 1))
            child.again_s = time.monotonic() + pause_s
            _log("a process ended and is started again", process=child.name, code=code, pause_s=round(pause_s, 1))
        return None

    def _forget(self, child: _Child) -> None:
        assert child.process is not None
        assert child.process.stdout is not None
        with contextlib.suppress(KeyError):  # It said its last already.
            self._selector.unregister(child.process.stdout)
        child.process.stdout.close()
        if child.process.stdin is not None:
            with contextlib.suppress(OSError):
                child.process.stdin.close()
        child.process = None

    def _ask_to_end(self, *_: object) -> None:
        self._asked = True

    def _end_all(self) -> None:
        """Ask both to end, at once, and kill what is still there after a while."""
        running = [child.process for child in self._children.values() if child.process is not None]
        for process in running:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        until_s = time.monotonic() + END_S
        for process in running:
            try:
                process.wait(max(0.0, until_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for child in self._children.values():
            if child.process is not None:
                self._forget(child)
        signal.set_wakeup_fd(-1)
        self._selector.close()
        os.close(self._wake)
        os.close(self._wake_write)


def _log(phrase: str, **fields: object) -> None:
    """Write a line as the gateway logs it."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now)) + f",{int(now * 1000) % 1000:03d}"
    told = " ".join(f"{name}={value}" for name, value in fields.items())
    with contextlib.suppress(OSError):  # A log on a full disk must not end both.
        sys.stderr.write(f"{stamp} WARNING {phrase} {told}\n")
        sys.stderr.flush()
