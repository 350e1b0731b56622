"""The door of the agents on AWS: an HTTP API that lets in whoever has a token of the operator's own issuer.

A request without a token that the issuer signed for this audience, and that has not run out, ends at the API: no
function is called, nothing is billed for it but the request. What the token's holder may ask is the skills' own matter
(``cloud/shell/skill_entry.py``).

Source: Amazon API Gateway developer guide, "Control access to HTTP APIs with JWT authorizers"; quotas for HTTP APIs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aws_cdk import Aws, CfnOutput, Stack
from aws_cdk import aws_apigatewayv2 as api
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs

from cloud.infra.functions import ASKED, FunctionDefinition

# Requests a second of all callers together, and how many may come at once: far below what the tables bear.
RATE_PER_S: Final = 50
BURST: Final = 100
# What a line of the log says: who (the token's subject), what, and how it ended; never a question or an answer.
LOGGED: Final = {
    "at": "$context.requestTimeEpoch",
    "caller": "$context.authorizer.claims.sub",
    "route": "$context.routeKey",
    "status": "$context.status",
    "ms": "$context.responseLatency",
    "request": "$context.requestId",
    "why": "$context.authorizer.error",
}


@dataclass(frozen=True, kw_only=True)
class Doorkeeper:
    """Whose tokens open the door.

    Args:
        issuer: The issuer's address (``iss``), whose keys are found below it as OpenID Connect Discovery says.
        audience: Whom a token must be for (``aud``).
    """

    issuer: str
    audience: str


def routes(definition: FunctionDefinition) -> tuple[str, ...]:
    """Return what a function answers to: the list of its skills, and each of them."""
    return (f"GET /{definition.name}", f"GET /{definition.name}/{{skill}}", f"POST /{definition.name}/{{skill}}")


def door(stack: Stack, live: Mapping[str, lambda_.Alias], keeper: Doorkeeper, *, prefix: str) -> None:
    """Add the API to a stack; every route asks for a token."""
    made = api.CfnApi(
        stack,
        "door",
        name=f"{prefix}door",
        protocol_type="HTTP",
        description="the skills of the agents, for who has a token",
    )
    authorizer = api.CfnAuthorizer(
        stack,
        "door-keeper",
        api_id=made.ref,
        name="token",
        authorizer_type="JWT",
        identity_source=["$request.header.Authorization"],
        jwt_configuration=api.CfnAuthorizer.JWTConfigurationProperty(issuer=keeper.issuer, audience=[keeper.audience]),
    )
    for definition in ASKED:
        _lead(stack, made, authorizer, definition, live[definition.handler])
    log = logs.LogGroup(stack, "log-door", retention=logs.RetentionDays.ONE_MONTH)
    api.CfnStage(
        stack,
        "door-stage",
        api_id=made.ref,
        stage_name="$default",
        auto_deploy=True,
        access_log_settings=api.CfnStage.AccessLogSettingsProperty(
            destination_arn=log.log_group_arn, format=json.dumps(LOGGED)
        ),
        default_route_settings=api.CfnStage.RouteSettingsProperty(
            throttling_rate_limit=RATE_PER_S, throttling_burst_limit=BURST
        ),
    )
    CfnOutput(stack, "DoorUrl", value=made.attr_api_endpoint)


def _lead(
    stack: Stack,
    made: api.CfnApi,
    authorizer: api.CfnAuthorizer,
    definition: FunctionDefinition,
    live: lambda_.Alias,
) -> None:
    """Lead the routes of a function to its alias, and let this API alone call it by them."""
    integration = api.CfnIntegration(
        stack,
        f"door-to-{definition.name}",
        api_id=made.ref,
        integration_type="AWS_PROXY",
        integration_uri=live.function_arn,
        payload_format_version="2.0",
        timeout_in_millis=definition.timeout_s * 1000,
    )
    for number, key in enumerate(routes(definition)):
        api.CfnRoute(
            stack,
            f"door-{definition.name}-{number}",
            api_id=made.ref,
            route_key=key,
            target=f"integrations/{integration.ref}",
            authorization_type="JWT",
            authorizer_id=authorizer.ref,
        )
    lambda_.CfnPermission(
        stack,
        f"door-may-call-{definition.name}",
        action="lambda:InvokeFunction",
        function_name=live.function_arn,
        principal="apigateway.amazonaws.com",
        source_arn=(f"arn:{Aws.PARTITION}:execute-api:{Aws.REGION}:{Aws.ACCOUNT_ID}:{made.ref}/*/*/{definition.name}*"),
    )
