"""What energy costs, and whether and when the site trades it."""

from typing import Any

from pydantic import Field, model_validator

import tariffs
from domain.tariff.days import holidays_of
from domain.tariff.model import Tariff
from domain.tariff.read import read_tariff, tariff_of
from edge.config.prices import PricesSection
from edge.config.section import Section


class SpotTariffSection(Section):
    """A tariff that follows the zone's day-ahead price: (price + adder) x factor for energy taken.

    Energy given brings the price and ``export_adder_mct_per_kwh``, where that is told, else the fixed export tariff.
    Where a price is not known, the fixed tariffs of the section hold.
    """

    import_adder_mct_per_kwh: int = 0
    import_factor: float = Field(default=1.0, gt=0, le=2)
    export_adder_mct_per_kwh: int | None = None


class TradingSection(Section):
    """What energy costs when it is not traded, in thousandths of a cent per kWh, and when orders are due.

    ``follow_schedule`` lets batteries make good what the site takes more or less than it traded; without it they are
    kept for other uses, and the difference is settled as imbalance. Where rules forbid it, ``charge_from_grid`` and
    ``discharge_to_grid`` keep the plan of the batteries to the site's own surplus and need. ``tariff`` is the name of a
    ready tariff, or one written out (``sitewatt tariff``); it takes the place of the two numbers, which hold where it
    needs a market price that is not known. ``prices`` says who publishes that price, where the gateway reads it by
    itself; without it the cloud tells it. Without ``enabled`` nothing is ordered; storage and generation are still
    planned against a ``tariff`` or ``spot``.
    """

    enabled: bool = True
    follow_schedule: bool = True
    import_tariff_mct_per_kwh: int = 30_000
    export_tariff_mct_per_kwh: int = 8_000
    tariff: str | dict[str, Any] | None = None
    spot: SpotTariffSection | None = None
    prices: PricesSection | None = None
    charge_from_grid: bool = True
    discharge_to_grid: bool = True
    gate_closure_s: int = Field(default=300, ge=0, le=86_400)

    @model_validator(mode="after")
    def _tariff_is_one(self) -> "TradingSection":
        if self.tariff is not None and self.spot is not None:
            raise ValueError("either tariff or spot says what energy costs, not both")
        tariff = self.priced_by
        if tariff is not None:
            holidays_of(tariff)
        return self

    @property
    def plans(self) -> bool:
        """Return whether there is anything to plan by: a market to trade in, or a tariff that was told."""
        return self.enabled or self.tariff is not None or self.spot is not None

    @property
    def priced_by(self) -> Tariff | None:
        """Return the tariff that the section names or writes out, ``None`` where its two numbers hold.

        Raises:
            ValueError: There is none of that name, or what is written is none.
        """
        if self.tariff is None:
            return None
        if isinstance(self.tariff, dict):
            return tariff_of(self.tariff, where="tariff")
        text = tariffs.text(self.tariff)
        if text is None:
            raise ValueError(f"tariff {self.tariff!r} is neither written out nor one of {', '.join(tariffs.names())}")
        return read_tariff(text, where=self.tariff)
