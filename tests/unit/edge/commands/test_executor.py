"""Orders are answered once, obeyed once, and a flood of what anybody could send neither answers nor obeys itself."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.control import (
    AckStage,
    BatteryPower,
    Diagnostics,
    LimitExport,
    LimitImport,
    LimitLoad,
    Live,
    MaintenanceLock,
    Read,
    Refusal,
    Release,
    Switch,
)
from contracts.units import ClockTrust
from edge.clock_trust import ClockWatch
from edge.commands.executor import ANSWERS_BURST, ORDERS_BURST_OTHERS
from edge.control.keys import Role
from edge.control.life import APPLY_S
from edge.control.model import Capability
from edge.loop.loop import ControlLoop
from tests.support.manual_clock import ManualClock
from tests.support.rigs.control_commands import KEYS, TRUSTED, command, signed
from tests.support.rigs.edge_parts import NOON, FakeDevice, counter, fake_site, loop_of, plain_config


@pytest.fixture
def clock() -> ManualClock:
    """A clock at noon."""
    return ManualClock(NOON)


@contextlib.asynccontextmanager
async def running(loop: ControlLoop) -> AsyncIterator[None]:
    """Run a control loop beside a block."""
    task = asyncio.create_task(loop.run(), name="control")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def seconds(clock: ManualClock, count: int) -> None:
    """Let so many cycles run, each with its writes."""
    for _ in range(count):
        clock.advance(1.0)
        for _ in range(5):
            await asyncio.sleep(0)


def test_the_same_order_twice_has_one_effect_and_the_same_answer(tmp_path: Path, clock: ManualClock) -> None:
    """A broker may deliver twice."""
    with counter(tmp_path, clock) as at:
        order = command(LimitImport(max_w=9_000)).encode()
        at.executor.take(order, retained=False)
        at.executor.take(order, retained=False)
        assert [ack.stage for ack in at.acks()] == [AckStage.ACCEPTED, AckStage.ACCEPTED]
        assert len(at.executor.running()) == 1


def test_a_newer_order_of_the_same_kind_takes_the_place_of_the_older(tmp_path: Path, clock: ManualClock) -> None:
    """An issuer says what it wants now, not the sum of what it ever wanted."""
    with counter(tmp_path, clock) as at:
        at.executor.take(command(LimitImport(max_w=9_000)).encode(), retained=False)
        at.executor.take(command(LimitImport(max_w=5_000), command_id="c2", seq=2).encode(), retained=False)
        assert [one.max_w for one in at.executor.requests(0.0, {})] == [5_000.0]
        assert (at.acks()[-1].command_id, at.acks()[-1].stage) == ("c1", AckStage.SUPERSEDED)


def test_a_release_ends_the_order_and_is_itself_complete(tmp_path: Path, clock: ManualClock) -> None:
    """Both commands get their last answer."""
    with counter(tmp_path, clock) as at:
        at.executor.take(command(LimitImport(max_w=0)).encode(), retained=False)
        at.executor.take(command(Release(command_id="c1"), command_id="c2", seq=2).encode(), retained=False)
        assert not at.executor.requests(0.0, {})
        last = {ack.command_id: ack.stage for ack in at.acks()}
        assert last == {"c1": AckStage.RELEASED, "c2": AckStage.COMPLETED}


@pytest.mark.parametrize("action", [Read(points=("meter/none",)), Diagnostics(), Live(period_s=5)])
def test_what_moves_no_power_is_answered_at_once(
    tmp_path: Path, clock: ManualClock, action: Read | Diagnostics | Live
) -> None:
    """Who asks gets the answer, and nothing stays behind."""
    with counter(tmp_path, clock) as at:
        at.executor.take(command(action).encode(), retained=False)
        assert [ack.stage for ack in at.acks()] == [AckStage.ACCEPTED, AckStage.COMPLETED]
        assert not at.executor.running()


def test_the_lock_of_a_person_on_site_refuses_what_steers(tmp_path: Path, clock: ManualClock) -> None:
    """And the lock that came as a command is remembered over a restart."""
    on_site = True
    with counter(tmp_path, clock, locked=lambda: on_site) as at:
        at.executor.take(command(LimitImport(max_w=9_000)).encode(), retained=False)
        assert at.acks()[-1].reason is Refusal.LOCKED
        on_site = False
        lock = command(MaintenanceLock(on=True), command_id="l", issuer="owner", lasts_s=3_600)
        at.executor.take(lock.encode(), retained=False)
        assert at.executor.locked()
    with counter(tmp_path, clock) as at:
        assert at.executor.locked()
        clock.advance(3_601)
        assert not at.executor.locked()


@pytest.mark.parametrize(
    ("role", "bounds"),
    [
        pytest.param(Role.GRID_OPERATOR, [5_000.0], id="still-trusted"),
        pytest.param(Role.AGGREGATOR, [], id="of-a-lower-role-now"),
        pytest.param(None, [], id="no-longer-trusted"),
    ],
)
def test_a_restart_takes_up_an_order_only_of_who_is_trusted_as_its_grid_operator(
    tmp_path: Path, clock: ManualClock, role: Role | None, bounds: list[float]
) -> None:
    """Whoever takes an issuer out of the site's file means what it ordered too, and it can order nothing more."""
    with counter(tmp_path, clock) as at:
        at.executor.take(command(LimitImport(max_w=5_000), issuer="grid_operator").encode(), retained=False)
        assert at.acks()[-1].stage is AckStage.ACCEPTED
    key = TRUSTED["grid_operator"]
    others = {issuer: one for issuer, one in TRUSTED.items() if issuer != "grid_operator"}
    trusted = others if role is None else {**others, "grid_operator": replace(key, role=role)}
    with counter(tmp_path, clock, trusted=trusted) as at:
        assert [one.max_w for one in at.executor.requests(clock.monotonic(), {})] == bounds
        later = command(LimitImport(max_w=4_000), command_id="c2", seq=2, issuer="grid_operator")
        at.executor.take(later.encode(), retained=False)
        stage = AckStage.REJECTED if role is None else AckStage.ACCEPTED
        assert [ack.stage for ack in at.acks() if ack.command_id == "c2"] == [stage]


