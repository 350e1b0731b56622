"""How a device is to be read can change while the gateway runs: nothing is believed until it is known."""

import struct
from collections.abc import Mapping
from dataclasses import replace

import pytest

from contracts.units import Quality
from edge.devices import facts
from edge.devices.catalogue import load_profile
from edge.devices.device import Device, DeviceOptions
from edge.devices.points import Kind
from edge.devices.recipes import Lever
from edge.errors import ValueRefused
from tests.support.modbus.maps import empty
from tests.support.modbus.one import device
from tests.support.modbus.server import Bank
from tests.support.modbus.wait import until

ORDER = 5  # Kostal's register: 0 is little, 1 is big.
GRID = DeviceOptions(kinds=frozenset({Kind.METER}), counted_w=20_000)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look more often than a gateway does, so that the tests do not wait."""
    monkeypatch.setattr(facts, "LOOK_AGAIN_S", 0.1)
    monkeypatch.setattr(facts, "LOOK_EVERY_S", 0.3)


def kostal(values: Mapping[str, float], *, little: bool = True) -> Bank:
    """Return a Kostal that reads so; its words stand in one order and its register may tell another."""
    bank = empty("kostal_plenticore")
    profile = load_profile("kostal_plenticore")
    put(bank, {profile.points[name].address or 0: value for name, value in values.items()}, little=little)
    return bank


def put(bank: Bank, values: Mapping[int, float], *, little: bool) -> None:
    """Write floats."""
    for address, value in values.items():
        words = struct.unpack(">2H", struct.pack(">f", value))
        bank.holding[address], bank.holding[address + 1] = reversed(words) if little else words


def told(canonical: str, *, grid_w: float = 1000.0) -> float:
    """Return what a healthy one reads."""
    if canonical.startswith(("voltage_l", "grid_voltage_l")):
        return 230.1
    return {"frequency_hz": 50.0, "grid_frequency_hz": 50.0, "grid_power_w": grid_w}.get(canonical, 0.0)


def floats(*, little: bool, grid_w: float = 1000.0) -> Bank:
    """Return a Kostal with a grid: its import, three voltages and the frequency."""
    profile = load_profile("kostal_plenticore")
    metered = {
        name: told(spec.canonical, grid_w=grid_w)
        for name, spec in profile.points.items()
        if str(spec.type) == "float32"
    }
    return kostal(metered, little=little)


def power_w(one: Device) -> object:
    """Return the power that a control cycle would take, None where there is no good one."""
    reading = one.snapshot().get("active_power_w")
    return reading.value if reading is not None and reading.quality is Quality.GOOD else None


async def test_a_word_order_that_was_told_wrong_is_learned_again_and_nothing_believed_meanwhile() -> None:
    """A Kostal that boots told the other order: 0 W were good for ever, at a truth of 1000 W."""
    bank = floats(little=True)
    bank.holding[ORDER] = 1
    async with device("kostal_plenticore", bank, options=GRID) as (one, _):
        await until(lambda: one.health.stage == "misread")
        assert power_w(one) is None and one.health.doubt is not None
        assert all(reading.quality is not Quality.GOOD for reading in one.snapshot().values())
        bank.holding[ORDER] = 0
        await until(lambda: power_w(one) == 1000)
        assert one.health.stage == "reading" and one.health.doubt is None


async def test_a_power_in_the_wrong_word_order_is_not_believed_where_little_else_speaks() -> None:
    """Its voltage reads zero, so its frequency stands alone against the map; 1000 W read as 2e-41 W were good."""
    bank = floats(little=True)
    put(bank, {load_profile("kostal_plenticore").points["meter_voltage_l1"].address or 0: 0.0}, little=True)
    bank.holding[ORDER] = 1
    options = replace(GRID, power_w_max={"active_power_w": 40_000})
    async with device("kostal_plenticore", bank, options=options) as (one, _):
        await until(lambda: one.health.stage == "misread")
        assert power_w(one) is None
        bank.holding[ORDER] = 0
        await until(lambda: power_w(one) == 1000)


async def test_a_word_order_that_changes_is_learned_again() -> None:
    """The installer's page, or an update, turns the order under a gateway that runs."""
    bank = floats(little=True)
    async with device("kostal_plenticore", bank, options=GRID) as (one, _):
        await until(lambda: power_w(one) == 1000)
        bank.holding.update(floats(little=False, grid_w=2000).holding)
        bank.holding[ORDER] = 1
        await until(lambda: power_w(one) == 2000)


