"""The continuous book against its rules and against a slow list book."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.market.book import Book
from cloud.market.rules import SelfTrade
from contracts.market import Side, TimeInForce
from tests.support.market.book import ListBook

_new = st.tuples(
    st.just("new"),
    st.booleans(),
    st.integers(1, 9),
    st.integers(-3, 3),
    st.sampled_from(TimeInForce),
    st.booleans(),
    st.sampled_from([None, "ada", "bob"]),
)
_cancel = st.tuples(st.just("cancel"), st.integers(0, 40))
_streams = st.lists(st.one_of(_new, _new, _cancel), max_size=60)


def _state(book: Book[str]) -> list[tuple[str, bool, int, int]]:
    return [(row.order_id, row.side is Side.BUY, row.price, row.quantity) for row in book.orders()]


@pytest.mark.parametrize("mode", SelfTrade)
@given(stream=_streams)
def test_every_event_equals_that_of_a_slow_list_book(mode: SelfTrade, stream: list[tuple]) -> None:  # type: ignore[type-arg]
    """Law 21: speed must not change what happens, in any mode of self-trade prevention."""
    fast: Book[str] = Book(mode)
    slow, own = ListBook(mode), {"ada": set[str](), "bob": set[str]()}
    for number, step in enumerate(stream):
        if step[0] == "cancel":
            assert fast.cancel(f"o{step[1]}") == slow.cancel(f"o{step[1]}")
        else:
            _, buy, quantity, price, tif, post_only, owner = step
            mine = fast.place(f"o{number}", buy, quantity, price, tif=tif, post_only=post_only, own=own.get(owner, ()))
            theirs = slow.place(f"o{number}", buy, quantity, price, tif=tif, post_only=post_only, owner=owner)
            assert (list(mine.fills), mine.resting, mine.cancelled, list(mine.removed), mine.crossed) == (
                list(theirs.fills),
                theirs.resting,
                theirs.cancelled,
                list(theirs.removed),
                theirs.crossed,
            )
            assert quantity == sum(filled for _, _, filled in mine.fills) + mine.resting + mine.cancelled
            if owner is not None:
                own[owner].add(f"o{number}")
        assert _state(fast) == slow.orders()
        best_bid, best_offer = fast.best(Side.BUY), fast.best(Side.SELL)
        assert best_bid is None or best_offer is None or best_bid < best_offer


_plain = st.one_of(
    st.tuples(st.just("add"), st.booleans(), st.integers(1, 9), st.integers(-3, 3)),
    st.tuples(st.just("modify"), st.integers(0, 40), st.integers(1, 9), st.integers(-3, 3)),
    st.tuples(st.just("cancel"), st.integers(0, 40)),
)


@given(stream=st.lists(_plain, max_size=80))
def test_the_short_path_does_what_the_long_one_does(stream: list[tuple]) -> None:  # type: ignore[type-arg]
    """The path without conditions is there for speed alone."""
    fast: Book[str] = Book()
    slow = ListBook()
    for number, step in enumerate(stream):
        if step[0] == "add":
            expected = slow.place(f"o{number}", *step[1:], tif=TimeInForce.GTC, post_only=False, owner=None).fills
            assert list(fast.add(f"o{number}", *step[1:])) == list(expected)
        elif step[0] == "modify":
            mine = fast.modify(f"o{step[1]}", step[2], step[3])
            theirs = slow.modify(f"o{step[1]}", step[2], step[3])
            assert (None if mine is None else list(mine)) == theirs
        else:
            assert fast.cancel(f"o{step[1]}") == slow.cancel(f"o{step[1]}")
        assert _state(fast) == slow.orders()


def test_a_trade_happens_at_the_resting_price() -> None:
    """Who waited set the price; who comes takes it."""
    book: Book[str] = Book()
    book.add("s", False, 5, 10)
    assert book.add("b", True, 8, 12) == [("s", 10, 5)]
    assert book.get("b") == ("b", Side.BUY, 12, 3)


def test_less_at_the_same_price_keeps_its_place_and_all_else_loses_it() -> None:
    """Peers differ here, so the rule is published and held."""
    book: Book[str] = Book()
    book.add("first", True, 5, 10)
    book.add("second", True, 5, 10)
    book.modify("first", 3, 10)
    assert [row.order_id for row in book.orders()] == ["first", "second"]
    book.modify("first", 4, 10)
    assert [row.order_id for row in book.orders()] == ["second", "first"]


def test_a_long_queue_is_served_in_order_after_many_partial_services() -> None:
    """Packing a level anew must not disturb its order of time."""
    book: Book[str] = Book()
    for number in range(500):
        book.add(f"s{number}", False, 2, 10)
    served = [maker for _ in range(999) for maker, _, _ in book.add("b", True, 1, 10)]
    assert served == [f"s{number // 2}" for number in range(999)]
    book.tidy()
    assert _state(book) == [("s499", False, 10, 1)]


def test_reducing_to_more_is_refused() -> None:
    """A reduction that grows would jump the queue."""
    book: Book[str] = Book()
    book.add("s", False, 2, 10)
    with pytest.raises(ValueError, match="not less"):
        book.reduce("s", 3)


def test_a_reduced_order_keeps_what_is_left_in_its_place() -> None:
    """Down to one unit, and to as much as is open; none at all is a cancellation, which has its own name."""
    book: Book[str] = Book()
    book.add("s", False, 5, 10)
    book.add("later", False, 5, 10)
    for quantity in (5, 2, 1):
        book.reduce("s", quantity)
        assert book.get("s") == ("s", Side.SELL, 10, quantity)
    for quantity in (0, -1, 2):
        with pytest.raises(ValueError, match=rf"order s has 1 open, {quantity} is not less; unchanged"):
            book.reduce("s", quantity)
    assert _state(book) == [("s", False, 10, 1), ("later", False, 10, 5)]


def test_who_stands_behind_all_is_in_the_book_and_sets_the_best_price_only_where_it_is_better() -> None:
    """A supplier of last resort counts for the price that is shown, and is none of the orders."""
    book: Book[str] = Book()
    assert book.best(Side.BUY) is None and book.best(Side.SELL) is None
    book.stand("utility", False, 100, 30)
    assert "utility" in book and "other" not in book and len(book) == 0 and book.get("utility") is None
    assert (book.best(Side.SELL), book.best(Side.BUY)) == (30, None)
    book.add("dear", False, 5, 40)
    assert "dear" in book and book.best(Side.SELL) == 30
    book.add("cheap", False, 5, 20)
    assert book.best(Side.SELL) == 20
    book.stand("utility", True, 100, 8)
    assert book.best(Side.BUY) == 8
    book.add("bid", True, 5, 9)
    assert book.best(Side.BUY) == 9
    book.cancel("bid")
    book.stand("utility", True, 0, 8)
    assert book.best(Side.BUY) is None
    assert [row.order_id for row in book.orders()] == ["cheap", "dear"]


def test_who_stands_behind_all_is_served_after_its_price_and_before_a_worse_one() -> None:
    """Neighbours at the same price come first; what the utility has left stands on."""
    book: Book[str] = Book()
    book.stand("utility", False, 4, 30)
    book.add("same", False, 2, 30)
    book.add("worse", False, 9, 31)
    placed = book.place("b", True, 8, 31)
    assert list(placed.fills) == [("same", 30, 2), ("utility", 30, 4), ("worse", 31, 2)]
    assert (placed.resting, placed.cancelled, "utility" in book) == (0, 0, False)
    book.stand("utility", False, 4, 30)
    assert list(book.place("c", True, 3, 30).fills) == [("utility", 30, 3)]
    assert list(book.place("d", True, 3, 30).fills) == [("utility", 30, 1)]
    assert book.get("d") == ("d", Side.BUY, 30, 2)


@pytest.mark.parametrize(("quantity", "fills"), [(6, True), (7, False)])
def test_all_or_nothing_counts_what_stands_behind_the_book(quantity: int, fills: bool) -> None:
    """What the utility has is available once, whatever rests before and behind it; what is beyond the limit is not."""
    book: Book[str] = Book()
    book.add("better", False, 2, 29)
    book.stand("utility", False, 3, 30)
    book.add("worse", False, 1, 31)
    book.add("beyond", False, 50, 32)
    placed = book.place("b", True, quantity, 31, tif=TimeInForce.FOK)
    assert (sum(filled for _, _, filled in placed.fills) == quantity) is fills
    assert placed.cancelled == (0 if fills else quantity)
    assert ("better" in book) is not fills


def test_post_only_is_refused_by_who_stands_behind_the_book() -> None:
    """It would take from the utility as from anybody else; a price below is no meeting."""
    book: Book[str] = Book()
    book.stand("utility", False, 3, 30)
    assert book.place("b", True, 2, 30, post_only=True).crossed
    assert book.place("c", True, 2, 29, post_only=True).resting == 2
    assert not book.meets(True, 29) and book.meets(True, 30)


def test_own_orders_stop_an_order_before_it_reaches_who_stands_behind() -> None:
    """Where the incoming order is given up at an own one, nobody further is asked."""
    book: Book[str] = Book(SelfTrade.CANCEL_INCOMING)
    book.add("mine", False, 2, 30)
    book.stand("utility", False, 5, 30)
    placed = book.place("b", True, 4, 30, own={"mine"})
    assert (list(placed.fills), placed.resting, placed.cancelled) == ([], 0, 4)
    decrement: Book[str] = Book(SelfTrade.DECREMENT)
    decrement.add("mine", False, 2, 30)
    decrement.stand("utility", False, 1, 30)
    decrement.add("mine too", False, 3, 31)
    placed = decrement.place("b", True, 5, 31, own={"mine", "mine too"})
    assert (list(placed.fills), list(placed.removed)) == ([("utility", 30, 1)], [("mine", 2), ("mine too", 2)])
    assert (placed.resting, placed.cancelled) == (0, 4) and decrement.get("mine too") == ("mine too", Side.SELL, 31, 1)
