"""Whose commands the site obeys."""

from typing import Self

from pydantic import AwareDatetime, Field, model_validator

from edge.config.section import Section
from edge.control.keys import Role
from edge.public_key import PublicKey

ISSUER_KEYS_MAX = 4  # One in use, one that follows, and room for a mistake; each costs a check of every order.


class TrustedIssuer(Section):
    """Whose commands the site obeys; ``battery_power_w_max`` is the greatest battery power that it may order.

    The key is taken from ``valid_from`` until ``valid_until``, each with its offset from UTC; always without them.
    """

    issuer: str
    role: Role
    public_key: PublicKey
    valid_from: AwareDatetime | None = None
    valid_until: AwareDatetime | None = None
    battery_power_w_max: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _lives(self) -> Self:
        if self.valid_from is not None and self.valid_until is not None and self.valid_from >= self.valid_until:
            raise ValueError(f"valid_until {self.valid_until} is not after valid_from {self.valid_from}")
        return self


class CommandsSection(Section):
    """Whose commands the site obeys; nobody's by default. An issuer with two entries has two keys, at most four."""

    trusted: tuple[TrustedIssuer, ...] = ()

    @model_validator(mode="after")
    def _one_issuer_is_one(self) -> Self:
        for issuer in {one.issuer for one in self.trusted}:
            entries = [one for one in self.trusted if one.issuer == issuer]
            if len({(one.role, one.battery_power_w_max) for one in entries}) > 1:
                raise ValueError(f"the keys of {issuer} differ in role or battery_power_w_max; it has one of each")
            if len({one.public_key for one in entries}) < len(entries):
                raise ValueError(f"a key of {issuer} stands twice; take one entry out")
            if len(entries) > ISSUER_KEYS_MAX:
                raise ValueError(f"{issuer} has {len(entries)} keys, above {ISSUER_KEYS_MAX}; take the oldest out")
        return self
