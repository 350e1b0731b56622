"""What a site's file says of charging stations that speak OCPP. Nothing here loads the protocol's library."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

LEAST_A = 6.0  # Source: IEC 61851-1, the least current that a car may be told.
METER_S = 5  # A value drives a decision for 10 s (edge/control/model.py); two of them fit.
CONNECTORS_MAX = 16
ID_TAGS_MAX = 256


class Version(StrEnum):
    """Which version a station may speak; ``auto`` takes the newer one that it offers."""

    AUTO = "auto"
    V16 = "1.6"
    V201 = "2.0.1"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TlsFiles(_Section):
    """The central system's own certificate (with its chain) and its key, both PEM."""

    certificate: Path
    key: Path


class OcppSettings(_Section):
    """Where stations call.

    Without ``tls`` passwords travel in the clear (security profile 1), with it they do not (profile 2). ``id_tags`` are
    those that may charge; without the key everybody may. ``meter_interval_s`` is how often stations are asked to tell
    what they measure.
    """

    listen: Annotated[str, Field(pattern=r"^[^\s:]+:[0-9]{1,5}$")] = "0.0.0.0:8887"
    tls: TlsFiles | None = None
    id_tags: tuple[Annotated[str, Field(min_length=1, max_length=36)], ...] | None = Field(
        default=None, max_length=ID_TAGS_MAX
    )
    meter_interval_s: int = Field(default=METER_S, ge=1, le=60)

    @property
    def host(self) -> str:
        """Return the address to listen on."""
        return self.listen.rpartition(":")[0]

    @property
    def port(self) -> int:
        """Return the port to listen on; 0 takes a free one."""
        return int(self.listen.rpartition(":")[2])


class StationSettings(_Section):
    """One connector of a station, as a device of the site.

    ``station`` is its identity, the last part of the address that it calls, and its user name. ``fallback_a`` is the
    current per phase that it goes on with by itself when the gateway is silent, 0 for none; ``max_a`` the most that it
    is ever told. With ``start_as`` a charge is started for a car that waits for one, under that card's name; without it
    the car's owner or the station does. Devices of one station name different connectors and the same password.
    """

    station: Annotated[str, Field(pattern=r"^[A-Za-z0-9*_=+|@.-]{1,48}$")]
    password_file: Path
    connector: int = Field(default=1, ge=1, le=CONNECTORS_MAX)
    version: Version = Version.AUTO
    fallback_a: float = Field(default=LEAST_A, ge=0, le=80)
    max_a: float = Field(default=16.0, ge=LEAST_A, le=80)
    start_as: Annotated[str, Field(min_length=1, max_length=20)] | None = None

    @model_validator(mode="after")
    def _fallback_fits(self) -> "StationSettings":
        if 0 < self.fallback_a < LEAST_A:
            raise ValueError(
                f"fallback_a is {self.fallback_a:g}, and no car charges with less than {LEAST_A:g} A; 0 is none"
            )
        if self.fallback_a > self.max_a:
            raise ValueError(f"fallback_a is {self.fallback_a:g}, above max_a {self.max_a:g}")
        return self
