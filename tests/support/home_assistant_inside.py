"""Home Assistant Core in a process of its own, asked over standard input: run by its own Python, not by ours.

One JSON object a line is asked and answered: ``states``, ``call`` (a service), ``energy`` (the dashboard's sources are
set and judged by its own validation), ``stop``. What Home Assistant logs goes to standard error.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from homeassistant import bootstrap, config_entries, loader
from homeassistant.components.energy.data import async_get_manager
from homeassistant.components.energy.validate import async_validate
from homeassistant.config import async_hass_config_yaml
from homeassistant.core import HomeAssistant
from homeassistant.core_config import async_process_ha_core_config
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import recorder
from homeassistant.setup import async_setup_component

ENTRY = "sitewatt-broker"


def prepare(folder: Path, *, broker_port: int, http_port: int) -> None:
    """Write a configuration with a broker, as its set-up dialogue keeps one."""
    (folder / ".storage").mkdir(parents=True, exist_ok=True)
    (folder / "configuration.yaml").write_text(
        f"homeassistant:\n  time_zone: Europe/Berlin\nhttp:\n  server_host: 127.0.0.1\n  server_port: {http_port}\n"
        "recorder:\n  commit_interval: 1\nenergy:\nhistory:\n"
    )
    entry: dict[str, Any] = {
        "created_at": "2026-01-01T00:00:00+00:00", "modified_at": "2026-01-01T00:00:00+00:00",
        "data": {"broker": "127.0.0.1", "port": broker_port}, "disabled_by": None, "discovery_keys": {},
        "domain": "mqtt", "entry_id": ENTRY, "minor_version": 1, "options": {},
        "pref_disable_new_entities": False, "pref_disable_polling": False, "source": "user", "subentries": [],
        "title": "broker", "unique_id": None, "version": 1,
    }  # fmt: skip
    kept = {"version": 1, "minor_version": 5, "key": "core.config_entries", "data": {"entries": [entry]}}
    (folder / ".storage/core.config_entries").write_text(json.dumps(kept))


async def run(folder: Path) -> int:
    """Start Home Assistant, answer until told to stop."""
    hass = HomeAssistant(str(folder))
    hass.config.skip_pip = True
    loader.async_setup(hass)
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    await bootstrap.async_load_base_functionality(hass)
    content = await async_hass_config_yaml(hass)
    await async_process_ha_core_config(hass, content.pop("homeassistant"))
    recorder.async_initialize_recorder(hass)
    for name in ("homeassistant", *content):
        if not await async_setup_component(hass, name, content):
            return 1
    if not await hass.config_entries.async_setup(ENTRY):
        return 1
    await hass.async_start()
    say({"ready": True})
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(line)
        if asked["do"] == "stop":
            break
        say(await answer(hass, asked))
    await hass.async_stop()
    return 0


async def answer(hass: HomeAssistant, asked: dict[str, Any]) -> Any:
    """Return the answer to one question."""
    if asked["do"] == "states":
        return {state.entity_id: [state.state, dict(state.attributes)] for state in hass.states.async_all()}
    if asked["do"] == "call":
        try:
            await hass.services.async_call(asked["domain"], asked["service"], asked["data"], blocking=True)
        except HomeAssistantError as error:
            return {"refused": str(error)}
        return {"refused": None}
    manager = await async_get_manager(hass)
    await manager.async_update({"energy_sources": asked["sources"]})
    return (await async_validate(hass)).as_dict()


def say(what: Any) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(what, default=str) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    place = Path(sys.argv[1])
    prepare(place, broker_port=int(sys.argv[2]), http_port=int(sys.argv[3]))
    sys.exit(asyncio.run(run(place)))
