"""Profiles as files: what ships, what a user may put before it, what is said about a broken one."""

import re
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest

from edge.devices.catalogue import json_schema, list_profiles, load_profile, parse_profile
from edge.devices.document import markdown
from edge.devices.offline import encode_value
from edge.devices.recipes import Direction, Lever
from edge.devices.resolve import resolve
from edge.errors import ConfigError
from edge.modbus.point import Access, Table

ROOT = Path(__file__).parents[3]
SMALL = """
id: mine
vendor: Mine
models: [One]
kinds: [meter]
status: one_source
sources: [my own measurement]
link: {framing: tcp, port: 502, unit: 1, functions: [3, 6]}
points:
  power: {canonical: active_power_w, type: int16, address: 7, unit: W, sign: into_asset}
  limit: {canonical: power_limit_pct, type: uint16, address: 9, unit: "%", access: rw}
writes:
  limit: {min: 0, max: 100, storage: ram}
capabilities:
  limit_generation:
    base: configured
    modes: {limit: [{write: {limit: limit_pct}}]}
    restore: [{write: {limit: 100}}]
    fallback: {direction: keeps}
"""


def broken(old: str, new: str) -> str:
    """Return what is said about the small profile after one change."""
    assert old in SMALL
    with pytest.raises(ConfigError) as caught:
        parse_profile("mine", SMALL.replace(old, new))
    return str(caught.value)


def test_a_small_profile_is_enough() -> None:
    """A new device is a data file of a few lines."""
    profile = parse_profile("mine", SMALL)
    assert resolve(profile).points["limit"].value_max == 100
    assert set(profile.capabilities) == {Lever.LIMIT_GENERATION}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("vendor: Mine\n", "", "profile mine: vendor is missing"),
        ("sources: [my own measurement]\n", "", "sources is missing"),
        ("address: 7,", "", "points.power needs either an address or a SunSpec model"),
        ("address: 7,", "address: 70000,", "points.power.address is 70000, must be less than or equal to 65535"),
        ("address: 7,", "address: 7, adress: 8,", "points.power.adress is not a known key"),
        ("type: int16", "type: int17", "points.power.type is 'int17'"),
        ("sign: into_asset", "sign: upwards", "points.power.sign is 'upwards'"),
        ("  limit: {min: 0, max: 100, storage: ram}\n", "  {}\n", "writes.limit is missing"),
        ("min: 0, max: 100", "min: 5, max: 1", "writes.limit has min 5.0 above max 1.0"),
        ("    base: configured\n", "", "limit_generation.base is missing"),
        ("    fallback: {direction: keeps}\n", "", "fallback is missing"),
        ("limit: limit_pct}", "limit: some_pct}", "'some_pct' is neither a number nor one of"),
        ("{limit: limit_pct}", "{power: limit_pct}", "writes 'power', which the map gives as read-only"),
        ("restore: [{write: {limit: 100}}]", "restore: [{write: {lim: 100}}]", "names the point 'lim'"),
        ("functions: [3, 6]", "functions: [3]", "writes 'limit', for which link.functions has none: [3]"),
        (
            "storage: ram}",
            "storage: ram, heartbeat_s: 60}",
            "refresh_s is None, at most half of the 60 s after which 'limit'",
        ),
        ("id: mine", "id: yours", "id is 'yours', which must be the name of its file"),
        ("  power: {", "  limit: {", "the key 'limit' stands twice"),
        ("id: mine", "id: [", "is not YAML at line"),
    ],
)
def test_a_broken_profile_fails_with_a_sentence_that_names_the_key(old: str, new: str, said: str) -> None:
    """The installer who forgot a field reads which one."""
    assert said in broken(old, new)


