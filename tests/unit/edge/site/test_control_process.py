"""What the control process does with what comes over the border."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

from contracts.control import BatteryPower, CommandAck
from contracts.topics import Up
from edge.border.messages import Adopt
from edge.config import SiteConfig
from edge.control.model import Decision, Measured, Snapshot
from edge.loop.cycle import Cycle
from edge.loop.signs import FIRST_LOOK_S
from edge.site.control_process import Control, Hears, open_control
from edge.site.remote_settings import LIMITS_OF
from tests.support.manual_clock import ManualClock
from tests.support.rigs.control_commands import command
from tests.support.rigs.edge_parts import NOON, config

KEY = base64.b64encode(bytes(32)).decode()


def _config(folder: Path, **sections: Any) -> SiteConfig:
    return config(link={"url": "mqtts://localhost:9"}, state_dir=str(folder), **sections)


def _acks(control: Control) -> list[CommandAck]:
    control.outbox.flush()
    return [CommandAck.decode(record.payload) for record in control.outbox.read(Up.ACKS)]


async def test_a_command_waits_for_the_first_look_at_the_devices(tmp_path: Path) -> None:
    """A broker hands over what waited for a gateway before that has read anything; unread is not unable."""
    clock = ManualClock(NOON)
    async with open_control(_config(tmp_path), clock=clock) as control:
        payload = command(BatteryPower(power_w=1_000), lasts_s=600).encode()
        judged = asyncio.create_task(Hears(control).command(payload, retained=False), name="judge")
        for _ in range(5):
            await asyncio.sleep(0)
        assert not judged.done() and not _acks(control)
        control.looked.finished(_cycle(control, taken_s=clock.monotonic() + FIRST_LOOK_S))
        await judged
        assert len(_acks(control)) == 1


def _cycle(control: Control, *, taken_s: float) -> Cycle:
    snapshot = Snapshot(taken_s=taken_s, connection_power=Measured())
    control.loop._cycle()
    last = control.loop.last
    assert last is not None and isinstance(last.decision, Decision)
    return Cycle(number=1, readings={}, snapshot=snapshot, decision=last.decision, applied={}, settings=last.settings)


async def test_a_limit_from_afar_is_in_force_again_before_the_site_process_is_there(tmp_path: Path) -> None:
    """Control starts alone: a limit that was lowered must not be lifted until somebody repeats it."""
    of_fleet = {"fleet": {"update_key": KEY}}
    async with open_control(_config(tmp_path, **of_fleet), clock=ManualClock(NOON)) as control:
        Hears(control).adopt(Adopt(wanted={LIMITS_OF: {"import_limit_w": 9_000}}))
        assert control.config.connection.import_limit_w == 9_000
        Hears(control).adopt(Adopt(wanted={LIMITS_OF: {"import_limit_w": 90_000}}))
        assert control.config.connection.import_limit_w == 9_000, "above the site's file"
    async with open_control(_config(tmp_path, **of_fleet), clock=ManualClock(NOON)) as control:
        assert control.config.connection.import_limit_w == 9_000
        control.loop._cycle()
        assert control.loop.last is not None and control.loop.last.settings.import_w_max == 9_000.0


async def test_a_battery_keeps_what_an_operator_reserves_from_the_next_cycle_on(tmp_path: Path) -> None:
    """Control itself takes nothing out below the level, whoever asks, and again after a start."""

    def kept(control: Control) -> float:
        control.loop._cycle()
        assert control.loop.last is not None
        (inverter,) = control.loop.last.snapshot.assets
        return inverter.soc_percent_min

    of_fleet = {"fleet": {"update_key": KEY}}
    async with open_control(_config(tmp_path, **of_fleet), clock=ManualClock(NOON)) as control:
        before = kept(control)
        Hears(control).adopt(Adopt(wanted={LIMITS_OF: {"battery_reserve_percent": 40}}))
        assert before < kept(control) == 40.0
    async with open_control(_config(tmp_path, **of_fleet), clock=ManualClock(NOON)) as control:
        assert kept(control) == 40.0
        Hears(control).adopt(Adopt(wanted={LIMITS_OF: {}}))
        assert kept(control) == before


@pytest.mark.parametrize("twice", [False, True])
async def test_a_new_start_is_asked_for_once(tmp_path: Path, twice: bool) -> None:
    """The site asks, and may ask again over a new connection."""
    async with open_control(_config(tmp_path), clock=ManualClock(NOON)) as control:
        for _ in range(2 if twice else 1):
            Hears(control).new_start("another version")
        assert control.new_start.result() == "another version"
