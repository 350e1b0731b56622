"""The gate: what passes, what does not, and that the answer stays the same."""

import json
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from contracts.control import (
    Action,
    BatteryPower,
    Command,
    LimitExport,
    LimitImport,
    LimitLoad,
    MaintenanceLock,
    Read,
    Refusal,
    Release,
    Switch,
    key_id,
)
from contracts.units import ClockTrust, epoch_ms
from edge.control.commands import PAYLOAD_BYTES_MAX
from edge.control.feasible import Reach
from edge.control.gate_state import ANSWERS_MAX, RUNNING_PER_ISSUER_MAX, Answer, GateState, dump_gate, load_gate
from edge.control.keys import Role, SigningKey, TrustedKey
from tests.support.rigs.control_commands import KEYS, NOW, Gate, command, public, signed

LIMIT = LimitImport(max_w=4_200)


def test_a_genuine_command_is_taken_with_its_role() -> None:
    """The plain case."""
    verdict = Gate().take(command(LIMIT))
    assert verdict.accepted
    assert verdict.role is Role.GRID_OPERATOR
    assert not verdict.duplicate


def test_a_repeated_command_gets_the_same_answer_and_no_second_effect() -> None:
    """MQTT delivers at least once."""
    gate = Gate()
    first = gate.take(command(LIMIT))
    state = gate.state
    again = gate.take(command(LIMIT))
    assert (again.accepted, again.duplicate) == (first.accepted, True)
    assert gate.state == state


def test_a_refusal_is_repeated_too_even_when_it_would_be_possible_now() -> None:
    """A no must not turn into a yes by asking again."""
    gate = Gate(able=Reach(charge_w=1_000, batteries=1))
    order = command(BatteryPower(power_w=4_000))
    refused = gate.take(order)
    assert (refused.reason, refused.feasible) == (Refusal.INFEASIBLE, BatteryPower(power_w=1_000))
    gate.able = Reach(charge_w=9_000, batteries=1)
    again = gate.take(order)
    assert (again.accepted, again.duplicate, again.feasible) == (False, True, BatteryPower(power_w=1_000))


def test_the_same_id_with_other_content_is_refused() -> None:
    """An id names one order for ever."""
    gate = Gate()
    gate.take(command(LIMIT))
    verdict = gate.take(command(LimitImport(max_w=9_000), seq=2))
    assert verdict.reason is Refusal.CONFLICTING_ID


CASES: list[tuple[str, Command, Refusal]] = [
    ("site", command(LIMIT, site="home-2"), Refusal.WRONG_SITE),
    ("issuer", command(LIMIT, issuer="stranger"), Refusal.UNKNOWN_ISSUER),
    ("key", command(LIMIT, key=KEYS["aggregator"]), Refusal.BAD_SIGNATURE),
    ("unsigned", command(LIMIT).model_copy(update={"signature": ""}), Refusal.BAD_SIGNATURE),
    ("no base64", command(LIMIT).model_copy(update={"signature": "é!"}), Refusal.BAD_SIGNATURE),
    ("changed", command(LIMIT).model_copy(update={"action": LimitImport(max_w=1)}), Refusal.BAD_SIGNATURE),
    ("future", command(LIMIT, issued_at=NOW + timedelta(seconds=3)), Refusal.FROM_THE_FUTURE),
    ("expired", command(LIMIT, issued_at=NOW - timedelta(seconds=20), lasts_s=20), Refusal.EXPIRED),
    ("old", command(LIMIT, issued_at=NOW - timedelta(seconds=31)), Refusal.TOO_OLD),
    ("long", command(LIMIT, lasts_s=25 * 3600), Refusal.OUT_OF_BOUNDS),
    ("role", command(MaintenanceLock(on=True)), Refusal.NOT_PERMITTED),
    ("load", command(Switch(device="sauna", on=True)), Refusal.UNSUPPORTED),
    ("limited load", command(LimitLoad(device="sauna", max_w=0)), Refusal.UNSUPPORTED),
    ("unknown order", command(Release(command_id="c0")), Refusal.INFEASIBLE),
    ("energy", command(BatteryPower(power_w=5_000), lasts_s=7_200), Refusal.INFEASIBLE),
    ("reach", command(LimitImport(max_w=0), issuer="aggregator"), Refusal.INFEASIBLE),
]


