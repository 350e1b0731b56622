"""Live streams of a zone, a feeder or a site: server-sent events, or a WebSocket, with the same numbers.

Source: HTML Living Standard, server-sent events (``id`` and ``Last-Event-ID``).
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any, Final

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from cloud.doors.gate import caller_in
from cloud.doors.live_feed import LiveEvent, LiveFeed, Snapshot
from cloud.doors.offering import Offering
from cloud.doors.problem import problem
from cloud.shell.market.projection import committed_upto
from cloud.shell.skill_ports import StoreGrid
from cloud.stores import keys
from cloud.stores.tables import Table
from contracts.skills.base import Role

# A comment now and then keeps middle boxes from closing a quiet stream.
HEARTBEAT_S: Final = 15.0
_AROUND: Final = timedelta(hours=2)
_SITE_ROLES: Final = frozenset({Role.OPERATOR, Role.AGGREGATOR, Role.SITE_OWNER, Role.AGENT})
_PATH: Final = "/v1/live/{kind}/{name}"


def live_routes(offering: Offering, feed: LiveFeed) -> list[BaseRoute]:
    """Return the routes of a feed."""

    async def stream(request: Request) -> Response:
        snapshot = _snapshot(offering, request)
        if snapshot is None:
            return problem(404, "no such stream", "zone, feeder or site that you were granted")
        after = _after(request.headers.get("last-event-id") or request.query_params.get("after"))
        events = feed.read(_channel(request), snapshot, after=after)
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return StreamingResponse(_lines(events), media_type="text/event-stream", headers=headers)

    async def socket(websocket: WebSocket) -> None:
        snapshot = _snapshot(offering, websocket)
        await websocket.accept()
        if snapshot is None:
            await websocket.close(4404, "no such stream")
            return
        events = feed.read(_channel(websocket), snapshot, after=_after(websocket.query_params.get("after")))
        listening = asyncio.create_task(_until_gone(websocket), name="live reader gone")
        try:
            async for event in _until(events, listening):
                await websocket.send_json({"seq": event.seq, "kind": event.kind, "data": event.data})
            if not listening.done():
                await websocket.close(4408, "too slow; resume with ?after=")
        except WebSocketDisconnect:
            pass
        finally:
            listening.cancel()
            await events.aclose()  # type: ignore[attr-defined]

    return [Route(_PATH, stream), WebSocketRoute(_PATH + "/socket", socket)]


async def _lines(events: AsyncIterator[LiveEvent]) -> AsyncIterator[str]:
    """Yield events as lines, and a comment where none came for a while."""
    waiting = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            done, _ = await asyncio.wait([waiting], timeout=HEARTBEAT_S)
            if not done:
                yield ": still here\n\n"
                continue
            event = waiting.result()
            if event is None:
                return
            number = f"id: {event.seq}\n" if event.seq is not None else ""
            yield f"{number}event: {event.kind}\ndata: {json.dumps(event.data, ensure_ascii=False)}\n\n"
            waiting = asyncio.ensure_future(anext(events, None))
    finally:
        waiting.cancel()


async def _until(events: AsyncIterator[LiveEvent], gone: "asyncio.Task[None]") -> AsyncIterator[LiveEvent]:
    while True:
        waiting = asyncio.ensure_future(anext(events, None))
        await asyncio.wait([waiting, gone], return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            return
        event = waiting.result()
        if event is None:
            return
        yield event


async def _until_gone(websocket: WebSocket) -> None:
    while (await websocket.receive())["type"] != "websocket.disconnect":
        continue  # What a reader sends is not asked for.


def _channel(connection: HTTPConnection) -> str:
    return f"{connection.path_params['kind']}/{connection.path_params['name']}"


def _after(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 16 else None


def _snapshot(offering: Offering, connection: HTTPConnection) -> Snapshot | None:
    """Return what looks at a channel, ``None`` where the caller has no right to it."""
    caller, name = caller_in(connection.scope), connection.path_params["name"]
    match connection.path_params["kind"]:
        case "zone" if any(one.id == name for one in offering.zones(caller)):
            return lambda: _zone(offering, name)
        case "feeder" if any(one.id == name for one in offering.feeders(caller)):
            return lambda: _feeder(offering, name)
        case "site" if caller.role in _SITE_ROLES and any(one.id == name for one in offering.sites(caller)):
            return lambda: _site(offering, name)
    return None


def _zone(offering: Offering, zone: str) -> Mapping[str, Mapping[str, Any]]:
    """Return each delivery interval around now: state, price, volume."""
    first = keys.interval_text(offering.office.now() - _AROUND)
    upto = committed_upto(offering.tables, zone)
    items = offering.tables.query_index(Table.MARKET_DATA, keys.market(zone, None), first=first)
    return {
        f"product/{item.body['interval_ms']}": item.body
        for item in items
        if item.key.sk == keys.STATE and item.body["position"] <= upto
    }


def _feeder(offering: Offering, feeder: str) -> Mapping[str, Mapping[str, object]]:
    grid = StoreGrid(offering.tables, offering.registry)
    status = grid.status(feeder)
    supply = {one.name: one.value for one in grid.supply(feeder)}
    return {
        **({"feeder": status.model_dump(mode="json")} if status is not None else {}),
        **({"supply": supply} if supply else {}),
    }


def _site(offering: Offering, site: str) -> Mapping[str, Mapping[str, object]]:
    """Return a site's status, its newest values, and the newest event of the month: its own, or the market's on it."""
    tables = offering.tables
    found = {kind: tables.get(keys.site_state(site, kind)) for kind in (keys.STATUS, keys.LATEST)}
    told: dict[str, Mapping[str, Any]] = {kind.lower(): item.body for kind, item in found.items() if item is not None}
    key = keys.site_event(site, offering.office.now(), 0, 0)
    newest = tables.query(key.table, key.pk, reverse=True, limit=1)
    return {**told, "event": {**newest[0].body, "at_ms": int(newest[0].key.sk.split("#")[0])}} if newest else told
