"""The tools, resources and prompts that the official MCP conformance suite calls by name.

Names and answers are what the suite of version 0.2.0-alpha.12 asks for; nothing of it is part of the product.
"""

import base64
import json
from typing import Any, Final

import mcp_types as types
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.shared.exceptions import MCPError

Answer = types.InputRequiredResult | str

_PIXEL: Final = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c02"
        "0000000b4944415478da6364f80f00010501012718e3660000000049454e44ae426082"
    )
).decode()
_SILENCE: Final = base64.b64encode(
    b"RIFF\x26\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\x02\0\0\0\0\0"
).decode()
_NAME: Final[dict[str, Any]] = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
_OK: Final[dict[str, Any]] = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}


def fixture() -> MCPServer[Any]:
    """Return the fixture; it is mounted on the product's server."""
    guest: MCPServer[Any] = MCPServer("conformance fixture", log_level="CRITICAL")
    _contents(guest)
    _conversations(guest)
    _multi_round(guest)
    _announcements(guest)
    _resources(guest)
    _prompts(guest)
    _requests(guest)
    return guest


def _text(text: str) -> types.TextContent:
    return types.TextContent(type="text", text=text)


def _embedded(uri: str, text: str, *, mime_type: str = "text/plain") -> types.EmbeddedResource:
    resource = types.TextResourceContents(uri=uri, mime_type=mime_type, text=text)
    return types.EmbeddedResource(type="resource", resource=resource)


def _form(message: str, schema: dict[str, Any] | None = None) -> types.ElicitRequest:
    params = types.ElicitRequestFormParams(message=message, requested_schema=schema or _NAME)
    return types.ElicitRequest(params=params)


def _sample(prompt: str) -> types.CreateMessageRequest:
    messages = [types.SamplingMessage(role="user", content=_text(prompt))]
    return types.CreateMessageRequest(params=types.CreateMessageRequestParams(messages=messages, max_tokens=100))


def _needed(state: str | None = None, **requests: Any) -> types.InputRequiredResult:
    return types.InputRequiredResult(input_requests=requests, request_state=state)


def _filled(responses: Any, name: str, field: str) -> str:
    answer = (responses or {}).get(name)
    return str(answer.content.get(field)) if isinstance(answer, types.ElicitResult) and answer.content else "?"


def _contents(guest: MCPServer[Any]) -> None:
    image = types.ImageContent(type="image", data=_PIXEL, mime_type="image/png")

    @guest.tool(name="test_simple_text")
    def simple_text() -> str:
        """Answer with text."""
        return "This is a simple text response for testing."

    @guest.tool(name="test_image_content")
    def image_content() -> list[types.ImageContent]:
        """Answer with an image."""
        return [image]

    @guest.tool(name="test_audio_content")
    def audio_content() -> list[types.AudioContent]:
        """Answer with a sound."""
        return [types.AudioContent(type="audio", data=_SILENCE, mime_type="audio/wav")]

    @guest.tool(name="test_embedded_resource")
    def embedded_resource() -> list[types.EmbeddedResource]:
        """Answer with a resource inside."""
        return [_embedded("test://embedded-resource", "This is an embedded resource content.")]

    @guest.tool(name="test_multiple_content_types")
    def multiple() -> list[types.TextContent | types.ImageContent | types.EmbeddedResource]:
        """Answer with a text, an image and a resource."""
        data = _embedded(
            "test://mixed-content-resource", '{"test": "data", "value": 123}', mime_type="application/json"
        )
        return [_text("Multiple content types test:"), image, data]

    @guest.tool(name="test_error_handling")
    def error_handling() -> str:
        """Fail."""
        raise RuntimeError("This tool intentionally returns an error for testing")


