"""A network of one's own for the functions, without a way to the internet: an option, for who must have it.

Nothing of the product needs it: no function listens, and each call of one is signed, encrypted and granted by its role.
What the functions speak to is reached by endpoints: tables and lake for nothing, each other service for an hourly price
in each of two zones. The function of the forecasts stays outside, as it asks a weather provider on the internet.

Source: AWS IoT Core developer guide, "Using AWS IoT Core with interface VPC endpoints": the data endpoint has no
private name of its own, a private zone gives it one; AWS Lambda developer guide, "Giving Lambda functions access to
resources in an Amazon VPC", required permissions.
"""

from dataclasses import dataclass
from typing import Final

from aws_cdk import Fn, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as targets

ZONES: Final = 2
SERVICES: Final = {
    "secrets": ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
    "traces": ec2.InterfaceVpcEndpointAwsService.XRAY,
}
JOINS: Final = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)


@dataclass(frozen=True, kw_only=True)
class Network:
    """Where functions are, and what they may open connections to."""

    vpc: ec2.Vpc
    group: ec2.SecurityGroup

    def let_in(self, role: iam.Role) -> None:
        """Let a function's role join the network."""
        role.add_to_policy(iam.PolicyStatement(actions=[*JOINS], resources=["*"]))


def network(stack: Stack, *, region: str) -> Network:
    """Add private subnets in two zones, the endpoints, and a log of what was let through."""
    vpc = ec2.Vpc(
        stack,
        "network",
        # By what the Region says when it is deployed: an account's zones are not known when the template is made.
        availability_zones=[Fn.select(number, Fn.get_azs()) for number in range(ZONES)],
        nat_gateways=0,
        restrict_default_security_group=False,  # It would need a function of CDK's own; nothing is in that group.
        subnet_configuration=[ec2.SubnetConfiguration(name="private", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)],
        gateway_endpoints={
            "tables": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.DYNAMODB),
            "lake": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
        },
    )
    log = logs.LogGroup(stack, "log-network", retention=logs.RetentionDays.ONE_MONTH)
    vpc.add_flow_log("flows", destination=ec2.FlowLogDestination.to_cloud_watch_logs(log))
    functions = ec2.SecurityGroup(stack, "functions-group", vpc=vpc, description="the functions; nothing comes in")
    doors = ec2.SecurityGroup(stack, "endpoints-group", vpc=vpc, allow_all_outbound=False, description="the endpoints")
    doors.add_ingress_rule(functions, ec2.Port.tcp(443), "from the functions")
    for name, service in SERVICES.items():
        vpc.add_interface_endpoint(name, service=service, security_groups=[doors], open=False)
    broker = vpc.add_interface_endpoint(
        "broker",
        service=ec2.InterfaceVpcEndpointAwsService.IOT_CORE,
        security_groups=[doors],
        open=False,
        private_dns_enabled=False,
    )
    named = route53.PrivateHostedZone(stack, "broker-zone", vpc=vpc, zone_name=f"data-ats.iot.{region}.amazonaws.com")
    route53.ARecord(
        stack,
        "broker-name",
        zone=named,
        target=route53.RecordTarget.from_alias(targets.InterfaceVpcEndpointTarget(broker)),
    )
    return Network(vpc=vpc, group=functions)
