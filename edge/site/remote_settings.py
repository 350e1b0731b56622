"""What an operator may change from afar, and who signs in at the page, laid over the file that stands on site.

The file is the outer bound: a limit can be lowered below what the installer wrote, never raised above it. Of several
limits the lowest holds, of other settings the operator's. A wish is
checked as a whole before anything of it is kept; what is kept survives a restart. A wish that a newer file does not
allow any more is dropped, and the site runs by its file.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from edge.config import SiteConfig, sentence
from edge.config.devices import DeviceSection
from edge.errors import ConfigError
from edge.plain.settings import NUMBERS
from edge.state_store import StateStore

log = logging.getLogger(__name__)

# What is desired of one shadow, and the two shadows by the names that the fleet gives them.
Wanted = dict[str, Any]
CONFIG, LIMITS_OF = "config", "limits"
# What is wished at the page, and by a program of the house.
PAGE, HOUSE = "page", "house"

# Sections of the file, and which of their keys; everything else is for who stands beside the gateway.
CHANGEABLE: Mapping[str, frozenset[str]] = {
    "telemetry": frozenset({"period_s"}),
    "control": frozenset({"period_s", "idle", "foreign_writes"}),
    "trading": frozenset(
        {"enabled", "follow_schedule", "import_tariff_mct_per_kwh", "export_tariff_mct_per_kwh", "gate_closure_s"}
    ),
}
LIMITS = frozenset({"import_limit_w", "export_limit_w"})
# The level that every battery keeps for an outage: raised above the file's from afar, never lowered below it.
RESERVE = "battery_reserve_percent"
PAGE_CHANGEABLE: Mapping[str, frozenset[str]] = {
    "control": frozenset({"idle"}),
    "trading": frozenset(
        {
            "tariff",
            "import_tariff_mct_per_kwh",
            "export_tariff_mct_per_kwh",
            "charge_from_grid",
            "discharge_to_grid",
        }
    ),
}
# What a file forbids by saying false, nobody allows from elsewhere.
_FORBIDDEN_BY_FILE = ("charge_from_grid", "discharge_to_grid")
_KEY = "fleet.wanted"
# What a part reads once, when it is made.
_READ_AT_START = ("control.period_s", "control.foreign_writes", "trading.enabled")


def is_changeable(config: SiteConfig) -> bool:
    """Say whether anybody may change settings without the file: an operator, who signs in at the page, the house."""
    house = config.home_assistant is not None and any(one in NUMBERS for one in config.home_assistant.controls)
    return config.fleet is not None or house or (config.page is not None and config.page.tls_port is not None)


class RemoteSettings:
    """The settings in force: the site's file, and what was wanted from afar and allowed."""

    def __init__(self, file: SiteConfig, *, memory: StateStore) -> None:
        self.file = file
        self._memory = memory
        self._wanted: dict[str, Wanted] = {}
        self.config = file
        kept = memory.recall(_KEY) or {}
        try:
            self.config = laid_over(file, kept)
            self._wanted = kept
        except ConfigError as error:
            log.warning("settings from afar dropped", extra={"reason": str(error)})
            memory.remember(_KEY, None)

    @property
    def wanted(self) -> dict[str, Wanted]:
        """Return what is wanted now, by shadow."""
        return dict(self._wanted)

    def propose(self, shadow: str, wish: Wanted) -> "Proposal":
        """Return what a wish would make, in place of what was wished before through the same shadow.

        Raises:
            ConfigError: It is not allowed; nothing changed.
        """
        return self.propose_all({**self._wanted, str(shadow): wish})

    def propose_all(self, wanted: Mapping[str, Wanted]) -> "Proposal":
        """Return what all that is wanted would make, in place of all that was.

        Raises:
            ConfigError: It is not allowed; nothing changed.
        """
        return Proposal(config=laid_over(self.file, wanted), wanted=dict(wanted))

    def keep(self, proposal: "Proposal") -> None:
        """Keep it, over restarts too."""
        if proposal.wanted != self._wanted:
            self._memory.remember(_KEY, proposal.wanted)
        self._wanted, self.config = proposal.wanted, proposal.config


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A configuration, and the wishes that make it."""

    config: SiteConfig
    wanted: dict[str, Wanted]

    def refuse_unsafe(self) -> None:
        """Refuse what a gateway would not start with, as a generator that nothing holds when it is dead.

        Raises:
            ConfigError: Its devices do not fit its limits.
        """
        # Loaded when something is wished: the maps of devices take 5 MB, which the site process else has no use for.
        from edge.setup.failsafe_check import refuse_unsafe

        refuse_unsafe(self.config)


def laid_over(file: SiteConfig, wanted: Mapping[str, Wanted]) -> SiteConfig:
    """Return a site's configuration with what is wanted of it.

    Raises:
        ConfigError: A key is unknown, a value breaks its rule, or a limit is above the file's.
    """
    base = _by_page(file, wanted.get(PAGE, {}))
    sections = wanted.get(CONFIG, {})
    changed: dict[str, Any] = {
        name: _section(base, name, values, known=CHANGEABLE) for name, values in sections.items()
    }
    by_operator = wanted.get(LIMITS_OF, {})
    if isinstance(by_operator, dict) and RESERVE in by_operator:
        changed["devices"] = _reserving(base, by_operator[RESERVE])
        by_operator = {key: value for key, value in by_operator.items() if key != RESERVE}
    connection = base.connection
    for limits in (by_operator, wanted.get(HOUSE, {})):
        if limits:
            limited = _limited(file, limits)
            lower = {key: min(getattr(limited, key), getattr(connection, key)) for key in LIMITS}
            connection = connection.model_copy(update=lower)
    return base.model_copy(update={**changed, "connection": connection})


def read_at_start(before: SiteConfig, after: SiteConfig) -> tuple[str, ...]:
    """Return the changed keys that only a new start brings into force."""
    return tuple(key for key in _READ_AT_START if _value(before, key) != _value(after, key))


def _by_page(file: SiteConfig, wish: Wanted) -> SiteConfig:
    """Return the configuration with what is wished at the page.

    Raises:
        ConfigError: As ``laid_over``.
    """
    sections = {name: values for name, values in wish.items() if name != LIMITS_OF}
    changed = {name: _section(file, name, values, known=PAGE_CHANGEABLE) for name, values in sections.items()}
    for key in _FORBIDDEN_BY_FILE:
        if wish.get("trading", {}).get(key) and not getattr(file.trading, key):
            raise ConfigError(f"trading.{key} is false in the site's file, which forbids it; nothing changed")
    if limits := wish.get(LIMITS_OF, {}):
        changed["connection"] = _limited(file, limits)
    return file.model_copy(update=changed)


def _section(base: SiteConfig, name: str, values: Any, *, known: Mapping[str, frozenset[str]]) -> BaseModel:
    if name not in known:
        raise ConfigError(f"{name} is none of {', '.join(sorted(known))}; nothing changed")
    section: BaseModel = getattr(base, name)
    _refuse_unknown(values, known=known[name], where=name)
    return _checked(section, values, where=name)


def _limited(file: SiteConfig, limits: Wanted) -> BaseModel:
    _refuse_unknown(limits, known=LIMITS, where="limits")
    connection = _checked(file.connection, limits, where="limits")
    for key in limits:
        value, bound = getattr(connection, key), getattr(file.connection, key)
        if value > bound:
            raise ConfigError(f"limits.{key} is {value}, above the {bound} of the site's file; nothing changed")
    return connection


def _reserving(base: SiteConfig, percent: Any) -> tuple[DeviceSection, ...]:
    """Return the devices with their batteries kept at a level, each at its own where the file keeps more.

    Raises:
        ConfigError: It is no level, there is no battery, or one is not charged beyond it.
    """
    where = f"{LIMITS_OF}.{RESERVE}"
    if type(percent) not in (int, float) or not 0 <= percent < 100:
        raise ConfigError(f"{where} is {percent!r}, not a number from 0 to below 100; nothing changed")
    batteries = [device.battery for device in base.devices if device.battery is not None]
    if not batteries:
        raise ConfigError(f"{where} is {percent}, and the site has no battery; nothing changed")
    if percent >= (full := min(battery.soc_max_percent for battery in batteries)):
        raise ConfigError(
            f"{where} is {percent}, not below the {full:g} to which a battery is charged; nothing changed"
        )
    return tuple(
        device
        if (battery := device.battery) is None
        else device.model_copy(
            update={
                "battery": battery.model_copy(update={"soc_min_percent": max(battery.soc_min_percent, float(percent))})
            }
        )
        for device in base.devices
    )


def _refuse_unknown(values: Any, *, known: frozenset[str], where: str) -> None:
    if not isinstance(values, dict):
        raise ConfigError(f"{where} is {values!r}, must hold {', '.join(sorted(known))}; nothing changed")
    if unknown := sorted(set(values) - known):
        raise ConfigError(f"{where}.{unknown[0]} is none of {', '.join(sorted(known))}; nothing changed")


def _checked(section: BaseModel, values: Wanted, *, where: str) -> BaseModel:
    try:
        return type(section).model_validate({**section.model_dump(), **values})
    except ValidationError as error:
        raise ConfigError(f"{where}: {sentence(error, of=type(section))}; nothing changed") from error


def _value(config: SiteConfig, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(config, section), name)
