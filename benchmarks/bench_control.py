"""Control: the time of a cycle with twenty devices, and from a command's publication to registers, answer and meter.

    python -m benchmarks control [--json]

In real time (one cycle a second), with a real broker, real gateways and simulated devices on real sockets, all on this
machine. The meter's figure holds the response of the simulated battery, a time constant of 1 s. The prototype that the
system is judged by decided within 2 s and monitored every second.
"""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import aiomqtt
import pytest
import yaml

from contracts.clock import scaled_clock
from contracts.control import AckStage, BatteryPower, CommandAck
from contracts.topics import Down, Up, site_topic
from edge.control.cycle import decide
from edge.control.model import ControlSettings, Memory
from edge.loop.snapshot import SnapshotBuilder
from edge.site.status import ask_status
from firmware_sim.plant_config import PlantConfig
from sitewatt.demo import files
from sitewatt.demo.processes import Processes
from sitewatt.demo.run import start_broker, start_gateway
from tests.support.manual_clock import ManualClock
from tests.support.modbus.simulator import NOON, RawClient, read_request
from tests.support.rigs.edge_parts import FakeDevice, config, fake_site, plain_config
from tests.support.rigs.fault_rig import AGGREGATOR, BATTERY_W, ZONE, FaultRig, battery_site, fault_rig
from tests.support.rigs.fault_wire import model_address

DEVICES: Final = 20
DECISIONS: Final = 500
WATCHED_S: Final = 12.0
COMMANDS: Final = 20
LOOK_S: Final = 0.01
STATUS_S: Final = 0.3
ANSWER_TIMEOUT_S: Final = 20.0
SEED_DECISION_S: Final = 2.0
SEED_MONITORING_S: Final = 1.0
_STORAGE_MODEL: Final = 124
_CHARGE_RATE: Final = 13  # Source: SunSpec model 124, InWRte.
SITE: Final = "home"


def run() -> dict[str, float]:
    """Measure everything and return it by name."""
    figures = _decisions()
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        for part, measure in (("cycles", _cycles), ("latency", _latency)):
            folder = Path(name) / part
            folder.mkdir()
            figures |= asyncio.run(measure(folder, patch))
    return figures | {"seed_decision_s": SEED_DECISION_S, "seed_monitoring_period_s": SEED_MONITORING_S}


def _decisions() -> dict[str, float]:
    """Measure a decision alone, from frozen readings to setpoints, over a meter and nineteen hybrids."""
    clock = ManualClock()
    fakes = {"meter": fake_site(clock)["meter"]}
    template = fake_site(clock)["inverter"]
    sections = [one.model_dump() for one in config().devices]
    devices = [sections[0]]
    for number in range(DEVICES - 1):
        name = f"inverter{number}"
        fakes[name] = FakeDevice(id=name, clock=clock, values=dict(template.values), capabilities=template.capabilities)
        devices.append({**sections[1], "id": name})
    snapshots = SnapshotBuilder(config(devices=devices).devices, meter="meter")
    settings = ControlSettings(import_w_max=400_000, export_w_max=400_000)
    memory, taken_ms = Memory(), []
    for _ in range(DECISIONS):
        clock.advance(1.0)
        began = time.perf_counter()
        readings = {name: fake.snapshot() for name, fake in fakes.items()}
        snapshot = snapshots.build(fakes, readings, now_s=clock.monotonic(), confirmed={})
        _, memory = decide(snapshot, [], settings, memory)
        taken_ms.append((time.perf_counter() - began) * 1000)
    return _spread(f"decision_ms_{DEVICES}_devices", taken_ms)


async def _cycles(folder: Path, _: pytest.MonkeyPatch) -> dict[str, float]:
    """Measure the cycles of a running gateway with a meter and nineteen batteries, told to rest or to balance."""
    clock = scaled_clock(started_at=NOON, speed=1.0)
    plants = tuple(battery_site(f"{SITE}-{number}") for number in range(DEVICES - 1))
    files.plant(folder).write_text(PlantConfig(sites=plants).to_yaml(), encoding="utf-8")
    processes = Processes(files.logs(folder))
    try:
        port = files.free_port()
        broker, plant = await asyncio.gather(
            start_broker(processes, folder, port=port),
            processes.start("plant", "firmware_sim", "--plant", str(files.plant(folder)), "--clock", clock.spec()),
        )
        link = files.link_to(port, embedded=broker.ready["kind"] == "amqtt")
        content = plain_config(devices=_sections(plant.ready["ports"]), link=link, state_dir=str(folder / "state"))
        files.gateway(folder, SITE).write_text(yaml.safe_dump(content), encoding="utf-8")
        await start_gateway(processes, folder, SITE, clock=clock)
        return await _watched(folder / "state")
    finally:
        await processes.stop_all()


async def _watched(state_dir: Path) -> dict[str, float]:
    """Return what the cycles of a gateway took, once all of its devices answer."""
    taken: dict[int, float] = {}
    late: int | None = None
    began = time.perf_counter()
    async with asyncio.timeout(WATCHED_S + ANSWER_TIMEOUT_S):
        while late is None or time.perf_counter() - began < WATCHED_S:
            await asyncio.sleep(STATUS_S)
            said = await asyncio.to_thread(ask_status, state_dir)
            if late is None:
                if not all(one["online"] for one in said["devices"]):
                    continue
                late, began = said["loop"]["late"], time.perf_counter()
            taken[said["cycle"]["number"]] = said["loop"]["last_cycle_ms"]
    return {
        **_spread(f"cycle_ms_{DEVICES}_devices", list(taken.values())),
        f"late_cycles_{DEVICES}_devices": float(said["loop"]["late"] - late),
    }


