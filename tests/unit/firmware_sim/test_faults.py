"""The wire that goes wrong."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.bank import Bank
from firmware_sim.errors import PlantError
from firmware_sim.fault_rules import FaultKind, FaultRule, load_faults
from firmware_sim.faults import FaultyWire
from firmware_sim.plant_config import BatteryConfig, DeviceConfig, DeviceKind
from firmware_sim.server import frame
from tests.support.modbus.simulator import SAFETY_S, Bench, ManualClock, bench, home, read_request, words


class Recorder:
    """A peer that keeps what was sent to it."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.sent: list[bytes] = []
        self.arrived = asyncio.Event()

    def frame(self, transaction: int, unit: int, pdu: bytes) -> bytes:
        """Frame as TCP does."""
        return frame(transaction, unit, pdu)

    def hang_up(self) -> None:
        """Stay."""

    def send(self, data: bytes) -> float:
        """Keep the bytes."""
        self.sent.append(data)
        self.arrived.set()
        return asyncio.get_running_loop().time()

    async def received(self, count: int) -> list[bytes]:
        """Wait until so many answers have come."""
        async with asyncio.timeout(SAFETY_S):
            while len(self.sent) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return self.sent


class Host:
    """Units, and whether their clients were dropped."""

    def __init__(self, bank: Bank) -> None:
        """Hold one device as unit 1."""
        self.units: Mapping[int, Bank] = {1: bank}
        self.dropped = 0

    def drop_clients(self) -> None:
        """Count it."""
        self.dropped += 1


class Line:
    """One faulty wire to one hybrid inverter."""

    def __init__(self, *rules: dict[str, Any], seed: int = 1) -> None:
        """Put rules on the wire to a home's inverter."""
        self.bench: Bench = bench(home(load_w=0))
        self.peer, self.host = Recorder(), Host(self.bench.device.bank)
        parsed = [FaultRule.model_validate(rule) for rule in rules]
        self.wire = FaultyWire(parsed, seed=seed, clock=self.bench.clock)

    def ask(self, pdu: bytes, *, transaction: int = 7, unit: int = 1, peer: Recorder | None = None) -> None:
        """Send one request down the wire."""
        self.wire.deliver(peer or self.peer, self.host, transaction=transaction, unit=unit, request=pdu)

    @property
    def marker(self) -> bytes:
        """Return the true answer to ``MARKER``."""
        return frame(7, 1, b"\x03\x04SunS")


MARKER = read_request(40_000, 2)


async def test_without_a_rule_that_applies_the_answer_is_true() -> None:
    """Windows, units and kinds of request all restrict a rule."""
    line = Line(
        {"kind": "drop", "from_s": 10, "to_s": 20},
        {"kind": "drop", "unit": 2},
        {"kind": "drop", "requests": "writes"},
        {"kind": "drop", "probability": 0},
    )
    line.ask(MARKER)
    assert line.peer.sent == [line.marker]
    line.bench.clock.move(15)
    line.ask(MARKER)
    assert line.peer.sent == [line.marker]
    line.bench.clock.move(5)
    line.ask(MARKER)
    assert line.peer.sent == [line.marker] * 2
    assert line.wire.happened == {FaultKind.DROP: 1}


async def test_a_dropped_answer_still_did_its_work() -> None:
    """The dangerous half of a lost answer: the write happened, and a blind repeat happens twice."""
    line = Line({"kind": "drop", "count_max": 1})
    address = line.bench.address(124, "StorCtl_Mod")
    line.ask(b"\x06" + address.to_bytes(2, "big") + words(3))
    assert line.peer.sent == []
    assert line.bench.read(124, "StorCtl_Mod") == 3


async def test_a_late_answer_is_overtaken_and_a_delayed_one_is_not() -> None:
    """Off-by-one replies are the field's favourite; a slow device is merely slow."""
    late = Line({"kind": "late", "count_max": 1, "delay_s": 0.02})
    slow = Line({"kind": "delay", "count_max": 1, "delay_s": 0.02})
    for line in (late, slow):
        line.ask(MARKER, transaction=1)
        line.ask(MARKER, transaction=2)
        assert len(line.peer.sent) == (1 if line is late else 0)
    assert [sent[1] for sent in await late.peer.received(2)] == [2, 1]
    assert [sent[1] for sent in await slow.peer.received(2)] == [1, 2]


