"""Every profile is the first that is named on its own device, and what is generic comes last."""

import pytest

from edge.devices.catalogue import list_profiles, load_profile
from edge.devices.identify import Match, identify
from edge.devices.profile import Profile
from edge.devices.quality import plausible_range
from edge.modbus.point import Access
from tests.support.modbus.images import healthy
from tests.support.modbus.server import Bank, tcp_device
from tests.support.modbus.server import Device as Server

GENERIC = {"sunspec_generic_int", "sunspec_generic_float"}


def is_unnamed(profile: Profile) -> bool:
    """Return whether nothing that a device tells has bounds or a name: a few switches, or a charger's bare states."""
    told = (spec for spec in profile.points.values() if spec.access is not Access.WRITE)
    return not profile.identify and not any(plausible_range(spec.canonical) for spec in told)


def test_few_devices_cannot_be_told() -> None:
    """Whoever adds a profile gives it a value by which its device is known, wherever the device has one."""
    unnamed = [name for name in list_profiles() if is_unnamed(load_profile(name))]
    assert 0 < len(unnamed) <= len(list_profiles()) // 10, unnamed


async def named(bank: Bank, *, unit: int) -> tuple[Match, ...]:
    """Return what a device is taken for."""
    async with tcp_device(Server({unit: bank})) as port:
        return await identify(f"tcp://127.0.0.1:{port}?unit={unit}", list_profiles())


@pytest.mark.parametrize("profile_id", list_profiles())
async def test_a_profile_is_first_on_its_own_device(profile_id: str) -> None:
    """The installer takes the first line; a tie would leave him to guess, but among rebrands of one device."""
    unit = load_profile(profile_id).link.unit or 1
    matches = await named(healthy(profile_id), unit=unit)
    if is_unnamed(load_profile(profile_id)):
        assert matches == ()
        return
    score = next(match.score for match in matches if match.profile == profile_id)
    family = load_profile(profile_id).family
    siblings = {name for name in list_profiles() if family is not None and load_profile(name).family == family}
    assert all(match.score < score for match in matches if match.profile not in siblings | {profile_id})
    assert all(match.score <= score for match in matches)
    others = [match.score for match in matches if match.profile not in GENERIC]
    if profile_id not in GENERIC:
        assert all(match.score < others[0] for match in matches if match.profile in GENERIC)


async def test_an_inverter_with_more_inputs_than_the_map_names_is_named() -> None:
    """Its further blocks are read by points that the map does not write down."""
    bank = healthy("sunspec_generic_int")
    base = 40000
    bank.holding = {base: 0x5375, base + 1: 0x6E53} | dict.fromkeys(range(base + 2, base + 130), 0)
    bank.holding |= {base + 2: 160, base + 3: 108}  # Five modules.
    bank.holding |= dict.fromkeys([base + 2 + 26 + 20 * number for number in range(5)], 41)  # Their temperatures.
    bank.holding |= {base + 112: 0xFFFF, base + 113: 0}
    matches = await named(bank, unit=1)
    assert matches[0].profile == "sunspec_generic_int"
