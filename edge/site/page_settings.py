"""Settings that who signs in at the page changes, within the site's file: told, taken, kept over restarts.

The file is the outer bound: what it forbids stays forbidden, and its limits are only lowered.
"""

from collections.abc import Callable
from typing import Any, Final

import tariffs
from edge.config import SiteConfig
from edge.control.keys import Role
from edge.errors import ConfigError
from edge.site.remote_settings import PAGE, RemoteSettings, Wanted
from edge.web.actions import ActionRefused, Settings

# Of the form's fields, the section of the file that each is a key of.
_SECTION: Final = {
    "idle": "control",
    "tariff": "trading",
    "import_tariff_mct_per_kwh": "trading",
    "export_tariff_mct_per_kwh": "trading",
    "charge_from_grid": "trading",
    "discharge_to_grid": "trading",
    "import_limit_w": "limits",
    "export_limit_w": "limits",
}


class PageSettings:
    """The settings of one site at its page.

    Args:
        remote: Keeps what is wished, and lays it over the file.
        adopt: Brings a configuration into force.
        start_anew: Has the gateway started again, for what is read at a start alone.
    """

    def __init__(
        self, remote: RemoteSettings, *, adopt: Callable[[SiteConfig], None], start_anew: Callable[[str], None]
    ) -> None:
        self._remote = remote
        self._adopt = adopt
        self._start_anew = start_anew

    def told(self) -> dict[str, Any]:
        """Return what the file says, what is wished here, what is in force, and the ready tariffs; plain values."""
        wished = self._remote.wanted.get(PAGE, {})
        return {
            "file": _values(self._remote.file),
            "now": _values(self._remote.config),
            "wished": {name: value for section in wished.values() for name, value in section.items()},
            "tariffs": list(tariffs.names()),
        }

    def take(self, action: Settings, role: Role) -> str:
        """Put what is wished in the place of what was, and say what became of it.

        Raises:
            ActionRefused: The file or the role does not allow it; nothing changed.
        """
        wish = _wish(action)
        before = self._remote.wanted.get(PAGE, {})
        if role is not Role.INSTALLER and wish.get("limits", {}) != before.get("limits", {}):
            raise ActionRefused("limits are the installer's; nothing changed", code="not_permitted")
        plans = self._remote.config.plans
        try:
            proposal = self._remote.propose(PAGE, wish)
            proposal.refuse_unsafe()
        except ConfigError as error:
            raise ActionRefused(str(error), code="not_allowed") from error
        self._remote.keep(proposal)
        self._adopt(proposal.config)
        if proposal.config.plans == plans:
            return "the settings are in force"
        self._start_anew("whether the site plans was changed at the page")
        return "the gateway starts again with it; sign in again then"


def _wish(action: Settings) -> Wanted:
    told = action.model_dump(mode="json", exclude={"kind"}, exclude_none=True)
    wish: dict[str, Any] = {}
    for name, value in told.items():
        wish.setdefault(_SECTION[name], {})[name] = value
    return wish


def _values(config: SiteConfig) -> dict[str, Any]:
    trading, connection = config.trading, config.connection
    return {
        "idle": config.control.idle.value,
        "tariff": trading.tariff if isinstance(trading.tariff, str) else None,
        "import_tariff_mct_per_kwh": trading.import_tariff_mct_per_kwh,
        "export_tariff_mct_per_kwh": trading.export_tariff_mct_per_kwh,
        "charge_from_grid": trading.charge_from_grid,
        "discharge_to_grid": trading.discharge_to_grid,
        "import_limit_w": connection.import_limit_w,
        "export_limit_w": connection.export_limit_w,
    }
