"""What a gateway process says and does at its start, on bad ground and on good."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.control import BatteryPower, LimitImport, Switch
from contracts.units import epoch_ms
from edge.telemetry.history_file import FILE, read_history
from firmware_sim.plant_config import DeviceConfig, DeviceKind, LoadConfig, PlantSite, PvConfig, SwitchedLoad
from sitewatt.demo import files
from sitewatt.operator.proof import from_state
from tests.support.rigs.edge_parts import plain_config
from tests.support.rigs.fault_rig import (
    AGGREGATOR,
    GRID_OPERATOR,
    SAFETY_S,
    FaultRig,
    battery_site,
    fault_rig,
    sun_site,
)
from tests.support.rigs.fault_wire import overwrite
from tests.support.rigs.gateway import config_file, restart, until_status

SITE = "home"


async def _run(config: Path | str) -> tuple[int, str]:
    """Run a gateway that is to refuse its start; return its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge", "run", "--config", str(config), "--log-level", "error"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), SAFETY_S)
    assert process.returncode is not None
    assert not out, "it never said that it was ready"
    return process.returncode, err.decode()


def _weak_site() -> dict[str, Any]:
    content = plain_config(connection={"meter": "meter", "import_limit_w": 17_000, "export_limit_w": 1_000})
    content["devices"][1] = {
        "id": "pv",
        "profile": "growatt_min_tlxh",
        "url": "tcp://127.0.0.1:9?unit=1",
        "role": "pv",
        "pv_peak_w": 5_000,
    }
    return content


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (plain_config(colour="red"), "colour is not a known key"),
        (plain_config(control={"period_s": 60}), "control.period_s is 60, must be less than or equal to 10"),
        (
            plain_config(colour="red", site={"id": "home-1", "zone": "z"}, control={"period_s": "often"}),
            "colour is not a known key; site.agent is missing; control.period_s is 'often', must be a number; "
            "the gateway does not start",
        ),
        (plain_config(grid_limits={}), "grid_limits: needs failsafe_import_w or failsafe_export_w"),
        (plain_config(relays=[{"device": "none", "kind": "14a", "point": "p"}]), "relays: device 'none' is none of"),
        (plain_config(relays=[{"device": "meter", "kind": "14a"}]), "a 14a input names its contact as point"),
        (plain_config(relays=[{"device": "meter", "kind": "14a", "point": "relay9"}]), "meter has no point 'relay9'"),
        (_weak_site(), "it needs a wired ripple relay beside it"),
        ("site: home: 1", "is not YAML at line 1, column 11: a second colon in one line"),
    ],
)
async def test_a_configuration_that_cannot_be_used_ends_in_one_sentence(
    tmp_path: Path, content: dict[str, Any] | str, says: str
) -> None:
    """Exit 2 tells the service manager not to try again, the sentence tells the installer why."""
    path = tmp_path / "site.yaml"
    text = content if isinstance(content, str) else yaml.safe_dump({**content, "state_dir": str(tmp_path / "state")})
    path.write_text(text, encoding="utf-8")
    code, said = await _run(path)
    assert (code, says in said, said.count("\n")) == (2, True, 1), said


async def test_a_state_folder_in_use_refuses_a_second_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of them would give the same numbers twice and command the same devices."""
    async with fault_rig(tmp_path, monkeypatch, [battery_site(SITE)]) as place:
        code, said = await _run(config_file(place, SITE))
        assert (code, said.count("\n")) == (2, 1), said
        assert "control.db" in said
        await until_status(place, SITE, lambda said: said["cycle"] is not None, "the first one is undisturbed")


async def test_a_gateway_starts_without_a_device_says_so_and_takes_it_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An inverter that sleeps at night must not keep a site from starting."""
    async with fault_rig(tmp_path, monkeypatch, [battery_site(SITE)]) as place:
        await place.processes.stop([SITE])
        place.cut()
        await place.start(SITE)
        assert place.processes[SITE].ready["offline"] == ["inverter", "meter"]
        said = await until_status(place, SITE, lambda said: said["cycle"] is not None, "it controls")
        assert not said["cycle"]["fresh"]
        for wire in place.wires.values():
            wire.mend()
        await until_status(
            place, SITE, lambda said: bool(said["cycle"] and said["cycle"]["fresh"]), "both devices are back"
        )


async def test_an_order_at_the_start_is_refused_where_its_device_stays_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first orders wait for the devices to be looked at, and not for one that is dead."""
    async with fault_rig(tmp_path, monkeypatch, [battery_site(SITE)]) as place:
        await place.processes.stop([SITE])
        place.wires[f"{SITE}/inverter"].cut()
        await place.start(SITE)
        with pytest.raises(AssertionError, match="refused: unsupported no battery can be reached"):
            await place.order(SITE, BatteryPower(power_w=1_500), issuer=AGGREGATOR, for_s=600)


async def _site_hears_a_cycle(place: FaultRig) -> None:
    """Wait until control has finished a cycle with the meter read since the site process hears it."""
    said = await until_status(place, SITE, lambda said: said["processes"]["control"]["heard"], "the site hears control")
    cycles = said["loop"]["cycles"]
    await until_status(
        place,
        SITE,
        lambda said: said["loop"]["cycles"] > cycles and said["cycle"]["connection_w"] is not None,
        "a cycle with the meter read",
    )


async def test_evidence_of_a_killed_gateway_verifies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proof is worth most when something went wrong."""
    async with fault_rig(tmp_path, monkeypatch, [battery_site(SITE)]) as place:
        order = await place.order(SITE, LimitImport(max_w=500), issuer=GRID_OPERATOR, for_s=600)
        await until_status(place, SITE, lambda said: _stage(said) == "effective", "the limit is effective")
        place.processes.kill(SITE)
        await place.processes[SITE].process.wait()
        found = from_state(files.state(tmp_path, SITE), order.command_id)
        assert found.broken() is None
        assert [one.fields["stage"] for one in found.records if one.kind == "stage"] == ["applied", "effective"]
        await place.start(SITE)
        await until_status(place, SITE, lambda said: _stage(said) == "effective", "the order was taken up again")
        await _site_hears_a_cycle(place)
        await place.processes.stop([SITE])
        assert from_state(files.state(tmp_path, SITE), order.command_id).broken() is None
        kept = read_history(files.state(tmp_path, SITE) / FILE, step_s=10, first_s=0, last_s=2**40)
        assert any("meter/active_power_w" in row.values for row in kept), "an ordered end writes the history"


