"""A dialogue whose answers come from another thread: each question is answered once, and nobody waits for ever."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from edge.web.conversation import AnswerRefused, Conversation, SetupStopped

SAFETY_S = 60.0


def _in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(work())
        except SetupStopped as stopped:
            results.append(stopped)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, results


def _question(conversation: Conversation, number: int) -> dict[str, Any]:
    """Return a question once it is open."""
    pause = threading.Event()
    for _ in range(int(SAFETY_S / 0.01)):
        question = conversation.told(after=0)["question"]
        if question is not None and question["number"] == number:
            return dict(question)
        pause.wait(0.01)
    raise AssertionError(f"question {number} was not asked")


def test_a_wrong_answer_is_asked_again_with_its_complaint() -> None:
    """The check is the dialogue's own: a terminal and a browser refuse the same."""
    conversation = Conversation()
    check: Callable[[str], str | None] = lambda text: None if text.isdecimal() else "a whole number"  # noqa: E731
    thread, results = _in_thread(lambda: conversation.ask("Greatest import", default="5", check=check))
    assert _question(conversation, 1)["default"] == "5"
    conversation.take(1, "ten")
    assert _question(conversation, 2)["complaint"] == "a whole number"
    conversation.take(2, " 10 ")
    thread.join(SAFETY_S)
    assert results == ["10"]
    assert [(line["text"], line["answer"]) for line in conversation.told(after=1)["lines"]] == [
        ("Greatest import", "10")
    ]


def test_an_answer_counts_once_and_only_for_the_open_question() -> None:
    """A double click must not answer the next question."""
    conversation = Conversation()
    thread, results = _in_thread(
        lambda: (conversation.confirm("Sure", default=False), conversation.choose("Role", ["a", "b"], default="a"))
    )
    _question(conversation, 1)
    with pytest.raises(AnswerRefused, match="none of yes, no"):
        conversation.take(1, "maybe")
    conversation.take(1, "yes")
    _question(conversation, 2)
    with pytest.raises(AnswerRefused, match="answered already"):
        conversation.take(1, "yes")
    conversation.take(2, "b")
    thread.join(SAFETY_S)
    assert results == [(True, "b")]
    with pytest.raises(AnswerRefused):
        conversation.take(2, "b")


def test_who_waits_for_an_answer_is_let_go_at_the_end() -> None:
    """Ctrl-C at the terminal ends a dialogue that nobody answers."""
    conversation = Conversation()
    thread, results = _in_thread(lambda: conversation.ask("Name"))
    _question(conversation, 1)
    conversation.stop()
    thread.join(SAFETY_S)
    assert [type(result) for result in results] == [SetupStopped]


def test_the_end_is_waited_for_until_a_browser_heard_it() -> None:
    """A page that goes away before it says what was written leaves people in doubt."""
    conversation = Conversation()
    conversation.end("it is written", failed=False)
    thread, _ = _in_thread(lambda: conversation.until_heard(SAFETY_S))
    assert conversation.told(after=0)["end"] == {"said": "it is written", "failed": False}
    thread.join(SAFETY_S)
    assert not thread.is_alive()
