"""What the environment names is what is opened, or one sentence says what is wrong."""

from pathlib import Path

import pytest

from cloud.errors import SetupError, StoreError
from cloud.stores.parquet import FolderLake
from cloud.stores.registry import load_registry, load_registry_file, read_registry, save_registry
from cloud.stores.s3 import S3Lake
from cloud.stores.setup import open_lake, open_stores

REGISTRY = {
    "zones": [{"id": "zone-1"}],
    "feeders": [{"id": "feeder-1", "zone": "zone-1", "import_limit_w": 1000, "export_limit_w": 1000}],
    "sites": [
        {
            "id": "home-1",
            "zone": "zone-1",
            "agent": "consumer",
            "feeder": "feeder-1",
            "import_limit_w": 17000,
            "export_limit_w": 10000,
        }
    ],
}


def test_an_environment_with_a_file_opens_it(tmp_path: Path) -> None:
    """The embedded default needs one setting."""
    stores = open_stores({"SITEWATT_STORE": f"sqlite:///{tmp_path}/cloud.db"})
    assert (tmp_path / "cloud.db").exists()
    stores.tables.close()


@pytest.mark.parametrize("store", [None, "", "postgres://x", "sqlite:/x"])
def test_an_unknown_store_is_named(store: str | None) -> None:
    """Whoever deploys must learn which setting is wrong."""
    with pytest.raises(SetupError, match="SITEWATT_STORE"):
        open_stores({} if store is None else {"SITEWATT_STORE": store})


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """A folder that does not exist must not become a silent in-memory store."""
    with pytest.raises(StoreError, match=r"none/cloud\.db"):
        open_stores({"SITEWATT_STORE": f"sqlite:///{tmp_path}/none/cloud.db"})


def test_a_lake_is_a_folder_or_a_bucket(tmp_path: Path) -> None:
    """Several processes put their samples into one place."""
    assert isinstance(open_lake(str(tmp_path)), FolderLake)
    assert isinstance(open_lake("s3://samples/raw?endpoint=http://127.0.0.1:9&region=eu-central-1"), S3Lake)


@pytest.mark.parametrize("place", ["s3://", "s3:///raw", "s3://user:secret@samples", "s3://samples?bucket=x"])
def test_a_lake_that_is_none_is_refused_without_its_secret(place: str) -> None:
    """Samples must not go to another place than the one that was meant."""
    with pytest.raises(SetupError, match="lake's address") as refused:
        open_lake(place)
    assert "secret" not in str(refused.value)


def test_a_registry_survives_the_store(tmp_path: Path) -> None:
    """Functions without a file read who takes part from the tables."""
    stores = open_stores({"SITEWATT_STORE": f"sqlite:///{tmp_path}/cloud.db"})
    with pytest.raises(SetupError):
        load_registry(stores.tables)
    registry = read_registry(REGISTRY, where="test")
    save_registry(stores.tables, registry)
    assert load_registry(stores.tables) == registry
    assert registry.members() == ("home-1", "feeder-1")
    stores.tables.close()


def test_a_registry_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    """A site on a feeder that nobody reads could be asked for relief that nobody sees."""
    path = tmp_path / "registry.yaml"
    path.write_text("zones: [{id: zone-1}]\nsites: [{id: a, zone: zone-2, agent: consumer, import_limit_w: 1,"
                    " export_limit_w: 1}]\n")  # fmt: skip
    with pytest.raises(SetupError, match="zone-2"):
        load_registry_file(path)
    with pytest.raises(SetupError, match="zones"):
        read_registry({}, where="test")
