"""Whatever comes in at a door is taken, or refused by a word of the door's own."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.door import Door, Take
from tests.fuzz.doors import DOORS
from tests.fuzz.mutate import mutated
from tests.fuzz.run import corpus, first_broken

# Two minutes for all doors together: those that do more for an input are given fewer.
EXAMPLES, EXAMPLES_OF_SLOW = 150, 15
SLOW = frozenset({"profile"})

pytestmark = pytest.mark.slow


@pytest.fixture(params=sorted(DOORS), scope="module")
def door(request: pytest.FixtureRequest) -> Door:
    """Return each door in turn."""
    return DOORS[request.param]


@pytest.fixture(scope="module")
def take(door: Door, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Take]:
    """Open the door."""
    with door.open(tmp_path_factory.mktemp(door.name)) as opened:
        yield opened


def test_valid_messages_and_what_once_broke_a_door_are_borne(door: Door, take: Take) -> None:
    """A sample that its own door refuses for its form would fuzz nothing; an old fault must not come back."""
    assert first_broken(door, take, iter([*door.samples, *corpus(door)])) is None


def test_no_bytes_break_a_door(door: Door, take: Take) -> None:
    """Noise and changed samples: nothing is raised that the door does not name itself."""
    given_bytes = st.one_of(
        st.binary(max_size=400),
        st.builds(
            lambda sample, seed: mutated(sample, door.form, random.Random(seed)),
            st.sampled_from(list(door.samples)),
            st.integers(0, 2**48),
        ),
    )

    @settings(
        max_examples=EXAMPLES_OF_SLOW if door.name in SLOW else EXAMPLES,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(raw=given_bytes)
    def bears(raw: bytes) -> None:
        take(raw)

    bears()


def test_the_doors_are_all_there() -> None:
    """A channel or a kind of file without a door is one that nobody rattles at."""
    channels = {f"up-{name}" for name in ("telemetry", "meter", "orders", "acks", "events", "status")}
    assert channels | {"command", "trades", "outlook", "shadow", "update", "modbus-tcp", "modbus-rtu"} <= set(DOORS)
    assert {"profile", "site-file", "cloud-file", "tariff", "series", "market-clear", "market-settle"} <= set(DOORS)


@pytest.mark.parametrize("name", sorted(DOORS))
def test_changed_samples_differ_and_come_back_from_their_seed(name: str) -> None:
    """A fuzzer that changes nothing finds nothing; one that does not repeat proves nothing."""
    door = DOORS[name]
    once = [mutated(door.samples[0], door.form, random.Random(seed)) for seed in range(30)]
    assert once == [mutated(door.samples[0], door.form, random.Random(seed)) for seed in range(30)]
    assert len(set(once) - {door.samples[0]}) > 20
