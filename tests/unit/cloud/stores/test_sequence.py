"""The proof that nothing was lost and nothing counted twice."""

from hypothesis import given
from hypothesis import strategies as st

from cloud.stores.sequence import RANGES_MAX, Seen


def _after(arrivals: list[int]) -> Seen:
    seen = Seen()
    for seq in arrivals:
        seen = seen.with_repeat() if seq in seen else seen.with_new(seq)
    return seen


def test_messages_in_order_make_one_range() -> None:
    """The usual state must stay small however long a gateway lives."""
    seen = _after(list(range(1, 1000)))
    assert seen.ranges == ((1, 999),)
    assert (seen.stored, seen.lost, seen.duplicated) == (999, 0, 0)


def test_a_hole_counts_as_lost_until_it_is_filled() -> None:
    """Back-fill after an outage heals the count."""
    assert _after([1, 2, 5]).lost == 2
    assert _after([1, 2, 5, 4, 3]).lost == 0


@given(st.lists(st.integers(min_value=1, max_value=60), max_size=200))
def test_counts_agree_with_a_plain_set(arrivals: list[int]) -> None:
    """The ranges are only a short way to write a set."""
    seen = _after(arrivals)
    different = set(arrivals)
    assert seen.stored == len(different)
    assert seen.duplicated == len(arrivals) - len(different)
    assert seen.lost == (max(different) - len(different) if different else 0)
    assert Seen.from_body(seen.body()) == seen


def test_more_holes_than_the_bound_are_given_up_and_stay_lost() -> None:
    """A broken numbering must not grow an item without end, nor hide a loss."""
    arrivals = list(range(1, 4 * RANGES_MAX, 2))
    seen = _after(arrivals)
    assert len(seen.ranges) <= RANGES_MAX
    assert seen.stored == len(arrivals)
    assert seen.lost == max(arrivals) - len(arrivals)
