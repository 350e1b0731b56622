"""A function's environment: complete, or one sentence; and the same handlers over AWS."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from cloud.errors import SetupError
from cloud.handlers import telemetry
from cloud.local.report import channel_counts
from cloud.shell import services as shell_services
from cloud.shell.publishing import IotPublisher, Outgoing
from cloud.shell.signing import Signer
from cloud.stores import keys
from cloud.stores.registry import save_registry
from cloud.stores.tables import Delete
from contracts.topics import Up
from tests.support.cloud.aws import BUCKET, PREFIX, aws_account
from tests.support.cloud.sites import START, batch, context, registry, write_key
from tests.support.cloud.sites import telemetry as message


def _environ(folder: Path) -> dict[str, str]:
    write_key(folder / "key.pem")
    return {
        "SITEWATT_STORE": "dynamodb",
        "SITEWATT_TABLE_PREFIX": PREFIX,
        "SITEWATT_LAKE_BUCKET": BUCKET,
        "SITEWATT_SIGNING_KEY_FILE": str(folder / "key.pem"),
    }


def test_a_function_works_from_its_environment_alone(tmp_path: Path) -> None:
    """In AWS there is nothing but tables, a bucket and a few variables."""
    with aws_account() as tables:
        save_registry(tables, registry())
        services = shell_services.build(_environ(tmp_path))
        assert isinstance(services.publisher, IotPublisher)
        services.publisher.publish([Outgoing(topic="sitewatt/v1/zone-1/home-1/commands", payload=b"{}", expiry_s=60)])
        shell_services.install(services)
        try:
            told = [message("home-1", seq, START + timedelta(minutes=seq), {"meter/w": [1.0]}) for seq in (1, 2)]
            telemetry.handler(batch(Up.TELEMETRY, *told, told[0], at=START), context())
        finally:
            shell_services.install(None)
        counts = channel_counts(tables, services.registry, Up.TELEMETRY)
        assert counts == {"published": 2, "stored": 2, "lost": 0, "duplicated": 1}


@pytest.mark.parametrize("missing", ["SITEWATT_STORE", "SITEWATT_TABLE_PREFIX", "SITEWATT_SIGNING_KEY_FILE"])
def test_a_missing_setting_is_named(tmp_path: Path, missing: str) -> None:
    """A function that starts half is worse than one that says what it lacks."""
    with aws_account() as tables:
        save_registry(tables, registry())
        environ = {name: value for name, value in _environ(tmp_path).items() if name != missing}
        with pytest.raises(SetupError, match=missing):
            shell_services.build(environ)


def test_a_warm_function_hears_who_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda keeps a process for hours: a site that joined would be refused until it ends."""
    now_s = [1000.0]
    monkeypatch.setattr("cloud.shell.services.time.monotonic", lambda: now_s[0])
    with aws_account() as tables:
        save_registry(tables, registry(homes=1))
        for name, value in _environ(tmp_path).items():
            monkeypatch.setenv(name, value)
        shell_services.install(None)
        try:
            first = shell_services.current()
            save_registry(tables, registry(homes=2))
            now_s[0] += shell_services.REGISTRY_AGE_S_MAX
            assert shell_services.current() is first
            now_s[0] += 1
            later = shell_services.current()
            assert later.registry.site("home-2") is not None and later.memory is first.memory
            tables.transact([Delete(key=keys.REGISTRY)])
            now_s[0] += shell_services.REGISTRY_AGE_S_MAX + 1
            assert shell_services.current().registry.site("home-2") is not None, (
                "one that cannot be read changes nobody"
            )
        finally:
            shell_services.install(None)


def test_a_warm_function_signs_with_the_key_that_was_put_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key is replaced because somebody else may have it: not in the hours until the process ends, within a minute."""
    now_s = [1000.0]
    monkeypatch.setattr("cloud.shell.services.time.monotonic", lambda: now_s[0])
    environ = {**_environ(tmp_path), "SITEWATT_SIGNING_KEY_SECRET": "signing-key"}
    pems = [(tmp_path / "key.pem").read_text()]
    write_key(tmp_path / "another.pem")
    pems.append((tmp_path / "another.pem").read_text())
    del environ["SITEWATT_SIGNING_KEY_FILE"]
    with aws_account() as tables:
        client: Any = boto3.client("secretsmanager")
        client.create_secret(Name="signing-key", SecretString=pems[0])
        save_registry(tables, registry())
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        shell_services.install(None)
        try:
            first = _key_of(shell_services.current())
            client.put_secret_value(SecretId="signing-key", SecretString=pems[1])
            now_s[0] += shell_services.REGISTRY_AGE_S_MAX + 1
            second = _key_of(shell_services.current())
            assert first != second
            client.delete_secret(SecretId="signing-key", ForceDeleteWithoutRecovery=True)
            now_s[0] += shell_services.REGISTRY_AGE_S_MAX + 1
            assert _key_of(shell_services.current()) == second, "one that cannot be read changes nothing"
        finally:
            shell_services.install(None)


def _key_of(services: shell_services.Services) -> bytes:
    assert isinstance(services.signer, Signer)
    return services.signer.key.public_key().public_bytes_raw()
