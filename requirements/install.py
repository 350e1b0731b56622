"""Installs what a lock names, and says every few seconds how far it is: python requirements/install.py demo.

Run by make with the environment's own Python; pip alone is silent for minutes or says a thousand lines.
"""

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

SAY_EVERY_S = 4.0
LAST_LINES = 15  # Of pip's words, where it fails.


def main(name: str) -> int:
    """Install requirements/NAME.txt; pip's exit code, and its last words where that is not 0."""
    lock = Path(__file__).with_name(f"{name}.txt")
    total = sum(line[:1].isalnum() for line in lock.read_text(encoding="utf-8").splitlines())
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    process = subprocess.Popen(
        [*command, "--require-hashes", "--requirement", str(lock)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
    reader.start()
    said = _follow(lines, total)
    code = process.wait()
    if code:
        sys.stderr.write("".join(said[-LAST_LINES:]))
    return code


def _read(output: Iterable[str], lines: "queue.Queue[str | None]") -> None:
    for line in output:
        lines.put(line)
    lines.put(None)


def _follow(lines: "queue.Queue[str | None]", total: int) -> list[str]:
    """Read pip's words to their end, say how far it is, and return them."""
    said: list[str] = []
    fetched, begun_s, due_s = 0, time.monotonic(), time.monotonic() + SAY_EVERY_S
    doing = "fetching"
    while True:
        try:
            line = lines.get(timeout=max(0.0, due_s - time.monotonic()))
        except queue.Empty:
            line = ""
        if line is None:
            return said
        if line:
            said.append(line)
            fetched += line.startswith("Collecting ")
            doing = "unpacking" if line.startswith("Installing collected") else doing
        if time.monotonic() >= due_s:
            due_s = time.monotonic() + SAY_EVERY_S
            spent_s = time.monotonic() - begun_s
            sys.stdout.write(f"  {doing}: {min(fetched, total)} of {total} libraries, {spent_s:.0f} s\n")
            sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
