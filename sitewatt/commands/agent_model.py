"""Which language model answers, from options and environment."""

import os
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from sitewatt.output import BAD_INPUT, fail

if TYPE_CHECKING:
    from cloud.agents.reasoning import Bounds, Model
    from cloud.shell.models.bedrock_client import Guardrail


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
GuardrailOption = Annotated[
    str | None,
    typer.Option(
        "--guardrail", metavar="ID:VERSION", envvar="SITEWATT_REASONER_GUARDRAIL",
        help="A guardrail of the account, for bedrock: what it stops is told and gives no answer.",
    ),
]  # fmt: skip
SiteValuesOption = Annotated[
    bool, typer.Option("--site-values", help="Values of single sites may go to the model: their owners agreed.")
]
CentsOption = Annotated[
    float | None, typer.Option("--cents", min=0.001, help="What one question may cost; needs the two prices.")
]
PriceReadOption = Annotated[
    int | None,
    typer.Option("--price-read", min=0, envvar="SITEWATT_REASONER_PRICE_READ", help="Cents for a million tokens read."),
]
PriceWrittenOption = Annotated[
    int | None,
    typer.Option(
        "--price-written", min=1, envvar="SITEWATT_REASONER_PRICE_WRITTEN", help="Cents for a million tokens written."
    ),
]


def check_model(
    reasoner: Reasoner, model: str, endpoint: str | None, guardrail: str | None = None, *, as_json: bool
) -> None:
    """End the command where a reasoner is not wholly named."""
    name, _, version = (guardrail or "").rpartition(":")
    if guardrail is not None and not (name and (version == "DRAFT" or (version.isascii() and version.isdecimal()))):
        sentence = f"--guardrail is {guardrail!r}, must be ID:VERSION, its version a number or DRAFT; nothing asked"
        fail(sentence, code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
    if guardrail is not None and reasoner is Reasoner.OPENAI:
        sentence = "--guardrail is of Bedrock, and the reasoner is openai, which would not be held by it; nothing asked"
        fail(sentence, code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
    if not model or (reasoner is Reasoner.OPENAI and not endpoint):
        fail("a reasoner needs --model, openai also --endpoint", code="bad_input", as_json=as_json, exit_code=BAD_INPUT)


def bounds_of(
    *,
    turns: int | None = None,
    tokens: int | None = None,
    seconds: float | None = None,
    cents: float | None,
    price_read: int | None,
    price_written: int | None,
    as_json: bool,
) -> "Bounds":
    """Return how far one question may go; a bound in money ends the command where no price is told."""
    from cloud.agents.reasoning import Bounds, ModelPrice

    if cents is not None and (price_read is None or price_written is None):
        sentence = f"--cents is {cents:g}, which needs --price-read and --price-written; nothing asked"
        fail(sentence, code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
    usual = Bounds()
    return Bounds(
        turns_max=usual.turns_max if turns is None else turns,
        tokens_max=usual.tokens_max if tokens is None else tokens,
        seconds_max=usual.seconds_max if seconds is None else seconds,
        money_uct_max=None if cents is None else round(cents * 1_000_000),
        price=ModelPrice(read_uct=price_read or 0, written_uct=price_written or 0),
    )


def model_of(
    reasoner: Reasoner, model: str, endpoint: str | None, region: str | None, guardrail: str | None = None
) -> "Model":
    """Return the model of a reasoner; the key of openai stands in ``SITEWATT_REASONER_KEY``."""
    if reasoner is Reasoner.BEDROCK:
        from cloud.shell.models.bedrock import BedrockModel

        return BedrockModel(model, endpoint=endpoint, region=region, guardrail=_guardrail(guardrail))
    if reasoner is Reasoner.BEDROCK_MESSAGES:
        from cloud.shell.models.bedrock_messages import BedrockMessagesModel

        return BedrockMessagesModel(model, endpoint=endpoint, region=region, guardrail=_guardrail(guardrail))
    from cloud.shell.models.chat_completions import ChatModel

    assert endpoint is not None, "checked where the options are read"
    return ChatModel(model, endpoint=endpoint, key=os.environ.get("SITEWATT_REASONER_KEY"))


def _guardrail(text: str | None) -> "Guardrail | None":
    from cloud.shell.models.bedrock_client import Guardrail

    name, _, version = (text or "").rpartition(":")
    return Guardrail(id=name, version=version) if text else None
