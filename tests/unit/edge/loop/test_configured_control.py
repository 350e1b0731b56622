"""What an installer may write about control reaches the running loop: phases, dead band, ramp, loads, damping."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edge.config import SiteConfig, load_config
from edge.control.bridge import BRIDGE_S
from edge.control.model import BATTERIES, CONNECTION, Capability, Priority, Reason, Request, load
from edge.devices.recipes import Lever as DeviceLever
from edge.errors import ConfigError
from edge.inputs.wired import check_loads
from edge.setup.document import render
from edge.setup.failsafe_check import failsafe_findings
from tests.support.manual_clock import ManualClock
from tests.support.rigs.edge_parts import NOON, FakeDevice, config, fake_site, loop_of, plain_config

BATTERY = {"capacity_wh": 10_000, "charge_limit_w": 4_000, "discharge_limit_w": 4_000}
BOILER = {
    "id": "boiler",
    "profile": "kmtronic_relay",
    "url": "tcp://127.0.0.1:4?unit=1",
    "role": "load",
    "load": {"rated_w": 3_000, "state": "relay1", "on_s_min": 20, "off_s_min": 30},
}


class Relay(FakeDevice):
    """A relay that a load hangs on: it says whether it is closed, and measures nothing."""

    async def apply(
        self,
        capability: Capability | DeviceLever,
        value_w: float | None,
        *,
        revert_s: float,
        refresh: bool = True,
        urgent: bool = True,
    ) -> Any:
        """Close or open."""
        self.values["relay1"] = value_w is not None and value_w > 0
        return await super().apply(capability, value_w, revert_s=revert_s, refresh=refresh, urgent=urgent)


class Bench:
    """A loop of a configured site that a test moves second by second."""

    def __init__(self, *requests: Request, devices: list[dict[str, Any]] | None = None, **sections: Any) -> None:
        plain = plain_config()
        found = [one if devices is None else {**one} for one in plain["devices"]]
        self.clock = ManualClock(NOON)
        self.fakes = fake_site(self.clock)
        for extra in devices or []:
            found = [one for one in found if one["id"] != extra["id"]] + [extra]
            if extra["role"] == "load":
                self.fakes[extra["id"]] = Relay(
                    id=extra["id"],
                    clock=self.clock,
                    values={"relay1": True},
                    capabilities=frozenset({Capability.SWITCH}),
                )
            elif extra["id"] not in self.fakes:
                self.fakes[extra["id"]] = FakeDevice(
                    id=extra["id"],
                    clock=self.clock,
                    values={"active_power_w": 0.0, "soc_pct": 50.0},
                    capabilities=frozenset({Capability.BATTERY_POWER}),
                )
        self.asked = list(requests)
        self.loop, self.cycles = loop_of(self.fakes, self.clock, asked=self.asked, devices=found, **sections)

    def meter(self, power_w: float, **phases: float) -> None:
        """Say what the meter reads."""
        self.fakes["meter"].values.update({"active_power_w": power_w, **phases})

    async def seconds(self, count: int) -> None:
        """Let so many cycles run, each with its writes."""
        for _ in range(count):
            self.clock.advance(1.0)
            for _ in range(5):
                await asyncio.sleep(0)

    def told(self, device: str, capability: Capability = Capability.BATTERY_POWER) -> list[float | None]:
        """Return what a device was told."""
        return [value_w for name, value_w, _ in self.fakes[device].told if name == capability.value]


@contextlib.asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[None]:
    """Run a bench's loop beside a block."""
    task = asyncio.create_task(bench.loop.run(), name="control")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _plan(power_w: float) -> Request:
    return Request(
        requester="plan",
        resource=BATTERIES,
        priority=Priority.OPTIMISER,
        reason=Reason.SCHEDULE,
        expires_s=float("inf"),
        preferred_w=power_w,
    )


def _limit(max_w: float) -> Request:
    return Request(
        requester="dso",
        resource=CONNECTION,
        priority=Priority.GRID_OPERATOR,
        reason=Reason.GRID_LIMIT,
        expires_s=float("inf"),
        max_w=max_w,
    )


