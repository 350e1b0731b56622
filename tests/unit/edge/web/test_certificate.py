"""The page's certificate is each gateway's own, and made anew in time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from edge.web.certificate import LIFE, RENEWED, page_certificate

NOW = datetime(2026, 11, 30, tzinfo=UTC)
NAMES = {"localhost", "pi.local", "192.168.1.7", "::1"}


def test_it_is_made_once_and_anew_before_its_end_and_for_other_names(tmp_path: Path) -> None:
    """A browser that was told once to trust it is asked again seldom, but never meets one that has ended."""
    first = page_certificate(tmp_path, names=NAMES, now=NOW)
    assert first.is_new
    assert first.path.stat().st_mode & 0o777 == 0o600
    assert first.until_at - NOW < LIFE
    again = page_certificate(tmp_path, names=NAMES, now=NOW + timedelta(days=30))
    assert (again.is_new, again.fingerprint) == (False, first.fingerprint)
    renewed = page_certificate(tmp_path, names=NAMES, now=first.until_at - RENEWED + timedelta(seconds=1))
    assert renewed.is_new
    assert renewed.fingerprint != first.fingerprint
    other = page_certificate(tmp_path, names=NAMES | {"house.example"}, now=NOW)
    assert other.is_new


def test_one_made_by_a_clock_that_was_wrong_is_replaced(tmp_path: Path) -> None:
    """A board without a clock's battery starts in another year, and learns the time minutes later."""
    page_certificate(tmp_path, names=NAMES, now=NOW + timedelta(days=400))
    assert page_certificate(tmp_path, names=NAMES, now=NOW).is_new
    page_certificate(tmp_path, names=NAMES, now=datetime(1970, 1, 2, tzinfo=UTC))
    assert page_certificate(tmp_path, names=NAMES, now=NOW).is_new


def test_no_two_gateways_have_the_same_key_and_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    """The key of one gateway opens no other."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = page_certificate(tmp_path / "one", names=NAMES, now=NOW)
    two = page_certificate(tmp_path / "two", names=NAMES, now=NOW)
    keys = [x509.load_pem_x509_certificate(each.path.read_bytes()).public_key() for each in (one, two)]
    assert keys[0] != keys[1]
    one.path.write_text("torn")
    assert page_certificate(tmp_path / "one", names=NAMES, now=NOW).is_new