async def test_a_wired_relay_limits_the_site_and_its_silence_lifts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ripple-control receiver is a grid operator without a signature; a dead relay box is no release."""
    ripple = {"device": "box", "kind": "ripple", "installed_w": 5_000, "k60": "relay1", "k30": "relay2", "k0": "relay3"}
    sections = {SITE: {"relays": [ripple]}}
    async with fault_rig(tmp_path, monkeypatch, [sun_site(SITE, wired=True)], sections=sections) as place:
        await until_status(place, SITE, lambda said: not said["relays_unread"], "every contact was read")
        await place.until(lambda: place.latest(SITE).get("connection_w", 0.0) < -2_000, "it feeds in freely")

        await place.close_contact(SITE, 2)
        await place.until(lambda: place.latest(SITE)["connection_w"] > -1_600, "30 % of 5 kW is left")
        said = await until_status(place, SITE, lambda said: said["relays"]["box/relay2"], "the contact is told")
        assert any(link["requester"].startswith("relay/ripple/box/") for link in said["cycle"]["chain"])

        place.wires[f"{SITE}/box"].cut()
        await until_status(place, SITE, lambda said: "box/relay2" in said["relays_unread"], "its silence is told")
        from_ms = place.now_ms()
        await place.until_ms(from_ms + 60_000)
        await restart(place, SITE)
        await place.until_ms(epoch_ms(place.clock.now()) + 20_000)
        assert place.latest(SITE)["connection_w"] > -1_700


async def test_a_load_on_a_relay_is_shed_for_a_limit_and_switched_by_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the operator's signature to a contact that opens, and the plant's own meter that says so."""
    box = DeviceConfig(id="boiler", kind=DeviceKind.RELAY)
    meter = next(device for device in sun_site(SITE).devices if device.id == "meter")
    site = PlantSite(
        id=SITE,
        load=LoadConfig(base_w=1_000.0),
        switched=(SwitchedLoad(coil=0, power_w=3_000),),
        devices=(DeviceConfig(id="inverter", kind=DeviceKind.SUNSPEC_PV), box, meter),
        pv=PvConfig(peak_w=1_000, scale=0.0),
    )
    async with fault_rig(tmp_path, monkeypatch, [site]) as place:

        def wire_up(content: dict[str, Any]) -> None:
            url = f"tcp://127.0.0.1:{place.wires[f'{SITE}/boiler'].port}?unit=1"
            load = {"rated_w": 3_000, "state": "relay1", "on_s_min": 5, "off_s_min": 10}
            content["devices"].append(
                {"id": "boiler", "profile": "kmtronic_relay", "url": url, "role": "load", "load": load}
            )

        await restart(place, SITE, wire_up)

        def draws(low_w: float, high_w: float) -> Callable[[], bool]:
            return lambda: low_w < place.latest(SITE).get("connection_w", 0.0) < high_w

        await place.until(draws(3_900, 4_100), "at rest it is on")

        await place.order(SITE, LimitImport(max_w=2_000), issuer=GRID_OPERATOR, for_s=60)
        await place.until(draws(900, 1_100), "it is shed for the limit")
        await until_status(place, SITE, lambda said: _stage(said) == "effective", "and the order's sender hears of it")
        await place.until(draws(3_900, 4_100), "it is back after the limit")

        await place.order(SITE, Switch(device="boiler", on=False), issuer=AGGREGATOR, for_s=60)
        await place.until(draws(900, 1_100), "it is switched off")
        said = await until_status(place, SITE, lambda said: _stage(said) == "effective", "what was read back says so")
        assert said["cycle"]["fresh"], "a load without a meter does not make the site blind"


async def test_another_master_is_left_alone_after_three_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two controllers that fight wear out the device; the status says who was left what."""
    async with fault_rig(tmp_path, monkeypatch, [battery_site(SITE)]) as place:
        await restart(place, SITE, lambda content: content.update(control={"foreign_writes": "alarm"}))
        await place.order(SITE, BatteryPower(power_w=2_000), issuer=AGGREGATOR, for_s=3_600)
        await until_status(place, SITE, lambda said: _stage(said) == "effective", "it charges")
        await overwrite(place.wires[f"{SITE}/inverter"].device_port, 124, 13, 1_000)
        said = await until_status(place, SITE, lambda said: bool(said["loop"]["alarms"]), "the dispute is told")
        assert said["loop"]["alarms"] == ["inverter battery_power is left to another master"]


def _stage(said: dict[str, Any]) -> str | None:
    return said["commands"][0]["stage"] if said["commands"] else None
