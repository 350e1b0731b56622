"""Who joins while the doors are open is known behind them without a restart."""

from pathlib import Path
from typing import Any

import httpx

from cloud.errors import SetupError
from cloud.shell.agents_office import office_of
from cloud.stores.registry import Registry
from cloud.stores.tables import Tables
from tests.support.cloud.doors import doors_in
from tests.support.cloud.process import eventually
from tests.support.cloud.sites import registry


async def test_a_site_that_joins_is_known_to_every_door_without_a_restart(tmp_path: Path) -> None:
    """A person lets a guest in; a server that must be restarted for it is restarted for everyone else, too."""
    opened: list[Tables] = []
    reads: list[int] = []

    def reread() -> Registry:
        reads.append(len(reads))
        if reads[-1] == 1:
            raise SetupError("the store is busy")
        return registry(homes=3 if reads[-1] > 1 else 2)

    more: dict[str, Any] = {
        "reread": reread,
        "office_with": lambda members: office_of(opened[0], members),
        "renew_s": 0.05,
    }
    with doors_in(tmp_path, begin=opened.append, **more) as doors, httpx.Client(base_url=doors.url) as client:

        def listed() -> list[str]:
            return [one["id"] for one in client.get("/v1/sites").json()["items"]]

        def status(site: str) -> int:
            return client.get("/v1/skills/consumer_flexibility", params={"site": site}).status_code

        assert "home-2" in listed()
        await eventually(lambda: "home-3" in listed())
        assert status("home-3") == 200
        assert status("home-9") == 404
        assert len(reads) > 2, "a registry that cannot be read once is read again"
