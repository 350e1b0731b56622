"""Each line of the ledger as it is written: numbers that rise, both amounts, and where they come from."""

import pytest

from cloud.market.ledger import CASH, ROUNDING, Entry, Kind, Ledger, LedgerLine, Unbalanced, whole_cents


def _posted() -> tuple[Ledger, list[LedgerLine]]:
    """Return a ledger with one posting of two entries."""
    ledger = Ledger()
    entries = [Entry("ada", 700, -3), Entry("bob", -700, 3)]
    lines = ledger.post(
        Kind.IMBALANCE, entries, interval_ms=900_000, reference="meter v2", rules_version=4, meter_version=2
    )
    return ledger, lines


def test_a_posting_is_written_as_numbered_lines() -> None:
    """An auditor adds the lines up and finds the balances; each names its posting and its cause."""
    ledger, lines = _posted()
    assert lines == [
        LedgerLine(1, 1, Kind.IMBALANCE, "ada", 700, -3, 900_000, "meter v2", 2, 4),
        LedgerLine(2, 1, Kind.IMBALANCE, "bob", -700, 3, 900_000, "meter v2", 2, 4),
    ]
    more = ledger.post(
        Kind.FEE, [Entry("ada", 1, 0), Entry("fees", -1, 0)], interval_ms=0, reference="t", rules_version=4
    )
    assert [(line.number, line.posting, line.meter_version) for line in more] == [(3, 2, None), (4, 2, None)]
    assert (ledger.lines, ledger.postings) == (4, 2)


def test_energy_has_to_sum_to_zero_by_itself() -> None:
    """Money that balances does not excuse energy that does not."""
    ledger = Ledger()
    with pytest.raises(Unbalanced, match="fee posting of t is off by 0 uct and 4 Wh; not posted"):
        ledger.post(Kind.FEE, [Entry("a", 1, 2), Entry("b", -1, 2)], interval_ms=0, reference="t", rules_version=1)
    assert (ledger.balances, ledger.postings) == ({}, 0)


def test_a_transfer_is_two_opposite_lines_on_top_of_what_was_there() -> None:
    """The short way for a trade must say what the long one would."""
    short, _ = _posted()
    long, _ = _posted()
    said = {"interval_ms": 1_800_000, "reference": "trade 9", "rules_version": 5}
    paid, got = short.transfer(Kind.TRADE, "ada", "cyd", money_uct=50, energy_wh=20, **said)  # type: ignore[arg-type]
    assert [paid, got] == long.post(Kind.TRADE, [Entry("ada", 50, 20), Entry("cyd", -50, -20)], **said)  # type: ignore[arg-type]
    assert (paid.number, got.number, paid.posting, got.posting) == (3, 4, 2, 2)
    assert short == long
    assert (short.balance("ada").money_uct, short.balance("ada").energy_wh) == (750, 17)
    again, _ = short.transfer(Kind.TRADE, "cyd", "bob", money_uct=5, energy_wh=2, **said)  # type: ignore[arg-type]
    assert (again.number, again.posting) == (5, 3)
    assert (short.balance("cyd").money_uct, short.balance("bob").money_uct) == (-45, -705)


def test_a_reversal_names_the_posting_and_keeps_its_interval_and_reading() -> None:
    """What is taken back is found by its number, under the interval that it concerned."""
    ledger, lines = _posted()
    ledger.post(Kind.FEE, [Entry("ada", 1, 0), Entry("fees", -1, 0)], interval_ms=0, reference="t", rules_version=4)
    assert ledger.reverse(lines, rules_version=6) == [
        LedgerLine(5, 3, Kind.REVERSAL, "ada", -700, 3, 900_000, "posting 1", 2, 6),
        LedgerLine(6, 3, Kind.REVERSAL, "bob", 700, -3, 900_000, "posting 1", 2, 6),
    ]
    (one, other) = ledger.reverse(
        [line._replace(posting=7 + index, interval_ms=index, meter_version=index) for index, line in enumerate(lines)],
        rules_version=6,
    )
    assert {(line.reference, line.interval_ms, line.meter_version) for line in (one, other)} == {("posting 7", 0, 0)}


def test_an_invoice_moves_whole_cents_to_cash_and_the_rest_to_rounding() -> None:
    """Who pays an invoice pays cents; what is less stays on the books."""
    ledger = Ledger()
    ledger.transfer(
        Kind.TRADE, "ada", "bob", money_uct=2_300_000, energy_wh=5, interval_ms=0, reference="t", rules_version=1
    )
    assert ledger.invoice("ada", interval_ms=60, rules_version=3) == [
        LedgerLine(3, 2, Kind.INVOICE, "ada", -2_300_000, 0, 60, "ada", None, 3),
        LedgerLine(4, 2, Kind.INVOICE, CASH, 2_000_000, 0, 60, "ada", None, 3),
        LedgerLine(5, 2, Kind.INVOICE, ROUNDING, 300_000, 0, 60, "ada", None, 3),
    ]
    assert ledger.invoice("ada", interval_ms=61, rules_version=3) == []
    assert ledger.invoice("nobody", interval_ms=61, rules_version=3) == []
    assert "nobody" not in ledger.balances


def test_a_ledger_is_stored_under_names_that_stay() -> None:
    """The state of years is read by the next version."""
    ledger, _ = _posted()
    stored = {
        "money_uct": {"ada": 700, "bob": -700},
        "energy_wh": {"ada": -3, "bob": 3},
        "lines": 2,
        "postings": 1,
    }
    assert ledger.to_json() == stored
    assert Ledger.from_json(stored) == ledger


def test_one_below_half_a_cent_is_none() -> None:
    """The bound itself goes to the even cent, what is next to it to the nearer one."""
    assert [whole_cents(uct) for uct in (499_999, 500_000, 500_001, 1_499_999, 1_500_000)] == [0, 0, 1, 1, 2]
