"""A failure is told with as few faults as it needs."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitewatt.swarm.shrink import smallest


@given(
    needed=st.sets(st.integers(0, 19), max_size=4),
    others=st.sets(st.integers(20, 39), max_size=12),
)
async def test_the_needed_faults_alone_are_left(needed: set[int], others: set[int]) -> None:
    """Nothing that matters is dropped, nothing that does not is kept."""

    async def fails(part: Sequence[int]) -> bool:
        return needed <= set(part)

    assert set(await smallest(sorted(needed | others), fails, tries_max=500)) == needed


@pytest.mark.parametrize("tries_max", [0, 1, 3, 7])
async def test_a_budget_ends_the_search_with_what_still_fails(tries_max: int) -> None:
    """A night must not be spent on one failure."""
    calls = 0

    async def fails(part: Sequence[int]) -> bool:
        nonlocal calls
        calls += 1
        return 5 in part

    found = await smallest(list(range(12)), fails, tries_max=tries_max)
    assert 5 in found and calls <= tries_max
