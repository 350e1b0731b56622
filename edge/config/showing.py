"""Who is shown the site: telemetry to the cloud, and the gateway's page."""

from typing import Annotated

from pydantic import Field, model_validator

from edge.config.section import Section


class TelemetrySection(Section):
    """What is reported, how often. ``period_s`` is the time between messages, the samples in them are each second's.

    The default is the cheapest that leaves forecasts and the grid agent what they need: who watches asks for more.
    Meter readings, which all sites finish at one instant, are sent within ``reading_spread_s`` of it, each site at a
    time of its own; the market waits ten minutes for them (``meter_wait_s`` of its rules).
    """

    period_s: float = Field(default=300, ge=1, le=3600)
    reading_spread_s: float = Field(default=30, ge=0, le=60)


class PageSection(Section):
    """Where browsers find the gateway's page: this machine alone, or with ``host: 0.0.0.0`` its whole network.

    On ``port`` it is read-only and asks for no password: whoever reaches the address sees the site. On ``tls_port`` it
    is the same over TLS, and whoever signs in may act. ``names`` are what browsers may call it by, beside addresses,
    ``localhost`` and the machine's own name.
    """

    host: str = Field(default="127.0.0.1", min_length=1, max_length=253)
    port: int = Field(default=8080, ge=0, le=65_535)
    tls_port: int | None = Field(default=None, ge=0, le=65_535)
    names: tuple[Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")], ...] = Field(
        default=(), max_length=16
    )

    @model_validator(mode="after")
    def _two_ports(self) -> "PageSection":
        if self.tls_port is not None and self.tls_port == self.port != 0:
            raise ValueError(f"tls_port is {self.tls_port}, which is port; each needs its own")
        return self