@pytest.mark.parametrize("step_s", [-86_400.0, -3_600.0, 3_600.0, 86_400.0])
def test_a_step_of_the_wall_clock_moves_no_end_of_an_order_or_a_lock(
    tmp_path: Path, clock: ManualClock, step_s: float
) -> None:
    """What is to last ten minutes lasts ten minutes, whatever a time server finds meanwhile."""
    with counter(tmp_path, clock) as at:
        at.executor.take(command(LimitImport(max_w=9_000), lasts_s=600).encode(), retained=False)
        lock = command(MaintenanceLock(on=True), command_id="c2", issuer="owner", lasts_s=600)
        at.executor.take(lock.encode(), retained=False)
        clock.step_wall(step_s)
        clock.advance(599)
        assert (len(at.executor.requests(clock.monotonic(), {})), at.executor.locked()) == (1, True)
        clock.advance(1)
        assert (at.executor.requests(clock.monotonic(), {}), at.executor.locked()) == ([], False)


@pytest.mark.parametrize("ppm", [500, -500])
def test_a_clock_that_drifts_moves_no_end_of_an_order_and_is_still_trusted(
    tmp_path: Path, clock: ManualClock, ppm: int
) -> None:
    """Half a second in a quarter of an hour is how cheap crystals are; a day of it is no reason to refuse orders."""
    synchronised = tmp_path / "synchronized"
    synchronised.touch()
    os.utime(synchronised, (NOON.timestamp(), NOON.timestamp()))
    watch = ClockWatch(clock, synchronised=synchronised)
    with counter(tmp_path, clock) as at:
        at.executor.take(command(LimitImport(max_w=9_000), lasts_s=24 * 3_600).encode(), retained=False)
        for _ in range(24 * 360):
            assert len(at.executor.requests(clock.monotonic(), {})) == 1
            assert watch.trust() is ClockTrust.SYNCED
            clock.step_wall(10 * ppm * 1e-6)
            clock.advance(10)
        assert at.executor.requests(clock.monotonic(), {}) == []


def test_an_order_of_the_market_does_not_outlive_the_process(tmp_path: Path, clock: ManualClock) -> None:
    """Whoever still wants it says so again; the number it used is used up."""
    with counter(tmp_path, clock) as at:
        at.executor.take(command(LimitImport(max_w=9_000), issuer="aggregator").encode(), retained=False)
    with counter(tmp_path, clock) as at:
        assert not at.executor.running()
        again = command(LimitImport(max_w=9_000), command_id="c2", issuer="aggregator")
        at.executor.take(again.encode(), retained=False)
        assert at.acks()[-1].reason is Refusal.REPLAYED


