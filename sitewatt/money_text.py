"""Money, energy and prices as a person reads them: EUR, kWh and ct/kWh, from the market's whole units."""

from typing import Final

from contracts.units import UCT_PER_EUR

_MCT_PER_CENT: Final = 1000


def kwh(energy_wh: int) -> str:
    """Return an energy to the Wh, like ``-1.250 kWh``."""
    return f"{energy_wh / 1000:.3f} kWh"


def eur(amount_uct: int) -> str:
    """Return an amount to the cent, to the hundredth of a cent where it is less than ten cents."""
    digits = 4 if 0 < abs(amount_uct) < UCT_PER_EUR // 10 else 2
    return f"{amount_uct / UCT_PER_EUR:.{digits}f} EUR"


def ct_per_kwh(price_mct_per_kwh: int | None) -> str:
    """Return a price to the thousandth of a cent, ``no price`` where there is none."""
    return "no price" if price_mct_per_kwh is None else f"{price_mct_per_kwh / _MCT_PER_CENT:.3f} ct/kWh"


def owes(amount_uct: int) -> str:
    """Return who pays in words: ``owes 0.27 EUR`` or ``receives 0.20 EUR``."""
    return f"{'owes' if amount_uct >= 0 else 'receives'} {eur(abs(amount_uct))}"
