"""An address that no client can be made for is one sentence, wherever a person may give one."""

import asyncio
from pathlib import Path

import pytest

from cloud.errors import CloudError, SetupError
from cloud.infra.deployment.account import Account
from cloud.local.kinesis_streams import KinesisStreams
from cloud.stores.endpoint import checked_endpoint
from cloud.stores.setup import open_lake

WRONG = ["", "../..", "1e9", "localhost:4566", "ftp://127.0.0.1", "http://", "http://[", "http://h:99999", "http://a b"]


@pytest.mark.parametrize("url", WRONG)
def test_what_is_no_address_is_refused_with_what_it_must_be(url: str) -> None:
    """The library raises its own error for these, and another one for each kind."""
    with pytest.raises(SetupError, match=r"must be http://HOST:PORT"):
        checked_endpoint(url, of="the lake")


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:4566", "https://s3.example", "http://[::1]:9000/path"])
def test_what_clients_take_is_handed_on_as_it_is(url: str | None) -> None:
    """None is AWS itself."""
    assert checked_endpoint(url, of="the lake") == url


@pytest.mark.parametrize("url", ["1e9", "http://ann:hunter2@127.0.0.1:9000"])
def test_each_place_where_one_is_given_refuses_it_and_tells_no_secret(tmp_path: Path, url: str) -> None:
    """Stack, lake and streams; what is before an at sign may be a password."""
    for tried in (
        lambda: Account(stack="sitewatt", region="eu-central-1", endpoint=url),
        lambda: open_lake(f"s3://bucket/x?endpoint={url}"),
        lambda: asyncio.run(KinesisStreams.open(f"kinesis://sitewatt?region=eu-central-1&endpoint={url}")),
    ):
        with pytest.raises(CloudError, match="the endpoint of") as caught:
            tried()
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("region", ["", "x", "é", "eu central", "2026-"])
def test_a_region_that_is_none_is_named(region: str) -> None:
    """It becomes a part of a host's name."""
    with pytest.raises(CloudError, match=r"must be as eu-central-1"):
        Account(stack="sitewatt", region=region)
