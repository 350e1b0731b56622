"""The stack on an emulator, as an operator brings it up: by the commands, from bundles of this machine's processor."""

import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

from cloud.infra.functions import Bundle
from cloud.infra.rules import rule_of
from cloud.local.events import fields_of, forwarded
from cloud.shell.signing import read_signer_file
from contracts.topics import Up, parse, site_topic
from contracts.wire import Message
from tests.support.cloud.emulator import REGION, ROOT_USER, Emulator
from tests.support.cloud.sites import ZONE, registry_data, write_key

TAKEN_S: Final = 600.0  # The emulator starts a process for each function, one after the other.
BUNDLES_VARIABLE: Final = "SITEWATT_BUNDLES"  # A folder of amd64 bundles that are built already.


def command(*arguments: str, expect: int | tuple[int, ...] = 0) -> Any:
    """Run a command for programs, which ends with a code that is expected, and return its answer."""
    done = subprocess.run(
        [sys.executable, "-m", "sitewatt", *arguments, "--json"],
        env={**os.environ, **ROOT_USER, "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (expect if isinstance(expect, tuple) else (expect,)), done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def status_beside_alarms(aws: Emulator) -> Any:
    """Return the status of a stack in which nothing but alarms may be wrong, where a function failed on purpose.

    The emulator does not look at an alarm's dimensions: one call that fails counts for the alarms of every function
    that are judged afterwards (``_evaluate_alarm`` of MiniStack 1.5), and nothing takes them back.
    """
    told = command("cloud", "status", "--endpoint", aws.endpoint, expect=(0, 1))
    assert told["faults"] == [f"alarm: {each}" for each in told["alarms"]]
    assert told["well"] == (not told["alarms"])
    return told


def call(aws: Emulator, name: str, event: Any, *, region: str = REGION) -> Any:
    """Call a function of the stack and return its answer."""
    answer = aws.client("lambda", region=region).invoke(
        FunctionName=f"sitewatt-{name}:live", Payload=json.dumps(event).encode()
    )
    told = json.loads(answer["Payload"].read() or b"null")
    assert "FunctionError" not in answer, f"{name}: {told}"
    return told


def await_true(condition: Callable[[], bool], *, why: str) -> None:
    """Wait for a condition under one safety timeout."""
    deadline_s = time.monotonic() + TAKEN_S
    while not condition():
        assert time.monotonic() < deadline_s, why
        time.sleep(0.2)


def forward(aws: Emulator, channel: Up, *messages: Message) -> None:
    """Do what a rule of AWS IoT Core does, and the emulator does not: put messages into their stream."""
    rule, client = rule_of(channel), aws.client("kinesis")
    for message in messages:
        topic = parse(site_topic(zone=ZONE, site=message.site, channel=channel))  # type: ignore[attr-defined]
        assert topic is not None
        data = forwarded(topic, fields_of(message.encode()), at=datetime.now(UTC))
        stream = f"sitewatt-{rule.stream.carrier.value}"
        client.put_record(StreamName=stream, Data=data, PartitionKey=rule.partition.of(topic))


def unpack(bundles: Path, folder: Path) -> Path:
    """Lay each bundle out in a folder as Lambda does, and return the folder."""
    for bundle in Bundle:
        with zipfile.ZipFile(bundles / f"sitewatt-{bundle}-amd64.zip") as archive:
            archive.extractall(folder / bundle)
    return folder


def bring_up(aws: Emulator, bundles: Path, folder: Path) -> dict[str, Any]:
    """Deploy the stack, tell it of a neighbourhood, and return what the deployment answered."""
    where = ("--endpoint", aws.endpoint)
    deployed: dict[str, Any] = command("cloud", "deploy", "--bundles", str(bundles), "--arch", "amd64", *where)
    (folder / "zones.yaml").write_text(yaml.safe_dump({"registry": registry_data()}))
    refused = command("cloud", "register", "--registry", str(folder / "zones.yaml"), *where, expect=2)
    assert refused["error"]["code"] == "no_key"
    write_key(folder / "key.pem")
    read_signer_file(issuer="grid-agent", path=folder / "key.pem")
    given = ("--registry", str(folder / "zones.yaml"), "--signing-key", str(folder / "key.pem"))
    done = command("cloud", "register", *given, *where)
    assert (done["sites"], done["schedules_made"]) == (4, 3)
    return deployed
