"""What an update document must be before anything of it is begun."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import UpdateRefused
from edge.fleet.update.document import order, read_update
from tests.support.brokers.link_parts import AT
from tests.support.fleet.updates import SIGNER, signed

numbers = st.integers(0, 99)


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    """Some bytes to sign for."""
    path = tmp_path / "artefact.whl"
    path.write_bytes(b"bytes")
    return path


def test_a_signed_newer_version_is_taken(artefact: Path) -> None:
    """The plain case."""
    raw = signed(artefact, "1.2.0", url="https://example.org/a.whl")
    document = read_update(raw, trusted=SIGNER.public_key(), running="1.1.9")
    assert (document.version, document.size_bytes, document.deadline) == ("1.2.0", 5, AT + timedelta(days=1))


@pytest.mark.parametrize(
    ("changes", "running", "code"),
    [
        ({"signature": ""}, "1.0.0", "bad_signature"),
        ({"signature": "bm90IG9uZQ=="}, "1.0.0", "bad_signature"),
        ({"signature": "ä"}, "1.0.0", "bad_signature"),
        ({"key": Ed25519PrivateKey.from_private_bytes(bytes(32))}, "1.0.0", "bad_signature"),
        ({"sha256": "0" * 64}, "1.0.0", "bad_signature"),
        ({"artefact_url": "https://evil.example/a.whl"}, "1.0.0", "bad_signature"),
        ({}, "1.2.0", "downgrade"),
        ({}, "1.3.0", "downgrade"),
        ({"min_from": "1.1.0"}, "1.0.9", "too_old"),
        ({"operation": "runCommand"}, "1.0.0", "bad_document"),
        ({"runAsUser": "root"}, "1.0.0", "bad_document"),
        ({"artefact_url": "file:///etc/passwd"}, "1.0.0", "bad_document"),
        ({"not_during_event": False}, "1.0.0", "bad_document"),
        ({"size_bytes": 10**12}, "1.0.0", "bad_document"),
        ({"version": "../../etc"}, "1.0.0", "bad_document"),
    ],
)
def test_what_is_not_ours_is_refused(artefact: Path, changes: dict[str, object], running: str, code: str) -> None:
    """Whoever can write jobs still cannot run code on a gateway."""
    made_with = {key: value for key, value in changes.items() if key in {"key", "min_from"}}
    raw = signed(artefact, "1.2.0", url="https://example.org/a.whl", **made_with)  # type: ignore[arg-type]
    raw |= {key: value for key, value in changes.items() if key not in made_with}
    with pytest.raises(UpdateRefused, match="nothing done") as refusal:
        read_update(raw, trusted=SIGNER.public_key(), running=running)
    assert refusal.value.code == code


@pytest.mark.parametrize("raw", [None, [], "update", {}])
def test_no_document_is_refused(raw: object) -> None:
    """Jobs of other makers reach us too."""
    with pytest.raises(UpdateRefused):
        read_update(raw, trusted=SIGNER.public_key(), running="1.0.0")


@given(st.tuples(numbers, numbers, numbers), st.tuples(numbers, numbers, numbers))
def test_versions_are_compared_by_number(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    """1.10 is newer than 1.9."""
    texts = [".".join(map(str, each)) for each in (one, other)]
    assert (order(texts[0]) < order(texts[1])) == (one < other)
