"""The score of each file, the survivors with a class of reason, and whether a score fell."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.mutants.run import Fate, Mutant

_LITERAL: Final = re.compile(r"""(?:f|rf|b|rb)?("[^"]*"|'[^']*')""")

CLASSES: Final[Mapping[str, str]] = {
    "same": "the mutant behaves like the original for every input that can come",
    "faster": "the original is a shorter way to the same answer; only time would change",
    "words": "only the text of a message to people changes; a test of its wording would hold nothing",
    "open": "nobody has judged it: a hole, until a test or one of the reasons above closes it",
}


@dataclass(frozen=True, kw_only=True)
class Reason:
    """A judgement on a survivor; it follows the changed line, because the tool's numbers move when code moves."""

    file: str
    before: str
    after: str
    kind: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of one file's mutants; ``first_percent`` is the file's score when it was first measured."""

    file: str
    mutants: int
    killed: int
    first_percent: float
    survivors: tuple[Mutant, ...]

    @property
    def percent(self) -> float:
        """Return the share of killed mutants, rounded down to a tenth, so that 90.0 is never a rounded 89.96."""
        return percent(killed=self.killed, mutants=self.mutants)


def percent(*, killed: int, mutants: int) -> float:
    """Return killed of all mutants in percent, rounded down to a tenth; 100 where there are none."""
    return (killed * 1000 // mutants) / 10 if mutants else 100.0


def results(mutants: Iterable[Mutant], before: Mapping[str, Result]) -> dict[str, Result]:
    """Return the result of each file, with the first score of the results before."""
    by_file: dict[str, list[Mutant]] = {}
    for mutant in mutants:
        by_file.setdefault(mutant.file, []).append(mutant)
    now = {}
    for file, group in sorted(by_file.items()):
        survivors = tuple(mutant for mutant in group if mutant.fate is not Fate.KILLED)
        killed = len(group) - len(survivors)
        score = percent(killed=killed, mutants=len(group))
        first = before[file].first_percent if file in before else score
        now[file] = Result(file=file, mutants=len(group), killed=killed, first_percent=first, survivors=survivors)
    return now


def fallen(now: Mapping[str, Result], before: Mapping[str, Result]) -> tuple[str, ...]:
    """Return a complaint for each file whose score is below the committed one."""
    return tuple(
        f"{file}: {result.percent} % of {result.mutants} mutants were killed, below the committed "
        f"{before[file].percent} % of {before[file].mutants}"
        for file, result in now.items()
        if file in before and result.percent < before[file].percent
    )


def reason_of(mutant: Mutant, reasons: Sequence[Reason]) -> tuple[str, str]:
    """Return the class of a survivor and why it is in it."""
    for reason in reasons:
        if (reason.file, reason.before, reason.after) == (mutant.file, mutant.before, mutant.after):
            return reason.kind, reason.why
    if _words_alone(mutant):
        return "words", ""
    return "open", "no test runs this line" if mutant.fate is Fate.UNTESTED else ""


def _words_alone(mutant: Mutant) -> bool:
    """Return whether the lines differ in a text of several words alone."""
    texts = _LITERAL.findall(mutant.before)
    same_code = _LITERAL.sub("TEXT", mutant.before) == _LITERAL.sub("TEXT", mutant.after)
    return bool(texts) and same_code and all(" " in text for text in texts)


def page(now: Mapping[str, Result], reasons: Sequence[Reason]) -> str:
    """Return docs/mutants.md from the results of every file and the judgements on survivors."""
    lines = [
        "# Mutants",
        "",
        "Written by `make mutants ARGS=--update`; do not edit. mutmut changes one line at a time, and the tests beside",
        "the code have to notice. In `tests/mutants`, `targets.toml` says what is changed and which tests run,",
        "`reasons.toml` holds the judgements on survivors and `results.json` the results: the nightly run fails when a",
        "file's score falls.",
        "",
        "| file | mutants | killed | at first | now |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| `{file}` | {result.mutants} | {result.killed} | {result.first_percent} % | {result.percent} % |"
            for file, result in sorted(now.items())
        ),
        "",
        "## Survivors",
        "",
        *(f"- **{kind}**: {meaning}" for kind, meaning in CLASSES.items()),
    ]
    for file, result in sorted(now.items()):
        if result.survivors:
            lines += ["", f"### {file}", "", "| id | class | line | mutant | why |", "|---|---|---|---|---|"]
            lines += [_row(mutant, reasons) for mutant in result.survivors]
    return "\n".join([*lines, ""])


def _row(mutant: Mutant, reasons: Sequence[Reason]) -> str:
    kind, why = reason_of(mutant, reasons)
    return f"| {mutant.id.rpartition('.')[2]} | {kind} | {_code(mutant.before)} | {_code(mutant.after)} | {why} |"


def _code(line: str) -> str:
    return f"`` {line.replace('|', chr(92) + '|')} ``" if line else ""
