"""The demonstration's cloud where it is a stack in an emulator of AWS: told of the neighbourhood, and stood before.

Its gateways are at home on this machine, at a broker of their own. Time runs faster than the emulator's clock, so the
story is moved to a day that has not come: what a table keeps for a while would else have run out already.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from cloud.errors import DeployError
from cloud.infra.deployment import registration
from cloud.infra.deployment.account import said
from cloud.infra.deployment.rollout import state_of
from cloud.infra.functions import FUNCTIONS
from cloud.infra.rules import CONSUMERS, SCHEDULES
from cloud.local.config import load_config
from cloud.local.opening import Servers
from cloud.shell.signing import read_signer_file
from cloud.stores.dynamodb import DynamoTables
from cloud.stores.registry import save_registry
from contracts.clock import ScaledClock
from contracts.control import key_id
from sitewatt.demo import files
from sitewatt.demo.neighbourhood import Neighbourhood
from sitewatt.demo.processes import Child, Processes

if TYPE_CHECKING:
    from cloud.infra.deployment.account import Account

_WEEK = timedelta(weeks=1)


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A stack that holds nobody's market yet."""

    account: "Account"

    @property
    def servers(self) -> Servers:
        """Return where its tables and streams are."""
        account = self.account
        where = urlencode({"region": account.region, "endpoint": account.endpoint})
        return Servers(tables=f"dynamodb://{account.stack}?{where}", streams=f"kinesis://{account.stack}?{where}")

    def check(self) -> None:
        """Look whether it can be used.

        Raises:
            DeployError: There is none, it is not well, or somebody takes part in it.
            StoreError: Its registry cannot be read.
        """
        stack = state_of(self.account)
        if stack is None or not stack.well:
            found = "there is none" if stack is None else f"it is {stack.state}"
            raise DeployError(f"stack {self.account.stack} at {self.account.endpoint}: {found}; sitewatt cloud deploy")
        if registration.registered(self.account) is not None:
            raise DeployError(f"somebody takes part in stack {self.account.stack}: its books would become the story's")

    def warm(self) -> None:
        """Call each function once, so that its process has started when time does: ten seconds are minutes then.

        Nobody is registered yet, so each of them refuses.
        """
        client = self.account.client("lambda")
        handlers = sorted({*(each.handler for each in CONSUMERS), *(each.handler for each in SCHEDULES)})
        for definition in FUNCTIONS:
            if definition.handler in handlers:
                with said(f"{definition.name} cannot be called"):
                    client.invoke(FunctionName=f"{self.account.prefix}{definition.name}:live", Payload=b"{}")

    def register(self, folder: Path) -> None:
        """Tell the stack who takes part, and the key; schedules are played, for the emulator's run by its own clock.

        Raises:
            DeployError: A service refused.
            StoreError: The registry could not be written.
        """
        config = load_config(files.cloud(folder))
        stack = state_of(self.account)
        assert stack is not None, "it was looked at"
        signer = read_signer_file(issuer=config.signing.issuer, path=config.signing.key_file)
        key = key_id(signer.key.public_key().public_bytes_raw())
        pem = config.signing.key_file.read_text(encoding="ascii")
        registration.put_signing_key(self.account, stack, pem=pem, key_id=key)
        save_registry(DynamoTables(self.account.client("dynamodb"), prefix=self.account.prefix), config.registry)

    async def start(self, processes: Processes, *, link: dict[str, Any], clock: ScaledClock) -> Child:
        """Start what stands before the stack.

        Raises:
            ProcessFailed: It did not start.
        """
        where = ("--stack", self.account.stack, "--region", self.account.region)
        broker = ("--broker", link["url"], "--protocol", link["protocol"])
        return await processes.start(
            "cloud", "cloud.local.stack_front", *where, "--endpoint", str(self.account.endpoint), *broker,
            "--clock", clock.spec(),
        )  # fmt: skip


def moved(place: Neighbourhood, *, now: datetime | None = None) -> Neighbourhood:
    """Return a neighbourhood whose story begins at the same hour of the same weekday, within the week to come."""
    now = datetime.now(UTC) if now is None else now
    weeks = max(0, (now - place.started_at) // _WEEK + 1)
    return replace(place, started_at=place.started_at + weeks * _WEEK)
