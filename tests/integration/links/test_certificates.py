"""A link whose own certificate ends, on a real broker: it says so, and takes the renewed file by itself."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from edge.links.certificates import ended, fault_of, validity
from edge.links.link import LinkState
from edge.links.making import make_link
from edge.links.settings import LinkSettings
from tests.support.brokers.broker import Authority, Broker, running, tls_broker  # noqa: F401
from tests.support.brokers.link_parts import SITE, background, until


def _settings(broker: Broker, authority: Authority) -> LinkSettings:
    return LinkSettings(
        url=broker.url,
        ca_file=authority.ca_path,
        cert_file=authority.folder / f"{SITE}.cert.pem",
        key_file=authority.folder / f"{SITE}.key.pem",
        reconnect_s_min=0.05,
        reconnect_s_max=0.3,
        throttle=False,
    )


async def test_a_certificate_that_ended_is_named_and_its_renewal_brings_the_link_back(
    tls_broker: Broker,  # noqa: F811
) -> None:
    """Nobody has to start a gateway again because a file was renewed, nor to guess why a broker takes no session."""
    authority = tls_broker.authority
    assert authority is not None
    authority.issue(SITE, valid_for=timedelta(hours=-1))
    link = make_link(_settings(tls_broker, authority), client_id=SITE)
    async with background(link.run(), name="link"):
        await until(lambda: "ended on" in (link.status().last_error or ""))
        assert f"our certificate {authority.folder / f'{SITE}.cert.pem'} ended on" in str(link.status().last_error)
        assert link.status().connects == 0
        authority.issue(SITE)
        await link.wait_for(LinkState.CONNECTED)


async def test_a_broker_whose_certificate_ended_is_told_nothing(old_broker: Broker) -> None:
    """What ended proves nothing any more; the sentence says whose it is."""
    authority = old_broker.authority
    assert authority is not None
    authority.issue(SITE)
    link = make_link(_settings(old_broker, authority), client_id=SITE)
    async with background(link.run(), name="link"):
        await until(lambda: "expired" in (link.status().last_error or ""))
        assert "our certificate" not in str(link.status().last_error)
        assert link.status().connects == 0


@pytest.mark.parametrize(
    ("valid_for", "says", "holds"),
    [
        (timedelta(days=90), None, True),
        (timedelta(days=12, hours=1), "ends in 12 days, on ", True),
        (timedelta(hours=5, minutes=30), "ends in 5 h, on ", True),
        (timedelta(seconds=-1), "ended on ", False),
    ],
)
def test_what_is_left_of_a_certificate_is_told_in_words(
    tmp_path: Path, valid_for: timedelta, says: str | None, holds: bool
) -> None:
    """A month before the end, while there is time to mend what did not renew it."""
    path = Authority(folder=tmp_path).issue(SITE, valid_for=valid_for).cert_path
    fault = fault_of(path)
    assert (fault is None) if says is None else f"{path} {says}" in str(fault)
    assert (ended(path) is None) is holds


def test_a_chain_holds_as_long_as_its_shortest_and_what_is_no_certificate_is_passed_over(tmp_path: Path) -> None:
    """Another check names a file that is not what it should be."""
    authority = Authority(folder=tmp_path)
    long, short = (authority.issue(name, valid_for=timedelta(days=days)) for name, days in (("a", 80), ("b", 3)))
    chain = tmp_path / "chain.pem"
    chain.write_bytes(long.cert_path.read_bytes() + short.cert_path.read_bytes())
    held, shortest = validity(chain), validity(short.cert_path)
    assert held is not None and shortest is not None and held.until_at == shortest.until_at
    assert validity(short.key_path) is None and validity(tmp_path / "none.pem") is None
    assert fault_of(None) is None


@pytest.fixture
def old_broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker whose own certificate ended an hour ago."""
    folder = tmp_path / "broker"
    folder.mkdir()
    authority = Authority(folder=folder)
    with running(Broker(folder=folder, authority=authority, server_valid_for=timedelta(hours=-1))) as started:
        yield started