@pytest.mark.parametrize(("sent", "reason"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_does_not_fit_is_refused_with_its_reason(sent: Command, reason: Refusal) -> None:
    """Every refusal is typed; its sender can act on it."""
    gate = Gate(able=Gate().able if reason is not Refusal.INFEASIBLE else _tight())
    verdict = gate.take(sent)
    assert not verdict.accepted
    assert verdict.reason is reason
    assert verdict.detail


def test_an_order_of_a_kind_that_this_version_does_not_know_is_refused_as_unsupported() -> None:
    """A newer cloud learns that it is the gateway that is older, and not that its message was damaged."""
    raw = json.loads(command(LIMIT).encode())
    raw["action"] = {"kind": "boil_water", "device": "kettle"}
    gate = Gate()
    verdict = gate.take(json.dumps(raw).encode())
    assert (verdict.accepted, verdict.command_id, verdict.reason) == (False, "c1", Refusal.UNSUPPORTED)
    assert "boil_water" in (verdict.detail or "")
    assert gate.state == GateState(), "nothing unsigned is remembered"


def _tight() -> Reach:
    return Reach(charge_w=5_000, discharge_w=5_000, room_wh=5_000, store_wh=5_000, import_w_min=3_000, batteries=1)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", Refusal.MALFORMED),
        (b"[" * 5_000, Refusal.MALFORMED),
        (b"\xff\xfe", Refusal.MALFORMED),
        (b'{"v":1,"command_id":"c9"}', Refusal.MALFORMED),
        (b'{"v":2,"command_id":"c9"}', Refusal.UNKNOWN_VERSION),
        (b" " * (PAYLOAD_BYTES_MAX + 1), Refusal.MALFORMED),
    ],
)
def test_bytes_that_are_no_command_are_refused_and_leave_nothing(payload: bytes, reason: Refusal) -> None:
    """Anyone who reaches the broker can send anything."""
    gate = Gate()
    verdict = gate.take(payload)
    assert verdict.reason is reason
    assert gate.state == GateState()
    assert verdict.command_id == ("c9" if b"c9" in payload else None)


def test_an_absurd_limit_never_becomes_a_command() -> None:
    """A negative limit once wrapped in a register and released an inverter."""
    raw = json.loads(command(LIMIT).encode())
    raw["action"]["max_w"] = -1
    assert Gate().take(json.dumps(raw).encode()).reason is Refusal.MALFORMED


def test_a_retained_command_is_inert() -> None:
    """A broker hands a retained message to everyone who subscribes, years later too."""
    gate = Gate()
    assert gate.take(command(LIMIT), retained=True).reason is Refusal.RETAINED
    assert gate.take(command(LIMIT)).accepted


def test_an_untrusted_clock_takes_no_order() -> None:
    """Expiry means nothing to a gateway that does not know the time."""
    assert Gate(clock=ClockTrust.UNTRUSTED).take(command(LIMIT)).reason is Refusal.CLOCK_UNTRUSTED
    assert Gate(clock=ClockTrust.HOLDOVER).take(command(LIMIT)).accepted


def test_order_is_kept_per_issuer() -> None:
    """A captured older command must not undo a newer one; another issuer's numbers are its own."""
    gate = Gate()
    assert gate.take(command(LIMIT, command_id="c5", seq=5)).accepted
    assert gate.take(command(LIMIT, command_id="c4", seq=4)).reason is Refusal.OUT_OF_ORDER
    assert gate.take(command(LIMIT, command_id="c6", seq=5)).reason is Refusal.REPLAYED
    assert gate.take(command(LIMIT, command_id="a1", issuer="aggregator", seq=1)).accepted
    assert gate.take(command(LIMIT, command_id="c7", seq=6)).accepted


def test_a_late_copy_does_not_use_up_a_number() -> None:
    """A delayed message must not block those that follow it."""
    gate = Gate()
    assert gate.take(command(LIMIT, seq=9, issued_at=NOW - timedelta(minutes=1))).reason is Refusal.TOO_OLD
    assert gate.take(command(LIMIT, command_id="c2", seq=2)).accepted


