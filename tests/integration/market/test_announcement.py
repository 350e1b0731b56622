"""From a gateway's battery to the market's answer: what is announced bounds what is taken."""

import asyncio
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from cloud.handlers import market_tick, orders
from cloud.shell.market.reading import read_fold
from contracts.market import OrderMessage, OrderOp, OrderStatus, Side, TradesMessage
from contracts.topics import Up
from contracts.units import ClockTrust, epoch_ms
from edge.agent.trader import Trader
from edge.loop.cycle import Cycle
from edge.loop.seen import seen_of
from edge.outbox.outbox import Outbox
from tests.support.cloud.sites import START, ZONE, batch, context, house_in
from tests.support.manual_clock import ManualClock
from tests.support.rigs.edge_parts import SITE, config, fake_site, loop_of


async def _cycle(clock: ManualClock, cycles: list[Cycle], trader: Trader) -> None:
    """Let control run one cycle, half a minute after the last, and the trader hear of it."""
    before = len(cycles)
    clock.advance(30.0)
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(cycles) > before
    trader.finished(seen_of(cycles[-1]))


def _orders(outbox: Outbox) -> list[OrderMessage]:
    outbox.flush()
    return [OrderMessage.decode(record.payload) for record in outbox.read(Up.ORDERS, limit=1_000)]


async def test_a_battery_that_is_announced_is_not_sold_twice(tmp_path: Path) -> None:
    """The registry says that the connection carries ten kW; only the gateway knows that the battery is nearly empty."""
    clock = ManualClock(START)
    fakes = fake_site(clock)
    fakes["inverter"].values["soc_pct"] = 15.0
    tariffs = {"import_tariff_mct_per_kwh": 30_000, "export_tariff_mct_per_kwh": 8_000}
    sections: dict[str, Any] = {"trading": {"enabled": True, **tariffs}}
    loop, cycles = loop_of(fakes, clock, **sections)
    with (
        house_in(tmp_path / "cloud") as (services, publisher),
        closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as outbox,
    ):
        trader = Trader(
            config=config(**sections),
            clock=clock,
            outbox=outbox,
            clock_trust=lambda: ClockTrust.SYNCED,
        )
        running = asyncio.create_task(loop.run(), name="control")
        try:
            for _ in range(4):
                await _cycle(clock, cycles, trader)
        finally:
            running.cancel()
        trader.look()
        sent = _orders(outbox)
        assert sent and sent[0].ability is not None
        assert all(message.ability is None for message in sent[1:])
        # What lies above the least state of charge, and the slack of the dead bands.
        assert sent[0].ability.stored_wh is not None and 600 < sent[0].ability.stored_wh < 1_000

        market_tick.handler({"time": START.strftime("%Y-%m-%dT%H:%M:%SZ"), "zone": ZONE}, context())
        orders.handler(batch(Up.ORDERS, *sent, at=clock.now()), context())
        fold = read_fold(services.stores.tables, ZONE)
        assert fold is not None
        assert fold.engine.product(epoch_ms(sent[0].interval_start)).caps[SITE] == (4_250, 2_250)  # type: ignore[union-attr]

        last = sent[-1]
        greedy = last.model_copy(
            update={"seq": last.seq + 1, "op": OrderOp.NEW, "order_id": "greedy", "side": Side.SELL,
                    "quantity_wh": 2_000, "price_mct_per_kwh": 20_000}
        )  # fmt: skip
        orders.handler(batch(Up.ORDERS, greedy, at=clock.now()), context())
        told = [TradesMessage.decode(payload) for payload in publisher.on(f"/{SITE}/trades")]
        ends = {result.order_id: (result.status, result.code) for notice in told for result in notice.results}
        assert ends.pop("greedy") == (OrderStatus.REJECTED, "storage")
        assert set(ends.values()) == {(OrderStatus.ACCEPTED, None)}

        # The next interval comes into view, and with the next order what the site can do in it.
        for notice in told:
            trader.hear_trades(notice)
        clock.advance(timedelta(minutes=15).total_seconds())
        trader.look()
        later = _orders(outbox)[len(sent) :]
        assert later and later[0].ability is not None
