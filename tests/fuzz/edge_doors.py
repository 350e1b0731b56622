"""Doors of the gateway: what the broker, the fleet service and the devices send."""

import asyncio
import contextlib
import json
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from pymodbus.framer import FramerAscii, FramerRTU
from pymodbus.pdu import DecodePDU

from contracts.control import Action, BatteryPower, LimitExport, LimitImport, Read, Release, Switch
from contracts.forecast import ForecastBroadcast, ForecastKind, ForecastSeries
from contracts.market import OrderResult, OrderStatus, Side, TradeLine, TradesMessage
from contracts.units import DELIVERY_INTERVAL, ClockTrust
from contracts.wire import WireError
from edge.agent.trader import Trader
from edge.devices.catalogue import load_profile
from edge.devices.offline import decode_registers, parse_registers
from edge.errors import ConfigError, DeviceError, UpdateRefused
from edge.fleet.shadow import NamedShadow, ShadowName, Wanted
from edge.fleet.update.document import read_update
from edge.links.link import Ack, Inbound
from edge.modbus.late_replies import LateReplies
from edge.modbus.pdu import read_reply, read_reply_bytes, read_request, read_values
from edge.modbus.point import Table
from edge.modbus.url import Scheme
from edge.modbus.wire import Wire
from edge.outbox.outbox import Outbox
from edge.site.remote_settings import RemoteSettings
from tests.fuzz.door import Door, Form, Take
from tests.support.manual_clock import ManualClock
from tests.support.rigs.control_commands import KEYS, NOW, command
from tests.support.rigs.edge_parts import SITE, config, counter

REGISTERS = 12


@contextmanager
def _commands(folder: Path) -> Iterator[Take]:
    with counter(folder, ManualClock(NOW)) as rig:
        yield lambda raw: rig.executor.take(raw, retained=False)


@contextmanager
def _trading(folder: Path) -> Iterator[tuple[Trader, ManualClock]]:
    clock = ManualClock(NOW)
    with closing(Outbox.open(folder / "journal.db", site=SITE, clock=clock)) as outbox:
        yield (
            Trader(
                config=config(trading={"enabled": True}),
                clock=clock,
                outbox=outbox,
                clock_trust=lambda: ClockTrust.SYNCED,
            ),
            clock,
        )


@contextmanager
def _trades(folder: Path) -> Iterator[Take]:
    with _trading(folder) as (trader, clock):

        def take(raw: bytes) -> None:
            with contextlib.suppress(WireError):
                trader.hear_trades(TradesMessage.decode(raw))
                clock.advance(1.0)
                trader.look()

        trader.hear_forecast(_forecast())
        yield take


@contextmanager
def _outlooks(folder: Path) -> Iterator[Take]:
    with _trading(folder) as (trader, clock):

        def take(raw: bytes) -> None:
            with contextlib.suppress(WireError):
                trader.hear_forecast(ForecastBroadcast.decode(raw))
                clock.advance(1.0)
                trader.look()

        yield take


class _Link:
    """Takes what is published and answers never."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def subscribe(self, topics: object) -> None:
        """Take whatever is wanted."""

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> "asyncio.Future[Ack]":
        """Take the message."""
        return self._loop.create_future()


@contextmanager
def _shadow(folder: Path) -> Iterator[Take]:
    clock = ManualClock(NOW)
    with (
        closing(asyncio.new_event_loop()) as loop,
        closing(Outbox.open(folder / "journal.db", site=SITE, clock=clock)) as outbox,
    ):
        settings = RemoteSettings(config(), memory=outbox)

        def take(raw: bytes) -> None:
            # A shadow of its own each time: a high version would deafen it to all that follow.
            shadow = NamedShadow(
                link=cast(Any, _Link(loop)),
                thing=SITE,
                name=ShadowName.CONFIG,
                apply=lambda wanted: _proposed(settings, wanted),
            )
            for topic in shadow.topics():
                shadow.arrived(Inbound(topic=topic, payload=raw, retained=False))

        yield take


def _proposed(settings: RemoteSettings, wanted: Wanted) -> None:
    settings.propose(ShadowName.CONFIG, wanted)


@contextmanager
def _updates(_: Path) -> Iterator[Take]:
    trusted = KEYS["owner"].public_key()

    def take(raw: bytes) -> None:
        try:
            document = json.loads(raw)
        except (ValueError, RecursionError):
            return
        with contextlib.suppress(UpdateRefused):
            read_update(document, trusted=trusted, running="0.1.0")

    yield take


class _Sink(asyncio.WriteTransport):
    """Takes what is sent; the bytes of the door are the device's answer."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send nowhere."""

    def close(self) -> None:
        """Close nothing."""


