"""A set-up's dialogue in a browser: each question waits for its answer there, as it would at a terminal.

The dialogue runs in one thread and asks; the page's threads tell what was said and bring the answers.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from threading import Condition
from typing import Any, Final, Literal

from edge.setup.console import Check

LINES_MAX: Final = 2000
LETTERS_MAX: Final = 2000
YES, NO = "yes", "no"


class SetupStopped(Exception):
    """Nobody answers any more: the page was ended."""


class AnswerRefused(ValueError):
    """The answer is to no question that is open; nothing was taken."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked now; ``complaint`` says what was wrong with the answer before."""

    number: int
    kind: Literal["text", "choice", "yes_no"]
    text: str
    default: str
    options: tuple[str, ...] = ()
    complaint: str | None = None


class Conversation:
    """The ``Console`` of a browser. Safe to call from many threads."""

    def __init__(self) -> None:
        """Begin with nothing said and nothing asked."""
        self._changed = Condition()
        self._lines: list[dict[str, str | None]] = []
        self._asked = 0
        self._question: Question | None = None
        self._answer: str | None = None
        self._end: dict[str, Any] | None = None
        self._stopped = self._heard = False

    def say(self, text: str) -> None:
        """Show a line."""
        with self._changed:
            self._note(text, None)

    def ask(self, question: str, *, default: str = "", check: Check | None = None) -> str:
        """Return the answer; it is asked again while ``check`` returns a complaint.

        Raises:
            SetupStopped: The page was ended.
        """
        complaint: str | None = None
        while True:
            answer = self._answer_to("text", question, default=default, complaint=complaint)
            complaint = None if check is None else check(answer)
            if complaint is None:
                return answer

    def choose(self, question: str, options: Sequence[str], *, default: str) -> str:
        """Return one of the options.

        Raises:
            SetupStopped: The page was ended.
        """
        return self._answer_to("choice", question, default=default, options=tuple(options))

    def confirm(self, question: str, *, default: bool) -> bool:
        """Return yes or no.

        Raises:
            SetupStopped: The page was ended.
        """
        return self._answer_to("yes_no", question, default=YES if default else NO, options=(YES, NO)) == YES

    def take(self, number: int, answer: str) -> None:
        """Bring the answer to a question.

        Raises:
            AnswerRefused: Another question is open, or the answer is none of its options.
        """
        with self._changed:
            question = self._question
            if question is None or question.number != number or self._answer is not None:
                raise AnswerRefused("that question is answered already; the page shows the next")
            if question.options and answer not in question.options:
                raise AnswerRefused(f"{answer!r} is none of {', '.join(question.options)}")
            if len(answer) > LETTERS_MAX:
                raise AnswerRefused(f"an answer of {len(answer)} letters, above {LETTERS_MAX}")
            self._answer = answer.strip()
            self._changed.notify_all()

    def end(self, said: str, *, failed: bool) -> None:
        """Say how it ended; nothing is asked any more."""
        with self._changed:
            self._end = {"said": said, "failed": failed}

    def until_heard(self, within_s: float) -> None:
        """Wait until somebody was told how it ended, so many real seconds at most."""
        with self._changed:
            self._changed.wait_for(lambda: self._heard or self._stopped, timeout=within_s)

    def stop(self) -> None:
        """Let who waits for an answer go."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def told(self, *, after: int) -> dict[str, Any]:
        """Return the lines after so many, the open question, and how it ended."""
        with self._changed:
            question = None if self._question is None or self._answer is not None else asdict(self._question)
            if self._end is not None:
                self._heard = True
                self._changed.notify_all()
            return {"lines": self._lines[after:], "count": len(self._lines), "question": question, "end": self._end}

    def _answer_to(
        self,
        kind: Literal["text", "choice", "yes_no"],
        text: str,
        *,
        default: str,
        options: tuple[str, ...] = (),
        complaint: str | None = None,
    ) -> str:
        with self._changed:
            self._asked += 1
            self._question = Question(
                number=self._asked, kind=kind, text=text, default=default, options=options, complaint=complaint
            )
            self._changed.wait_for(lambda: self._answer is not None or self._stopped)
            answer, self._question, self._answer = self._answer, None, None
            if answer is None:
                raise SetupStopped("the page was ended; nothing was written")
            self._note(text, answer)
            return answer

    def _note(self, text: str, answer: str | None) -> None:
        if len(self._lines) < LINES_MAX:
            self._lines.append({"text": text, "answer": answer})
