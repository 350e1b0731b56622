"""Which language model answers, from options and environment."""

import os
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from sitewatt.output import BAD_INPUT, fail

if TYPE_CHECKING:
    from cloud.agents.reasoning import Model


class Reasoner(StrEnum):
    """Interfaces that a language model may have."""

    NONE = "none"
    BEDROCK = "bedrock"
    BEDROCK_MESSAGES = "bedrock-messages"
    OPENAI = "openai"


ReasonerOption = Annotated[Reasoner, typer.Option(envvar="SITEWATT_REASONER", help="Which interface the model has.")]
ModelOption = Annotated[str, typer.Option(envvar="SITEWATT_REASONER_MODEL", help="The model's id.")]
ModelUrlOption = Annotated[
    str | None, typer.Option("--endpoint", envvar="SITEWATT_REASONER_URL", help="Where it is; needed for openai.")
]
ModelRegionOption = Annotated[
    str | None, typer.Option("--region", envvar="AWS_REGION", help="The Region, for bedrock.")
]
SiteValuesOption = Annotated[
    bool, typer.Option("--site-values", help="Values of single sites may go to the model: their owners agreed.")
]


def check_model(reasoner: Reasoner, model: str, endpoint: str | None, *, as_json: bool) -> None:
    """End the command where a reasoner is not wholly named."""
    if not model or (reasoner is Reasoner.OPENAI and not endpoint):
        fail("a reasoner needs --model, openai also --endpoint", code="bad_input", as_json=as_json, exit_code=BAD_INPUT)


def model_of(reasoner: Reasoner, model: str, endpoint: str | None, region: str | None) -> "Model":
    """Return the model of a reasoner; the key of openai stands in ``SITEWATT_REASONER_KEY``."""
    if reasoner is Reasoner.BEDROCK:
        from cloud.shell.models.bedrock import BedrockModel

        return BedrockModel(model, endpoint=endpoint, region=region)
    if reasoner is Reasoner.BEDROCK_MESSAGES:
        from cloud.shell.models.bedrock_messages import BedrockMessagesModel

        return BedrockMessagesModel(model, endpoint=endpoint, region=region)
    from cloud.shell.models.chat_completions import ChatModel

    assert endpoint is not None, "checked where the options are read"
    return ChatModel(model, endpoint=endpoint, key=os.environ.get("SITEWATT_REASONER_KEY"))
