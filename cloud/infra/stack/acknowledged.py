"""The security checks that a template must pass, and what of their findings is meant to be so, each with its reason."""

from typing import Final

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from cloud.infra.stack.backups import POLICY as BACKUP_POLICY
from cloud.infra.stack.data import Data
from cloud.infra.stack.functions import topic_pattern
from cloud.infra.stack.guards import RECORDER_POLICY
from cloud.stores.lake import LAKE_PREFIX
from contracts.topics import Broadcast, Down

REASONS: Final = {
    "AwsSolutions-KDS3": "the streams are encrypted with the telemetry key, a customer key; the check asks for that",
    "AwsSolutions-SMG4": "gateways hold the public half: a rotation is a command that reaches them first, not a timer",
    "AwsSolutions-SQS3": "the queue is where records are set aside; a person looks at what is in it, an alarm says so",
    "AwsSolutions-L1": "3.13 is the newest runtime for which every library here has wheels on arm64",
    "AwsSolutions-IAM5[Resource::*]": (
        "X-Ray's segments, the metric of a shard iterator and the interfaces of a network have no resource to name"
    ),
    "AwsSolutions-IAM5[Action::kms:ReEncrypt*]": "the actions of one key for one use, as the grant writes them",
    "AwsSolutions-IAM5[Action::kms:GenerateDataKey*]": "the actions of one key for one use, as the grant writes them",
    "AwsSolutions-IAM5[Action::s3:Abort*]": "a broken upload to the lake is taken back, in the lake's own bucket",
    "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSIoTThingsRegistration]": (
        "what IoT's own provisioning needs is what AWS says it needs; the role is assumed by IoT alone"
    ),
    f"AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{BACKUP_POLICY}]": (
        "what a backup needs is what AWS says it needs; the role is assumed by AWS Backup alone"
    ),
    f"AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{RECORDER_POLICY}]": (
        "what a recorder of every kind of resource may look at is what AWS says; the role is assumed by Config alone"
    ),
    "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited]": (
        "what CodeDeploy needs to turn an alias is what AWS says it needs; the role is assumed by CodeDeploy alone"
    ),
}


def check(app: cdk.App) -> None:
    """Let the AwsSolutions checks judge an application when it is synthesised."""
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))


def apply(stack: cdk.Stack, held: Data) -> None:
    """Acknowledge what is meant to be so: zones, sites and objects are known by the pattern of their names alone."""
    topic = "arn:<AWS::Partition>:iot:<AWS::Region>:<AWS::AccountId>:topic/"
    lake = stack.get_logical_id(held.lake.node.default_child)
    patterns = {
        **{
            f"{topic}{topic_pattern(channel)}": "a function speaks to each site of each zone, on this channel alone"
            for channel in (*Down, *Broadcast)
        },
        f"<{lake}.Arn>/{LAKE_PREFIX}*": "an object's name says its zone, day and records; all lie below this prefix",
    }
    reasons = {
        **REASONS,
        **{f"AwsSolutions-IAM5[Resource::{resource}]": reason for resource, reason in patterns.items()},
    }
    cdk.Validations.of(stack).acknowledge(
        *(cdk.Acknowledgment(id=finding, reason=reason) for finding, reason in reasons.items())
    )
