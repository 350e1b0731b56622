"""The agent at work: what it says of its site, when it says it again, and that a stepped clock does not confuse it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from contracts.market import OrderMessage, OrderResult, OrderStatus, TradesMessage
from contracts.topics import Up
from contracts.units import ClockTrust, DeliveryInterval
from edge.telemetry.journal import Journal
from edge.trader import Trader
from tests.support.edge_parts import NOON, SITE, config, fake_site, loop_of
from tests.support.manual_clock import ManualClock


class Bench:
    """An agent whose control has seen two minutes of a house at 1 kW, and what it has ordered."""

    def __init__(self, trader: Trader, journal: Journal, clock: ManualClock) -> None:
        self.trader = trader
        self.clock = clock
        self._journal = journal
        self._read = 0

    def ordered(self) -> list[OrderMessage]:
        """Let the agent look, and return what it sent."""
        self.trader.look()
        self._journal.flush()
        sent = [OrderMessage.decode(record.payload) for record in self._journal.read(Up.ORDERS, limit=1_000)]
        new, self._read = sent[self._read :], len(sent)
        return new

    def answered(self, order: OrderMessage, reason: str) -> None:
        """Let the market refuse an order."""
        result = OrderResult(order_id=order.order_id, status=OrderStatus.REJECTED, reason=reason)
        self.trader.hear_trades(
            TradesMessage(
                zone="zone-1",
                site=SITE,
                interval_start=order.interval_start,
                issued_at=self.clock.now(),
                epoch=1,
                seq=1,
                results=(result,),
            )
        )


@asynccontextmanager
async def _bench(folder: Path) -> AsyncIterator[Bench]:
    clock = ManualClock(NOON)
    loop, cycles = loop_of(fake_site(clock), clock)
    settings = config(trading={"enabled": True})
    with closing(Journal.open(folder / "journal.db", site=SITE, clock=clock)) as journal:
        trader = Trader(
            config=settings,
            clock=clock,
            journal=journal,
            clock_trust=lambda: ClockTrust.SYNCED,
            last_cycle=lambda: cycles[-1] if cycles else None,
        )
        running = asyncio.create_task(loop.run(), name="control")
        for _ in range(5):
            clock.advance(30.0)
            for _ in range(50):
                await asyncio.sleep(0)
            trader.finished(cycles[-1])
        running.cancel()
        yield Bench(trader, journal, clock)


async def test_what_a_site_can_do_is_said_with_the_first_order_and_not_repeated(tmp_path: Path) -> None:
    """The market needs it once; each byte of a message is paid for."""
    async with _bench(tmp_path) as bench:
        first, *others = bench.ordered()
        assert (
            first.ability is not None
            and first.ability.interval_start == DeliveryInterval.containing(NOON).later(1).start
        )
        assert first.ability.stored_wh is not None and 4_000 < first.ability.stored_wh < 5_500
        assert others and all(order.ability is None for order in others)


async def test_a_refusal_for_want_of_ability_has_it_said_again(tmp_path: Path) -> None:
    """A market that began anew knows nothing of the battery; other refusals are no reason."""
    async with _bench(tmp_path) as bench:
        first, second, *_ = bench.ordered()
        bench.answered(second, "rate: too many commands")
        (again,) = bench.ordered()
        assert again.interval_start == second.interval_start and again.ability is None
        bench.answered(first, "storage: the battery could be short of 5 Wh")
        (again,) = bench.ordered()
        assert again.interval_start == first.interval_start and again.ability is not None


async def test_a_stepped_clock_makes_a_new_plan(tmp_path: Path) -> None:
    """A gateway that learns the time only after its start has planned for hours that are over."""
    async with _bench(tmp_path) as bench:
        bench.ordered()
        bench.clock.step_wall(9 * 3600)
        first = bench.ordered()[0]
        assert first.ability is not None
        assert first.ability.interval_start == DeliveryInterval.containing(bench.clock.now()).later(1).start
