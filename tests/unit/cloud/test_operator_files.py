"""A file of the operator is read within a bound, and what is wrong with it is a sentence."""

from pathlib import Path

import pytest

from cloud import operator_files
from cloud.errors import ProviderError
from cloud.operator_files import operator_file


def test_a_file_is_read_up_to_a_bound_and_named_where_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that grew without end must not take the function's memory with it."""
    monkeypatch.setattr(operator_files, "FILE_BYTES_MAX", 10)
    path = tmp_path / "prices.csv"
    path.write_bytes(b"0123456789")
    assert operator_file(path, "price") == b"0123456789"
    path.write_bytes(b"0123456789a")
    with pytest.raises(ProviderError, match=r"price file .*prices\.csv is larger than 10 bytes; not read"):
        operator_file(path, "price")
    with pytest.raises(ProviderError, match=r"weather file .* cannot be read"):
        operator_file(tmp_path / "none.csv", "weather")
    with pytest.raises(ProviderError, match=r"published file .* cannot be read"):
        operator_file(tmp_path, "published")
