"""An installer at a terminal: answers what a command asks, by the words of the question, and counts the questions."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# What ends a question: a colon and a space, after a default in brackets or none, and nothing behind it.
_QUESTION = re.compile(r"(?:^|\n)([^\n]*): $")


@dataclass
class Visit:
    """How it went: every question with its answer, what was shown, and how long it took in real seconds."""

    questions: list[tuple[str, str]] = field(default_factory=list)
    shown: str = ""
    seconds: float = 0.0
    code: int | None = None


def visit(command: Sequence[str], answers: Mapping[str, list[str]], *, within_s: float) -> Visit:
    """Run a command on a terminal of its own, and answer it to its end.

    Args:
        command: Of ``sitewatt``.
        answers: By the words with which a question begins, used up in order; what is not there is Enter.
        within_s: Real seconds for all of it.

    Raises:
        AssertionError: It did not end in time.
    """
    began_s = time.monotonic()
    left = {words: list(prepared) for words, prepared in answers.items()}
    ours, theirs = pty.openpty()
    found = Visit()
    environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb"}
    with subprocess.Popen(
        [sys.executable, "-m", "sitewatt", *command], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        try:
            _answer_all(ours, found, left, until_s=began_s + within_s)
            found.code = process.wait(within_s)
        finally:
            process.kill()
            os.close(ours)
    found.seconds = time.monotonic() - began_s
    return found


def _answer_all(terminal: int, found: Visit, left: dict[str, list[str]], *, until_s: float) -> None:
    unanswered = ""
    while True:
        wait_s = until_s - time.monotonic()
        assert wait_s > 0, f"still asking after its time: {found.shown[-400:]}"
        if not select.select([terminal], [], [], wait_s)[0]:
            continue
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # The other end is closed: it has ended.
            return
        if not chunk:
            return
        text = chunk.decode(errors="replace").replace("\r\n", "\n")
        found.shown += text
        unanswered += text
        asked = _QUESTION.search(unanswered)
        if asked is not None:
            answer = _next(asked[1].strip(), left)
            found.questions.append((asked[1].strip(), answer))
            unanswered = ""
            os.write(terminal, f"{answer}\n".encode())


def _next(question: str, left: dict[str, list[str]]) -> str:
    for words, prepared in left.items():
        if question.startswith(words) and prepared:
            return prepared.pop(0)
    return ""
