"""AWS IoT Core's part of the stack: rules to the streams, policies, provisioning, what Device Defender is told."""

import json

from aws_cdk import Aws, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_iot as iot
from aws_cdk import aws_lambda as lambda_

from cloud.infra.fleet import (
    CLAIM_POLICY,
    DEFENDER_METRICS,
    FLEET_POLICY,
    TEMPLATE_NAME,
    THING_GROUP,
    claim_policy,
    fleet_policy,
    fleet_template,
)
from cloud.infra.rules import RULES, Rule
from cloud.infra.stack.data import Data

HOOK = "cloud.handlers.provisioning_hook"
SQL_VERSION = "2016-03-23"


def broker(stack: Stack, held: Data, *, hook: lambda_.Alias) -> None:
    """Add everything that gateways meet to a stack."""
    role = iam.Role(stack, "role-rules", assumed_by=iam.ServicePrincipal("iot.amazonaws.com"))
    for carrier in held.streams.values():
        carrier.grant_write(role)
    held.aside.grant_send_messages(role)
    for rule in RULES:
        _rule(stack, rule, held, role)
    _fleet(stack, hook)


def _rule(stack: Stack, rule: Rule, held: Data, role: iam.Role) -> None:
    """Forward a channel to its stream; what could not be forwarded is set aside with the reason."""
    carrier = held.streams[rule.stream.carrier]
    iot.CfnTopicRule(
        stack,
        f"rule-{rule.channel.value}",
        rule_name=rule.name,
        topic_rule_payload=iot.CfnTopicRule.TopicRulePayloadProperty(
            sql=rule.sql,
            aws_iot_sql_version=SQL_VERSION,
            actions=[
                iot.CfnTopicRule.ActionProperty(
                    kinesis=iot.CfnTopicRule.KinesisActionProperty(
                        role_arn=role.role_arn, stream_name=carrier.stream_name, partition_key=rule.partition_key
                    )
                )
            ],
            error_action=iot.CfnTopicRule.ActionProperty(
                sqs=iot.CfnTopicRule.SqsActionProperty(
                    queue_url=held.aside.queue_url, role_arn=role.role_arn, use_base64=True
                )
            ),
        ),
    )


def _fleet(stack: Stack, hook: lambda_.Alias) -> None:
    policies = {
        CLAIM_POLICY: claim_policy(region=Aws.REGION, account=Aws.ACCOUNT_ID),
        FLEET_POLICY: fleet_policy(region=Aws.REGION, account=Aws.ACCOUNT_ID),
    }
    for name, document in policies.items():
        iot.CfnPolicy(stack, f"policy-{name}", policy_name=name, policy_document=document)
    iot.CfnThingGroup(stack, "things", thing_group_name=THING_GROUP)
    for metric, kind in DEFENDER_METRICS.items():
        iot.CfnCustomMetric(stack, f"metric-{metric}", metric_name=metric, metric_type=kind)
    role = iam.Role(
        stack,
        "role-provisioning",
        assumed_by=iam.ServicePrincipal("iot.amazonaws.com"),
        managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name("service-role/AWSIoTThingsRegistration")],
    )
    template = iot.CfnProvisioningTemplate(
        stack,
        "provisioning",
        template_name=TEMPLATE_NAME,
        template_body=json.dumps(fleet_template()),
        provisioning_role_arn=role.role_arn,
        enabled=True,
        pre_provisioning_hook=iot.CfnProvisioningTemplate.ProvisioningHookProperty(
            target_arn=hook.function_arn, payload_version="2020-04-01"
        ),
    )
    allowed = lambda_.CfnPermission(
        stack,
        "hook-called-by-iot",
        action="lambda:InvokeFunction",
        function_name=hook.function_arn,
        principal="iot.amazonaws.com",
        source_account=Aws.ACCOUNT_ID,
        source_arn=f"arn:{Aws.PARTITION}:iot:{Aws.REGION}:{Aws.ACCOUNT_ID}:provisioningtemplate/{TEMPLATE_NAME}",
    )
    template.add_resource_dependency(allowed)
