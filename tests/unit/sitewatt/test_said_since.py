"""The list of what was sent knows what sites said after nobody listened any more: the cloud took it in."""

import json
from datetime import timedelta
from pathlib import Path

from typer.testing import CliRunner

from cloud.handlers import acks
from cloud.stores.registry import save_registry
from contracts.control import AckStage, Command, CommandAck, LimitExport
from contracts.topics import Up
from sitewatt.commands.command import app
from sitewatt.operator.book import Book
from tests.support.cloud.sites import START, batch, context, house_in


def _ack(seq: int, stage: AckStage) -> CommandAck:
    at = START + timedelta(seconds=seq)
    return CommandAck(site="home-1", epoch=1, seq=seq, sent_at=at, at=at, command_id="c1", stage=stage)


def _listed(key: Path, *more: str) -> str:
    ended = CliRunner().invoke(app, ["list", "--key", str(key), *more, "--json"])
    assert ended.exit_code == 0, ended.output
    (entry,) = json.loads(ended.stdout)
    return str(entry["stage"])


def test_an_order_that_ended_unheard_is_listed_as_what_it_became(tmp_path: Path) -> None:
    """An operator who closed his laptop must not think that a limit still runs."""
    key = tmp_path / "dso.pem"
    book = Book(key)
    order = Command(
        command_id="c1", site="home-1", issuer="dso", seq=1, issued_at=START, expires_at=START + timedelta(days=400),
        action=LimitExport(max_w=0),
    )  # fmt: skip
    book.sent(order, zone="zone-1")
    book.heard(_ack(1, AckStage.ACCEPTED))
    folder = tmp_path / "cloud"
    folder.mkdir()
    with house_in(folder) as (services, _):
        save_registry(services.stores.tables, services.registry)
        later = [_ack(1, AckStage.ACCEPTED), _ack(2, AckStage.APPLIED), _ack(3, AckStage.RELEASED)]
        assert acks.handler(batch(Up.ACKS, *later, at=START), context()) == {"batchItemFailures": []}
    assert _listed(key) == "accepted"
    assert _listed(key, "--tables", str(folder)) == "released"
    assert _listed(key) == "released"
    nowhere = ["list", "--key", str(key), "--tables", str(tmp_path / "none"), "--json"]
    assert CliRunner().invoke(app, nowhere).exit_code == 2
