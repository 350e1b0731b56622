"""A journal's text gives back what was written, and what was written before there was this form."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.market.journal import decode, encode

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=12,
)


@given(value=_values)
def test_reading_undoes_writing_here_and_before(value: Any) -> None:
    """Archives and snapshots stay for years; a reader must find in them what the writer meant."""
    assert decode(encode(value)) == value
    assert decode(json.dumps(value, separators=(",", ":"))) == value
    assert json.loads(encode(value)) == value


def test_half_a_character_is_refused_before_it_is_written() -> None:
    """What could be written and not read would stop every later start."""
    with pytest.raises(ValueError, match="surrogates"):
        encode({"order_id": "\ud800"})


def test_a_text_that_is_not_json_is_refused() -> None:
    """A cut journal must be noticed where it was cut."""
    with pytest.raises(ValueError, match="EOF"):
        decode('{"op": "tick"')
