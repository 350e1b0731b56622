"""The settings of the local cloud: right, or one sentence that names what is wrong."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cloud.errors import SetupError
from cloud.local.config import load_config
from cloud.shell.signing import read_signer_file
from cloud.stores.registry import load_registry_file, read_registry
from tests.support.cloud.sites import write_config


def _changed(tmp_path: Path, **changes: Any) -> Path:
    path = write_config(tmp_path, port=1883)
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))
    return path


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    """Whoever starts the process from elsewhere means the same files."""
    config = load_config(write_config(tmp_path, port=2883))
    assert config.folder == tmp_path / "cloud"
    assert config.signing.key_file == tmp_path / "signing.pem"
    assert (config.broker.host, config.broker.port) == ("127.0.0.1", 2883)
    read_signer_file(issuer="grid-agent", path=config.signing.key_file)


def test_the_private_cloud_of_the_operators_page_can_be_started(tmp_path: Path) -> None:
    """It is the first thing that a developer copies."""
    page = (Path(__file__).parents[4] / "docs" / "operations.md").read_text()
    block = page.split("<!-- private cloud: begin -->")[1].split("```yaml\n")[1].split("```")[0]
    (tmp_path / "cloud.yaml").write_text(block)
    config = load_config(tmp_path / "cloud.yaml")
    assert [site.id for site in config.registry.sites] == ["farm-7"]
    assert config.folder == tmp_path / "cloud"
    assert config.registry.warnings == ()


ROOF = {"id": "roof", "zone": "z", "agent": "producer", "import_limit_w": 1, "export_limit_w": 1}
LINK = {"from": "east", "to": "west", "capacity_wh": 5}


@pytest.mark.parametrize(
    ("market", "site", "named"),
    [
        ({"imbalence": "single"}, {}, "market of zone z: imbalence is not a known key (did you mean 'imbalance'?)"),
        ({"gate_closure_s": -5}, {}, "market of zone z: gate_closure_s"),
        ({"last_resort": {"import_mct_per_kwh": 1, "export_mct_per_kwh": 9}}, {}, "market of zone z: last_resort"),
        ({"claims": {"pay_flags": ["few-dayz"]}}, {}, "claims.pay_flags: 'few-dayz' is none of"),
        (
            {"mechanism": "call", "links": [LINK], "last_resort": {"area": "west"}},
            {"area": "East"},
            "roof: area 'East' is none that the links of z join: east, west",
        ),
    ],
)
def test_a_market_that_could_not_begin_is_refused_before_anything_runs(
    tmp_path: Path, market: dict[str, Any], site: dict[str, Any], named: str
) -> None:
    """A misspelled rule was found at the first tick, by a traceback in each."""
    registry = {"zones": [{"id": "z", "timezone": "UTC", "market": market}], "sites": [ROOF | site]}
    with pytest.raises(SetupError) as error:
        load_config(_changed(tmp_path, registry=registry))
    assert named in str(error.value)
    with pytest.raises(SetupError):
        load_registry_file(_changed(tmp_path, registry=registry))
    # What a store holds opens as before: the rules of a market that runs are those of its journal.
    assert read_registry(registry, where="the store's registry").zones[0].market == market


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"colour": "red"}, "colour"),
        ({"broker": {"url": "http://x"}}, "broker.url"),
        ({"broker": {"protocol": "4"}}, "broker.protocol"),
        ({"schedules": {"market-tick": 0}}, "market-tick"),
        ({"schedules": {"lunch": 60}}, "lunch"),
        ({"registry": {"zones": []}, "signing": None}, "signing"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    """An operator must find the line without reading code."""
    with pytest.raises(SetupError, match=named):
        load_config(_changed(tmp_path, **changes))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """So must a path with a typo."""
    with pytest.raises(SetupError, match=r"nowhere\.yaml"):
        load_config(tmp_path / "nowhere.yaml")
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(SetupError, match="not YAML"):
        load_config(tmp_path / "broken.yaml")
    (tmp_path / "twice.yaml").write_text("folder: a\nfolder: b\n")
    for read in (load_config, load_registry_file):
        with pytest.raises(SetupError, match=r"twice\.yaml"):
            read(tmp_path / "twice.yaml")


def test_a_key_that_is_none_is_refused(tmp_path: Path) -> None:
    """Commands signed by nothing would be refused by every gateway."""
    path = tmp_path / "key.pem"
    with pytest.raises(SetupError, match="cannot be read"):
        read_signer_file(issuer="a", path=path)
    path.write_text("not a key")
    with pytest.raises(SetupError, match="cannot be read"):
        read_signer_file(issuer="a", path=path)
