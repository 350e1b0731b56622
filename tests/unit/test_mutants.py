"""The record of mutants: a score that falls is a fault, and every survivor stands on the page with its reason."""

from tests.mutants.__main__ import committed, groups, reasons
from tests.mutants.report import CLASSES, Reason, fallen, page, results
from tests.mutants.run import ROOT, Fate, Mutant

FILE = "edge/modbus/codec.py"


def _mutants(*, killed: int, survivors: tuple[Mutant, ...] = ()) -> list[Mutant]:
    return [*(Mutant(id=f"codec.x_{at}", file=FILE, fate=Fate.KILLED) for at in range(killed)), *survivors]


def _survivor(before: str, after: str, fate: Fate = Fate.SURVIVED) -> Mutant:
    return Mutant(id="edge.modbus.codec.x__text__mutmut_1", file=FILE, fate=fate, before=before, after=after)


def test_a_score_that_falls_by_one_mutant_is_named_with_both_scores() -> None:
    """The score may rise and never falls, so that a hole is seen the night it is made."""
    before = results(_mutants(killed=10), {})
    now = results(_mutants(killed=9, survivors=(_survivor("a < b", "a <= b"),)), before)
    assert fallen(now, before) == (f"{FILE}: 90.0 % of 10 mutants were killed, below the committed 100.0 % of 10",)
    assert fallen(before, now) == ()
    assert now[FILE].first_percent == 100.0


def test_survivor_has_the_class_of_its_line_and_an_unjudged_one_stands_open() -> None:
    """The numbers of mutants move with the code; a judgement follows the line."""
    judged = Reason(file=FILE, before="a < b", after="a <= b", kind="same", why="equal values do not come")
    survivors = (
        _survivor("a < b", "a <= b"),
        _survivor("a < c", "a <= c"),
        _survivor('raise E("no such device")', 'raise E("XXno such deviceXX")'),
        _survivor('mode = "replace"', 'mode = "XXreplaceXX"'),
        _survivor("a = 1", "a = 2", Fate.UNTESTED),
    )
    rows = page(results(_mutants(killed=1, survivors=survivors), {}), [judged]).splitlines()
    kinds = [row.split(" | ")[1] for row in rows if row.startswith("| x__text")]
    assert kinds == ["same", "open", "words", "open", "open"]


def test_every_target_and_judgement_names_a_file_that_is_there() -> None:
    """A moved file would otherwise silently drop out of the nightly run."""
    for group in groups().values():
        assert all(list(ROOT.glob(pattern)) for pattern in (*group.files, *group.tests)), group.name
    assert all((ROOT / reason.file).exists() and reason.kind in CLASSES for reason in reasons())
    assert all((ROOT / file).exists() for file in committed())


def test_the_page_is_the_one_that_the_committed_results_give() -> None:
    """docs/mutants.md is written by the command, not by hand."""
    assert (ROOT / "docs" / "mutants.md").read_text(encoding="utf-8") == page(committed(), reasons())
