"""What each device is sent for an order, against frames that were worked out from its sources and not from its map."""

import csv
from itertools import groupby
from pathlib import Path

import pytest

from edge.devices.catalogue import list_profiles, load_profile
from edge.devices.device import Device, DeviceOptions
from edge.devices.recipes import Lever
from tests.support.modbus.maps import empty
from tests.support.modbus.one import device
from tests.support.modbus.server import Device as Server

WRITES = (5, 6, 15, 16)
REVERT_S = 90.0
OPTIONS = DeviceOptions(generation_w=10_000, battery_w=5_000, load_w=22_080)
# Registers that a device must hold before it takes an order: Kostal is left to us, ratings of 5 and 10 kW.
HELD = {
    "kostal_plenticore": {"holding": {1080: 2}},
    "huawei_luna2000": {"holding": {37047: 5_000}},
    "sungrow_sg": {"input": {5000: 100}},
    "heidelberg_ec": {"input": {100: 32}},
}
Order = tuple[str, list[str]]


def orders() -> dict[tuple[str, str], list[Order]]:
    """Return what is asked of each lever of each profile, in order, with the frames that it takes."""
    text = Path(__file__).with_name("orders.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    return {
        key: [(row["asked"], [one.replace(" ", "").lower() for one in row["frames"].split("/")]) for row in found]
        for key, found in groupby(rows, key=lambda row: (row["profile"], row["lever"]))
    }


ORDERS = orders()


async def sent(one: Device, server: Server, lever: Lever, asked: str) -> list[str]:
    """Return the requests that write, of one order."""
    server.requests.clear()
    await one.apply(lever, None if asked == "free" else float(asked), revert_s=REVERT_S)
    return [request.pdu.hex() for request in server.requests if request.pdu[0] in WRITES]


@pytest.mark.parametrize(("profile", "lever"), ORDERS)
async def test_an_order_is_the_frames_that_the_sources_give(profile: str, lever: str) -> None:
    """A wrong address, width, scale or word order in a map makes a setpoint of ten times what was asked."""
    bank = empty(profile)
    for table, words in HELD.get(profile, {}).items():
        getattr(bank, table).update(words)
    async with device(profile, bank, options=OPTIONS) as (one, server):
        for asked, frames in ORDERS[profile, lever]:
            assert await sent(one, server, Lever(lever), asked) == frames, asked


def test_every_profile_whose_facts_are_listed_and_that_can_be_told_has_golden_orders() -> None:
    """Who adds a device that can be told adds what it is sent."""
    listed = {path.stem for path in (Path(__file__).parents[2] / "unit" / "device_profiles" / "facts").glob("*.csv")}
    levers = {(name, lever.value) for name in list_profiles() for lever in load_profile(name).capabilities}
    assert {key for key in levers if key[0] in listed} <= set(ORDERS)
    assert set(ORDERS) <= levers
