"""The border between a gateway's two processes: bounded both ways, and nothing that comes over it stops control."""

import asyncio
import contextlib
import json
import stat
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.control import AckStage, CommandAck
from contracts.topics import Up
from contracts.units import Quality
from contracts.wire import WireError
from edge.border import site_end
from edge.border.control_end import SOCKET, ControlEnd
from edge.border.messages import (
    FRAME_BYTES_MAX,
    REQUESTS_MAX,
    VERSION,
    Adopt,
    Arrived,
    Asked,
    Beat,
    Frame,
    Hello,
    Seen,
    Waiting,
    decode,
    encode,
)
from edge.border.schedule import SiteSchedule
from edge.border.site_end import SENDING_MAX, SiteEnd
from edge.border.sockets import listening, reach
from edge.border.takeover import Takeover
from edge.control.lease import LEASE_S
from edge.control.model import CONNECTION, Capability, Measured, Priority, Reason, Request
from edge.fleet.update import launch
from edge.loop.seen import CycleSeen, LoadSeen
from edge.modbus.point import Reading
from edge.outbox.outbox import Outbox
from edge.outbox.records import RecordClass
from tests.support.brokers.link_parts import until
from tests.support.manual_clock import ManualClock
from tests.support.rigs.edge_parts import NOON, SITE

_LENGTH = struct.Struct(">I")


def _cycle(number: int) -> CycleSeen:
    return CycleSeen(
        number=number,
        taken_s=float(number),
        connection_power=Measured(value=900.0, quality=Quality.GOOD, age_s=0.5),
        readings={"meter": {"active_power_w": Reading(value=900.0, quality=Quality.GOOD, source_at=NOON)}},
        loads={"car": LoadSeen(power_w=None, connected=True, moved_by=Capability.LIMIT_CONSUMPTION, least_w=4_140.0)},
        offline=("inverter",),
        in_event=True,
    )


@dataclass
class Heard:
    """Control's side: keeps what it is told."""

    commands: list[bytes] = field(default_factory=list)
    beats: list[Beat] = field(default_factory=list)
    adopted: list[Adopt] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)

    async def command(self, payload: bytes, *, retained: bool) -> None:
        """Keep it."""
        self.commands.append(payload)

    def beat(self, beat: Beat) -> None:
        """Keep it."""
        self.beats.append(beat)

    def adopt(self, adopt: Adopt) -> None:
        """Keep it."""
        self.adopted.append(adopt)

    def new_start(self, reason: str) -> None:
        """Keep it."""
        self.stops.append(reason)


@dataclass
class Watching:
    """The site's side: answers each cycle with the number of it."""

    cycles: list[CycleSeen] = field(default_factory=list)
    watched: list[float] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)

    def cycle(self, cycle: CycleSeen) -> Frame:
        """Answer."""
        self.cycles.append(cycle)
        return Beat(asked_s=cycle.taken_s)

    def live(self, *, period_s: float, for_s: float) -> None:
        """Keep it."""
        self.watched.append(period_s)

    def greeting(self) -> list[Frame]:
        """Say what is wanted from afar."""
        return [Adopt(wanted={"limits": {"import_limit_w": 9000}})]

    def new_start(self, reason: str) -> None:
        """Keep it."""
        self.stops.append(reason)