async def test_the_fuse_of_a_phase_holds_a_battery_back() -> None:
    """The sum may be far from its limit while one phase is not."""
    connection = {"meter": "meter", "import_limit_w": 17_000, "export_limit_w": 10_000, "phase_limit_w": 5_000}
    battery = {
        "id": "inverter", "profile": "fronius_gen24_int", "url": "tcp://127.0.0.1:3?unit=1",
        "role": "battery", "battery": BATTERY, "phases": [1],
    }  # fmt: skip
    bench = Bench(_plan(4_000.0), devices=[battery], connection=connection)
    bench.meter(4_000.0, active_power_l1_w=3_500.0, active_power_l2_w=250.0, active_power_l3_w=250.0)
    async with running(bench):
        await bench.seconds(2)
        assert bench.told("inverter")[-1] == pytest.approx(1_500.0)
        del bench.fakes["meter"].values["active_power_l1_w"]
        await bench.seconds(2)
        assert bench.told("inverter")[-1] == pytest.approx(1_500.0), "for a moment, as it was"
        await bench.seconds(int(BRIDGE_S))
        assert bench.told("inverter")[-1] == 0.0, "a phase that nobody measures leaves only rest"


@pytest.mark.parametrize(("dead_band_w", "follows"), [(20, True), (300, False)])
async def test_the_dead_band_is_the_installers(dead_band_w: float, follows: bool) -> None:
    """A flash-backed register is worth more than the last hundred watts."""
    bench = Bench(_plan(1_000.0), control={"dead_band_w": dead_band_w})
    async with running(bench):
        await bench.seconds(2)
        bench.asked[:] = [_plan(1_200.0)]
        await bench.seconds(2)
    assert (bench.told("inverter")[-1] == 1_200.0) is follows


async def test_a_ramp_holds_for_a_plan_and_gives_way_to_a_limit() -> None:
    """Gentle where it may be, at once where it must be."""
    inverter = {**plain_config()["devices"][1], "battery": {**BATTERY, "ramp_w_per_s": 100}}
    bench = Bench(_plan(0.0), devices=[inverter])
    async with running(bench):
        await bench.seconds(2)
        bench.asked[:] = [_plan(2_000.0)]
        await bench.seconds(3)
        assert bench.told("inverter")[-1] == pytest.approx(300.0)
        bench.meter(8_000.0)
        bench.asked[:] = [_plan(2_000.0), _limit(5_000.0)]
        await bench.seconds(1)
        assert (bench.told("inverter")[-1] or 0.0) <= -3_000.0


async def test_the_more_efficient_battery_moves_first() -> None:
    """Every kilowatt-hour through the worse one costs more of itself."""
    second = {
        "id": "second", "profile": "byd_battery_box", "url": "tcp://127.0.0.1:5?unit=1",
        "role": "battery", "battery": {**BATTERY, "efficiency": 0.99},
    }  # fmt: skip
    bench = Bench(_plan(3_000.0), devices=[second])
    async with running(bench):
        await bench.seconds(2)
    assert bench.told("second")[-1] == 3_000.0
    assert bench.told("inverter")[-1] == 0.0


async def test_swings_are_damped_from_the_configured_number_on() -> None:
    """A second controller on the same meter must not turn a battery into a pendulum."""
    swings = []
    for allowed in (1, 60):
        bench = Bench(_plan(0.0), control={"reversals_per_min_max": allowed})
        async with running(bench):
            for second in range(30):
                bench.asked[:] = [_plan(2_000.0 if second % 2 else -2_000.0)]
                await bench.seconds(1)
        late = [value_w or 0.0 for value_w in bench.told("inverter")[-8:]]
        swings.append(max(late) - min(late))
    damped_w, free_w = swings
    assert damped_w < free_w / 2


