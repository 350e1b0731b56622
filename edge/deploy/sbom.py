"""What an artefact is made of, as CycloneDX 1.6 JSON: each library with its version and the hashes it was fetched by.

Source: CycloneDX v1.6 JSON reference; Package URL specification, type pypi.
"""

import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from edge.deploy.lock import Pin

SUFFIX: Final = ".cdx.json"
# A name space of our own: the same content has the same serial number, so that a build can be made again byte by byte.
_SERIALS: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:sitewatt:sbom")


def document(artefact: str, *, version: str, pins: Iterable[Pin], epoch_s: int) -> dict[str, Any]:
    """Return the document of one artefact.

    Args:
        artefact: The artefact's file name.
        version: Its version.
        pins: What it carries or installs.
        epoch_s: The instant of the build, in seconds since 1970.
    """
    components = [_component(pin) for pin in sorted(pins, key=lambda pin: (pin.name, pin.version))]
    serial = uuid.uuid5(_SERIALS, json.dumps([artefact, version, epoch_s, components]))
    root = f"pkg:generic/sitewatt@{version}?file_name={artefact}"
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch_s, UTC).isoformat().replace("+00:00", "Z"),
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": "sitewatt",
                "version": version,
                "purl": root,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": components,
        "dependencies": [{"ref": root, "dependsOn": [component["bom-ref"] for component in components]}],
    }


def write_beside(artefact: Path, *, version: str, pins: Iterable[Pin], epoch_s: int) -> Path:
    """Write the document of an artefact beside it, and return its file."""
    path = artefact.with_name(artefact.name + SUFFIX)
    path.write_text(text(artefact.name, version=version, pins=pins, epoch_s=epoch_s), encoding="utf-8")
    return path


def text(artefact: str, *, version: str, pins: Iterable[Pin], epoch_s: int) -> str:
    """Return the document of an artefact as a file holds it."""
    return json.dumps(document(artefact, version=version, pins=pins, epoch_s=epoch_s), indent=1) + "\n"


def _component(pin: Pin) -> dict[str, Any]:
    purl = f"pkg:pypi/{pin.name}@{pin.version}"
    # A lock names every file that may be installed; which of them one machine took, its processor decides.
    files = [
        {"type": "distribution", "url": purl, "hashes": [{"alg": "SHA-256", "content": one}]} for one in pin.hashes
    ]
    return {
        "type": "library",
        "bom-ref": purl,
        "name": pin.name,
        "version": pin.version,
        "purl": purl,
        "externalReferences": files,
    }
