"""Who may come in, and how much of the machine a stranger may have."""

import asyncio
import base64
import contextlib
import json
import logging
import ssl
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from edge.ocpp.server import PENDING_MAX
from edge.ocpp.session import FAULTS_MAX
from edge.ocpp.settings import Version
from firmware_sim.station import StationConfig, trusting
from tests.support.manual_clock import ManualClock
from tests.support.rigs.stations import PASSWORD, Bench, bench, calling, certificate, section, until

BOOT = {"chargePointVendor": "v", "chargePointModel": "m"}


def _call(
    place: Bench,
    *,
    name: str = "CP1",
    password: str | None = PASSWORD,
    versions: tuple[str, ...] = ("ocpp1.6",),
    tls: ssl.SSLContext | None = None,
) -> Any:
    secret = base64.b64encode(f"{name}:{password}".encode()).decode()
    return connect(
        f"{place.url}/{name}",
        subprotocols=[Subprotocol(one) for one in versions],
        additional_headers={} if password is None else {"Authorization": f"Basic {secret}"},
        compression=None,
        proxy=None,
        ssl=tls,
    )


async def _ask(line: ClientConnection, frame: list[Any]) -> list[Any]:
    """Send a frame, and return the answer to it; what we are asked meanwhile is left alone."""
    await line.send(json.dumps(frame))
    while True:
        answer: list[Any] = json.loads(await line.recv())
        if answer[0] != 2 and answer[1] == frame[1]:
            return answer


@pytest.mark.parametrize(
    ("about", "status"),
    [
        ({"name": "CP9"}, 404),
        ({"password": "another-password"}, 401),
        ({"password": None}, 401),
        ({"password": ""}, 401),
        ({"versions": ("ocpp1.5",)}, 400),
        ({"versions": ()}, 400),
    ],
)
async def test_a_stranger_is_turned_away_before_the_upgrade_and_no_password_is_logged(
    about: dict[str, Any], status: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who does not prove who it is never gets a session, and what it said is nobody's to read."""
    caplog.set_level(logging.DEBUG)
    async with bench([section(tmp_path)], ManualClock()) as place:
        with pytest.raises(InvalidStatus) as refusal:
            async with _call(place, **about):
                raise AssertionError("it came in")
        assert refusal.value.response.status_code == status
        assert place.central.refused == 1 and not place.devices["wallbox"].health.online
    ours = "".join(record.getMessage() for record in caplog.records if record.name.startswith("edge"))
    assert PASSWORD not in ours and base64.b64encode(f"CP1:{PASSWORD}".encode()).decode() not in ours


async def test_an_unreadable_password_lets_nobody_in(tmp_path: Path) -> None:
    """A missing file must not mean an empty password."""
    place_of = section(tmp_path)
    assert place_of.ocpp is not None
    place_of.ocpp.password_file.unlink()
    async with bench([place_of], ManualClock()) as place:
        for password in ("", PASSWORD):
            with pytest.raises(InvalidStatus):
                async with _call(place, password=password):
                    raise AssertionError("it came in")
        assert "cannot be read" in (place.devices["wallbox"].health.last_error or "")


async def test_the_version_is_the_one_that_the_site_names(tmp_path: Path) -> None:
    """A station that offers both speaks the newer one, or what it is told."""
    for version, spoken in ((Version.AUTO, "ocpp2.0.1"), (Version.V16, "ocpp1.6")):
        both = ("ocpp1.6", "ocpp2.0.1")
        told = section(tmp_path, version=version)
        async with bench([told], ManualClock()) as place, _call(place, versions=both) as line:
            assert line.subprotocol == spoken


async def test_of_two_connections_of_one_station_the_newer_stays(tmp_path: Path) -> None:
    """The older one is mostly dead, and nobody can tell."""
    async with bench([section(tmp_path)], ManualClock()) as place, _call(place) as older:
        assert (await _ask(older, [2, "1", "BootNotification", BOOT]))[0] == 3
        async with _call(place) as newer:
            with pytest.raises(ConnectionClosed):
                while True:
                    await older.recv()
            assert (await _ask(newer, [2, "1", "BootNotification", BOOT]))[2]["status"] == "Accepted"


async def test_what_is_not_known_or_does_not_fit_is_answered_and_too_much_of_it_ends_the_connection(
    tmp_path: Path,
) -> None:
    """An action leads to the file of a schema only where it is one that we know."""
    async with bench([section(tmp_path)], ManualClock()) as place, _call(place) as line:
        for action in ("Nonsense", "../../v201/schemas/BootNotificationRequest", "__class__", "SetChargingProfile"):
            assert (await _ask(line, [2, "1", action[:36], {}]))[:3] == [4, "1", "NotImplemented"]
        assert (await _ask(line, [2, "2", "Heartbeat", {"x": 1}]))[2] == "FormationViolation"
        assert (await _ask(line, [2, "3", "DataTransfer", {"vendorId": "x"}]))[2] == {"status": "UnknownVendorId"}
        for _ in range(FAULTS_MAX):
            await line.send("nonsense")
        with pytest.raises(ConnectionClosed):
            while True:
                await line.recv()
        assert place.central.port is not None
    async with bench([section(tmp_path)], ManualClock()) as place, _call(place) as line:
        await line.send("[" + "1" * 70_000)
        with pytest.raises(ConnectionClosed):
            while True:
                await line.recv()


async def test_many_who_say_nothing_do_not_keep_a_station_out(tmp_path: Path) -> None:
    """Connections that have not proven who they are give way; control needs the machine's descriptors."""
    async with bench([section(tmp_path)], ManualClock()) as place, contextlib.AsyncExitStack() as stack:
        writers = []
        for _ in range(3 * PENDING_MAX):
            reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
            writers.append((reader, writer))
            stack.callback(writer.close)
        await until(lambda: place.central.refused >= 2 * PENDING_MAX, "the oldest were turned away")
        async with _call(place) as line:
            assert (await _ask(line, [2, "1", "BootNotification", BOOT]))[0] == 3


async def test_only_cards_of_the_list_may_charge(tmp_path: Path) -> None:
    """With a list, a card that is not on it begins nothing."""
    async with bench([section(tmp_path)], ManualClock(), id_tags=("GOOD",)) as place, _call(place) as line:
        for tag, status in (("BAD", "Invalid"), ("GOOD", "Accepted")):
            answer = await _ask(line, [2, "1", "Authorize", {"idTag": tag}])
            assert answer[2]["idTagInfo"]["status"] == status
            begun = {"connectorId": 1, "idTag": tag, "meterStart": 5, "timestamp": "2026-06-01T12:00:00Z"}
            assert (await _ask(line, [2, "2", "StartTransaction", begun]))[2]["idTagInfo"]["status"] == status


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_over_tls_a_station_checks_who_it_speaks_to(version: str, tmp_path: Path) -> None:
    """Security profile 2: the password is told to nobody but the gateway."""
    files, clock = certificate(tmp_path), ManualClock()
    async with bench([section(tmp_path)], clock, tls=files) as place:
        config = StationConfig(url=place.url, name="CP1", password=PASSWORD, version=version)
        async with calling(config, clock, tls=ssl.create_default_context()) as doubtful:
            await until(lambda: doubtful.last_error is not None, "it does not trust the certificate")
            assert "certificate" in (doubtful.last_error or "").lower() and doubtful.connects == 0
        async with calling(config, clock, tls=trusting(str(files.certificate))) as station:
            await until(lambda: place.devices["wallbox"].health.online, "it is ready", clock=clock)
            assert station.connects == 1
