"""One account in one Region, or an emulator that answers in its place."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cloud.errors import DeployError, SetupError
from cloud.stores.endpoint import checked_endpoint

EMULATOR_CREDENTIALS: Final = "emulator"
_REGION: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")


@dataclass(frozen=True, kw_only=True)
class Account:
    """Where a stack is.

    Args:
        stack: The stack's name; what it names begins with it.
        region: The Region.
        endpoint: The address of an emulator; ``None`` for AWS itself.
    """

    stack: str
    region: str
    endpoint: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no client can be made for.

        Raises:
            DeployError: The address or the Region is none.
        """
        try:
            checked_endpoint(self.endpoint, of="the account")
        except SetupError as error:
            raise DeployError(str(error)) from error
        if not _REGION.fullmatch(self.region):
            raise DeployError(f"the Region is {self.region!r}, must be as eu-central-1; nobody was asked")

    @property
    def prefix(self) -> str:
        """Return what stands before the name of each resource."""
        return f"{self.stack}-"

    @property
    def poll_s(self) -> float:
        """Return the seconds between two looks at a change that goes on; AWS needs minutes for one."""
        return 3.0 if self.endpoint is None else 0.2

    @cached_property
    def number(self) -> str:
        """Return the account's twelve digits.

        Raises:
            DeployError: There are no credentials, or they are refused.
        """
        with said("the account cannot be asked who it is"):
            return str(self.client("sts").get_caller_identity()["Account"])

    @property
    def code_bucket(self) -> str:
        """Return the bucket that holds the bundles and templates of the stack."""
        return f"{self.prefix}code-{self.number}-{self.region}"

    def client(self, service: str) -> Any:
        """Return a client of a service."""
        credentials = {}
        if self.endpoint is not None and "AWS_ACCESS_KEY_ID" not in os.environ:
            credentials = {
                "aws_access_key_id": EMULATOR_CREDENTIALS,
                "aws_secret_access_key": EMULATOR_CREDENTIALS,
            }
        make: Any = boto3.client
        # A bucket is asked for by path: an emulator has no host name for each.
        config = Config(s3={"addressing_style": "path"}) if self.endpoint is not None else None
        return make(service, region_name=self.region, endpoint_url=self.endpoint, config=config, **credentials)


@contextmanager
def said(what: str) -> Iterator[None]:
    """Turn what the services answer into one sentence.

    Raises:
        DeployError: A service refused or could not be reached.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise DeployError(f"{what}: {error}") from error


def is_missing(error: ClientError) -> bool:
    """Return whether a service says that there is no such thing."""
    told = error.response.get("Error", {})
    return "NotFound" in told.get("Code", "") or "does not exist" in told.get("Message", "")