def test_a_folder_of_the_users_own_goes_before_ours(tmp_path: Path) -> None:
    """A site can correct a map without waiting for a release."""
    shipped = (files("device_profiles") / "eastron_sdm630.yaml").read_text(encoding="utf-8")
    (tmp_path / "eastron_sdm630.yaml").write_text(shipped.replace("address: 52,", "address: 54,"), encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(SMALL, encoding="utf-8")
    assert load_profile("eastron_sdm630", tmp_path).points["power"].address == 54
    assert load_profile("eastron_sdm630").points["power"].address == 52
    assert "mine" in list_profiles(tmp_path) and "mine" not in list_profiles()


@pytest.mark.parametrize("name", ["nothing", "../secrets", "a.b"])
def test_a_profile_that_is_not_there_is_named(name: str) -> None:
    """A typing error in the configuration is found before anything is opened, and no path leaves the folder."""
    with pytest.raises(ConfigError, match="there is no profile"):
        load_profile(name)


def test_the_schema_that_ships_is_the_models_own() -> None:
    """Editors check profiles against what the gateway accepts."""
    assert (files("device_profiles") / "schema.json").read_text(encoding="utf-8") == json_schema()


def test_the_page_of_devices_is_fresh() -> None:
    """docs/devices.md says what the profiles say; run `sitewatt profile list --markdown > docs/devices.md`."""
    page = markdown(load_profile(name) for name in list_profiles())
    assert (ROOT / "docs" / "devices.md").read_text(encoding="utf-8") == page


@pytest.mark.parametrize("name", list_profiles())
def test_every_recipe_can_be_carried_out(name: str) -> None:
    """Each lever's points exist at known addresses, and those of a block lie side by side."""
    profile = load_profile(name)
    resolved = resolve(profile)
    assert set(resolved.levers) == set(profile.capabilities)
    for recipes in profile.capabilities.values():
        for recipe in recipes:
            for steps in (*recipe.modes.values(), recipe.restore):
                for step in steps:
                    if not step.block:
                        continue
                    points = sorted((resolved.points[point] for point in step.write), key=lambda one: one.address)
                    for before, after in pairwise(points):
                        assert before.address + before.count == after.address


@pytest.mark.parametrize("name", list_profiles())
def test_a_device_is_asked_only_with_functions_that_it_takes(name: str) -> None:
    """A device that takes whole blocks only would refuse every order that is sent as a single register."""
    profile = load_profile(name)
    reads = {Table.HOLDING: 3, Table.INPUT: 4, Table.COIL: 1, Table.DISCRETE: 2}
    for point in resolve(profile).points.values():
        if point.access is not Access.WRITE:
            assert reads[point.table] in profile.link.functions
        if point.access is not Access.READ:
            assert point.write_function in (*profile.link.functions, None)


@pytest.mark.parametrize(
    ("name", "point", "function"),
    [
        ("deye_sg0x_lp3", "max_charge_current", 16),
        ("growatt_sph", "power_cmd_memory", 6),
        ("kmtronic_relay", "relay1", 5),
    ],
)
def test_a_single_value_is_written_as_the_device_takes_it(name: str, point: str, function: int) -> None:
    """The function for one register where the device knows it, else that for several."""
    (write,) = encode_value(load_profile(name), point, 1)
    assert write.function == function


@pytest.mark.parametrize("name", list_profiles())
def test_the_facts_of_every_profile_can_be_looked_up_again(name: str) -> None:
    """A register list changes; who doubts a map needs the revision that it was written down from."""
    sources = load_profile(name).sources
    assert any(re.search(r", [0-9a-f]{7}$", source) for source in sources), sources


def test_a_limit_whose_fallback_value_we_write_as_everything_counts_as_lifted() -> None:
    """Such a device gives a grid operator's limit back with a dead gateway, unless it is armed to the order's end."""
    lifting = set()
    for name in list_profiles():
        profile = load_profile(name)
        for recipe in profile.capabilities.get(Lever.LIMIT_GENERATION, ()):
            for step in (step for steps in recipe.modes.values() for step in steps):
                fallbacks = {
                    value for point, value in step.write.items() if _is_fallback(profile.points[point].canonical)
                }
                if fallbacks:
                    assert fallbacks == {100}, name
                    assert recipe.fallback.direction is Direction.RELEASED, name
                    lifting.add(name)
    assert lifting == {"solaredge", "sunspec_generic_int"}


def _is_fallback(canonical: str) -> bool:
    return canonical in ("power_limit_fallback_pct", "power_limit_revert_pct")
