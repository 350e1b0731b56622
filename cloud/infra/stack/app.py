"""The whole stack, and the template that it becomes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler

from cloud.infra.functions import Bundle
from cloud.infra.rules import Carrier
from cloud.infra.stack import acknowledged
from cloud.infra.stack.analysis import analysis
from cloud.infra.stack.backups import backups
from cloud.infra.stack.budget import budget
from cloud.infra.stack.code import Bundles
from cloud.infra.stack.data import Data, data
from cloud.infra.stack.delivery import take_over_gradually
from cloud.infra.stack.door import Doorkeeper, door
from cloud.infra.stack.functions import functions, scheduled
from cloud.infra.stack.guards import guards
from cloud.infra.stack.iot import HOOK, broker
from cloud.infra.stack.network import network
from cloud.infra.stack.watch import watch
from cloud.infra.tables import Capacity
from cloud.stores.tables import Table


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """Which stack: its name is the prefix of what it names.

    ``bundles`` is the SHA-256 of each bundle that is to run; without them a change of the code alone changes nothing.
    ``doorkeeper`` says whose tokens open the API; without one there is no API. ``shards`` are those of each carrier,
    ``capacity`` what is held ready for tables that are not on demand. ``backups`` adds copies that outlive 35 days,
    ``private_network`` a network of its own without a way to the internet, ``guards`` what watches an account, and
    ``budget_usd`` a word when a month is about to cost more.
    """

    name: str = "sitewatt"
    region: str = "eu-central-1"
    account: str = "111122223333"  # Source: AWS documentation, the account of examples.
    bundles: Mapping[Bundle, str] = field(default_factory=dict)
    doorkeeper: Doorkeeper | None = None
    shards: Mapping[Carrier, int] = field(default_factory=dict)
    capacity: Mapping[Table, Capacity] = field(default_factory=dict)
    backups: bool = False
    private_network: bool = False
    guards: bool = False
    budget_usd: int | None = None

    @property
    def prefix(self) -> str:
        """Return what stands before the name of each resource."""
        return f"{self.name}-"


def build(settings: StackSettings, *, out_dir: Path) -> cdk.App:
    """Return the application of one stack, which writes to a folder when it is synthesised."""
    app = cdk.App(outdir=str(out_dir), analytics_reporting=False)
    stack = cdk.Stack(
        app,
        settings.name,
        env=cdk.Environment(account=settings.account, region=settings.region),
        synthesizer=cdk.BootstraplessSynthesizer(),
        description="sitewatt: the market, forecasts and the grid of energy sites",
    )
    bundles = Bundles(stack, digests=settings.bundles)
    held = data(stack, prefix=settings.prefix, shards=settings.shards, capacity=settings.capacity)
    inside = network(stack, region=settings.region) if settings.private_network else None
    made = functions(stack, held, bundles, inside, prefix=settings.prefix)
    take_over_gradually(stack, made, prefix=settings.prefix)
    analysis(stack, held, prefix=settings.prefix)
    if settings.backups:
        backups(stack, held, prefix=settings.prefix)
    if settings.guards:
        guards(stack, prefix=settings.prefix)
    broker(stack, held, hook=made.live[HOOK])
    if settings.doorkeeper is not None:
        door(stack, made.live, settings.doorkeeper, prefix=settings.prefix)
    topic = watch(
        stack, held, made.functions, tight=settings.capacity, key=held.keys["secrets"], prefix=settings.prefix
    )
    if settings.budget_usd is not None:
        budget(stack, topic, key=held.keys["secrets"], usd=settings.budget_usd, prefix=settings.prefix)
    _schedules(stack, [made.live[handler].function_arn for handler in scheduled()], name=settings.name)
    _outputs(stack, held)
    acknowledged.apply(stack, held)
    return app


def synth_stack(settings: StackSettings, *, out_dir: Path) -> dict[str, Any]:
    """Write the template to a folder and return it.

    Raises:
        RuntimeError: A security check found something that is not explained; its report lies in the folder.
    """
    app = build(settings, out_dir=out_dir)
    acknowledged.check(app)
    app.synth()
    template: dict[str, Any] = json.loads((out_dir / f"{settings.name}.template.json").read_text(encoding="utf-8"))
    return template


def _outputs(stack: cdk.Stack, held: Data) -> None:
    """Name what the operator's commands need to find."""
    cdk.CfnOutput(stack, "SigningKeySecret", value=held.signing_key.secret_arn)
    cdk.CfnOutput(stack, "AsideQueue", value=held.aside.queue_url)
    cdk.CfnOutput(stack, "LakeBucket", value=held.lake.bucket_name)
    for carrier, stream in held.streams.items():
        cdk.CfnOutput(stack, f"{carrier.value.title()}Stream", value=stream.stream_name)


def _schedules(stack: cdk.Stack, targets: list[str], *, name: str) -> None:
    """Add the group of the schedules and the role that calls; each zone's are made when it is registered."""
    scheduler.CfnScheduleGroup(stack, "schedules", name=name)
    role = iam.Role(stack, "role-schedules", assumed_by=iam.ServicePrincipal("scheduler.amazonaws.com"))
    role.add_to_policy(iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=targets))
    cdk.CfnOutput(stack, "ScheduleRole", value=role.role_arn)
