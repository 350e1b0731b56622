"""What a market would come to: a copy of its engine takes a command and lives on; the market itself is not touched."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cloud.market import commands
from cloud.market.engine import Engine
from cloud.market.ledger import FEES, Kind
from cloud.market.shapes import Command
from cloud.market.state import Outcome, Reply


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came of it until an instant: the replies, what was traded, its fees, and what each site paid for trades."""

    replies: Sequence[Reply]
    traded_wh: int
    fees_uct: int
    bought_wh: dict[str, int] = field(default_factory=dict)
    paid_uct: dict[str, int] = field(default_factory=dict)
    balanced: bool = True


def tried(engine: Engine, wanted: Sequence[Command], *, until_ms: int) -> Trial:
    """Return what a market would come to by an instant if nobody ordered anything more.

    Args:
        engine: The market; a copy of it is used up.
        wanted: What it is told first.
        until_ms: Up to when it lives on.

    Raises:
        BadCommand: It takes no such command.
    """
    copy, out = Engine.restore(engine.snapshot()), Outcome()
    for command in wanted:
        copy.apply(command, out)
    copy.apply(commands.tick(at_ms=max(until_ms, copy.now_ms)), out)
    bought_wh: dict[str, int] = {}
    paid_uct: dict[str, int] = {}
    for trade in out.trades:
        for site, sign in ((trade.buy_site, 1), (trade.sell_site, -1)):
            bought_wh[site] = bought_wh.get(site, 0) + sign * trade.quantity_wh
            paid_uct[site] = paid_uct.get(site, 0) + sign * trade.quantity_wh * trade.price_mct_per_kwh
    fees = [line for line in out.lines if line.kind is Kind.FEE]
    for line in fees:
        paid_uct[line.account] = paid_uct.get(line.account, 0) + line.money_uct
    return Trial(
        replies=tuple(out.replies),
        traded_wh=sum(trade.quantity_wh for trade in out.trades),
        fees_uct=-sum(line.money_uct for line in fees if line.account == FEES),
        bought_wh=bought_wh,
        paid_uct=paid_uct,
        balanced=copy.ledger_sums() == (0, 0),
    )