@contextmanager
def _modbus(scheme: Scheme) -> Iterator[Take]:
    with closing(asyncio.new_event_loop()) as loop:

        async def ask(raw: bytes) -> None:
            wire = Wire(scheme, late_replies=LateReplies(), on_lost=lambda _: None)
            wire.connection_made(_Sink())
            request = wire.request(
                unit=1,
                payload=read_request(Table.HOLDING, 0, REGISTERS),
                reply_bytes=read_reply_bytes(Table.HOLDING, REGISTERS),
                timeout_s=60.0,
            )
            task = asyncio.create_task(request, name="request")
            await asyncio.sleep(0)
            middle = len(raw) // 2
            wire.data_received(raw[:middle])
            wire.data_received(raw[middle:])
            wire.close()
            with contextlib.suppress(DeviceError):
                words = read_values(Table.HOLDING, REGISTERS, await task)
                assert words is None or all(0 <= word <= 0xFFFF for word in words)

        yield lambda raw: loop.run_until_complete(ask(raw))


@contextmanager
def _registers(_: Path) -> Iterator[Take]:
    profiles = [load_profile(name) for name in ("fronius_gen24_int", "eastron_sdm630", "huawei_sun2000")]

    def take(raw: bytes) -> None:
        with contextlib.suppress(ConfigError, UnicodeDecodeError):
            registers = parse_registers(raw.decode())
            for profile in profiles:
                decode_registers(profile, registers)

    yield take


def _commands_sent() -> list[bytes]:
    actions: tuple[Action, ...] = (
        LimitImport(max_w=4000),
        LimitExport(max_w=0),
        BatteryPower(power_w=-1000),
        Switch(device="boiler", on=True),
        Release(command_id="c1"),
        Read(points=("meter/active_power_w",)),
    )
    return [
        command(action, command_id=f"c{number}", seq=number).encode() for number, action in enumerate(actions, start=1)
    ]


def _trades_told() -> bytes:
    begin = NOW + 4 * DELIVERY_INTERVAL
    return TradesMessage(
        zone="zone-1",
        site=SITE,
        interval_start=begin,
        issued_at=NOW,
        epoch=1,
        seq=1,
        results=(OrderResult(order_id="o1", status=OrderStatus.FILLED),),
        trades=(TradeLine(trade_id="t1", order_id="o1", side=Side.BUY, quantity_wh=250, price_mct_per_kwh=20_000),),
    ).encode()


def _forecast() -> ForecastBroadcast:
    def series(kind: ForecastKind, value: int, site: str | None) -> ForecastSeries:
        steps = (value,) * 40
        return ForecastSeries(kind=kind, site=site, start=NOW, p10=steps, p50=steps, p90=steps)

    told = (
        series(ForecastKind.LOAD, 2_000, SITE),
        series(ForecastKind.PV, -1_000, SITE),
        series(ForecastKind.PRICE, 20_000, None),
    )
    return ForecastBroadcast(zone="zone-1", issued_at=NOW - timedelta(minutes=1), series=told)


def _wish(desired: dict[str, Any]) -> bytes:
    state = {"state": {"desired": desired, "reported": {}}, "version": 3}
    return json.dumps({**state, "current": state, "timestamp": 1, "code": 413, "message": "too large"}).encode()


def _tcp_reply() -> bytes:
    payload = read_reply(Table.HOLDING, range(REGISTERS))
    return struct.pack(">HHHB", 1, 0, len(payload) + 1, 1) + payload


def _serial_reply(scheme: Scheme) -> bytes:
    payload = read_reply(Table.HOLDING, range(REGISTERS))
    framer = (FramerAscii if scheme is Scheme.ASCII else FramerRTU)(DecodePDU(False))
    return bytes(framer.encode(payload, 1, 0))


_DUMP = {
    "holding": {str(40_000 + number): word for number, word in enumerate((21365, 28243, 1, 66, *range(140)))},
    "input": {str(number): 17_000 + number for number in range(90)},
}
_UPDATE = {
    "operation": "update", "version": "0.2.0", "artefact_url": "https://example.org/w.whl", "size_bytes": 1000,
    "sha256": "0" * 64, "min_from": "0.1.0", "deadline": 1_900_000_000_000, "signature": "AA==",
}  # fmt: skip

DOORS = (
    Door(name="command", form=Form.JSON, samples=_commands_sent(), open=_commands),
    Door(name="trades", form=Form.JSON, samples=[_trades_told()], open=_trades),
    Door(name="outlook", form=Form.JSON, samples=[_forecast().encode()], open=_outlooks),
    Door(
        name="shadow",
        form=Form.JSON,
        samples=[_wish({"telemetry": {"period_s": 60}}), _wish({"trading": {"enabled": False}}), _wish({})],
        open=_shadow,
    ),
    Door(name="update", form=Form.JSON, samples=[json.dumps(_UPDATE).encode()], open=_updates),
    Door(name="modbus-tcp", form=Form.BINARY, samples=[_tcp_reply()], open=lambda _: _modbus(Scheme.TCP)),
    Door(name="modbus-rtu", form=Form.BINARY, samples=[_serial_reply(Scheme.RTU)], open=lambda _: _modbus(Scheme.RTU)),
    Door(
        name="modbus-ascii",
        form=Form.BINARY,
        samples=[_serial_reply(Scheme.ASCII)],
        open=lambda _: _modbus(Scheme.ASCII),
    ),
    Door(name="registers", form=Form.JSON, samples=[json.dumps(_DUMP).encode()], open=_registers),
)
