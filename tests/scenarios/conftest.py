"""Options of the scenarios."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run of the whole kill matrix write its table into the documentation."""
    parser.addoption(
        "--write-safety-table",
        action="store_true",
        default=False,
        help="write what the kill matrix measured into docs/safety.md",
    )
