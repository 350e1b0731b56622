"""The plant's truth, written beside what the devices say: one JSON line now and then, for whoever checks the books."""

import json
from pathlib import Path
from typing import TextIO

from contracts.units import epoch_ms
from firmware_sim.plant import Plant


class TruthLog:
    """Appends the plant's state to a file every so many scaled seconds."""

    def __init__(self, *, plant: Plant, file: TextIO, every_s: float) -> None:
        """Write to an open text file; the caller closes it."""
        self._plant, self._file, self._every_s = plant, file, every_s
        self._next_s = plant.now_s

    def note(self) -> None:
        """Write a line if one is due; a late line is written once and the rhythm kept."""
        now_s = self._plant.now_s
        if now_s < self._next_s:
            return
        self._next_s += self._every_s * (1 + int((now_s - self._next_s) / self._every_s))
        self._file.write(json.dumps(truth(self._plant)) + "\n")
        self._file.flush()


def truth(plant: Plant) -> dict[str, object]:
    """Return the plant's present state: powers in W, positive into the asset, energy in Wh, charge in percent."""
    return {
        "at": epoch_ms(plant.now_at),
        "feeder_w": round(plant.feeder.power_w, 3),
        "feeder_import_wh": round(plant.feeder.meter.import_wh, 3),
        "feeder_export_wh": round(plant.feeder.meter.export_wh, 3),
        "sites": {
            name: {
                "connection_w": round(site.connection_w, 3),
                "load_w": round(site.load_w, 3),
                "pv_w": round(site.pv_w, 3),
                "pv_available_w": round(site.available_w, 3),
                "battery_w": round(site.battery_w, 3),
                "consumers_w": {own: round(one.power_w(plant.now_s), 3) for own, one in sorted(site.consumers.items())},
                "soc_percent": round(site.battery.soc_percent, 4) if site.battery else None,
                "import_wh": round(site.meter.import_wh, 3),
                "export_wh": round(site.meter.export_wh, 3),
            }
            for name, site in plant.sites.items()
        },
    }


def open_truth(path: Path) -> TextIO:
    """Open the file for appending, and its folder if it is new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a", encoding="utf-8")