async def test_nothing_is_written_to_a_device_that_is_misread() -> None:
    """What is written in the wrong word order is another setpoint."""
    bank = floats(little=True)
    bank.holding[1080] = 2
    options = DeviceOptions(battery_w=5_000, generation_w=8_000)
    async with device("kostal_plenticore", bank, options=options) as (one, server):
        assert (await one.apply(Lever.BATTERY_POWER, 2_000, revert_s=90)).ok
        bank.holding.update(
            {at: word for at, word in floats(little=False).holding.items() if at not in (1034, 1035, 1080)}
        )
        await until(lambda: one.health.stage == "misread")
        written = len([one for one in server.requests if one.pdu[0] in (6, 16)])
        for value_w in (1_000, None):
            with pytest.raises(ValueRefused, match="word order"):
                await one.apply(Lever.BATTERY_POWER, value_w, revert_s=90)
        assert written == len([one for one in server.requests if one.pdu[0] in (6, 16)])


async def test_a_word_order_register_that_tells_neither_is_told() -> None:
    """Nothing is guessed: with the wrong order all values are wrong."""
    bank = floats(little=True)
    bank.holding[ORDER] = 7
    async with device("kostal_plenticore", bank, options=GRID, wait=False) as (one, _):
        await until(lambda: one.health.last_error is not None)
        assert "byte_order reads 7, neither 0 (little) nor 1 (big)" in str(one.health.last_error)
        bank.holding[ORDER] = 0
        await until(lambda: power_w(one) == 1000)


def chain(base: int, *, before: Mapping[int, int] | None = None, total_w: int = 1000) -> dict[int, int]:
    """Return a three-phase meter at a base: models 1 and 203; ``before`` puts models in between."""
    words = {base: 0x5375, base + 1: 0x6E53, base + 2: 1, base + 3: 66} | dict.fromkeys(range(base + 4, base + 70), 0)
    at = base + 70
    for model, length in (before or {}).items():
        words |= {at: model, at + 1: length} | dict.fromkeys(range(at + 2, at + 2 + length), 0)
        at += 2 + length
    words |= {at: 203, at + 1: 105} | dict.fromkeys(range(at + 2, at + 107), 0)
    words |= {
        at + 8: 2301,
        at + 9: 2302,
        at + 10: 2303,
        at + 15: 0xFFFF,
        at + 16: 5000,
        at + 17: 0xFFFE,
        at + 18: total_w,
    }
    return words | {at + 107: 0xFFFF, at + 108: 0}


@pytest.mark.parametrize(
    "moved",
    [chain(50000, total_w=2000), chain(40000, before={64001: 30}, total_w=2000), chain(0, total_w=2000)],
    ids=["base", "a new model", "base 0"],
)
async def test_models_that_move_are_found_again(moved: dict[int, int]) -> None:
    """An update moves the chain without the connection ever breaking."""
    bank = Bank(holding=chain(40000))
    async with device("sunspec_generic_int", bank, options=GRID) as (one, _):
        await until(lambda: power_w(one) == 1000)
        bank.holding.clear()
        bank.holding.update(moved)
        believed: set[object] = set()

        def is_found_again() -> bool:
            believed.add(power_w(one))
            return 2000 in believed

        await until(is_found_again)
        assert believed <= {1000, None, 2000}, "what lies now where the power was is no power"