@pytest.mark.parametrize("kind", ["forged", "malformed", "replayed"])
def test_a_flood_is_answered_a_few_times_and_counted(tmp_path: Path, clock: ManualClock, kind: str) -> None:
    """Ten thousand answers would push the telemetry off the disk."""
    with counter(tmp_path, clock) as at:
        genuine = command(LimitImport(max_w=9_000)).encode()
        at.executor.take(genuine, retained=False)
        began = len(at.acks())
        for number in range(1_000):
            forged = command(LimitExport(max_w=0), command_id=f"x{number}", seq=number + 2, key=KEYS["owner"])
            payload = {
                "forged": forged.encode(),
                "malformed": b'{"v":1,"command_id":"x%d"}' % number,
                "replayed": genuine,
            }[kind]
            at.executor.take(payload, retained=False)
        assert len(at.acks()) - began == ANSWERS_BURST
        assert at.executor.stats["unanswered"] == 1_000 - ANSWERS_BURST
        assert len(at.executor.running()) == 1
        other = command(LimitImport(max_w=5_000), command_id="c2", issuer="aggregator")
        at.executor.take(other.encode(), retained=False)
        assert len(at.executor.running()) == 2, "a genuine order is answered and obeyed beside it"


def test_an_oversized_message_is_not_even_parsed(tmp_path: Path, clock: ManualClock) -> None:
    """The cheapest refusal is by length."""
    with counter(tmp_path, clock) as at:
        at.executor.take(b"[" * 1_000_000, retained=False)
        assert at.executor.refusals == {Refusal.MALFORMED: 1}
        assert not at.acks(), "nobody can be told: there is no id"


def test_an_infeasible_order_is_refused_with_what_would_do(tmp_path: Path, clock: ManualClock) -> None:
    """Before the first cycle the site can do nothing, and says so."""
    with counter(tmp_path, clock) as at:
        at.executor.take(command(BatteryPower(power_w=1_000)).encode(), retained=False)
        assert at.acks()[-1].reason is Refusal.UNSUPPORTED


def test_an_order_signed_with_another_key_of_the_site_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    """Trust is of an issuer and its key, not of any key."""
    with counter(tmp_path, clock) as at:
        order = command(LimitImport(max_w=9_000))
        at.executor.take(signed(order, KEYS["owner"]).encode(), retained=False)
        assert at.acks()[-1].reason is Refusal.BAD_SIGNATURE


