"""A gateway beside the real Home Assistant: pytest tests/nightly/home_assistant.py, a part of ``make nightly``.

Home Assistant needs a Python and 700 MB of its own: it is installed once below ``build/``, and asked over its standard
input. With TRANSCRIPT=docs/home-assistant.md what was seen is written there.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sitewatt.demo.files import free_port
from tests.nightly.matrix import ROOT
from tests.support.cloud.emulator import runtime_python
from tests.support.rigs.fault_rig import battery_site, fault_rig
from tests.support.rigs.gateway import restart, until_status

SITE = "home"
VERSION = "2025.4.4"
# What its recorder and MQTT integrations install at their first start. Source: their manifest.json.
REQUIREMENTS = ("paho-mqtt==2.1.0", "SQLAlchemy==2.0.39", "fnv-hash-fast==1.4.0", "psutil-home-assistant==0.0.1")
ENVIRONMENT = ROOT / "build" / "home-assistant"
INSIDE = ROOT / "tests" / "support" / "home_assistant_inside.py"
START_S, SAFETY_S = 300.0, 180.0
STATISTICS_LOOKS, STATISTICS_LOOK_S = 90, 5.0
LIMIT = "number.home_export_limit"
LOCK = "switch.home_maintenance_lock"
POWER = "sensor.home_meter_active_power"
# As its energy dashboard keeps them. Source: Home Assistant, "energy", data.py.
SOURCES = [
    {
        "type": "grid",
        "flow_from": [
            {
                "stat_energy_from": "sensor.home_meter_energy_import",
                "stat_cost": None,
                "entity_energy_price": None,
                "number_energy_price": None,
            }
        ],
        "flow_to": [
            {
                "stat_energy_to": "sensor.home_meter_energy_export",
                "stat_compensation": None,
                "entity_energy_price": None,
                "number_energy_price": None,
            }
        ],
        "cost_adjustment_day": 0.0,
    },
    {
        "type": "solar",
        "stat_energy_from": "sensor.home_inverter_pv_energy_counted",
        "config_entry_solar_forecast": None,
    },
    {
        "type": "battery",
        "stat_energy_from": "sensor.home_inverter_battery_discharge_counted",
        "stat_energy_to": "sensor.home_inverter_battery_charge_counted",
    },
]

States = dict[str, list[Any]]


def installed() -> str:
    """Return the Python of Home Assistant's environment, made where it is missing."""
    python, mark = ENVIRONMENT / "bin" / "python", ENVIRONMENT / f".{VERSION}"
    if not mark.exists():
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", runtime_python(), str(ENVIRONMENT)], check=True)
        wanted = [f"homeassistant=={VERSION}", *REQUIREMENTS]
        subprocess.run([*uv, "pip", "install", "--quiet", "--python", str(python), *wanted], check=True)
        mark.touch()
    return str(python)


class HomeAssistant:
    """One that runs: asked a line at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, do: str, **more: Any) -> Any:
        """Return its answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
        return json.loads(await asyncio.wait_for(self._process.stdout.readline(), SAFETY_S))

    async def call(self, domain: str, service: str, **data: Any) -> str | None:
        """Call a service; the reason where it is refused."""
        refused: str | None = (await self.ask("call", domain=domain, service=service, data=data))["refused"]
        return refused

    async def until(self, entity: str, holds: Callable[[str], bool], what: str) -> str:
        """Wait until an entity's state says something, and return it."""
        states: States = {}
        try:
            async with asyncio.timeout(SAFETY_S):
                while not holds((states := await self.ask("states")).get(entity, [""])[0]):  # noqa: ASYNC110
                    await asyncio.sleep(0.5)
        except TimeoutError:
            pytest.fail(f"{what}: {entity} is {states.get(entity, 'not there')}; there are {sorted(states)}")
        return str(states[entity][0])


