"""The double-entry ledger: every posting sums to zero, in money and in energy.

Money is positive for who pays, negative for who receives; energy is positive for who takes, negative for who gives.
Nothing is ever edited: a correction is the reversal of a posting and a new one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from contracts.units import UCT_PER_CENT

FEES = "fees"
LINK_FEES = "link-fees"
RENT = "congestion-rent"
BALANCING = "balancing"
DEMAND_RESPONSE = "demand-response"
ROUNDING = "rounding"
CASH = "cash"
CHARGES = "charges"
TAXES = "taxes"

# Builds a named tuple without the keyword handling of its class: half the cost, twice a trade.
_tuple = tuple.__new__


class Kind(StrEnum):
    """What a posting is for."""

    TRADE = "trade"
    SHARE = "share"
    CHARGE = "charge"
    VAT = "vat"
    FEE = "fee"
    RENT = "rent"
    IMBALANCE = "imbalance"
    DEMAND_RESPONSE = "demand-response"
    PENALTY = "penalty"
    REVERSAL = "reversal"
    INVOICE = "invoice"


class Entry(NamedTuple):
    """One account's share of a posting."""

    account: str
    money_uct: int
    energy_wh: int


class LedgerLine(NamedTuple):
    """One line: its number, the posting it belongs to, the account, both amounts, and where they come from.

    ``reference`` names the trade, the demand-response event, or the posting that is reversed.
    """

    number: int
    posting: int
    kind: Kind
    account: str
    money_uct: int
    energy_wh: int
    interval_ms: int
    reference: str
    meter_version: int | None
    rules_version: int


class Unbalanced(ValueError):
    """A posting does not sum to zero; nothing of it was posted."""


@dataclass(slots=True)
class Balance:
    """What an account owes (positive) and took (positive)."""

    money_uct: int = 0
    energy_wh: int = 0


@dataclass(kw_only=True, slots=True)
class Ledger:
    """Balances and numbering; the lines themselves go to whoever keeps them."""

    balances: dict[str, Balance] = field(default_factory=dict)
    lines: int = 0
    postings: int = 0

    def post(
        self,
        kind: Kind,
        entries: Sequence[Entry],
        *,
        interval_ms: int,
        reference: str,
        rules_version: int,
        meter_version: int | None = None,
    ) -> list[LedgerLine]:
        """Post entries together and return their lines.

        Raises:
            Unbalanced: Money or energy does not sum to zero.
        """
        money = energy = 0
        for entry in entries:
            money += entry.money_uct
            energy += entry.energy_wh
        if money or energy:
            raise Unbalanced(f"{kind} posting of {reference} is off by {money} uct and {energy} Wh; not posted")
        self.postings += 1
        number = self.lines
        lines = []
        for account, money, energy in entries:
            number += 1
            balance = self.balance(account)
            balance.money_uct += money
            balance.energy_wh += energy
            lines.append(
                LedgerLine(
                    number,
                    self.postings,
                    kind,
                    account,
                    money,
                    energy,
                    interval_ms,
                    reference,
                    meter_version,
                    rules_version,
                )
            )
        self.lines = number
        return lines

    def transfer(
        self,
        kind: Kind,
        payer: str,
        payee: str,
        *,
        money_uct: int,
        energy_wh: int,
        interval_ms: int,
        reference: str,
        rules_version: int,
    ) -> tuple[LedgerLine, LedgerLine]:
        """Post what one account pays another for energy that goes to it; two opposite lines, balanced by their form."""
        balances = self.balances
        balance = balances.get(payer) or self.balance(payer)
        balance.money_uct += money_uct
        balance.energy_wh += energy_wh
        balance = balances.get(payee) or self.balance(payee)
        balance.money_uct -= money_uct
        balance.energy_wh -= energy_wh
        self.postings = posting = self.postings + 1
        self.lines = number = self.lines + 2
        return (
            _tuple(
                LedgerLine,
                (number - 1, posting, kind, payer, money_uct, energy_wh, interval_ms, reference, None, rules_version),
            ),
            _tuple(
                LedgerLine,
                (number, posting, kind, payee, -money_uct, -energy_wh, interval_ms, reference, None, rules_version),
            ),
        )

    def balance(self, account: str) -> Balance:
        """Return an account's balance, zero where it has none yet."""
        balance = self.balances.get(account)
        if balance is None:
            balance = self.balances[account] = Balance()
        return balance

    def reverse(self, lines: Iterable[LedgerLine], *, rules_version: int) -> list[LedgerLine]:
        """Post the opposite of one earlier posting and return the new lines; the earlier ones stay."""
        earlier = list(lines)
        return self.post(
            Kind.REVERSAL,
            [Entry(line.account, -line.money_uct, -line.energy_wh) for line in earlier],
            interval_ms=earlier[0].interval_ms,
            reference=f"posting {earlier[0].posting}",
            rules_version=rules_version,
            meter_version=earlier[0].meter_version,
        )

    def invoice(self, account: str, *, interval_ms: int, rules_version: int) -> list[LedgerLine]:
        """Move an account's balance to cash in whole cents, the remainder to the rounding account.

        Returns no lines where the balance is zero.
        """
        known = self.balances.get(account)
        balance = 0 if known is None else known.money_uct
        if not balance:
            return []
        cash = whole_cents(balance) * UCT_PER_CENT
        entries = [Entry(account, -balance, 0), Entry(CASH, cash, 0)]
        if balance != cash:
            entries.append(Entry(ROUNDING, balance - cash, 0))
        return self.post(Kind.INVOICE, entries, interval_ms=interval_ms, reference=account, rules_version=rules_version)

    def sums(self) -> tuple[int, int]:
        """Return the sum over all accounts in money and energy: zero each, or the ledger is broken."""
        balances = self.balances.values()
        return sum(one.money_uct for one in balances), sum(one.energy_wh for one in balances)

    def to_json(self) -> dict[str, object]:
        """Return the whole state as JSON values."""
        return {
            "money_uct": {account: balance.money_uct for account, balance in self.balances.items()},
            "energy_wh": {account: balance.energy_wh for account, balance in self.balances.items()},
            "lines": self.lines,
            "postings": self.postings,
        }

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> "Ledger":
        """Return the ledger of ``to_json``."""
        energy_wh = state["energy_wh"]
        return cls(
            balances={
                account: Balance(money_uct, energy_wh[account]) for account, money_uct in state["money_uct"].items()
            },
            lines=state["lines"],
            postings=state["postings"],
        )


def whole_cents(amount_uct: int) -> int:
    """Return an amount in whole cents, half to even.

    Source: IEEE 754 roundTiesToEven, applied to integers.
    """
    cents, rest = divmod(amount_uct, UCT_PER_CENT)
    half = UCT_PER_CENT // 2
    return cents + (rest > half or (rest == half and cents % 2 == 1))
