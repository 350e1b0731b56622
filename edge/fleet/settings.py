"""The fleet's settings: where the gateway's identity and software are, and whose versions it takes."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from edge.public_key import PublicKey


class FleetSettings(BaseModel):
    """A gateway of a fleet: its certificate, settings and software can be changed from afar.

    ``update_key`` is the Ed25519 public key (Base64) whose signature an update must carry. ``identity_dir`` is what
    ``sitewatt fleet provision --state`` was told, ``software_dir`` what the service starts from; without them they are
    ``identity`` and ``software`` in the site's ``state_dir``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    update_key: PublicKey
    identity_dir: Path
    software_dir: Path


def with_fleet_paths(raw: Any) -> Any:
    """Return a site's raw configuration with the folders of its fleet, and the link by the fleet's certificate.

    What is not of the right form is left for the schema to refuse.
    """
    if not (isinstance(raw, dict) and isinstance(raw.get("fleet"), dict)):
        return raw
    state = Path(str(raw.get("state_dir", "")))
    fleet = {"identity_dir": state / "identity", "software_dir": state / "software", **raw["fleet"]}
    if not isinstance(raw.get("link"), dict):
        return {**raw, "fleet": fleet}
    active = Path(str(fleet["identity_dir"])) / "active"
    link = {"cert_file": active / "cert.pem", "key_file": active / "key.pem", **raw["link"]}
    return {**raw, "fleet": fleet, "link": link}
