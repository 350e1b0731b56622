"""What every message promises: bytes there and back, unknown fields ignored, anything else refused with a reason."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.control import (
    AckStage,
    BatteryPower,
    Command,
    CommandAck,
    LimitExport,
    LimitImport,
    Live,
    Read,
    Refusal,
    Release,
    Switch,
)
from contracts.forecast import ForecastBroadcast, ForecastKind, ForecastSeries
from contracts.grid import Disturbance, FeederState, GridBroadcast
from contracts.market import (
    Availability,
    MarketBroadcast,
    OrderMessage,
    OrderOp,
    OrderResult,
    OrderStatus,
    ProductState,
    SettlementLine,
    Side,
    TimeInForce,
    TradeLine,
    TradesMessage,
)
from contracts.metering import MeterReading
from contracts.telemetry import EventMessage, Sample, StatusMessage, TelemetryMessage, columns
from contracts.units import ClockTrust, Quality
from contracts.wire import PAYLOAD_BYTES_MAX, Message, UnknownVersion, WireError

AT = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)
LATER = AT + timedelta(minutes=5)
BASE_AT, SERIES = columns([Sample(point="meter/power_w", at=AT, value=-1500.25, quality=Quality.GOOD)])
NUMBERED: dict[str, Any] = {"site": "site-1", "epoch": 1_748_779_200_000, "seq": 7, "sent_at": AT}

MESSAGES: list[Message] = [
    MeterReading(
        **NUMBERED,
        interval_start=AT,
        import_wh=250,
        export_wh=0,
        register_import_wh=5250,
        register_export_wh=17,
        quality=Quality.GOOD,
        clock=ClockTrust.SYNCED,
    ),
    TelemetryMessage(**NUMBERED, base_at=BASE_AT, series=SERIES),
    EventMessage(**NUMBERED, at=AT, phrase="device silent", fields={"device": "meter", "since_s": 12.5, "ok": False}),
    StatusMessage(site="site-1", online=True, at=AT, software="0.1.0", epoch=1),
    OrderMessage(
        **NUMBERED,
        order_id="o-1",
        op=OrderOp.NEW,
        interval_start=LATER,
        side=Side.SELL,
        quantity_wh=1200,
        price_mct_per_kwh=-40,
        time_in_force=TimeInForce.GTD,
        good_till=LATER,
        issued_at=AT,
        ability=Availability(
            interval_start=AT,
            import_wh=(4_250, 4_250),
            export_wh=(0, 2_250),
            own_net_wh=(300, -120),
            stored_wh=0,
            room_wh=4_100,
        ),
    ),
    CommandAck(
        **NUMBERED,
        command_id="c-1",
        stage=AckStage.REJECTED,
        at=AT,
        reason=Refusal.INFEASIBLE,
        feasible=BatteryPower(power_w=-3000),
        readback={"battery/limit_w": None},
        measured_w=-12.5,
    ),
    *(
        Command(
            command_id="c-1",
            site="site-1",
            issuer="grid",
            seq=3,
            issued_at=AT,
            expires_at=LATER,
            action=action,
            event_id="e",
        )
        for action in (
            LimitImport(max_w=0),
            LimitExport(max_w=5000),
            BatteryPower(power_w=-1),
            Switch(device="heat-pump", on=False),
            Release(command_id="c-0"),
            Read(points=("meter/power_w",)),
            Live(period_s=2),
        )
    ),
    TradesMessage(
        zone="zone-a",
        site="site-1",
        interval_start=AT,
        issued_at=AT,
        epoch=1,
        seq=1,
        results=(OrderResult(order_id="o-1", status=OrderStatus.PARTLY_FILLED, traded_wh=5),),
        trades=(TradeLine(trade_id="t", order_id="o-1", side=Side.BUY, quantity_wh=5, price_mct_per_kwh=12_345),),
        settlement=SettlementLine(metered_wh=7, traded_wh=5, imbalance_wh=2, trades_uct=61_725, imbalance_uct=-3),
    ),
    MarketBroadcast(zone="zone-a", interval_start=AT, issued_at=AT, state=ProductState.CLEARED, price_mct_per_kwh=-5),
    GridBroadcast(
        zone="zone-a",
        feeder="feeder-1",
        at=AT,
        state=FeederState.LIMITING,
        power_w=61_000.5,
        limit_w=60_000,
        disturbances=(Disturbance.LOW_VOLTAGE,),
    ),
    ForecastBroadcast(
        zone="zone-a",
        issued_at=AT,
        series=(ForecastSeries(kind=ForecastKind.PV, start=AT, p10=(-9, -8), p50=(-5, -4), p90=(0, 0)),),
    ),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_decoding_undoes_encoding(message: Message) -> None:
    """Both sides must see the same message, whatever it is."""
    assert type(message).decode(message.encode()) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_newer_senders_field_is_ignored_and_its_version_is_refused(message: Message) -> None:
    """Gateways are updated one by one; an added field must not stop them, a changed meaning must."""
    fields = json.loads(message.encode())
    assert type(message).decode(json.dumps({**fields, "added_later": [1, 2]}).encode()) == message
    for version in (2, 0, "1", None):
        with pytest.raises(UnknownVersion, match="this reader knows 1"):
            type(message).decode(json.dumps({**fields, "v": version}).encode())


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_an_instant_is_epoch_milliseconds_on_the_wire(message: Message) -> None:
    """Text instants are read differently everywhere; a number is not."""
    stamps = [value for key, value in json.loads(message.encode()).items() if key.endswith(("_at", "_start"))]
    assert all(isinstance(stamp, int) for stamp in stamps)


@given(payload=st.binary(max_size=200))
def test_noise_is_refused_and_never_crashes_the_reader(payload: bytes) -> None:
    """Anybody who may publish may publish noise."""
    for reader in (Command, MeterReading, TelemetryMessage):
        with pytest.raises(WireError):
            reader.decode(payload)


@given(
    field=st.sampled_from(["import_wh", "seq", "epoch", "interval_start", "quality"]),
    value=st.one_of(
        st.none(),
        st.text("XYZ"),
        st.just(0.5),
        st.lists(st.integers(), max_size=2),
        st.integers(max_value=-1),
    ),
)
def test_a_broken_field_is_named_in_the_refusal(field: str, value: object) -> None:
    """Whoever has to repair the sender needs to know what was wrong."""
    broken = {**json.loads(MESSAGES[0].encode()), field: value}
    with pytest.raises(WireError, match=field):
        MeterReading.decode(json.dumps(broken).encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"export_wh": [1]},
        {"own_net_wh": [1]},
        {"room_wh": None},
        {"import_wh": [-1, 0]},
        {"import_wh": [0] * 97, "export_wh": [0] * 97, "own_net_wh": []},
    ],
)
def test_an_ability_whose_columns_do_not_fit_is_refused_with_its_order(changes: dict[str, Any]) -> None:
    """A site that is taken at half of its word would be held to the other half."""
    (order,) = [message for message in MESSAGES if isinstance(message, OrderMessage)]
    raw = json.loads(order.encode())
    raw["ability"] |= changes
    with pytest.raises(WireError, match="ability"):
        OrderMessage.decode(json.dumps(raw).encode())


def test_a_payload_above_the_brokers_bound_is_refused_unread() -> None:
    """Nothing of ours comes near; reading it would only cost memory."""
    with pytest.raises(WireError, match="above"):
        MeterReading.decode(b" " * (PAYLOAD_BYTES_MAX + 1))


def test_deeply_nested_json_is_refused() -> None:
    """A reader that dies of its stack is a reader that anybody can kill."""
    with pytest.raises(WireError):
        MeterReading.decode(b"[" * 100_000)


def test_a_commands_signature_covers_everything_but_itself() -> None:
    """What is not signed can be changed on the way."""
    command = next(message for message in MESSAGES if isinstance(message, Command))
    signed = command.model_copy(update={"signature": "abc"})
    assert command.signing_bytes() == signed.signing_bytes()
    for change in ({"expires_at": AT}, {"seq": 4}, {"action": LimitImport(max_w=1)}, {"event_id": None}):
        assert command.model_copy(update=change).signing_bytes() != command.signing_bytes()


def test_signing_bytes_survive_the_wire() -> None:
    """The receiver signs what it decoded; one differing byte refuses every command."""
    for message in MESSAGES:
        if isinstance(message, Command):
            assert Command.decode(message.encode()).signing_bytes() == message.signing_bytes()


def test_an_actions_unknown_field_is_refused() -> None:
    """A command that asks for more than we understand must not be obeyed in part."""
    command = next(message for message in MESSAGES if isinstance(message, Command))
    fields = json.loads(command.encode())
    fields["action"]["ramp_w_per_s"] = 5
    with pytest.raises(WireError):
        Command.decode(json.dumps(fields).encode())
