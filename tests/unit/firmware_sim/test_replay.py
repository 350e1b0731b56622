"""Dumps served again."""

import json
from pathlib import Path

import pytest

from firmware_sim.bank import Table
from firmware_sim.errors import ModbusRefused, PlantError
from firmware_sim.replay import ReplayBank, load_dump
from tests.support.modbus.simulator import ManualClock


def dump(tmp_path: Path, text: str) -> Path:
    """Write a dump file."""
    file = tmp_path / "dump.json"
    file.write_text(text, encoding="utf-8")
    return file


def test_one_frame_is_served_as_it_was_read(tmp_path: Path) -> None:
    """The form in which a bug report arrives."""
    file = dump(
        tmp_path, json.dumps({"holding": {"40083": 14152, "40084": 65535}, "input": {"0x10": 7}, "coil": {"3": 1}})
    )
    bank = ReplayBank(load_dump(file), ManualClock())
    assert bank.read_registers(Table.HOLDING, 40083, 2) == b"\x37\x48\xff\xff"
    assert bank.read_registers(Table.INPUT, 16, 1) == b"\x00\x07"
    assert bank.read_bits(Table.COIL, 3, 1) == [True]
    for table, address, count in ((Table.HOLDING, 40084, 2), (Table.INPUT, 40083, 1)):
        with pytest.raises(ModbusRefused):
            bank.read_registers(table, address, count)
    with pytest.raises(ModbusRefused):
        bank.write_registers(40083, b"\0\0")


@pytest.mark.parametrize(
    "form",
    [
        pytest.param('{{"frames": [{0}, {1}, {2}]}}', id="an object of frames"),
        pytest.param("[{0}, {1}, {2}]", id="a list"),
        pytest.param("{0}\n{1}\n{2}\n", id="a frame a line"),
    ],
)
def test_frames_follow_each_other_at_their_times_and_begin_anew(tmp_path: Path, form: str) -> None:
    """A fault that needs a sequence of values can be replayed."""
    frames = (
        '{"at": 1000, "holding": {"1": 10, "2": 5}}',
        '{"at": 3000, "holding": {"1": 20}}',
        '{"at": 5000, "holding": {"1": 30}}',
    )
    clock = ManualClock()
    bank = ReplayBank(load_dump(dump(tmp_path, form.format(*frames))), clock)
    seen = []
    for _ in range(8):
        first, second = bank.read_registers(Table.HOLDING, 1, 2)[1::2]
        seen.append((first, second))
        clock.move(1)
    assert seen == [(10, 5), (10, 5), (20, 5), (20, 5), (30, 5), (30, 5), (10, 5), (10, 5)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("{", "not JSON", id="no JSON"),
        pytest.param("{}", "no registers", id="empty"),
        pytest.param('{"holding": {"1": 65536}}', "65536", id="too large"),
        pytest.param('{"holding": {"x": 1}}', "holding x", id="no address"),
        pytest.param('{"holding": [1]}', "no object", id="a list of values"),
        pytest.param('[{"at_s": 1, "holding": {"1": 1}}, {"at_s": 1}]', "not later", id="time stands still"),
        pytest.param('{"at": "noon", "holding": {"1": 1}}', "'noon'", id="no instant"),
        pytest.param("[1]", "no object", id="a frame that is a number"),
    ],
)
def test_a_bad_dump_is_refused_with_the_reason(tmp_path: Path, text: str, says: str) -> None:
    """Dumps come by mail, cut and edited."""
    with pytest.raises(PlantError) as refusal:
        load_dump(dump(tmp_path, text))
    assert says in str(refusal.value)
