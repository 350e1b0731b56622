"""What the fleet is told of a site, when the site asks for a new start, and that its faults stay its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.control import LimitImport
from edge.config import SiteConfig
from edge.errors import ConfigError, LinkError
from edge.fleet.identity import IdentityStore
from edge.fleet.settings import FleetSettings
from edge.fleet.shadow import ShadowName
from edge.links.link import Ack, Inbound, LinkState, LinkStatus
from edge.loop.loop import ControlLoop
from edge.loop.seen import CycleSeen, seen_of
from edge.process.lifetime import StopRequested
from edge.process.supervisor import PAUSE_S_MAX, Supervisor
from edge.site.fleet_part import CONTROL_SILENT_S, CYCLES_TO_PROVE, Host, SiteFleet, check_identity
from edge.site.remote_settings import RemoteSettings
from tests.support.brokers.broker import Authority
from tests.support.brokers.link_parts import until
from tests.support.manual_clock import ManualClock
from tests.support.rigs.control_commands import command
from tests.support.rigs.edge_parts import (
    NOON,
    SITE,
    Counter,
    FakeDevice,
    config,
    counter,
    fake_site,
    loop_of,
    plain_config,
)

KEY = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


@dataclass
class Line:
    """A link whose state the test sets; what is sent on it is kept."""

    state: LinkState = LinkState.CONNECTED
    topics: set[str] = field(default_factory=set)
    sent: list[tuple[str, bytes]] = field(default_factory=list)

    async def run(self) -> None:
        """Do nothing."""

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> "asyncio.Future[Ack]":
        """Keep it."""
        if self.state is not LinkState.CONNECTED:
            raise LinkError("no connection")
        self.sent.append((topic, payload))
        answer: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        answer.set_result(Ack.ACCEPTED)
        return answer

    def subscribe(self, topics: Iterable[str]) -> None:
        """Keep them."""
        self.topics |= set(topics)

    async def messages(self) -> AsyncIterator[Inbound]:
        """Bring nothing."""
        await asyncio.Event().wait()
        yield Inbound(topic="", payload=b"", retained=False)

    def status(self) -> LinkStatus:
        """Return the state."""
        return LinkStatus(
            state=self.state,
            connects=1,
            takeovers=0,
            published=0,
            received=0,
            inbound_dropped=0,
            subscribed=frozenset(self.topics),
            last_error="cable",
        )

    async def wait_for(self, state: LinkState) -> None:
        """Wait for a state."""
        await until(lambda: self.state is state)

    async def wait_while(self, state: LinkState) -> None:
        """Wait for its end."""
        await until(lambda: self.state is not state)


@dataclass
class Parts:
    """A site's fleet part and what it stands on."""

    fleet: SiteFleet
    line: Line
    counter: Counter
    loop: ControlLoop
    devices: dict[str, FakeDevice]
    adopted: list[SiteConfig]

    def cycles(self, number: int) -> None:
        """Run control cycles."""
        for _ in range(number):
            self.loop._cycle()


@contextlib.contextmanager
def parts(folder: Path, **sections: Any) -> Iterator[Parts]:
    """Build them on the outbox of a folder; built again they are the next process."""
    clock, line = ManualClock(NOON), Line()
    adopted: list[SiteConfig] = []
    fleet_of = {"fleet": {"update_key": KEY}, "link": {"url": "mqtts://localhost"}, "state_dir": str(folder)}
    settings = config(**fleet_of, **sections)
    devices = fake_site(clock)
    assert settings.fleet is not None
    with counter(folder, clock) as made:
        loop, _ = loop_of(devices, clock, executor=made.executor)
        fleet = SiteFleet(
            settings.fleet,
            RemoteSettings(settings, memory=made.outbox),
            Host(
                link=line,
                clock=clock,
                outbox=made.outbox,
                last=lambda: _seen(loop, devices, made),
                adopt=adopted.append,
            ),
        )
        yield Parts(fleet=fleet, line=line, counter=made, loop=loop, devices=devices, adopted=adopted)


def _seen(loop: ControlLoop, devices: dict[str, FakeDevice], made: Counter) -> CycleSeen | None:
    """Return what control tells of its last cycle."""
    if loop.last is None:
        return None
    offline = tuple(sorted(name for name, device in devices.items() if not device.online))
    return seen_of(loop.last, offline=offline, in_event=bool(made.executor.running()))


async def test_a_version_is_well_with_control_a_link_and_the_devices_of_before(tmp_path: Path) -> None:
    """Each of the three is missed by name."""
    with parts(tmp_path) as site:
        assert site.fleet.complaint() == f"0 control cycles, fewer than {CYCLES_TO_PROVE}"
        site.cycles(CYCLES_TO_PROVE)
        assert site.fleet.complaint() is None
        site.line.state = LinkState.DISCONNECTED
        assert site.fleet.complaint() == "the link is disconnected: cable"
        site.line.state = LinkState.CONNECTED
        site.counter.clock.advance(CONTROL_SILENT_S + 1)
        assert site.fleet.complaint() == "control has been silent for 31 s"
        site.cycles(1)
        site.devices["inverter"].online = False
        assert site.fleet.complaint() == "no answer from inverter"


