"""The operator's console refuses an address that would make what it knows everybody's."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sitewatt.commands.cloud import app


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--listen", "0.0.0.0:0"], "needs --callers"),
        (["--listen", "0.0.0.0:0", "--callers", "c.yaml"], "needs --callers"),
        (["--listen", "0.0.0.0:0", "--cert", "c.pem", "--key", "k.pem"], "needs --callers"),
        (["--listen", "127.0.0.1:0", "--cert", "c.pem"], "belong together"),
        (["--listen", "here"], "must be HOST:PORT"),
        (["--listen", "127.0.0.1:70000"], "must be HOST:PORT"),
        (["--listen", "127.0.0.1:0"], "holds no tables.db"),
    ],
)
def test_what_cannot_be_served_safely_is_refused_in_a_sentence(tmp_path: Path, options: list[str], says: str) -> None:
    """A token that travels in the clear is everybody's."""
    ended = CliRunner().invoke(app, ["page", "--tables", str(tmp_path), *options, "--json"])
    assert ended.exit_code == 2
    assert says in json.loads(ended.stdout)["error"]["message"]