async def test_a_half_open_connection_is_silent_and_a_new_one_is_answered() -> None:
    """Only reconnecting helps; another client is not concerned."""
    line = Line({"kind": "half_open", "count_max": 1})
    line.ask(MARKER)
    line.ask(MARKER)
    other = Recorder()
    line.ask(MARKER, peer=other)
    assert line.peer.sent == []
    assert other.sent == [line.marker]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        pytest.param({"kind": "duplicate"}, [frame(7, 1, b"\x03\x04SunS")] * 2, id="duplicate"),
        pytest.param({"kind": "wrong_unit"}, [frame(7, 2, b"\x03\x04SunS")], id="wrong unit"),
        pytest.param({"kind": "swap"}, [frame(6, 1, b"\x03\x04SunS")], id="transaction of the request before"),
        pytest.param({"kind": "exception", "code": 5}, [frame(7, 1, b"\x83\x05")], id="exception"),
        pytest.param({"kind": "zeros"}, [frame(7, 1, b"\x03\x04\0\0\0\0")], id="zeros"),
    ],
)
async def test_an_answer_is_spoilt_as_the_rule_says(rule: dict[str, Any], expected: list[bytes]) -> None:
    """Each kind is a wrong value that a gateway must not take."""
    line = Line(rule)
    line.ask(MARKER)
    assert line.peer.sent == expected


async def test_a_truncated_answer_is_a_beginning_of_the_true_one() -> None:
    """Whatever the cut, no byte is invented."""
    line = Line({"kind": "truncate"})
    for _ in range(50):
        line.ask(MARKER)
    assert all(line.marker.startswith(sent) and 0 < len(sent) < len(line.marker) for sent in line.peer.sent)
    assert len({len(sent) for sent in line.peer.sent}) > 3


async def test_a_sentinel_storm_speaks_the_language_of_each_point() -> None:
    """Not implemented looks different for every type; ids and lengths must stay, or the walk is lost."""
    line = Line({"kind": "sentinels"})
    address = line.bench.device.bank.addresses[103]
    line.ask(read_request(address, 52))
    data = line.peer.sent[0][9:]
    register = {
        name: data[2 * at : 2 * at + 2] for name, at in (("id", 0), ("A", 2), ("W", 14), ("W_SF", 15), ("WH", 24))
    }
    assert register == {
        "id": b"\x00\x67",
        "A": b"\xff\xff",
        "W": b"\x80\x00",
        "W_SF": b"\x80\x00",
        "WH": b"\x00\x00",
    }
    line.ask(read_request(39_000, 2))
    assert line.peer.sent[1] == frame(7, 1, b"\x83\x02")


async def test_a_scale_flip_changes_the_registers_and_not_their_meaning() -> None:
    """A gateway that reads value and factor together never notices; one that caches the factor is ten times off."""
    line = Line({"kind": "scale_flip", "requests": "reads"})
    address = line.bench.device.bank.addresses[103]
    meant, scales = [], []
    for number in range(4):
        line.ask(read_request(address, 52))
        data = line.peer.sent[number][9:]
        scale = int.from_bytes(data[30:32], "big", signed=True)
        scales.append(scale)
        meant.append(int.from_bytes(data[28:30], "big", signed=True) * 10.0**scale)
    assert scales == [1, 0, 1, 0]
    assert meant == pytest.approx([meant[1]] * 4, abs=10)
    assert meant[1] > 1_000


async def test_a_write_after_a_flip_is_read_with_the_new_factor() -> None:
    """The device means what its registers say now."""
    line = Line()
    line.bench.device.bank.flip_scales()
    line.bench.write(124, "OutWRte", -500)
    line.bench.write(124, "StorCtl_Mod", 2)
    line.bench.clock.move(1)
    assert line.bench.site_w[2] == pytest.approx(2_000)


async def test_a_reboot_forgets_orders_drops_clients_and_is_silent_for_a_while() -> None:
    """A gateway finds its limit gone, without being told."""
    line = Line({"kind": "reboot", "from_s": 10, "to_s": 11, "silent_s": 30})
    line.bench.write(124, "StorCtl_Mod", 3)
    line.bench.clock.move(10)
    line.ask(MARKER)
    assert line.host.dropped == 1
    assert line.bench.read(124, "StorCtl_Mod") == 0
    line.bench.clock.move(29)
    line.ask(MARKER)
    assert line.peer.sent == []
    line.bench.clock.move(1)
    line.ask(MARKER)
    assert line.peer.sent == [line.marker]