async def test_a_device_that_was_silent_before_does_not_condemn_a_version(tmp_path: Path) -> None:
    """An inverter sleeps at night; an update at night must not be taken back for it."""
    with parts(tmp_path) as site:
        site.devices["inverter"].online = False
        site.cycles(1)
        running = asyncio.create_task(site.fleet.run(), name="fleet")
        await asyncio.sleep(0)
        site.fleet.apply(ShadowName.CONFIG, {"control": {"period_s": 2}})
        with pytest.raises(StopRequested, match=r"control\.period_s"):
            await running
    with parts(tmp_path) as site:
        site.devices["inverter"].online = False
        site.cycles(CYCLES_TO_PROVE)
        assert site.fleet.complaint() is None
        site.devices["meter"].online = False
        assert site.fleet.complaint() == "no answer from meter"


async def test_a_running_order_is_an_event(tmp_path: Path) -> None:
    """A new start in the middle of it would break its delivery."""
    with parts(tmp_path) as site:
        assert site.fleet.in_event(), "nothing is known of control yet"
        site.cycles(1)
        assert not site.fleet.in_event()
        site.counter.executor.take(command(LimitImport(max_w=500), lasts_s=120).encode(), retained=False)
        site.cycles(1)
        assert site.fleet.in_event()
        site.counter.clock.advance(timedelta(minutes=5).total_seconds())
        site.cycles(2)
        assert not site.fleet.in_event()


async def test_what_is_reported_is_measured(tmp_path: Path) -> None:
    """A gateway that hoards or has gone blind is seen from afar."""
    with parts(tmp_path) as site:
        assert site.fleet.measure() == {"journal_depth": 0, "meter_silent_s": None}
        site.cycles(1)
        site.counter.clock.advance(40)
        assert site.fleet.measure()["meter_silent_s"] == 40.0


async def test_only_what_needs_it_waits_for_a_new_start(tmp_path: Path) -> None:
    """The rest is in force with the next cycle."""
    with parts(tmp_path) as site:
        site.fleet.apply(ShadowName.LIMITS, {"import_limit_w": 900})
        assert [one.connection.import_limit_w for one in site.adopted] == [900]
        with pytest.raises(ConfigError):
            site.fleet.apply(ShadowName.LIMITS, {"import_limit_w": 90_000})
        site.fleet.apply(ShadowName.CONFIG, {"control": {"period_s": 2}})
        assert len(site.adopted) == 1


async def test_a_limit_that_a_file_could_not_set_is_rejected_from_afar(tmp_path: Path) -> None:
    """A generator that keeps its last limit for ever is as unsafe on a site that an operator limits."""
    _, inverter = plain_config()["devices"]
    generator = {**inverter, "profile": "growatt_min_tlxh", "role": "pv", "battery": None}
    with parts(tmp_path, devices=[plain_config()["devices"][0], generator]) as site:
        with pytest.raises(ConfigError, match=r"limits: .* it needs a wired ripple relay .* nothing changed"):
            site.fleet.apply(ShadowName.LIMITS, {"export_limit_w": 3_000})
        site.fleet.apply(ShadowName.LIMITS, {"export_limit_w": 6_000})
        assert [one.connection.export_limit_w for one in site.adopted] == [6_000]


async def test_a_fault_of_the_fleets_part_stays_its_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it stumbles over, the site is controlled; and it begins anew."""
    with parts(tmp_path) as site:
        begun = 0

        async def stumble() -> None:
            nonlocal begun
            begun += 1
            raise RuntimeError("a mistake of ours")

        site.fleet._jobs.run = stumble  # type: ignore[method-assign]
        supervisor = Supervisor(site.counter.clock)
        running = asyncio.create_task(supervisor.run("fleet", site.fleet.run), name="fleet")
        await until(lambda: "started again" in caplog.text)
        assert not running.done()
        site.counter.clock.advance(PAUSE_S_MAX)
        await until(lambda: begun == 2)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def test_a_start_needs_the_sites_own_identity(tmp_path: Path) -> None:
    """With another's certificate the broker would throw it out, again and again."""
    folder = tmp_path / "identity"
    settings = FleetSettings(update_key=KEY, identity_dir=folder, software_dir=tmp_path)
    with pytest.raises(ConfigError, match="sitewatt fleet provision"):
        check_identity(settings, site=SITE)
    authority = Authority(folder=tmp_path)
    store = IdentityStore(folder)
    store.make_key()
    certificate = authority.sign_csr(store.signing_request("sn-1"))
    store.keep_certificate(certificate=certificate, certificate_id="c1", token="t", now=NOON)
    store.keep_thing(name="home-1", configuration={})
    store.promote()
    check_identity(settings, site=SITE)
    with pytest.raises(ConfigError, match=r"identity of home-1, site\.id is home-2"):
        check_identity(settings, site="home-2")
    (folder / "active" / "thing.json").write_text("{")
    with pytest.raises(ConfigError, match="provision again"):
        check_identity(settings, site=SITE)
