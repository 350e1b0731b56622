"""What each device is sent for an order, against frames that were worked out from its sources and not from its map."""

import csv
from collections import Counter
from itertools import groupby
from pathlib import Path

import pytest

from edge.devices.catalogue import list_profiles, load_profile
from edge.devices.device import Device, DeviceOptions
from edge.devices.recipes import Lever
from tests.support.modbus.maps import empty
from tests.support.modbus.one import device
from tests.support.modbus.server import Bank
from tests.support.modbus.server import Device as Server

WRITES = (5, 6, 15, 16)
REVERT_S = 90.0
OPTIONS = DeviceOptions(generation_w=10_000, battery_w=5_000, load_w=22_080)
# Registers that a device must hold before it takes an order, or that tell which of its kind it is.
HELD: dict[str, dict[str, dict[int, int]]] = {
    "kostal_plenticore": {"holding": {1080: 2}},  # Left to us by the vendor's page.
    "huawei_luna2000": {"holding": {37047: 5_000}},
    "sungrow_sg": {"input": {5000: 100}},
    "heidelberg_ec": {"input": {100: 32}},
    # A register of zero would be 100 °C of frost at two places, which no device is believed.
    "deye_sg0x_lp3": {"holding": {540: 1_250, 541: 1_250, 586: 1_250}},
    "deye_sunsynk_1p": {"holding": {91: 1_250, 182: 1_250}},
    "growatt_sph": {"holding": {2: 1}},
    "sma_tripower": {"holding": {40210: 0, 40211: 1079}},
    "solaredge": {"holding": {61762: 1, 61763: 0}},
    "phoenix_ev_eth": {"holding": {528: 320}},
    "phoenix_ev_eth@amperes": {"holding": {528: 32}},
    "solax_x_hybrid_g4": {"holding": {0: 0x4834, 1: 0x3630} | dict.fromkeys(range(124, 139), 9)},  # H460.
    "solax_x_hybrid_g4@x3": {"holding": {0: 0x4833, 1: 0x3441}},  # H34A.
    "fronius_gen24_int": {"holding": {40151: 10_000, 40250: 0xFFFE, 40345: 5_000, 40368: 0xFFFE}},
    "fronius_float": {"holding": {40161: 10_000, 40260: 0xFFFE, 40355: 5_000, 40378: 0xFFFE}},
    "sunspec_generic_int": {"holding": {40152: 10_000, 40251: 0xFFFE, 40256: 5_000, 40279: 0xFFFE}},
    "sunspec_generic_int@704": {"holding": {40303: 10_000, 40383: 0xFFFE}},
}
# SunSpec models in their order, each with its length; the first lies at 40002.
MODELS = {
    "solaredge": ((1, 65), (103, 50), (203, 105)),
    "fronius_gen24_int": ((1, 65), (103, 50), (120, 26), (121, 30), (122, 44), (123, 24), (160, 88), (124, 24)),
    "fronius_float": ((1, 65), (113, 60), (120, 26), (121, 30), (122, 44), (123, 24), (160, 88), (124, 24)),
    "sunspec_generic_int": ((1, 66), (103, 50), (120, 26), (121, 30), (122, 44), (123, 24), (124, 24)),
    "sunspec_generic_int@704": ((1, 66), (103, 50), (701, 153), (702, 50), (704, 65)),
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


def bank_of(variant: str) -> Bank:
    """Return the registers of a device, by its profile and, behind an @, which of its kind it is."""
    bank = empty(variant.partition("@")[0])
    if variant in MODELS:
        at = 40000
        bank.holding.update({at: 0x5375, at + 1: 0x6E53})
        at += 2
        for number, length in (*MODELS[variant], (0xFFFF, 0)):
            bank.holding.update({at + offset: 0 for offset in range(length + 2)})
            bank.holding.update({at: number, at + 1: length})
            at += length + 2
    for table, words in HELD.get(variant, {}).items():
        getattr(bank, table).update(words)
    return bank


async def sent(one: Device, server: Server, lever: Lever, asked: str) -> list[str]:
    """Return the requests that write, of one order."""
    server.requests.clear()
    await one.apply(lever, None if asked == "free" else float(asked), revert_s=REVERT_S)
    return [request.pdu.hex() for request in server.requests if request.pdu[0] in WRITES]


@pytest.mark.parametrize(("variant", "lever"), ORDERS)
async def test_an_order_is_the_frames_that_the_sources_give(variant: str, lever: str) -> None:
    """A wrong address, width, scale or word order in a map makes a setpoint of ten times what was asked."""
    async with device(variant.partition("@")[0], bank_of(variant), options=OPTIONS) as (one, server):
        for asked, frames in ORDERS[variant, lever]:
            assert await sent(one, server, Lever(lever), asked) == frames, asked


def test_every_lever_of_every_profile_has_golden_orders() -> None:
    """Who adds a device that can be told, or another way to tell it, adds what it is sent."""
    profiles = {name: load_profile(name) for name in list_profiles()}
    levers = {(name, lever.value) for name, profile in profiles.items() for lever in profile.capabilities}
    assert {(variant.partition("@")[0], lever) for variant, lever in ORDERS} == levers
    ways = {
        (name, lever.value): len(recipes)
        for name, profile in profiles.items()
        for lever, recipes in profile.capabilities.items()
    }
    given = Counter((variant.partition("@")[0], lever) for variant, lever in ORDERS)
    assert {key: count for key, count in ways.items() if given[key] < count} == {}
