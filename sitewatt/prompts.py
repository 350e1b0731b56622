"""Questions at a terminal, in this project's words; who leaves without answering is told what came of it."""

import typer

from sitewatt.output import INTERRUPTED, tell

_ANSWERS = {"y": True, "yes": True, "n": False, "no": False}


def ask(question: str, *, left: str, default: str = "", err: bool = False) -> str:
    """Return the answer without the spaces around it; Enter stands for the default.

    Args:
        left: What Ctrl-C, or an input that ends, comes to: ``nothing was written``.

    Raises:
        typer.Exit: Nobody answers.
    """
    return _prompt(question, left=left, default=default, err=err).strip()


def ask_secret(question: str, *, left: str) -> str:
    """Return what is typed twice alike, and shown neither time.

    Raises:
        typer.Exit: Nobody answers.
    """
    while True:
        first = _prompt(question, left=left, hidden=True)
        if first == _prompt("The same once more", left=left, hidden=True):
            return first
        tell("  the two are not alike", err=True)


def confirm(question: str, *, default: bool, left: str, err: bool = False) -> bool:
    """Return yes or no; anything else is asked again.

    Raises:
        typer.Exit: Nobody answers.
    """
    while True:
        answer = ask(f"{question} [{'Y/n' if default else 'y/N'}]", left=left, err=err).lower()
        if not answer:
            return default
        if answer in _ANSWERS:
            return _ANSWERS[answer]
        tell("  y or n", err=err)


def _prompt(question: str, *, left: str, default: str | None = None, hidden: bool = False, err: bool = False) -> str:
    try:
        return str(typer.prompt(question, default=default, show_default=bool(default), hide_input=hidden, err=err))
    except (typer.Abort, KeyboardInterrupt):
        typer.echo(err=True)
        tell(f"ended before all was answered; {left}", err=True)
        raise typer.Exit(INTERRUPTED) from None