async def _latency(folder: Path, patch: pytest.MonkeyPatch) -> dict[str, float]:
    """Measure commands that turn a battery about, each from its publication on."""
    registers_s: list[float] = []
    stages_s: dict[AckStage, list[float]] = {AckStage.ACCEPTED: [], AckStage.APPLIED: [], AckStage.EFFECTIVE: []}
    meter_s: list[float] = []
    async with fault_rig(folder, patch, [battery_site(SITE)], speed=1.0) as place:
        await place.order(SITE, BatteryPower(power_w=0), issuer=AGGREGATOR, for_s=600)
        device = await RawClient.connect(place.wires[f"{SITE}/inverter"].device_port)
        address = await model_address(device, _STORAGE_MODEL) + _CHARGE_RATE
        async with aiomqtt.Client("127.0.0.1", place.broker_port) as client:
            await client.subscribe(site_topic(zone=ZONE, site=SITE, channel=Up.ACKS), qos=1)
            for number in range(COMMANDS):
                power_w = 1_000 if number % 2 == 0 else 2_000
                # Commands come at any moment of a cycle: spread them evenly over it.
                await asyncio.sleep(number / COMMANDS)
                command = place._signed(SITE, BatteryPower(power_w=power_w), issuer=AGGREGATOR, for_s=600)
                sent_s, sent_ms = time.perf_counter(), place.now_ms()
                await client.publish(site_topic(zone=ZONE, site=SITE, channel=Down.COMMANDS), command.encode(), qos=1)
                async with asyncio.TaskGroup() as tasks:
                    held = tasks.create_task(_until_held(device, address, power_w), name="registers")
                    told = tasks.create_task(_until_effective(client, command.command_id), name="answers")
                registers_s.append(held.result() - sent_s)
                for stage, at_s in told.result().items():
                    stages_s[stage].append(at_s - sent_s)
                meter_s.append(await _seen_ms(place, sent_ms, power_w) / 1000)
        await device.close()
    return {
        **_spread("published_to_register_s", registers_s),
        **_spread("published_to_meter_s", meter_s),
        **_spread("published_to_accepted_answer_s", stages_s[AckStage.ACCEPTED]),
        **_spread("published_to_applied_answer_s", stages_s[AckStage.APPLIED]),
        **_spread("published_to_effective_answer_s", stages_s[AckStage.EFFECTIVE]),
    }


async def _until_held(device: RawClient, address: int, power_w: int) -> float:
    """Return when the inverter's register held a charging power, in hundredths of a percent."""
    wanted = round(power_w / BATTERY_W * 10_000)
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        while True:
            answer = await device.ask(read_request(address, 1))
            if int.from_bytes(answer[2:4], "big") == wanted:
                return time.perf_counter()
            await asyncio.sleep(LOOK_S)


async def _until_effective(client: aiomqtt.Client, command_id: str) -> dict[AckStage, float]:
    """Return when each answer to a command arrived, up to the one that says effective."""
    found: dict[AckStage, float] = {}
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        async for message in client.messages:
            assert isinstance(message.payload, bytes), "an answer is bytes"
            ack = CommandAck.decode(message.payload)
            if ack.command_id != command_id:
                continue
            found[ack.stage] = time.perf_counter()
            if ack.stage is AckStage.EFFECTIVE:
                return found
    raise AssertionError("the client of an open connection has no end of messages")


async def _seen_ms(place: FaultRig, sent_ms: int, power_w: int) -> float:
    """Return after how long the plant's own record shows the battery at a power; it is written every 250 ms."""

    def seen() -> list[int]:
        return [
            at_ms
            for at_ms, sites in place.truth()
            if at_ms >= sent_ms and abs(sites[SITE]["battery_w"] - power_w) < 100
        ]

    await place.until(seen, f"the plant shows {power_w} W")
    return float(seen()[0] - sent_ms)


def _sections(ports: dict[str, int]) -> list[dict[str, object]]:
    battery = {"capacity_wh": 200_000, "charge_limit_w": BATTERY_W, "discharge_limit_w": BATTERY_W}
    meter: dict[str, object] = {
        "id": "meter",
        "profile": "eastron_sdm630",
        "url": f"tcp://127.0.0.1:{ports[f'{SITE}-0/meter']}?unit=1",
        "role": "meter",
    }
    inverters: list[dict[str, object]] = [
        {
            "id": f"inverter{number}",
            "profile": "fronius_gen24_int",
            "url": f"tcp://127.0.0.1:{ports[f'{SITE}-{number}/inverter']}?unit=1",
            "role": "battery",
            "battery": battery,
        }
        for number in range(DEVICES - 1)
    ]
    return [meter, *inverters]


def _spread(name: str, values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {f"{name}_p50": statistics.median(ordered), f"{name}_p99": p99}


if __name__ == "__main__":
    print(json.dumps(run()))
