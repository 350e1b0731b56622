"""The MCP door by the official client, over a real socket."""

from pathlib import Path

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from tests.support.cloud.doors import BEARER, OWNER, doors_in
from tests.support.cloud.mcp_fixture import fixture
from tests.support.cloud.mcp_guest import mount
from tests.support.cloud.sites import ZONE


async def test_skills_are_tools_with_schemas_and_hints(tmp_path: Path) -> None:
    """A client asks a person before a tool that is not read-only."""
    with doors_in(tmp_path) as doors:
        async with Client(f"{doors.url}/mcp") as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert "halt_market" not in tools  # Without a token nobody acts.
            status = tools["market_status"]
            assert status.annotations is not None and status.annotations.read_only_hint
            assert status.output_schema is not None and status.input_schema["required"] == ["zone"]
            answer = await client.call_tool("market_status", {"zone": ZONE})
            assert not answer.is_error and answer.structured_content["volume_wh"] > 0
            refused = await client.call_tool("market_status", {"zone": ZONE, "hours_back": 99})
            assert refused.is_error and "hours_back" in refused.content[0].text  # type: ignore[union-attr]
            halt = {"zone": ZONE, "reason": "why not", "idempotency_key": "k"}
            unknown = await client.call_tool("halt_market", halt)
            assert unknown.is_error and "Unknown tool" in unknown.content[0].text  # type: ignore[union-attr]


async def test_resources_and_prompts_are_read(tmp_path: Path) -> None:
    """What the market is made of, and what to ask about it."""
    with doors_in(tmp_path) as doors:
        async with Client(f"{doors.url}/mcp") as client:
            found = {str(one.uri) for one in (await client.list_resources()).resources}
            assert {"sitewatt://zone/zone-1", "sitewatt://site/home-1", "sitewatt://document/note"} <= found
            site = await client.read_resource("sitewatt://site/farm")
            assert "pv_peak_w" in site.contents[0].text  # type: ignore[union-attr]
            with pytest.raises(MCPError, match="not found"):
                await client.read_resource("sitewatt://site/nobody")
            (prompt,) = (await client.get_prompt("explain_price", {"zone": ZONE})).messages
            assert ZONE in prompt.content.text  # type: ignore[union-attr]


async def test_a_token_opens_what_its_grant_says(tmp_path: Path) -> None:
    """An owner sees his site, an operator may stop the market, once for each key."""
    with doors_in(tmp_path, tokens=True) as doors:
        owner = httpx2.AsyncClient(headers={"Authorization": f"Bearer {OWNER}"})
        async with owner, Client(streamable_http_client(f"{doors.url}/mcp", http_client=owner)) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert "consumer_status" in names and "market_health" not in names
            mine = await client.call_tool("consumer_statement", {"site": "home-1"})
            assert mine.structured_content["site"] == "home-1"
            other = await client.call_tool("consumer_statement", {"site": "factory"})
            assert other.is_error and "not granted" in other.content[0].text  # type: ignore[union-attr]
        operator = httpx2.AsyncClient(headers=BEARER)
        async with operator, Client(streamable_http_client(f"{doors.url}/mcp", http_client=operator)) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            hints = tools["halt_market"].annotations
            assert hints is not None and hints.destructive_hint and not hints.read_only_hint
            halt = {"zone": ZONE, "reason": "price feed wrong", "idempotency_key": "k-1"}
            assert (await client.call_tool("halt_market", halt)).structured_content["halted"]


async def test_tools_of_a_test_stand_beside_the_skills_behind_the_same_door(tmp_path: Path) -> None:
    """The official suite brings tools of its own; everything else is the server that ships."""
    guest = fixture()
    with doors_in(tmp_path, extend_mcp=lambda server: mount(server, guest)) as doors:
        async with Client(f"{doors.url}/mcp") as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            assert {"market_status", "test_simple_text"} <= set(names) and len(set(names)) == len(names)
            answer = await client.call_tool("test_simple_text", {})
            assert not answer.is_error and "simple text" in answer.content[0].text  # type: ignore[union-attr]
            assert (await client.call_tool("market_status", {"zone": ZONE})).structured_content["volume_wh"] > 0
            both = {str(one.uri) for one in (await client.list_resources()).resources}
            assert {"sitewatt://zone/zone-1", "test://static-text"} <= both