async def test_a_hole_refuses_every_read_that_touches_it() -> None:
    """Merging across it must be learned, not repeated."""
    line = Line({"kind": "hole", "address": 40_010, "count": 5})
    for address, count in ((40_005, 5), (40_005, 6), (40_014, 1), (40_015, 1)):
        line.ask(read_request(address, count))
    assert [sent[7] for sent in line.peer.sent] == [3, 0x83, 0x83, 3]
    assert line.peer.sent[1] == frame(7, 1, b"\x83\x02")


async def test_a_hasty_request_is_not_heard() -> None:
    """Some devices need a pause after every answer; polling faster only makes them deaf."""
    line = Line({"kind": "hasty", "delay_s": 60})
    line.ask(MARKER)
    line.ask(MARKER)
    assert line.peer.sent == [line.marker]
    patient = Line({"kind": "hasty", "delay_s": 0})
    patient.ask(MARKER)
    patient.ask(MARKER)
    assert patient.peer.sent == [line.marker] * 2


async def test_a_second_master_writes_between_our_requests() -> None:
    """Ownership must be proven by reading back."""
    address = bench(home()).address(124, "StorCtl_Mod")
    line = Line({"kind": "second_master", "address": address, "values": [2], "count_max": 1})
    line.ask(read_request(address, 1))
    assert line.peer.sent == [frame(7, 1, b"\x03\x02\x00\x02")]
    refused = Line({"kind": "second_master", "address": 40_000, "values": [2]})
    refused.ask(MARKER)
    assert refused.peer.sent == [refused.marker]


async def test_the_same_seed_spoils_the_same_requests() -> None:
    """A failure prints its seed, and the seed brings it back."""

    def run(seed: int) -> list[bytes]:
        line = Line(
            {"kind": "truncate", "probability": 0.2},
            {"kind": "exception", "probability": 0.2},
            {"kind": "drop", "probability": 0.2},
            seed=seed,
        )
        for transaction in range(200):
            line.ask(MARKER, transaction=transaction)
        assert sum(line.wire.happened.values()) > 50
        return line.peer.sent

    assert run(1) == run(1)
    assert run(1) != run(2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("[{kind: gremlin}]", "rules.0.kind", id="unknown kind"),
        pytest.param("[{kind: drop, probability: 2}]", "less than or equal to 1", id="more than always"),
        pytest.param("[{kind: drop, from_s: 5, to_s: 5}]", "before it begins", id="empty window"),
        pytest.param("[{kind: second_master}]", "needs an address", id="second master without words"),
        pytest.param("[{kind: hole}]", "needs the address", id="a hole nowhere"),
        pytest.param("[{kind: zeros, requests: writes}]", "only reads", id="nothing to spoil"),
        pytest.param("rules: [{kind: drop, chance: 1}]", "chance", id="unknown key"),
        pytest.param("[", "cannot be read", id="no YAML"),
    ],
)
def test_a_mistake_in_a_faults_file_is_named(tmp_path: Path, text: str, says: str) -> None:
    """A rule that silently never fires proves nothing."""
    file = tmp_path / "faults.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(PlantError) as refusal:
        load_faults(file)
    assert says in str(refusal.value)


def test_faults_belong_to_a_port_and_not_to_a_second_device_on_it() -> None:
    """Two rule sets on one wire would be a riddle."""
    with pytest.raises(ValueError, match="name them there"):
        DeviceConfig(id="b", kind=DeviceKind.SDM630, shares_port_of="a", faults=(FaultRule(kind=FaultKind.DROP),))


def test_a_battery_outside_its_own_bounds_is_refused() -> None:
    """It would begin by breaking the law that it must stay in them."""
    with pytest.raises(ValueError, match="outside its usable"):
        BatteryConfig(capacity_wh=1, charge_w_max=1, discharge_w_max=1, soc_percent=1)


def test_manual_clocks_agree_with_themselves() -> None:
    """The tests above rest on it."""
    clock = ManualClock()
    clock.move(2.5)
    assert (clock.now() - ManualClock().now()).total_seconds() == clock.monotonic() == 2.5
