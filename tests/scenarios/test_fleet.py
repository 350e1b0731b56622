"""The life of a gateway in its fleet: real cloud, real devices, real versions, started as its service starts it."""

import asyncio
import base64
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from contracts.clock import scaled_clock
from edge.fleet.identity import IdentityStore
from edge.fleet.update import launch
from tests.support.fleet.scene import READY_S, SITE, Scene, fleet, scene, wheel
from tests.support.fleet.updates import Shop, shop

__all__ = ["shop"]

pytestmark = pytest.mark.slow

SPEED = 10.0
FOLLOW = ("--follow", 240)  # Real seconds: a version that is taken back is started three times before.


def make_key(path: Path) -> str:
    """Write a signer's key and return what gateways are told of it."""
    key = Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


async def test_a_gateway_is_provisioned_set_updated_and_renewed_from_afar(tmp_path: Path, shop: Shop) -> None:
    """Nobody drives to a site, whatever the operator sends."""
    key = tmp_path / "signer.pem"
    clock = scaled_clock(started_at=datetime.now(UTC), speed=SPEED).spec()
    async with scene(tmp_path, clock=clock, update_key=make_key(key)) as running:
        service = running.service
        await service.until_status("a link and fresh cycles", _well)
        await _alarms_from_afar(running)
        await _settings_from_afar(running)
        await _versions_from_afar(running, shop, key)
        await _a_new_certificate(running)
        assert set(service.ends) <= {0, 1}, "only a broken release ended badly"


async def _alarms_from_afar(running: Scene) -> None:
    """A meter that falls silent is seen in the fleet's list, and its return too."""

    async def until_listed(what: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(READY_S):
            while True:
                (gateway,) = (await fleet("list", *running.local))["gateways"]
                if what(gateway):
                    return dict(gateway)
                await asyncio.sleep(0.5)

    await until_listed(lambda gateway: gateway["alarms"] == [])
    os.kill(running.home_pid, signal.SIGSTOP)
    try:
        told = await until_listed(lambda gateway: "meter does not answer" in gateway["alarms"])
    finally:
        os.kill(running.home_pid, signal.SIGCONT)
    assert told["alarms"] == ["connection point meter is not fresh", "meter does not answer"]
    assert told["event"] == "alarms changed" and told["online"] is True
    await until_listed(lambda gateway: gateway["alarms"] == [])


async def _settings_from_afar(running: Scene) -> None:
    service, local = running.service, running.local
    pid = service.pid
    lowered = await fleet("set", SITE, '{"import_limit_w": 9000}', "--shadow", "limits", *FOLLOW, *local)
    assert lowered["answer"]["outcome"] == "applied"
    await service.until_status("the lower limit", lambda said: said["cycle"]["left"][1] == 9000)
    reserve = '{"battery_reserve_percent": 40}'
    kept = await fleet("set", SITE, reserve, "--shadow", "limits", *FOLLOW, *local, exit_code=1)
    assert "battery_reserve_percent is 40, and the site has no battery" in kept["error"]["message"]
    await fleet("set", SITE, '{"battery_reserve_percent": null}', "--shadow", "limits", *FOLLOW, *local)
    raised = await fleet("set", SITE, '{"import_limit_w": 20000}', "--shadow", "limits", *FOLLOW, *local, exit_code=1)
    assert "above the 17000 of the site's file" in raised["error"]["message"]
    refused = await fleet("set", SITE, '{"telemetry": {"period_s": 0}}', *FOLLOW, *local, exit_code=1)
    assert "period_s is 0" in refused["error"]["message"]
    assert (service.pid, service.ends) == (pid, []), "neither took the running site down"

    # What was refused is withdrawn, or it would be refused again with all that is wished after it.
    slower = await fleet("set", SITE, '{"telemetry": null, "control": {"period_s": 2}}', *FOLLOW, *local)
    assert slower["answer"]["outcome"] == "applied"
    said = await service.until_status("the period of a new start", lambda said: said["loop"]["period_s"] == 2)
    assert service.ends == [0]
    said = await service.until_status("the limit is kept", _well)
    assert said["cycle"]["left"][1] == 9000
    withdrawn = await fleet("set", SITE, '{"import_limit_w": null}', "--shadow", "limits", *FOLLOW, *local)
    assert withdrawn["answer"]["outcome"] == "applied"
    await service.until_status("the file's limit", lambda said: said["cycle"]["left"][1] == 17_000)


async def _versions_from_afar(running: Scene, shop: Shop, key: Path) -> None:
    service = running.service
    good = await _update(running, shop, key, "9.1.0")
    assert good["state"] == "SUCCEEDED"
    assert service.runs_from() == "9.1.0"
    bad = await _update(running, shop, key, "9.2.0", broken=True, exit_code=1)
    assert "did not prove itself" in bad["error"]["message"]
    assert launch.current(service.software) == "9.1.0"
    await service.until_status("the version before", _well)
    assert service.runs_from() == "9.1.0"


async def _update(
    running: Scene, shop: Shop, key: Path, version: str, *, broken: bool = False, exit_code: int = 0
) -> dict[str, Any]:
    artefact = wheel(shop.folder, version, broken=broken)
    of = ("--version", version, "--artefact", artefact, "--url", f"{shop.url}/{artefact.name}", "--key", key)
    return await fleet("update", SITE, *of, *FOLLOW, *running.local, exit_code=exit_code)


async def _a_new_certificate(running: Scene) -> None:
    store = IdentityStore(running.folder / "state" / "identity")
    before = store.active()
    renewed = await fleet("rotate", SITE, *FOLLOW, *running.local)
    assert renewed["state"] == "SUCCEEDED"
    after = store.active()
    assert before is not None and after is not None
    assert after.certificate_id != before.certificate_id
    assert (await fleet("show", SITE, *running.local))["certificates"] == [after.certificate_id]
    assert renewed["revoked"] == 1
    await running.service.until_status("the link by the new certificate", _well)


def _well(said: dict[str, object]) -> bool:
    link, cycle = said["link"], said["cycle"]
    return bool(isinstance(link, dict) and link["state"] == "connected" and isinstance(cycle, dict) and cycle["fresh"])
