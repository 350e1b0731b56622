"""A configuration is checked once, and a mistake in it is one sentence with the key, the value and the bound."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.config import load_config
from edge.errors import ConfigError

UPDATE_KEY = "A" * 43 + "="
GOOD: dict[str, Any] = {
    "site": {"id": "home-1", "zone": "zone-1", "agent": "consumer"},
    "connection": {"meter": "meter", "import_limit_w": 17_000, "export_limit_w": 10_000},
    "devices": [
        {"id": "meter", "profile": "eastron_sdm630", "url": "tcp://127.0.0.1:2?unit=1", "role": "meter"},
        {
            "id": "inverter",
            "profile": "fronius_gen24_int",
            "url": "tcp://127.0.0.1:3?unit=1",
            "role": "hybrid",
            "pv_peak_w": 5_000,
            "battery": {"capacity_wh": 10_000, "charge_limit_w": 4_000, "discharge_limit_w": 4_000},
        },
    ],
    "link": {"url": "mqtt://127.0.0.1:6"},
    "state_dir": "state",
}


def _write(folder: Path, content: Any) -> Path:
    path = folder / "site.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


def _changed(key: str, value: Any) -> dict[str, Any]:
    """Return a good configuration with one key set, ``a.b.0.c`` reaching inside."""
    content = copy.deepcopy(GOOD)
    *path, last = key.split(".")
    place: Any = content
    for part in path:
        place = place[int(part) if part.isdigit() else part]
    place[last] = value
    return content


def test_a_complete_configuration_is_read(tmp_path: Path) -> None:
    """The plain case that every other one departs from."""
    config = load_config(_write(tmp_path, GOOD))
    assert (config.site.id, len(config.devices), config.control.period_s) == ("home-1", 2, 1.0)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("site.colour", "red", "site.colour is not a known key"),
        ("conection", {}, "conection is not a known key (did you mean 'connection'?)"),
        ("site.time_zone", "Berlin", "site.time_zone is 'Berlin', must be a time zone as Europe/Berlin"),
        (
            "devices.1.pv_planes",
            [{"tilt_deg": 30, "azimuth_deg": 180, "peak_w": 4_000}],
            "pv_planes have 4000 W together, pv_peak_w is 5000",
        ),
        ("site.id", "Home 1", "site.id is 'Home 1'"),
        ("connection", 5, "connection is 5, must be a section of keys"),
        ("control", "fast", "control is 'fast', must be a section of keys"),
        ("control", None, "control is empty, must be a section of keys"),
        ("devices", "meter", "devices is 'meter', must be a list"),
        ("connection.import_limit_w", [1], "connection.import_limit_w is a list, must be a whole number"),
        ("link.url", 5, "link.url is 5, must be a text"),
        ("devices", [], "devices is empty, it must hold at least one"),
        ("connection.export_limit_w", "1000o", "connection.export_limit_w is '1000o', must be a whole number"),
        ("site.agent", "gambler", "site.agent is 'gambler', must be 'producer', 'consumer' or 'monitor'"),
        ("connection.import_limit_w", -5, "connection.import_limit_w is -5, must be greater than 0"),
        ("connection.meter", "clock", "connection.meter is 'clock', which is no device with the role meter"),
        ("control", {"period_s": 0.01}, "control.period_s is 0.01, must be greater than or equal to 0.2"),
        ("devices.1.battery.capacity_wh", "big", "devices.1.battery.capacity_wh is 'big'"),
        ("devices.1.id", "meter", "two devices share an id"),
        ("link", {"url": "http://broker"}, "link: url 'http://broker'"),
        (
            "commands",
            {"trusted": [{"issuer": "dso", "role": "grid_operator", "public_key": "AAAA"}]},
            "commands.trusted.0.public_key is 'AAAA', must be an Ed25519 public key of 32 bytes in base64, this has 3",
        ),
    ],
)
def test_a_mistake_is_one_sentence_that_names_it(tmp_path: Path, key: str, value: Any, says: str) -> None:
    """An installer mends a file by the sentence alone."""
    path = _write(tmp_path, _changed(key, value))
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ")
    assert says in sentence
    assert sentence.endswith("the gateway does not start")
    assert "\n" not in sentence


def test_a_list_whose_only_item_is_wrong_is_not_called_empty_as_well(tmp_path: Path) -> None:
    """One mistake is one fault: the library counts the items that it could read, the installer those he wrote."""
    devices = [{**GOOD["devices"][0], "role": "inverter"}]
    with pytest.raises(ConfigError, match=r"devices\.0\.role is 'inverter', must be 'meter', ") as caught:
        load_config(_write(tmp_path, _changed("devices", devices)))
    assert "devices is" not in str(caught.value)


def test_a_key_that_stands_twice_is_told_and_the_last_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A gateway that ran with such a file starts after an update too; the installer reads which line."""
    text = yaml.safe_dump(GOOD).replace("import_limit_w: 17000", "import_limit_w: 9000\n  import_limit_w: 17000")
    assert load_config(_write(tmp_path, text)).connection.import_limit_w == 17_000
    assert "the key 'import_limit_w' in line" in caplog.text and "stands twice" in caplog.text