def _conversations(guest: MCPServer[Any]) -> None:
    @guest.tool(name="test_tool_with_logging")
    async def logging(ctx: Context) -> str:
        """Log three lines on the way."""
        for line in ("started", "processing data", "completed"):
            await ctx.info(f"Tool execution {line}")
        return "done"

    @guest.tool(name="test_tool_with_progress")
    async def progress(ctx: Context) -> str:
        """Report progress three times."""
        for done in (0, 50, 100):
            await ctx.report_progress(done, 100, f"{done} of 100")
        return "done"

    @guest.tool(name="test_sampling")
    async def sampling(prompt: str, ctx: Context) -> str:
        """Ask the client's model."""
        messages = [types.SamplingMessage(role="user", content=_text(prompt))]
        answer = await ctx.session.create_message(messages, max_tokens=100, related_request_id=ctx.request_id)
        return f"LLM response: {answer.content.text if answer.content.type == 'text' else '?'}"

    async def ask(ctx: Context, message: str, properties: dict[str, Any]) -> str:
        schema = {"type": "object", "properties": properties, "required": list(properties)}
        answer = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
        return f"User response: action={answer.action}, content={json.dumps(answer.content)}"

    @guest.tool(name="test_elicitation")
    async def elicitation(message: str, ctx: Context) -> str:
        """Ask the person at the client."""
        return await ask(ctx, message, {"response": {"type": "string", "description": "User's response"}})

    @guest.tool(name="test_elicitation_sep1034_defaults")
    async def defaults(ctx: Context) -> str:
        """Ask with a default of each primitive type."""
        return await ask(ctx, "Please provide user information", {
            "name": {"type": "string", "default": "John Doe"},
            "age": {"type": "integer", "default": 30},
            "score": {"type": "number", "default": 95.5},
            "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
            "verified": {"type": "boolean", "default": True},
        })  # fmt: skip

    @guest.tool(name="test_elicitation_sep1330_enums")
    async def enums(ctx: Context) -> str:
        """Ask with each form of an enumeration."""
        words = ["option1", "option2", "option3"]
        titled = [{"const": word, "title": word.capitalize()} for word in words]
        return await ask(ctx, "Please choose", {
            "untitledSingle": {"type": "string", "enum": words},
            "titledSingle": {"type": "string", "oneOf": titled},
            "untitledMulti": {"type": "array", "items": {"type": "string", "enum": words}},
            "titledMulti": {"type": "array", "items": {"anyOf": titled}},
            "legacyEnum": {"type": "string", "enum": words, "enumNames": ["One", "Two", "Three"]},
        })  # fmt: skip

    @guest.tool(name="test_missing_capability")
    async def missing_capability(ctx: Context) -> str:
        """Work only for a client that can sample."""
        able = ctx.session.client_capabilities
        if able is None or able.sampling is None:
            needed: dict[str, Any] = {"requiredCapabilities": {"sampling": {}}}
            raise MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, "the client cannot sample", data=needed)
        return "the client can sample"


def _multi_round(guest: MCPServer[Any]) -> None:
    @guest.tool(name="test_input_required_result_elicitation")
    async def elicitation(ctx: Context) -> Answer:
        """Greet by a name that is asked for."""
        if "user_name" in (ctx.input_responses or {}):
            return f"Hello, {_filled(ctx.input_responses, 'user_name', 'name')}!"
        return _needed(user_name=_form("What is your name?"))

    @guest.tool(name="test_input_required_result_sampling")
    async def sampling(ctx: Context) -> Answer:
        """Repeat what the client's model said."""
        answer = (ctx.input_responses or {}).get("capital_question")
        if isinstance(answer, types.CreateMessageResult):
            return f"Model said: {answer.content.text if answer.content.type == 'text' else '?'}"
        return _needed(capital_question=_sample("What is the capital of France?"))

    @guest.tool(name="test_input_required_result_list_roots")
    async def list_roots(ctx: Context) -> Answer:
        """Count the client's roots."""
        answer = (ctx.input_responses or {}).get("client_roots")
        if isinstance(answer, types.ListRootsResult):
            return f"Client exposed {len(answer.roots)} root(s)."
        return _needed(client_roots=types.ListRootsRequest())

    @guest.tool(name="test_input_required_result_request_state")
    async def request_state(ctx: Context) -> Answer:
        """Get the state back that was given."""
        if ctx.request_state == "given" and "confirm" in (ctx.input_responses or {}):
            return "state-ok: confirmation received"
        return _needed("given", confirm=_form("Please confirm", _OK))

    @guest.tool(name="test_input_required_result_multiple_inputs")
    async def multiple_inputs(ctx: Context) -> Answer:
        """Ask for three things at once."""
        if {"user_name", "greeting", "client_roots"} <= set(ctx.input_responses or {}):
            return "All inputs received."
        asked = {"user_name": _form("What is your name?"), "greeting": _sample("Generate a greeting")}
        return _needed("three", **asked, client_roots=types.ListRootsRequest())

    @guest.tool(name="test_input_required_result_multi_round")
    async def multi_round(ctx: Context) -> Answer:
        """Ask twice, with the first answer in the state."""
        state, responses = json.loads(ctx.request_state or "{}"), ctx.input_responses or {}
        if state.get("round") == 2 and "step2" in responses:
            return f"{state['name']} likes {_filled(responses, 'step2', 'color')}."
        if state.get("round") == 1 and "step1" in responses:
            colour = {"type": "object", "properties": {"color": {"type": "string"}}, "required": ["color"]}
            state = {"round": 2, "name": _filled(responses, "step1", "name")}
            return _needed(json.dumps(state), step2=_form("Step 2: What is your favorite color?", colour))
        return _needed(json.dumps({"round": 1}), step1=_form("Step 1: What is your name?"))

    @guest.tool(name="test_input_required_result_tampered_state")
    async def tampered_state(ctx: Context) -> Answer:
        """Accept only the state that was given."""
        return f"state-ok: {ctx.request_state}" if ctx.request_state else _needed("sealed", confirm=_form("Sure?", _OK))

    @guest.tool(name="test_input_required_result_capabilities")
    async def capabilities(ctx: Context) -> Answer:
        """Ask only for what the client can do."""
        able = ctx.client_capabilities
        asked: dict[str, Any] = {}
        if able is None or able.sampling is not None:
            asked["sample"] = _sample("Say hello")
        if able is None or able.elicitation is not None:
            asked["ask"] = _form("What is your name?")
        return _needed("gated", **asked)


