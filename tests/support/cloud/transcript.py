"""What an operator types and reads in a drill, kept as it was, for ``docs/aws.md``."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.cloud.emulator import ROOT_USER

# What is another at each run: it would make two transcripts of one thing differ.
_VARIES = ((re.compile(r"http://127\.0\.0\.1:\d+"), "http://127.0.0.1:4566"), (re.compile(r"/tmp/\S*/"), ""))


class Transcript:
    """A file that grows with each command and each remark."""

    def __init__(self, path: Path) -> None:
        """Begin a file anew."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")

    def run(self, *arguments: str, expect: int = 0) -> str:
        """Run a command as a person does, keep what it was and said, and return what it said."""
        done = subprocess.run(
            [sys.executable, "-m", "sitewatt", *arguments],
            env={**os.environ, **ROOT_USER, "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1", "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == expect, done.stdout
        self._write(f"$ sitewatt {' '.join(arguments)}\n{done.stdout}")
        return done.stdout

    def note(self, sentence: str) -> None:
        """Keep what was seen beside the commands."""
        self._write(f"# {sentence}\n")

    def _write(self, text: str) -> None:
        for pattern, usual in _VARIES:
            text = pattern.sub(usual, text)
        with self._path.open("a") as file:
            file.write(text)