def test_the_grid_operators_limit_is_taken_however_little_can_be_done() -> None:
    """A refused limit would leave the grid with nothing."""
    assert Gate(able=_tight()).take(command(LimitImport(max_w=0))).accepted
    verdict = Gate(able=_tight()).take(command(LimitImport(max_w=0), issuer="aggregator"))
    assert verdict.feasible == LimitImport(max_w=3_000)


def test_an_order_that_the_energy_does_not_last_for_gets_the_power_that_does() -> None:
    """A plan with a state of charge below zero is a known way to fail."""
    verdict = Gate().take(command(BatteryPower(power_w=-5_000), lasts_s=7_200))
    assert verdict.feasible == BatteryPower(power_w=-2_500)
    assert Gate().take(command(BatteryPower(power_w=-2_500), lasts_s=7_200)).accepted


def test_the_longest_order_does_not_fail_for_a_clock_that_is_a_little_behind() -> None:
    """Two clocks differ by some milliseconds; the bound is on the order, not on them."""
    ahead = timedelta(seconds=1)
    assert Gate().take(command(LIMIT, issued_at=NOW + ahead, lasts_s=24 * 3600)).accepted
    verdict = Gate().take(command(LIMIT, issued_at=NOW + ahead, lasts_s=24 * 3600 + 600))
    assert verdict.detail == "lasts 24.2 h, above the 24 h of a grid_operator"


def test_a_key_may_be_bounded_in_power() -> None:
    """An aggregator is trusted with so much and no more."""
    gate = Gate(battery_power_w_max=2_000)
    verdict = gate.take(command(BatteryPower(power_w=-3_000)))
    assert (verdict.reason, verdict.feasible) == (Refusal.OUT_OF_BOUNDS, BatteryPower(power_w=-2_000))
    assert gate.take(command(BatteryPower(power_w=-2_000), command_id="c2", seq=2)).accepted


def test_only_its_own_issuer_releases_an_order() -> None:
    """The market does not end a grid operator's limit."""
    gate = Gate()
    gate.take(command(LIMIT))
    foreign = gate.take(command(Release(command_id="c1"), command_id="r1", issuer="aggregator"))
    assert foreign.reason is Refusal.NOT_PERMITTED
    assert gate.take(command(Release(command_id="c1"), command_id="r2", seq=2)).accepted


def test_a_locked_site_refuses_all_that_steers_until_the_lock_is_lifted() -> None:
    """Someone may have a hand in the cabinet."""
    gate = Gate()
    assert gate.take(command(MaintenanceLock(on=True), command_id="l1", issuer="owner", lasts_s=3_600)).accepted
    assert gate.take(command(LIMIT)).reason is Refusal.LOCKED
    assert gate.take(command(Read(points=("meter/power_w",)), command_id="c2", seq=2)).accepted
    assert gate.take(command(MaintenanceLock(on=False), command_id="l2", issuer="owner", seq=2)).accepted
    assert gate.take(command(LIMIT, command_id="c3", seq=3)).accepted
    assert Gate(locked=True).take(command(LIMIT)).reason is Refusal.LOCKED


def test_a_lock_ends_with_its_command() -> None:
    """Nothing that a command asks for outlives it, a lock neither."""
    gate = Gate()
    gate.take(command(MaintenanceLock(on=True), command_id="l1", issuer="owner", lasts_s=60))
    gate.now = NOW + timedelta(seconds=61)
    assert gate.take(command(LIMIT, issued_at=gate.now)).accepted


def test_the_memory_survives_a_restart() -> None:
    """A replay right after a power cut is still a replay."""
    gate = Gate()
    gate.take(command(LIMIT))
    gate.take(command(BatteryPower(power_w=9_000), command_id="c2", seq=2))
    gate.take(command(MaintenanceLock(on=True), command_id="l1", issuer="owner", lasts_s=3_600))
    restarted = Gate(state=load_gate(dump_gate(gate.state)))
    assert restarted.state == gate.state
    assert restarted.take(command(LIMIT)).duplicate
    for damaged in ("", "{}", "[]", '{"last_seq":{},"locked_until_ms":null,"answers":{"c1":{}}}'):
        with pytest.raises(ValueError):
            load_gate(damaged)


