"""The agent's own orders against what the market says."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from contracts.market import OrderOp, OrderResult, OrderStatus, Side, TradeLine
from edge.trading.model import Leg, OrderAction, OrderIntent
from edge.trading.orders import REVISIONS_MAX, OwnOrders, forget, heard, order_id, reconcile
from tests.support.rigs.trading import T0

START = T0 + timedelta(hours=1)
KEY = (START, Leg.BASE)


def intent(quantity_wh: int = 500, *, side: Side = Side.SELL, price: int = 12_000, leg: Leg = Leg.BASE) -> OrderIntent:
    """Return a wanted order for one o'clock."""
    return OrderIntent(
        start=START, leg=leg, side=side, quantity_wh=quantity_wh, price_mct_per_kwh=price, reason="surplus"
    )


def bring(own: OwnOrders, *wanted: OrderIntent, site: str = "home-1") -> tuple[tuple[OrderAction, ...], OwnOrders]:
    """Reconcile at midnight."""
    return reconcile(own, wanted, site=site, now=T0, gate_closure_s=300)


def told(own: OwnOrders, status: OrderStatus, *, number: int = 0, traded_wh: int = 0) -> OwnOrders:
    """Let the market answer one revision."""
    name = order_id(site="home-1", start=START, leg=Leg.BASE, revision=number)
    result = OrderResult(order_id=name, status=status, traded_wh=traded_wh)
    return heard(own, start=START, results=[result], trades=[])


def trade(name: str, quantity_wh: int, side: Side = Side.SELL) -> TradeLine:
    """Return a trade."""
    return TradeLine(trade_id=name, order_id="x", side=side, quantity_wh=quantity_wh, price_mct_per_kwh=15_000)


def test_a_wanted_order_is_sent_once() -> None:
    """Looking again must not order again."""
    actions, own = bring(OwnOrders(), intent())
    assert [(action.op, action.quantity_wh, action.price_mct_per_kwh) for action in actions] == [
        (OrderOp.NEW, 500, 12_000)
    ]
    assert bring(own, intent())[0] == ()


def test_the_same_decision_after_a_lost_memory_has_the_same_id() -> None:
    """The market knows the id and answers as before: nothing is ordered twice."""
    assert bring(OwnOrders(), intent())[0] == bring(OwnOrders(), intent())[0]


def test_ids_fit_the_message_and_differ_by_site_however_long_its_name() -> None:
    """64 characters; two long names that begin alike are two sites."""
    one = order_id(site="a" * 62 + "1", start=START, leg=Leg.FLEX, revision=99)
    two = order_id(site="a" * 62 + "2", start=START, leg=Leg.FLEX, revision=99)
    assert one != two
    assert max(len(one), len(two)) <= 64


def test_within_the_dead_band_an_order_keeps_its_place_in_the_queue() -> None:
    """Each change of a price loses time priority."""
    _, own = bring(OwnOrders(), intent(500))
    assert bring(own, intent(520, price=12_200))[0] == ()
    (action,), own = bring(own, intent(800))
    assert (action.op, action.quantity_wh) == (OrderOp.MODIFY, 800)
    assert own.orders[KEY].quantity_wh == 800


def test_a_modified_order_counts_what_it_traded_already() -> None:
    """The market takes the new total, not the rest."""
    _, own = bring(OwnOrders(), intent(500))
    own = told(own, OrderStatus.PARTLY_FILLED, traded_wh=200)
    (action,), _ = bring(own, intent(600))
    assert (action.op, action.quantity_wh) == (OrderOp.MODIFY, 800)


def test_a_turned_side_cancels_before_it_orders() -> None:
    """An agent that trades with itself pays fees for nothing."""
    _, own = bring(OwnOrders(), intent(500), intent(100, leg=Leg.FLEX))
    actions, _ = bring(own, intent(300, side=Side.BUY))
    assert [(action.op, action.leg) for action in actions] == [
        (OrderOp.CANCEL, Leg.BASE),
        (OrderOp.CANCEL, Leg.FLEX),
        (OrderOp.NEW, Leg.BASE),
    ]
    assert actions[0].order_id != actions[2].order_id


def test_a_refused_change_leaves_the_order_as_the_market_has_it() -> None:
    """Otherwise the agent would believe in an order that is not there."""
    _, own = bring(OwnOrders(), intent(500))
    own = told(own, OrderStatus.ACCEPTED)
    _, own = bring(own, intent(900))
    own = told(own, OrderStatus.REJECTED)
    assert (own.orders[KEY].quantity_wh, own.orders[KEY].open) == (500, True)


def test_a_refused_order_may_be_tried_again_under_a_new_id() -> None:
    """A product that was not open yet opens."""
    _, own = bring(OwnOrders(), intent())
    own = told(own, OrderStatus.REJECTED)
    (action,), _ = bring(own, intent())
    assert action.op is OrderOp.NEW
    assert action.order_id == order_id(site="home-1", start=START, leg=Leg.BASE, revision=1)


def test_an_agent_that_keeps_changing_its_mind_is_stopped() -> None:
    """A forecast that flutters must not become a flood of messages."""
    own, sent = OwnOrders(), 0
    for step in range(200):
        actions, own = bring(own, intent(500 if step % 2 else 5_000))
        sent += len(actions)
    assert sent <= REVISIONS_MAX + 1


def test_nothing_is_sent_once_the_gate_has_closed() -> None:
    """Not even a cancellation: it would be refused."""
    _, own = bring(OwnOrders(), intent())
    late = START - timedelta(seconds=300)
    assert reconcile(own, [], site="home-1", now=late, gate_closure_s=300)[0] == ()
    assert reconcile(OwnOrders(), [intent()], site="home-1", now=late, gate_closure_s=300)[0] == ()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 900), st.sampled_from(list(Side))), max_size=20))
def test_a_trade_heard_twice_counts_once(drawn: list[tuple[int, int, Side]]) -> None:
    """Trades come at least once; a position that counts twice is an imbalance."""
    lines = {f"t{number}": trade(f"t{number}", quantity_wh, side) for number, quantity_wh, side in drawn}
    sent = [lines[f"t{number}"] for number, _, _ in drawn]
    own = OwnOrders()
    for line in sent:
        own = heard(own, start=START, results=[], trades=[line, line])
    signed = [line.quantity_wh if line.side is Side.BUY else -line.quantity_wh for line in lines.values()]
    assert own.positions.get(START, 0) == sum(signed)


def test_past_intervals_are_forgotten() -> None:
    """Memory is bounded by the intervals that still matter."""
    _, own = bring(OwnOrders(), intent())
    own = heard(own, start=START, results=[], trades=[trade("t1", 5)])
    assert forget(own, before=START) == own
    assert forget(own, before=START + timedelta(seconds=1)) == OwnOrders()
