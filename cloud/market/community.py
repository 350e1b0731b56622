"""What a community may add to its market's rules: how it shares energy without bids, and what its members are charged.

Source: sharing in each quarter of an hour by a fixed or a consumption-proportional key: EnWG section 42c (DE, in force
2026-06-01), ElWOG 2010 section 16d and 16e (AT: static and dynamic allocation), Code de l'énergie L315-1 (FR: keys).
"""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

PERMILLE = 1000


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SharingKey(StrEnum):
    """By what the generation of an interval is given to who consumes in it.

    ``static``: a fixed share each, whatever it consumes; what a member does not need is not another's. ``dynamic``: in
    proportion to what each consumes. ``hierarchical``: by ``dynamic`` inside each group first, then inside the groups
    of the next level, at last among all.
    """

    STATIC = "static"
    DYNAMIC = "dynamic"
    HIERARCHICAL = "hierarchical"


class SharingRules(_Data):
    """A key, the price inside the community, and what the key needs.

    ``shares_permille`` are the fixed shares by site; ``levels`` are lists of groups of sites, the closest first.
    """

    key: SharingKey
    price_mct_per_kwh: int
    shares_permille: dict[str, int] = Field(default_factory=dict)
    levels: tuple[tuple[tuple[str, ...], ...], ...] = ()

    @model_validator(mode="after")
    def _has_what_its_key_needs(self) -> Self:
        shares = self.shares_permille
        if (self.key is SharingKey.STATIC) is not bool(shares):
            raise ValueError(f"the key {self.key} {'needs' if not shares else 'has no use for'} shares_permille")
        if any(share < 0 for share in shares.values()) or sum(shares.values()) > PERMILLE:
            raise ValueError(f"shares_permille sum to {sum(shares.values())}, above {PERMILLE}, or one is below 0")
        if (self.key is SharingKey.HIERARCHICAL) is not bool(self.levels):
            raise ValueError(f"the key {self.key} {'needs' if not self.levels else 'has no use for'} levels")
        for number, groups in enumerate(self.levels):
            members = [site for group in groups for site in group]
            if len(members) != len(set(members)):
                raise ValueError(f"level {number} has a site in two groups")
        return self


class ChargedOn(StrEnum):
    """Which energy of a site a charge is for."""

    IMPORT = "import"
    EXPORT = "export"
    SHARED = "shared"


class Charge(_Data):
    """A tax, a grid fee or a levy per kWh, paid by the site; below zero it is a relief, as on shared energy."""

    name: str = Field(min_length=1, max_length=40)
    on: ChargedOn = ChargedOn.IMPORT
    mct_per_kwh: int