def test_a_flood_of_signed_commands_keeps_the_memory_bounded_and_nobody_out() -> None:
    """512 reads of an aggregator, 24 h each, locked the grid operator out for a day."""
    gate = Gate()
    gate.take(command(LIMIT, command_id="before"))
    for seq in range(1, 2 * ANSWERS_MAX):
        read = Read(points=())
        verdict = gate.take(command(read, command_id=f"r{seq}", seq=seq, issuer="aggregator", lasts_s=24 * 3600 - 2))
        assert verdict.accepted
    assert len(gate.state.answers) == ANSWERS_MAX
    assert "before" in gate.state.answers, "an order that holds a lever is never forgotten"
    assert gate.take(command(LimitExport(max_w=0), command_id="after", seq=2)).accepted
    assert gate.take(command(Read(points=()), command_id="heartbeat", seq=3)).accepted
    assert gate.take(command(Release(command_id="before"), command_id="release", seq=4)).accepted
    assert set(gate.state.running(NOW)) == {"after"}


def test_heartbeats_never_use_up_the_gate() -> None:
    """17 hours of them did."""
    gate = Gate()
    for seq in range(1, 3 * ANSWERS_MAX):
        assert gate.take(command(Read(points=()), command_id=f"h{seq}", seq=seq, lasts_s=24 * 3600 - 2)).accepted
    assert gate.state.running(NOW) == {}
    assert gate.take(command(LIMIT, command_id="late", seq=9_000)).accepted


def test_an_issuer_has_a_share_of_levers_and_cannot_take_anothers() -> None:
    """A newer order for the same lever takes the place of the older; more levers than a site has are refused."""
    held = {
        f"a{number}": Answer(
            digest="0", issuer="aggregator", seq=number, ends_ms=epoch_ms(NOW) + 1000, accepted=True, holds=f"x{number}"
        )
        for number in range(RUNNING_PER_ISSUER_MAX)
    }
    gate = Gate()
    gate.state = GateState(answers=held)
    refused = gate.take(command(LIMIT, command_id="one-more", issuer="aggregator", seq=900))
    assert refused.reason is Refusal.OVERLOADED
    assert gate.take(command(LIMIT, command_id="mine")).accepted
    assert gate.take(command(LimitImport(max_w=1), command_id="newer", seq=2)).accepted
    assert "mine" not in gate.state.running(NOW)


def test_the_grid_operator_gets_in_where_others_hold_all_there_is() -> None:
    """A higher role is never kept out by lower ones."""
    held = {
        f"a{number}": Answer(
            digest="0", issuer=f"i{number // 60}", seq=1, ends_ms=epoch_ms(NOW) + 1000, accepted=True, holds=f"{number}"
        )
        for number in range(ANSWERS_MAX)
    }
    gate = Gate()
    gate.state = GateState(answers=held)
    assert gate.take(command(LIMIT, command_id="low", issuer="aggregator")).reason is Refusal.OVERLOADED
    assert gate.take(command(LIMIT, command_id="high")).accepted
    assert set(held) < set(gate.state.running(NOW))


def test_memory_of_an_earlier_version_is_read() -> None:
    """It kept no levers: what it accepted is never forgotten before its end."""
    gate = Gate()
    gate.take(command(LIMIT))
    raw = json.loads(dump_gate(gate.state))
    for answer in raw["answers"].values():
        del answer["holds"]
    assert set(load_gate(json.dumps(raw)).running(NOW)) == set(gate.state.running(NOW))


actions = st.sampled_from([LIMIT, LimitExport(max_w=0), BatteryPower(power_w=1_000), Switch(device="boiler", on=False)])