@asynccontextmanager
async def home_assistant(folder: Path, *, broker_port: int) -> AsyncIterator[HomeAssistant]:
    """Start one on a broker."""
    python = await asyncio.to_thread(installed)
    with (folder / "home-assistant.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            python, str(INSIDE), str(folder / "home-assistant"), str(broker_port), str(free_port()),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log, limit=1 << 22,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        )  # fmt: skip
    try:
        assert process.stdout is not None
        ready = await asyncio.wait_for(process.stdout.readline(), START_S)
        assert ready == b'{"ready": true}\n', (folder / "home-assistant.log").read_text()[-3000:]
        yield HomeAssistant(process)
    finally:
        process.kill()
        await process.wait()


async def _complaints(house: HomeAssistant) -> list[Any]:
    """Return what the energy dashboard finds wrong, once the recorder has counted: it does every five minutes."""
    found: list[Any] = []
    for _ in range(STATISTICS_LOOKS):
        judged = await house.ask("energy", sources=SOURCES)
        found = [fault for faults in judged["energy_sources"] for fault in faults]
        if all(fault["type"] != "statistics_not_defined" for fault in found):
            break
        await asyncio.sleep(STATISTICS_LOOK_S)
    return found


def _is_number(state: str) -> bool:
    return state.replace(".", "").removeprefix("-").isdecimal()


async def test_home_assistant_sees_a_site_sets_what_it_may_and_notices_that_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entities by themselves, its energy dashboard, a number set and a number refused, the lock, offline and back."""
    seen: list[tuple[str, str]] = []
    async with fault_rig(tmp_path, monkeypatch, [battery_site(SITE, sun=True)], speed=1.0) as place:
        url = f"mqtt://127.0.0.1:{place.broker_port}"
        settings = {"broker": {"url": url}, "period_s": 0.5, "controls": ["lock", "export_limit_w"]}
        await restart(place, SITE, lambda content: content.update(home_assistant=settings))
        async with home_assistant(tmp_path, broker_port=place.broker_port) as house:
            await house.until(POWER, _is_number, "the meter tells its power")
            for source in ("pv_energy_counted", "battery_charge_counted", "battery_discharge_counted"):
                await house.until(f"sensor.home_inverter_{source}", _is_number, "the counters are there")
            states: States = await house.ask("states")
            ours = {name: state for name, state in states.items() if name.partition(".")[2].startswith("home_")}
            seen.append(("entities that appeared by themselves", f"{len(ours)}"))
            for name in (POWER, "sensor.home_inverter_soc", "sensor.home_meter_energy_import", LIMIT, LOCK):
                state, facts = states[name]
                kind = ", ".join(f"{facts[key]}" for key in ("device_class", "state_class") if key in facts)
                assert state not in {"unavailable", "unknown"}, (name, state)
                seen.append((f"`{name}`", f"{facts.get('unit_of_measurement', state)}{f' ({kind})' if kind else ''}"))

            await house.until(LIMIT, lambda state: float(state) > 1500, "the file's limit stands")
            most = states[LIMIT][1]["max"]
            assert await house.call("number", "set_value", entity_id=LIMIT, value=1500) is None
            await house.until(LIMIT, lambda state: float(state) == 1500, "the limit is lowered")
            await until_status(place, SITE, lambda said: said["cycle"]["left"][0] >= -1500, "control holds it")
            seen.append((f"`{LIMIT}` set to 1500", "1500, and control holds it"))
            refused = await house.call("number", "set_value", entity_id=LIMIT, value=most + 1)
            assert refused is not None
            seen.append((f"the same set to {most + 1:.0f}, above the site's file", "refused by Home Assistant"))
            topic = f"sitewatt-house/{SITE}/export_limit_w"
            await house.call("mqtt", "publish", topic=f"{topic}/set", payload=str(int(most) + 1), qos=1)
            await house.call("number", "set_value", entity_id=LIMIT, value=1400)
            await house.until(LIMIT, lambda state: float(state) == 1400, "what came after the refused one is taken")
            assert f"above the {int(most)} of the site's file" in place.log(SITE)
            seen.append(("the same sent past its check, by `mqtt.publish`", "refused by the gateway, what stood stays"))

            assert await house.call("switch", "turn_on", entity_id=LOCK) is None
            await house.until(LOCK, lambda state: state == "on", "the switch is on")
            await until_status(place, SITE, lambda said: bool(said["locked"]), "the site is locked")
            assert await house.call("switch", "turn_off", entity_id=LOCK) is None
            await until_status(place, SITE, lambda said: not said["locked"], "the site is unlocked")
            seen.append((f"`{LOCK}` on and off", "the site is locked, and unlocked"))

            assert await _complaints(house) == []
            seen.append(("energy dashboard: grid, solar and battery of these counters", "no complaint"))

            place.signal(signal.SIGKILL)
            for name in (POWER, LIMIT):
                await house.until(name, lambda state: state == "unavailable", "the gateway is gone")
            seen.append(("the gateway is killed", "its entities are *unavailable*"))
            await place.start(SITE)
            await house.until(POWER, _is_number, "the gateway is back")
            assert float(await house.until(LIMIT, _is_number, "the limit is back")) == 1400
            seen.append(("it starts again", "they are back, the limit still 1400"))
    transcript = _transcript(seen)
    print(transcript)
    if (path := os.environ.get("TRANSCRIPT")) is not None:
        (ROOT / path).write_text(transcript, encoding="utf-8")


def _transcript(seen: list[tuple[str, str]]) -> str:
    rows = "".join(f"| {what} | {became} |\n" for what, became in seen)
    return (
        "# What Home Assistant saw\n\n"
        f"Written by `tests/nightly/home_assistant.py`: Home Assistant Core {VERSION} with its MQTT, recorder and\n"
        "energy integrations beside a gateway with a simulated meter and a hybrid inverter, on a real broker. How a\n"
        "site is set up for it: [operations](operations.md#home-assistant-and-other-programs-of-the-house).\n\n"
        f"| what | what became of it |\n| --- | --- |\n{rows}"
    )