async def test_an_order_that_no_device_holds_is_said_and_counts_once_one_does(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Accepted for ever would leave the grid operator counting on power that nobody gives."""
    with counter(tmp_path, clock) as at:
        fakes = fake_site(clock)
        inverter = fakes["inverter"]
        loop, _ = loop_of(fakes, clock, executor=at.executor)
        async with running(loop):
            await seconds(clock, 2)
            inverter.echoes = False
            at.executor.take(command(BatteryPower(power_w=2_000), issued_at=clock.now()).encode(), retained=False)
            await seconds(clock, int(APPLY_S) + 2)
            said = at.acks()[-1]
            assert (said.stage, said.reason) == (AckStage.INEFFECTIVE, Refusal.NOT_APPLIED)
            assert said.detail is not None
            assert "inverter battery_power: reads something else" in said.detail
            inverter.echoes = True
            await seconds(clock, 2)
            assert AckStage.APPLIED in {ack.stage for ack in at.acks()}


async def test_a_value_of_the_order_before_proves_nothing_of_the_order_after(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Both are the same issuer's and the same kind, and only the second was never written."""
    with counter(tmp_path, clock) as at:
        fakes = fake_site(clock)
        loop, _ = loop_of(fakes, clock, executor=at.executor)
        async with running(loop):
            await seconds(clock, 2)
            at.executor.take(command(BatteryPower(power_w=1_000), issued_at=clock.now()).encode(), retained=False)
            await seconds(clock, 3)
            fakes["inverter"].deaf = True
            newer = command(BatteryPower(power_w=2_000), command_id="c2", seq=2, issued_at=clock.now())
            at.executor.take(newer.encode(), retained=False)
            await seconds(clock, 5)
            stages = [ack.stage for ack in at.acks() if ack.command_id == "c2"]
            assert stages == [AckStage.ACCEPTED]


async def test_the_log_follows_an_order_by_its_id_from_when_it_is_taken_to_the_register(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever asks why a device moved finds the order, and who gave it, by one id."""
    caplog.set_level("INFO", logger="edge")
    with counter(tmp_path, clock) as at:
        fakes = fake_site(clock)
        loop, _ = loop_of(fakes, clock, executor=at.executor)
        async with running(loop):
            await seconds(clock, 2)
            order = command(BatteryPower(power_w=1_000), command_id="c7", issued_at=clock.now())
            at.executor.take(order.encode(), retained=False)
            await seconds(clock, 8)
        of_order = [vars(record) for record in caplog.records if vars(record).get("command") == "c7"]
        told = [(line["message"], line.get("stage") or line.get("device") or line["issuer"]) for line in of_order]
        assert told[0] == ("command accepted", order.issuer)
        assert told.count(("command at the device", "inverter")) == 1, "once, and not with each refresh"
        assert ("command answered", "applied") in told
        (written,) = [line for line in of_order if line["message"] == "command at the device"]
        assert (written["lever"], written["power_w"], written["proven"]) == ("battery_power", 1_000, True)


def test_a_flood_of_signed_orders_uses_up_its_issuers_share_alone(tmp_path: Path, clock: ManualClock) -> None:
    """Its answers would fill the outbox; the grid operator is answered beside it, also in the middle of garbage."""
    with counter(tmp_path, clock) as at:
        for seq in range(1, ORDERS_BURST_OTHERS + 50):
            order = command(Read(points=()), command_id=f"r{seq}", seq=seq, issuer="aggregator")
            at.executor.take(order.encode(), retained=False)
        assert at.executor.refusals == {Refusal.OVERLOADED: 49}
        for number in range(2_000):
            at.executor.take(b'{"v":1,"command_id":"x%d"}' % number, retained=False)
        limit = command(LimitImport(max_w=5_000), command_id="limit")
        at.executor.take(limit.encode(), retained=False)
        assert (at.acks()[-1].command_id, at.acks()[-1].stage) == ("limit", AckStage.ACCEPTED)
        at.executor.take(limit.encode(), retained=False)
        assert at.acks()[-1].command_id == "limit", "a repeat of the operator is answered too"
        clock.advance(2.0)
        again = command(Read(points=()), command_id="again", seq=9_000, issuer="aggregator")
        at.executor.take(again.encode(), retained=False)
        assert at.acks()[-1].stage is AckStage.COMPLETED


EV = {
    "id": "ev",
    "profile": "alfen_eve",
    "url": "tcp://127.0.0.1:4?unit=1",
    "role": "load",
    "load": {"rated_w": 11_000, "on_s_min": 0, "off_s_min": 0},
}


async def test_a_car_is_slowed_by_order_switched_off_by_another_and_given_back(
    tmp_path: Path, clock: ManualClock
) -> None:
    """The order names a load and watts; that its charger is told a current is the gateway's affair."""
    with counter(tmp_path, clock) as at:
        fakes = fake_site(clock)
        car = fakes["ev"] = FakeDevice(
            id="ev",
            clock=clock,
            values={"active_power_w": 11_000.0},
            capabilities=frozenset({Capability.LIMIT_CONSUMPTION}),
        )
        fakes["meter"].values["active_power_w"] = 12_000.0
        devices = [*plain_config()["devices"], EV]
        loop, _ = loop_of(fakes, clock, executor=at.executor, devices=devices, control={"idle": "hold"})
        async with running(loop):
            await seconds(clock, 2)
            at.executor.take(command(LimitLoad(device="ev", max_w=6_000)).encode(), retained=False)
            await seconds(clock, 2)
            assert car.told[-1][1] == 6_000.0
            car.values["active_power_w"] = 6_000.0
            await seconds(clock, 2)
            stages = [ack.stage for ack in at.acks()]
            assert stages == [AckStage.ACCEPTED, AckStage.APPLIED, AckStage.EFFECTIVE]
            off = command(Switch(device="ev", on=False), command_id="c2", seq=2, issued_at=clock.now())
            at.executor.take(off.encode(), retained=False)
            await seconds(clock, 2)
            assert car.told[-1][1] == 0.0
            for number, ended in enumerate(("c1", "c2"), 3):
                release = command(Release(command_id=ended), command_id=f"r{number}", seq=number, issued_at=clock.now())
                at.executor.take(release.encode(), retained=False)
            await seconds(clock, 5)
            assert car.told[-1][1] is None


async def test_a_load_that_the_site_does_not_have_is_named_among_those_it_has(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Who mistypes a load learns the names."""
    with counter(tmp_path, clock) as at:
        loop, _ = loop_of(fake_site(clock), clock, executor=at.executor)
        async with running(loop):
            await seconds(clock, 2)
            at.executor.take(command(LimitLoad(device="ev", max_w=0)).encode(), retained=False)
            assert at.acks()[-1].reason is Refusal.UNSUPPORTED
            assert "ev is no load that can be moved now; there are none" in (at.acks()[-1].detail or "")
