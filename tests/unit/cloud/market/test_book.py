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