async def test_a_load_is_shed_for_a_limit_and_comes_back_after_its_shortest_time_off() -> None:
    """It has no meter of its own: it counts with its rating while on, and is turned no faster than it bears."""
    bench = Bench(devices=[BOILER], control={"idle": "hold"})
    bench.fakes["inverter"].values["soc_pct"] = 0.0
    bench.meter(4_000.0)
    async with running(bench):
        await bench.seconds(3)
        assert bench.loop.last is not None
        assert bench.loop.last.decision.fresh, "a load without a meter does not make the site blind"
        assert set(bench.told("boiler", Capability.SWITCH)) == {3_000.0}
        bench.asked[:] = [_limit(2_000.0)]
        await bench.seconds(1)
        assert bench.told("boiler", Capability.SWITCH)[-1] == 0.0
        bench.meter(1_000.0)
        bench.asked[:] = []
        await bench.seconds(28)
        assert set(bench.told("boiler", Capability.SWITCH)[-28:]) == {0.0}
        await bench.seconds(10)
        bench.meter(4_000.0)
        await bench.seconds(5)
        assert set(bench.told("boiler", Capability.SWITCH)[-8:]) == {3_000.0}, "on, and it stays on"


async def test_a_load_that_rests_off_is_on_for_its_order_and_no_longer() -> None:
    """Nobody else would ever turn it off again."""
    bench = Bench(devices=[{**BOILER, "load": {**BOILER["load"], "rest": "off"}}], control={"idle": "hold"})  # type: ignore[dict-item]
    order = Request(
        requester="owner/switch",
        resource=load("boiler"),
        priority=Priority.OPERATOR_OVERRIDE,
        reason=Reason.OPERATOR,
        expires_s=float("inf"),
        min_w=1.0,
        preferred_w=1.0,
    )
    async with running(bench):
        await bench.seconds(2)
        assert bench.told("boiler", Capability.SWITCH)[-1] == 0.0
        await bench.seconds(30)
        bench.asked[:] = [order]
        await bench.seconds(5)
        assert bench.told("boiler", Capability.SWITCH)[-1] == 3_000.0
        bench.asked[:] = []
        await bench.seconds(10)
        assert bench.told("boiler", Capability.SWITCH)[-1] == 3_000.0, "its shortest time on"
        await bench.seconds(10)
        assert bench.told("boiler", Capability.SWITCH)[-1] == 0.0


def test_what_the_installer_wrote_reads_back_from_the_file_that_explains_itself(tmp_path: Path) -> None:
    """The keys are written as they are read."""
    site = config(
        devices=[*plain_config()["devices"], BOILER], control={"dead_band_w": 50}, state_dir=str(tmp_path / "state")
    )
    path = tmp_path / "site.yaml"
    path.write_text(render(site), encoding="utf-8")
    assert load_config(path) == site


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"profile": "eastron_sdm630"}, "can neither limit nor switch"),
        ({"load": {"rated_w": 3_000, "state": "relay9"}}, "load.state is 'relay9'"),
    ],
)
def test_a_load_that_cannot_be_switched_or_seen_is_refused_at_the_start(changed: dict[str, Any], said: str) -> None:
    """It would be counted as off while it runs."""
    with pytest.raises(ConfigError, match=said):
        check_loads(config(devices=[*plain_config()["devices"], {**BOILER, **changed}]))
    check_loads(config(devices=[*plain_config()["devices"], BOILER]))


@pytest.mark.parametrize("changed", [{"role": "relay"}, {"load": None}, {"phases": [1, 1]}, {"phases": [4]}])
def test_sections_that_do_not_fit_are_refused(changed: dict[str, Any]) -> None:
    """A load that is no load would silently never be shed."""
    with pytest.raises(ValidationError):
        SiteConfig.model_validate(plain_config(devices=[*plain_config()["devices"], {**BOILER, **changed}]))


def test_a_load_on_a_relay_is_named_among_what_keeps_its_state() -> None:
    """When the gateway dies the relay stays as it is."""
    found = failsafe_findings(config(devices=[*plain_config()["devices"], BOILER]))
    assert "boiler keeps its last switch when the gateway dies" in [one.consequence for one in found]
