"""Taxes, grid fees and levies of one site and interval, as the zone's rules define them; positive for what it pays."""

from cloud.market.community import PERMILLE, ChargedOn
from cloud.market.rules import MarketRules
from cloud.market.state import Meter, SiteSettlement


def charges(rules: MarketRules, meter: Meter, settled: SiteSettlement, *, shared_wh: int) -> dict[str, int]:
    """Return what a site pays beside its energy, by the charge's name; below zero is a relief.

    Args:
        rules: The zone's charges.
        meter: What was counted, or what stands in for it.
        settled: The settlement that they belong to.
        shared_wh: What the site took from other members of its community.
    """
    assert settled.meter_version == meter.version, "a settlement is charged by the reading that it is made from"
    energy_wh = {ChargedOn.IMPORT: meter.import_wh, ChargedOn.EXPORT: meter.export_wh, ChargedOn.SHARED: shared_wh}
    found: dict[str, int] = {}
    for charge in rules.charges:
        found[charge.name] = found.get(charge.name, 0) + energy_wh[charge.on] * charge.mct_per_kwh
    return found


def vat(rules: MarketRules, settled: SiteSettlement, *, charges_uct: int) -> int:
    """Return the tax on all that a site pays for an interval, half to even; what it sells is not taxed here."""
    if not rules.vat_permille:
        return 0
    paid_uct = max(0, settled.trades_uct) + settled.fees_uct + max(0, settled.imbalance_uct) + charges_uct
    whole, rest = divmod(max(0, paid_uct) * rules.vat_permille, PERMILLE)
    half = PERMILLE // 2
    return whole + (rest > half or (rest == half and whole % 2 == 1))
