"""A file that a command cannot read is named, with the reason in words."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sitewatt.__main__ import app, register

COMMANDS = (
    ("forecast", "run", "FILE", "--kind", "load"),
    ("plan", "--site", "FILE", "--load", "FILE"),
    ("tariff", "check", "FILE"),
    ("tariff", "price", "at-dynamic", "--spot", "FILE"),
    ("profile", "check", "FILE"),
    ("profile", "new", "acme", "--csv", "FILE"),
    ("device", "decode", "--profile", "sunspec_generic_int", "--registers", "FILE"),
    ("sim", "device", "--profile", "FILE"),
    ("sim", "device", "--faults", "FILE"),
    ("market", "clear", "FILE"),
    ("market", "settle", "FILE"),
    ("market", "baseline", "FILE"),
    ("edge", "check", "--offline", "--config", "FILE"),
    ("cloud", "local", "--config", "FILE"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: "-".join(command).replace("-FILE", ""))
@pytest.mark.parametrize("content", [None, b"\xff\xfe\xfd\x00\x81"], ids=["missing", "no text"])
def test_it_is_named_with_a_reason_in_words(tmp_path: Path, command: tuple[str, ...], content: bytes | None) -> None:
    """No number of the machine's, no codec, no traceback."""
    path = tmp_path / "given.yaml"
    if content is not None:
        path.write_bytes(content)
    register()
    result = CliRunner().invoke(app, [str(path) if part == "FILE" else part for part in command])
    assert result.exit_code not in (0, None)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "given.yaml" in result.output.replace("\n", "")
    for libraries in ("Errno", "codec", "Traceback"):
        assert libraries not in result.output