def _announcements(guest: MCPServer[Any]) -> None:
    @guest.tool(name="test_trigger_tool_change")
    async def tool_change(ctx: Context) -> str:
        """Say that the tools have changed."""
        await ctx.notify_tools_changed()
        return "told"

    @guest.tool(name="test_trigger_prompt_change")
    async def prompt_change(ctx: Context) -> str:
        """Say that the prompts have changed."""
        await ctx.notify_prompts_changed()
        return "told"


def _resources(guest: MCPServer[Any]) -> None:
    @guest.resource("test://static-text", mime_type="text/plain")
    def static_text() -> str:
        """Return a text."""
        return "This is the content of the static text resource."

    @guest.resource("test://static-binary", mime_type="image/png")
    def static_binary() -> bytes:
        """Return an image."""
        return base64.b64decode(_PIXEL)

    @guest.resource("test://template/{id}/data", mime_type="application/json")
    def template(id: str) -> str:
        """Return the parameter."""
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})

    @guest.resource("test://watched-resource", mime_type="text/plain")
    def watched() -> str:
        """Return a text that may be watched."""
        return "Watched resource content"


def _prompts(guest: MCPServer[Any]) -> None:
    @guest.prompt(name="test_simple_prompt")
    def simple() -> list[UserMessage]:
        """Say something simple."""
        return [UserMessage(_text("This is a simple prompt for testing."))]

    @guest.prompt(name="test_prompt_with_arguments")
    def with_arguments(arg1: str, arg2: str) -> list[UserMessage]:
        """Say two arguments."""
        return [UserMessage(_text(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"))]

    @guest.prompt(name="test_prompt_with_embedded_resource")
    def with_resource(resourceUri: str) -> list[UserMessage]:
        """Point at a resource."""
        embedded = _embedded(resourceUri, "Embedded resource content for testing.")
        return [UserMessage(embedded), UserMessage(_text("Please process the embedded resource above."))]

    @guest.prompt(name="test_prompt_with_image")
    def with_image() -> list[UserMessage]:
        """Point at an image."""
        image = types.ImageContent(type="image", data=_PIXEL, mime_type="image/png")
        return [UserMessage(image), UserMessage(_text("Please analyze the image above."))]

    @guest.prompt(name="test_input_required_result_prompt")
    async def asking(ctx: Context) -> list[UserMessage] | types.InputRequiredResult:
        """Ask for the context first."""
        if "user_context" in (ctx.input_responses or {}):
            context = _filled(ctx.input_responses, "user_context", "context")
            return [UserMessage(_text(f"Use the following context: {context}"))]
        schema = {"type": "object", "properties": {"context": {"type": "string"}}, "required": ["context"]}
        return _needed(user_context=_form("What context should the prompt use?", schema))


def _requests(guest: MCPServer[Any]) -> None:
    async def nothing(ctx: Any, params: Any) -> types.EmptyResult:
        del ctx, params
        return types.EmptyResult()

    async def complete(ctx: Any, params: Any) -> types.CompleteResult:
        del ctx, params
        return types.CompleteResult(completion=types.Completion(values=[], total=0, has_more=False))

    beside = guest._lowlevel_server
    beside.add_request_handler("logging/setLevel", types.SetLevelRequestParams, nothing)
    beside.add_request_handler("resources/subscribe", types.SubscribeRequestParams, nothing)
    beside.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, nothing)
    beside.add_request_handler("completion/complete", types.CompleteRequestParams, complete)
