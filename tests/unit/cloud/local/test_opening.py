"""Where a private cloud's stores are: told by its settings, left in its folder, without a password in either."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud.errors import SetupError, StoreError
from cloud.local import nats_connection
from cloud.local.backup import back_up
from cloud.local.config import load_config
from cloud.local.opening import (
    IN_FILES,
    STORES_FILE,
    TABLES_FILE,
    Servers,
    open_tables,
    remember,
    servers_of,
    tables_place,
)
from sitewatt.commands.cloud import app
from tests.support.cloud.sites import write_config

DATABASE = "postgresql://sitewatt@db-1,db-2/sitewatt?target_session_attrs=read-write"
STREAMS = "nats://one:4222,two:4222/sitewatt"


def test_a_folder_tells_where_the_stores_of_its_cloud_are_until_they_are_files_again(tmp_path: Path) -> None:
    """A report that looked into an old file beside a new database would be believed."""
    (tmp_path / TABLES_FILE).touch()
    assert servers_of(tmp_path) == IN_FILES
    assert tables_place(tmp_path) == tmp_path / TABLES_FILE
    remember(tmp_path, Servers(tables=DATABASE, streams=STREAMS))
    assert servers_of(tmp_path) == Servers(tables=DATABASE, streams=STREAMS)
    assert tables_place(tmp_path) == tables_place(tmp_path / STORES_FILE) == tmp_path / STORES_FILE
    assert (tmp_path / STORES_FILE).stat().st_mode & 0o077 == 0
    remember(tmp_path, IN_FILES)
    assert tables_place(tmp_path) == tmp_path / TABLES_FILE


def test_addresses_that_cannot_be_read_are_an_error_not_a_file(tmp_path: Path) -> None:
    """Falling back to an empty file would look like a cloud that lost everything."""
    for text in ("{", "[]", '{"tables": "postgresql://x/y"}'):
        (tmp_path / STORES_FILE).write_text(text)
        with pytest.raises(StoreError, match="cannot be read"):
            tables_place(tmp_path)


def test_settings_name_servers_and_a_command_may_name_others(tmp_path: Path) -> None:
    """The same file serves a machine of one's own and a cluster."""
    config = write_config(tmp_path, port=1883, tables=DATABASE, streams=STREAMS)
    assert load_config(config).servers == Servers(tables=DATABASE, streams=STREAMS)
    assert load_config(config).tables_path == tmp_path / "cloud" / STORES_FILE
    other = load_config(config, tables="postgresql://sitewatt@other/sitewatt")
    assert other.servers == Servers(tables="postgresql://sitewatt@other/sitewatt", streams=STREAMS)
    assert load_config(write_config(tmp_path, port=1883)).servers == IN_FILES


@pytest.mark.parametrize(
    ("key", "url", "match"),
    [
        ("tables", "mysql://db/x", "tables is .*must be postgresql://"),
        ("tables", "postgresql://someone:secret@db/x", "tables is .*passfile"),
        ("tables", "postgresql://someone@db/x?password=secret", "tables is .*passfile"),
        ("streams", "kafka://one/x", "streams is .*must be nats://"),
        ("streams", "nats://someone:secret@one/x", "streams is .*creds"),
    ],
)
def test_an_address_that_is_none_or_holds_a_password_is_refused(tmp_path: Path, key: str, url: str, match: str) -> None:
    """Settings are copied, shown and mailed."""
    with pytest.raises(SetupError, match=match) as refused:
        load_config(write_config(tmp_path, port=1883), **{key: url})
    assert "secret" not in str(refused.value)


def test_a_cloud_in_servers_is_not_copied_as_if_it_were_in_files(tmp_path: Path) -> None:
    """A copy of a folder that holds nothing is found out when it is needed."""
    remember(tmp_path / "cloud", Servers(tables=DATABASE))
    with pytest.raises(SetupError, match="keeps its tables in servers"):
        back_up(tmp_path / "cloud", tmp_path / "copy")


def test_a_server_that_is_not_there_ends_a_command_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator reads what does not answer, not a traceback."""
    monkeypatch.setattr(nats_connection, "OPEN_TIMEOUT_S", 0.3)
    config = write_config(
        tmp_path, port=1883, tables="postgresql://sitewatt@127.0.0.1:1/x", streams="nats://127.0.0.1:1/x"
    )
    result = CliRunner().invoke(app, ["set-aside", "list", "--config", str(config), "--json"])
    assert result.exit_code == 1, result.output
    assert "streams at nats://127.0.0.1:1 cannot be reached" in result.output
    with pytest.raises(StoreError, match=r"tables at 127\.0\.0\.1:1/x"):
        open_tables(tmp_path / "cloud" / STORES_FILE, read_only=True)
