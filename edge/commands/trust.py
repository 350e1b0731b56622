"""Whose orders the gate takes, from the site's configuration."""

import base64

from edge.config import CommandsSection
from edge.control.keys import SigningKey, TrustedKey


def trusted_issuers(section: CommandsSection) -> dict[str, TrustedKey]:
    """Return each issuer with all its keys."""
    issuers: dict[str, TrustedKey] = {}
    for one in section.trusted:
        key = SigningKey(
            public_key=base64.b64decode(one.public_key), valid_from=one.valid_from, valid_until=one.valid_until
        )
        earlier = issuers[one.issuer].keys if one.issuer in issuers else ()
        issuers[one.issuer] = TrustedKey(
            role=one.role, keys=(*earlier, key), battery_power_w_max=one.battery_power_w_max
        )
    return issuers
