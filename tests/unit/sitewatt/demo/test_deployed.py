"""The demonstration before a stack: when its story begins, where its books are, and what is refused at once."""

from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from cloud.errors import SetupError
from cloud.infra.deployment.account import Account
from cloud.stores.setup import open_dynamodb
from firmware_sim.series import Week
from sitewatt.__main__ import app, register
from sitewatt.demo.deployed import Deployed, moved
from sitewatt.demo.neighbourhood import neighbourhood

ENDPOINT = "http://127.0.0.1:1"


@pytest.mark.parametrize("days", [0, 1, 7, 300, 2000])
def test_the_story_begins_at_its_weekday_and_hour_in_the_week_to_come(days: int) -> None:
    """What a table keeps for a while is removed by the emulator's own clock, which is behind the story's."""
    place = neighbourhood(sites=2, week=Week.SUNNY)
    now = place.started_at + timedelta(days=days, hours=1)
    begins = moved(place, now=now).started_at
    assert now < begins <= now + timedelta(weeks=1)
    assert (begins - place.started_at) % timedelta(weeks=1) == timedelta(0)
    assert moved(place, now=datetime(2020, 1, 1, tzinfo=UTC)) == place


def test_the_books_of_a_stack_are_found_by_the_addresses_that_a_demonstration_leaves() -> None:
    """Its report is made by whoever is given the folder."""
    servers = Deployed(account=Account(stack="north", region="eu-central-1", endpoint=ENDPOINT)).servers
    assert servers.tables is not None and servers.tables.startswith("dynamodb://north?region=eu-central-1&endpoint=")
    assert servers.streams is not None and servers.streams.startswith("kinesis://north?region=eu-central-1")
    open_dynamodb(servers.tables).close()


@pytest.mark.parametrize("url", ["dynamodb://", "dynamodb://a/b", "dynamodb://a?table=b", "dynamodb://me@a"])
def test_an_address_that_names_no_stack_is_refused(url: str) -> None:
    """The client would ask for tables of another name."""
    with pytest.raises(SetupError, match="tables in DynamoDB are"):
        open_dynamodb(url)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--cloud", "azure"), "must be here or aws"),
        (("--endpoint", ENDPOINT), "is for --cloud aws"),
        (("--cloud", "aws"), "needs --endpoint"),
        (("--cloud", "aws", "--endpoint", "127.0.0.1"), "must be http://HOST:PORT"),
        (("--cloud", "aws", "--endpoint", ENDPOINT), "cannot be looked at"),
    ],
)
def test_what_cannot_become_a_run_is_said_before_one_starts(
    arguments: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 2, one sentence."""
    register()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    done = CliRunner().invoke(app, ["demo", *arguments, "--headless", "--no-page"])
    assert done.exit_code == 2
    assert told in done.output