@given(
    st.lists(
        st.tuples(actions, st.integers(1, 6), st.integers(1, 4), st.sampled_from([0, 10, 40, 200])),
        max_size=20,
    )
)
def test_each_id_has_one_effect_and_one_answer_whatever_arrives(sent: list[tuple[Action, int, int, int]]) -> None:
    """Reordered, repeated and late messages: at most one acceptance that is not a repeat, and sequence only rises."""
    gate, effects, last = Gate(), set(), 0
    for action, number, seq, age_s in sent:
        issued_at = NOW - timedelta(seconds=age_s)
        verdict = gate.take(command(action, command_id=f"c{number}", seq=seq, issued_at=issued_at))
        if verdict.accepted and not verdict.duplicate:
            assert verdict.command_id not in effects
            assert seq > last
            effects.add(verdict.command_id)
        last = gate.state.last_seq.get("grid_operator", 0)


@given(st.binary(max_size=300) | st.text().map(str.encode))
def test_no_bytes_crash_the_gate(payload: bytes) -> None:
    """The gate is the one part that strangers can reach."""
    gate = Gate()
    assert not gate.take(payload).accepted
    assert gate.state == GateState()


@pytest.mark.parametrize(
    "payload",
    [
        b'{"v":9,"command_id":"\\ud800"}',
        b'{"command_id":"\\udfff","v":1}',
        b'{"v":1,"command_id":"\\u001b[2J"}',
        b'{"v":1,"command_id":"' + b"x" * 65 + b'"}',
        b'{"v":1,"command_id":' + b"[" * 4000,
    ],
)
def test_an_id_that_no_answer_could_carry_is_not_answered(payload: bytes) -> None:
    """A lone surrogate in 32 unsigned bytes ended the gateway when it was answered by its id."""
    verdict = Gate().take(payload)
    assert not verdict.accepted
    assert verdict.command_id is None


def test_a_sequence_that_would_lock_its_issuer_out_for_ever_is_malformed() -> None:
    """No later number of 64 bits would follow."""
    gate = Gate()
    payload = command(LIMIT).encode().replace(b'"seq":1,', b'"seq":9223372036854775807,')
    assert gate.take(payload).reason is Refusal.MALFORMED
    assert gate.take(command(LIMIT)).accepted


def _with_key(order: Command, key: Ed25519PrivateKey, *, named: bool = True) -> Command:
    """Return an order signed by a key, named or not."""
    update = {"key_id": key_id(public(key))} if named else {}
    return signed(order, key).model_copy(update=update)


OLD, NEW = (Ed25519PrivateKey.from_private_bytes(bytes([index] * 32)) for index in (101, 102))
CHANGE = NOW + timedelta(days=30)
TWO_KEYS = {
    "grid_operator": TrustedKey(
        role=Role.GRID_OPERATOR,
        keys=(
            SigningKey(public_key=public(OLD), valid_until=CHANGE),
            SigningKey(public_key=public(NEW), valid_from=NOW - timedelta(days=1)),
        ),
    )
}


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(
    ("key", "at", "told"),
    [
        (OLD, NOW, None),
        (NEW, NOW, None),
        (OLD, CHANGE - timedelta(seconds=1), None),
        (OLD, CHANGE, "was valid until 2026-07-01T12:00:00"),
        (NEW, CHANGE, None),
        (NEW, NOW - timedelta(days=2), "is not valid before 2026-05-31T12:00:00"),
        (KEYS["owner"], NOW, "not signed by the key|does not know of grid_operator"),
    ],
)
def test_while_a_key_is_changed_both_are_taken_each_within_its_life(
    key: Ed25519PrivateKey, at: datetime, told: str | None, named: bool
) -> None:
    """A lost key ends by its date, a new one is taken before the old one ends; senders of before name no key."""
    gate = Gate(now=at, trusted=TWO_KEYS)
    verdict = gate.take(_with_key(command(LIMIT, issued_at=at), key, named=named))
    assert verdict.accepted is (told is None)
    if told is not None:
        assert verdict.reason is Refusal.BAD_SIGNATURE
        assert any(part in str(verdict.detail) for part in told.split("|"))
        assert gate.state == GateState()


def test_the_name_of_the_key_changes_nothing_that_is_signed() -> None:
    """A gateway that does not know the field reads the same bytes, and a copy with another name is the same order."""
    plain = command(LIMIT)
    named = plain.model_copy(update={"key_id": "0123456789abcdef"})
    assert named.signing_bytes() == plain.signing_bytes()
    assert b"key_id" in named.encode()
    assert b"key_id" not in plain.encode()