@dataclass(kw_only=True)
class Border:
    """Both ends over one real socket, each on a store of its own."""

    folder: Path
    clock: ManualClock
    kept: Outbox
    outbox: Outbox
    control: ControlEnd
    heard: Heard

    @contextlib.asynccontextmanager
    async def site(self) -> AsyncIterator[tuple[SiteEnd, Watching]]:
        """Run the site's end for the block."""
        end = SiteEnd(state_dir=self.folder, site=SITE, takeover=Takeover(self.outbox), clock=self.clock)
        sees = Watching()
        task = asyncio.create_task(end.run(sees), name="site end")
        try:
            await until(lambda: end.peer.connected and self.control.peer.connected)
            yield end, sees
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def stranger(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Connect without an end of ours."""
        with reach(self.folder, SOCKET) as path:
            reader, writer = await asyncio.open_unix_connection(path)
        try:
            yield reader, writer
        finally:
            writer.close()

    def answer(self, number: int) -> None:
        """Have control keep an answer to a command."""
        self.kept.append(
            Up.ACKS,
            lambda epoch, seq: CommandAck(
                site=SITE, epoch=epoch, seq=seq, sent_at=NOON, at=NOON, command_id=f"c{number}", stage=AckStage.ACCEPTED
            ),
        )

    def taken_over(self) -> list[tuple[int, str]]:
        """Return numbers and commands of the answers that the site has."""
        self.outbox.flush()
        acks = [CommandAck.decode(record.payload) for record in self.outbox.read(Up.ACKS, limit=1_000)]
        return [(ack.seq, ack.command_id) for ack in acks]


@contextlib.asynccontextmanager
async def _border(folder: Path) -> AsyncIterator[Border]:
    clock = ManualClock(NOON)
    with (
        closing(Outbox.open(folder / "control.db", site=SITE, clock=clock)) as kept,
        closing(Outbox.open(folder / "journal.db", site=SITE, clock=clock)) as outbox,
    ):
        control, heard = ControlEnd(state_dir=folder, site=SITE, outbox=kept, clock=clock), Heard()
        task = asyncio.create_task(control.run(heard), name="control end")
        try:
            await until((folder / SOCKET).is_socket)
            yield Border(folder=folder, clock=clock, kept=kept, outbox=outbox, control=control, heard=heard)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Give a state folder so deep that a socket's name would not fit."""
    deep = tmp_path / ("deep" * 20) / ("deeper" * 10)
    deep.mkdir(parents=True)
    yield deep


async def test_what_a_cycle_saw_goes_up_and_commands_and_wishes_come_down(folder: Path) -> None:
    """The whole border once, over its real socket, which is its user's own."""
    async with _border(folder) as border, border.site() as (end, sees):
        assert stat.S_IMODE((folder / SOCKET).stat().st_mode) == 0o600
        border.control.tell(_cycle(1))
        await until(lambda: sees.cycles)
        assert sees.cycles == [_cycle(1)]
        await until(lambda: border.heard.beats)
        border.control.live(period_s=2.0, for_s=60.0)
        await until(lambda: sees.watched == [2.0])
        assert await end.send(Arrived.of(b"\xff no text", retained=True))
        await until(lambda: border.heard.commands == [b"\xff no text"])
        assert border.heard.adopted[0].wanted == {"limits": {"import_limit_w": 9000}}


async def test_a_record_is_taken_over_once_however_often_it_is_handed_over(folder: Path) -> None:
    """A kill between the commit and its confirmation must neither lose an answer nor send it twice."""
    async with _border(folder) as border:
        for number in range(3):
            border.answer(number)
        async with border.site():
            await until(lambda: not border.kept.read(Up.ACKS))
        assert border.taken_over() == [(1, "c0"), (2, "c1"), (3, "c2")]
        # The site was killed before control heard of it: the same records come again, and one more.
        again = [_waiting(9, payload=_payload(epoch=border.kept.epoch, seq=seq)) for seq in (2, 3, 4)]
        assert await Takeover(border.outbox).take(again) == (9, 9, 9)
        assert border.taken_over()[3:] == [(4, "again")]
        # A new store of control's begins a new epoch, and its numbers from one.
        anew = [_waiting(1, payload=_payload(epoch=7, seq=1))]
        await Takeover(border.outbox).take(anew)
        assert len(border.taken_over()) == 5


def _waiting(record_id: int, *, payload: str) -> Waiting:
    return Waiting(id=record_id, channel=Up.ACKS, record_class=RecordClass.ORDERS, payload=payload, last=True)


def _payload(*, epoch: int, seq: int) -> str:
    ack = CommandAck(
        site=SITE, epoch=epoch, seq=seq, sent_at=NOON, at=NOON, command_id="again", stage=AckStage.ACCEPTED
    )
    return ack.encode().decode()


async def test_records_wait_while_the_site_is_gone_and_one_that_cannot_be_read_holds_up_none(folder: Path) -> None:
    """Each record stands alone at a border."""
    async with _border(folder) as border:
        border.answer(1)
        broken = _waiting(5, payload="{")
        assert await Takeover(border.outbox).take([broken]) == (5,)
        assert border.kept.read(Up.ACKS), "nobody has taken it"
        async with border.site():
            await until(lambda: not border.kept.read(Up.ACKS))
        assert [command for _, command in border.taken_over()] == ["c1"]


async def test_a_site_that_reads_nothing_costs_control_nothing_and_the_newest_cycle_is_what_it_finds(
    folder: Path,
) -> None:
    """A stopped process must not make control wait, nor let memory grow."""
    async with _border(folder) as border:
        async with border.stranger() as (reader, writer):
            body = encode(Hello(software="1", site=SITE, pid=1))
            writer.write(_LENGTH.pack(len(body)) + body)
            await until(lambda: border.control.peer.connects == 1)
            for number in range(20_000):
                border.control.tell(_cycle(number))
                if number % 100 == 0:
                    await asyncio.sleep(0)
            frames: list[Frame] = []
            while not (frames and isinstance(frames[-1], Seen) and frames[-1].number == 19_999):
                (length,) = _LENGTH.unpack(await asyncio.wait_for(reader.readexactly(4), 60.0))
                frames.append(decode(await reader.readexactly(length)))
            assert len(frames) < 20_000
        await until(lambda: not border.control.peer.connected)
        async with border.site() as (_, sees):
            border.control.tell(_cycle(7))
            await until(lambda: sees.cycles)


@pytest.mark.parametrize(
    "sent",
    [
        _LENGTH.pack(FRAME_BYTES_MAX + 1),
        _LENGTH.pack(2) + b"{}",
        _LENGTH.pack(100) + b"[" * 100,
        _LENGTH.pack(16) + b'{"kind":"death"}',
        b"\x00",
    ],
)
async def test_nonsense_ends_its_connection_at_most(folder: Path, sent: bytes) -> None:
    """Whatever a faulty site process writes, the next one is served."""
    async with _border(folder) as border:
        async with border.stranger() as (_, writer):
            hello = encode(Hello(software="1", site=SITE, pid=1))
            writer.write(_LENGTH.pack(len(hello)) + hello + sent)
            await until(lambda: border.control.peer.connects == 1)
        async with border.site() as (end, _):
            assert await end.send(Arrived.of(b"still served", retained=False))
            await until(lambda: border.heard.commands == [b"still served"])


async def test_a_side_of_another_version_is_refused_by_name(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two versions meet during an update; neither may guess what the other means."""
    async with _border(folder) as border:
        async with border.stranger() as (reader, writer):
            hello = encode(Hello(v=VERSION + 1, software="9.9", site=SITE, pid=1))
            writer.write(_LENGTH.pack(len(hello)) + hello)
            (length,) = _LENGTH.unpack(await reader.readexactly(4))
            assert json.loads(await reader.readexactly(length))["v"] == VERSION
            assert await asyncio.wait_for(reader.read(), 60.0) == b""
        assert not border.control.peer.connected
    assert "site process refused" in caplog.text
    assert f"speaks version {VERSION + 1}" in str(caplog.records[-1].__dict__)


async def test_without_control_the_queue_is_bounded_and_the_newest_is_refused(tmp_path: Path) -> None:
    """An order that waits for control is bounded like everything that waits."""
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=ManualClock(NOON))) as outbox:
        end = SiteEnd(state_dir=tmp_path, site=SITE, takeover=Takeover(outbox), clock=ManualClock(NOON))
        sent = [await end.send(Arrived.of(b"x", retained=False)) for _ in range(SENDING_MAX + 1)]
    assert sent == [True] * SENDING_MAX + [False]


async def test_control_is_missed_aloud_only_once_it_stays_away(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Both processes start and stop at about the same time; what is told of control at any moment is true at once."""
    with closing(Outbox.open(folder / "journal.db", site=SITE, clock=ManualClock(NOON))) as outbox:
        end = SiteEnd(state_dir=folder, site=SITE, takeover=Takeover(outbox), clock=ManualClock(NOON))
        task = asyncio.create_task(end.run(Watching()), name="site end")
        try:
            await until(lambda: end.peer.error is not None)
            assert not caplog.records
            monkeypatch.setattr(site_end, "AWAY_S", 0.0)
            await until(lambda: bool(caplog.records))
            assert [record.message for record in caplog.records] == ["control is not there"]
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def test_what_the_site_asks_stands_for_one_lease_and_never_longer() -> None:
    """A site process that is gone asks for nothing; a stamp from the future buys no time."""
    clock = ManualClock(NOON)
    schedule = SiteSchedule(clock.monotonic)
    asked = Asked(
        requester="schedule",
        resource=CONNECTION,
        priority=Priority.MARKET_DR,
        reason=Reason.SCHEDULE,
        preferred_w=500.0,
    )
    schedule.take(Beat(asked_s=clock.monotonic() + 3_600, requests=(asked,)))
    (request,) = schedule.requests(clock.monotonic(), {})
    assert (request.preferred_w, request.expires_s) == (500.0, clock.monotonic() + LEASE_S)
    clock.advance(LEASE_S)
    assert schedule.requests(clock.monotonic(), {}) == []


@pytest.mark.parametrize("priority", [one for one in Priority if one not in (Priority.MARKET_DR, Priority.OPTIMISER)])
def test_the_site_cannot_ask_above_the_market(priority: Priority) -> None:
    """Limits, locks and owners stand above whatever the trading process believes."""
    request = Request(
        requester="schedule", resource=CONNECTION, priority=priority, reason=Reason.SCHEDULE, expires_s=1.0
    )
    with pytest.raises(ValueError, match="priority"):
        Asked.of(request)
    plain = {"kind": "beat", "asked_s": 0.0, "requests": [{**_asked(), "priority": int(priority)}]}
    with pytest.raises(WireError, match="priority"):
        decode(json.dumps(plain).encode())


def test_more_requests_than_a_site_has_are_refused() -> None:
    """Every number at a border has a bound."""
    plain = {"kind": "beat", "asked_s": 0.0, "requests": [_asked()] * (REQUESTS_MAX + 1)}
    with pytest.raises(WireError, match="requests"):
        decode(json.dumps(plain).encode())


def _asked() -> dict[str, object]:
    return {"requester": "plan", "resource": "batteries", "priority": int(Priority.OPTIMISER), "reason": "price"}


@given(
    value=st.one_of(st.none(), st.booleans(), st.text(max_size=5), st.floats(), st.integers(-(2**60), 2**60)),
    age_s=st.one_of(st.floats(min_value=0), st.just(float("inf"))),
)
def test_any_reading_crosses_the_border(value: float | str | bool | None, age_s: float) -> None:
    """What is no number is none on the other side; nothing that a device says breaks the frame."""
    reading = Reading(value=value, quality=Quality.GOOD, source_at=NOON, monotonic_s=3.0)
    told = CycleSeen(
        number=1,
        taken_s=2.0,
        connection_power=Measured(value=1.0, quality=Quality.GOOD, age_s=age_s),
        readings={"meter": {"active_power_w": reading}},
    )
    frame = decode(encode(Seen.of(told)))
    assert isinstance(frame, Seen)
    seen = frame.cycle()
    assert seen.connection_power.age_s == age_s
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
    assert seen.readings["meter"]["active_power_w"].value == (float(value) if number else None)  # type: ignore[arg-type]


def _framed(frame: Frame) -> bytes:
    body = encode(frame)
    return _LENGTH.pack(len(body)) + body


@pytest.mark.parametrize(("own_s", "other_s", "ends"), [(100.0, 101.0, True), (100.0, 99.0, False), (0.0, 99.0, False)])
async def test_control_of_an_earlier_choice_ends_for_the_sites_version(
    folder: Path, monkeypatch: pytest.MonkeyPatch, own_s: float, other_s: float, ends: bool
) -> None:
    """An update, or its return, reached the site process first; who was started by hand stays."""
    monkeypatch.setenv(launch.CHOSEN_S, str(own_s))
    async with _border(folder) as border, border.stranger() as (_, writer):
        writer.write(_framed(Hello(software="9.9.9", site=SITE, pid=1, chosen_s=other_s)))
        if ends:
            await until(lambda: border.heard.stops)
            assert "9.9.9" in border.heard.stops[0]
        else:
            await until(lambda: border.control.peer.connected)
            assert not border.heard.stops


async def test_a_site_process_of_an_earlier_choice_ends_for_controls_version(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other way round; both never end for one another, since one of two choices is the later."""
    server_hello = Hello(software="9.9.9", site=SITE, pid=1, chosen_s=101.0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            writer.write(_framed(server_hello))
            while await reader.read(4096):
                pass

    monkeypatch.setenv(launch.CHOSEN_S, "100")
    clock, sees = ManualClock(NOON), Watching()
    server = await asyncio.start_unix_server(serve, sock=listening(folder, SOCKET))
    with closing(Outbox.open(folder / "journal.db", site=SITE, clock=clock)) as outbox:
        end = SiteEnd(state_dir=folder, site=SITE, takeover=Takeover(outbox), clock=clock)
        task = asyncio.create_task(end.run(sees), name="site end")
        try:
            await until(lambda: sees.stops)
            assert "9.9.9" in sees.stops[0] and not end.peer.connected
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            server.close()
            await server.wait_closed()
