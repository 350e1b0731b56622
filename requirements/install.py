"""Makes the environment and installs what a lock names: python requirements/install.py .venv demo.

Run by make with the machine's own Python. Nothing here is silent for longer than ``SAY_EVERY_S``. The libraries are
installed by uv, which the lock ``installer.txt`` names; where uv cannot (a registry that only pip is told of, a
processor without a wheel of it), pip installs the same files, several times slower.
"""

import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

FOLDER = Path(__file__).parent
SAY_EVERY_S = 4.0
LAST_LINES = 15  # Of an installer's words, where it fails.


def main(environment: str, name: str) -> int:
    """Make the environment where it is missing and install requirements/NAME.txt; the exit code of what failed or 0."""
    python = Path(environment, "bin", "python")
    if not python.exists():
        code, said = follow("making an environment in " + environment, [sys.executable, "-m", "venv", environment])
        if code:
            return _failed(code, said)
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    lock = FOLDER / f"{name}.txt"
    total = sum(line[:1].isalnum() for line in lock.read_text(encoding="utf-8").splitlines())
    wanted = ["--require-hashes", "--requirement", str(lock)]
    code, said = follow("fetching the installer", [*pip, "--require-hashes", "-r", str(FOLDER / "installer.txt")])
    if not code:
        uv = [str(python), "-m", "uv", "pip", "install", "--python", str(python)]
        code, said = follow(f"installing {total} libraries", [*uv, *wanted])
    if code:
        sys.stdout.write(f"  uv could not: {said[-1].strip() if said else 'it said nothing'}; pip does it instead\n")
        code, said = follow(f"installing {total} libraries", [*pip, *wanted])
    if not code:
        code, said = follow("adding sitewatt itself", [*pip, "--no-deps", "--no-build-isolation", "--editable", "."])
    return _failed(code, said) if code else 0


def follow(doing: str, command: "list[str]") -> "tuple[int, list[str]]":
    """Run a command, say what it does and every few seconds that it goes on; its exit code and its words."""
    sys.stdout.write(f"{doing}\n")
    sys.stdout.flush()
    begun_s = time.monotonic()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "UV_NO_PROGRESS": "1", "PYTHONUNBUFFERED": "1"},
    )
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(process, lines), daemon=True).start()
    said: list[str] = []
    while True:
        try:
            line = lines.get(timeout=SAY_EVERY_S - (time.monotonic() - begun_s) % SAY_EVERY_S)
        except queue.Empty:
            sys.stdout.write(f"  {_latest(said)}{time.monotonic() - begun_s:.0f} s\n")
            sys.stdout.flush()
            continue
        if line is None:
            return process.wait(), said
        said.append(line)


def _read(process: "subprocess.Popen[str]", lines: "queue.Queue[str | None]") -> None:
    assert process.stdout is not None
    with process.stdout as output:
        for line in output:
            lines.put(line)
    lines.put(None)


def _latest(said: "list[str]") -> str:
    """Return the installer's last words, short enough for a line of a terminal."""
    words = next((line.strip() for line in reversed(said) if line.strip()), "")
    return f"{words[:60]}, " if words else ""


def _failed(code: int, said: "list[str]") -> int:
    sys.stderr.write("".join(said[-LAST_LINES:]))
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
