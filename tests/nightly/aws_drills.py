"""What goes wrong on AWS, against an emulator: functions that are killed at their work (part of ``make aws``)."""

from pathlib import Path
from typing import Any

import pytest

from cloud.handlers import telemetry as telemetry_handler
from cloud.infra.functions import FUNCTIONS
from cloud.local.report import channel_counts, intervals, ledger
from cloud.stores.tables import Tables
from contracts.topics import Up
from tests.support.cloud.emulator import ROOT_USER, Emulator
from tests.support.cloud.killing_door import Door, killing_door
from tests.support.cloud.runtime import invoked
from tests.support.cloud.sites import START, ZONE, batch, house_in, registry
from tests.support.cloud.sites import telemetry as telemetry_of
from tests.support.market.shell import Event, run_events, story

pytestmark = pytest.mark.slow
WRITES_MAX = 60  # Of one event; it is far less.


class Lambda:
    """Calls functions as Lambda does, each from its unpacked bundle, in processes that are killed at their writes."""

    def __init__(self, unpacked: Path, environ: dict[str, str], door: Door, folder: Path) -> None:
        self._unpacked, self._environ, self._door, self._folder = unpacked, environ, door, folder
        self.calls = 0

    def deliver(self, event: Event) -> int:
        """Deliver an event until it is answered, killing at its first write, its second, and so on; return the kills.

        Before a write is done and after it, in turn: the next delivery finds nothing of it, or all and no answer.
        """
        function = next(each for each in FUNCTIONS if each.handler == event[0].__module__)
        for kills in range(WRITES_MAX):
            self.calls += 1
            log = self._folder / f"call-{self.calls}.log"
            with invoked(
                self._unpacked / function.bundle,
                function.entry,
                client=self._folder / "client",
                environ=self._environ,
                log=log,
            ) as process:
                self._door.aim(process.pid, at_write=1 + kills, done=kills % 2 == 1)
                outcome = process.call(event[1])
                self._door.victim = None
            if outcome.error is None:
                assert outcome.answer in (None, {"batchItemFailures": []}), outcome.answer
                return kills
            assert "ended with -9" in str(outcome.error), f"{outcome.error}: {log.read_text()[-3000:]}"
        raise AssertionError(f"{function.name} never comes to its end")


@pytest.fixture
def delivery(aws: Emulator, stack: dict[str, Any], unpacked: Path, tmp_path: Path) -> Any:
    """Functions behind a door that kills."""
    with killing_door(aws.endpoint) as door:
        environ = {
            **ROOT_USER,
            "AWS_ENDPOINT_URL": aws.endpoint,
            "AWS_ENDPOINT_URL_DYNAMODB": door.address,
            "SITEWATT_STORE": "dynamodb",
            "SITEWATT_TABLE_PREFIX": "sitewatt-",
            "SITEWATT_LAKE_BUCKET": stack["outputs"]["LakeBucket"],
            "SITEWATT_SIGNING": "none",
        }
        yield Lambda(unpacked, environ, door, tmp_path), door


def test_functions_that_are_killed_at_each_write_lose_and_double_nothing(
    tables: Tables, delivery: tuple[Lambda, Door], tmp_path: Path
) -> None:
    """A product from its opening to a correction: the same prices, trades and ledger as where nobody is killed."""
    with house_in(tmp_path / "ours") as (services, _):
        run_events(services, story())
        ours, our_ledger = intervals(services.stores.tables, ZONE), ledger(services.stores.tables, [ZONE])
    functions, door = delivery
    kills = [functions.deliver(event) for event in story()]
    assert intervals(tables, ZONE) == ours and any(interval["settled"] for interval in ours)
    assert ledger(tables, [ZONE]) == our_ledger
    assert (our_ledger["sum"], our_ledger["energy_sum"]) == (0, 0)
    assert min(door.killed.values()) >= 8 and sum(kills) == sum(door.killed.values())
    told = f"killed before a write {door.killed[False]} times, after one {door.killed[True]} times"
    print(f"\n{told}; {our_ledger['lines']} lines of the ledger sum to {our_ledger['sum']}, as without a kill")


def test_telemetry_that_is_killed_at_each_write_is_counted_once(tables: Tables, delivery: tuple[Lambda, Door]) -> None:
    """What came twice is told from what came once by its number."""
    functions, door = delivery
    values: dict[str, list[float | None]] = {"meter/active_power_w": [100.0, 200.0]}
    told = [telemetry_of("home-1", seq, START, values) for seq in range(1, 6)]
    kills = functions.deliver((telemetry_handler.handler, batch(Up.TELEMETRY, *told, at=START)))
    counts = channel_counts(tables, registry(), Up.TELEMETRY)
    assert (counts["published"], counts["stored"], counts["lost"]) == (5, 5, 0)
    assert kills >= 2 and min(door.killed.values()) >= 1, door.killed