def test_a_missing_section_is_named(tmp_path: Path) -> None:
    """The first thing that a hand-written file forgets."""
    content = {key: value for key, value in GOOD.items() if key != "connection"}
    with pytest.raises(ConfigError, match=r"connection is missing; the gateway does not start"):
        load_config(_write(tmp_path, content))


def test_a_file_that_is_not_yaml_is_refused_with_the_line(tmp_path: Path) -> None:
    """A tab in the indentation is the classic."""
    with pytest.raises(ConfigError, match=r"is not YAML at line 2"):
        load_config(_write(tmp_path, "site:\n\tid: home-1\n"))


def test_an_unreadable_file_is_refused_with_the_reason(tmp_path: Path) -> None:
    """The path that an installer mistyped."""
    with pytest.raises(ConfigError, match=r"cannot be read: No such file or directory"):
        load_config(tmp_path / "missing.yaml")


def test_a_site_without_a_broker_trades_nowhere_and_plans_by_its_tariff(tmp_path: Path) -> None:
    """A house by itself names no broker, no market and no `enabled: false`."""
    alone = {name: value for name, value in GOOD.items() if name != "link"}
    config = load_config(_write(tmp_path, {**alone, "trading": {"tariff": "de-14a-module-3"}}))
    assert (config.link, config.trading.enabled, config.plans) == (None, False, True)
    assert not load_config(_write(tmp_path, alone)).plans
    with pytest.raises(ConfigError, match=r"trading\.enabled is true, and there is no link"):
        load_config(_write(tmp_path, {**alone, "trading": {"enabled": True}}))
    with pytest.raises(ConfigError, match="there is a fleet and no link"):
        load_config(_write(tmp_path, {**alone, "fleet": {"update_key": UPDATE_KEY}}))


def test_relative_paths_are_beside_the_file_wherever_the_gateway_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """`edge status` from another folder asks the same gateway, and a service has no folder of its own."""
    folder, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    link = {"url": "mqtts://broker:8883", "ca_file": "ca.pem", "password_file": str(tmp_path / "password")}
    content = {**GOOD, "profile_dir": "maps", "fleet": {"update_key": UPDATE_KEY}, "link": link}
    path = _write(folder, content)
    monkeypatch.chdir(elsewhere)
    config = load_config(path)
    assert (config.state_dir, config.profile_dir) == (folder / "state", folder / "maps")
    assert config.fleet is not None and config.fleet.identity_dir == folder / "state" / "identity"
    assert config.link is not None and config.link.cert_file == folder / "state" / "identity" / "active" / "cert.pem"
    assert (config.link.ca_file, config.link.password_file) == (folder / "ca.pem", tmp_path / "password")
    monkeypatch.chdir(folder)
    assert load_config(Path("site.yaml")) == config
    assert not caplog.text


def test_state_of_an_earlier_version_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It lies in the working directory: what waits there for the cloud is settlement. Once it is moved, all is well."""
    folder, before = tmp_path / "site", tmp_path / "before"
    folder.mkdir()
    (before / "state").mkdir(parents=True)
    link = {"url": "mqtts://broker:8883"}
    path = _write(folder, {**GOOD, "fleet": {"update_key": UPDATE_KEY}, "link": link})
    monkeypatch.chdir(before)
    config = load_config(path)
    assert config.state_dir == before / "state"
    assert config.fleet is not None and config.fleet.identity_dir == before / "state" / "identity"
    assert f"{before / 'state'} is used" in caplog.text and f"{folder / 'state'}" in caplog.text
    (before / "state").rename(folder / "state")
    assert load_config(path).state_dir == folder / "state"


def test_what_a_file_that_cannot_be_used_means_is_said_by_who_asked(tmp_path: Path) -> None:
    """`edge status` starts no gateway, and none fails to start by it."""
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "none.yaml", otherwise=None)
    assert str(caught.value) == f"{tmp_path / 'none.yaml'} cannot be read: No such file or directory"
