"""Every topic and what it carries, as an AsyncAPI document: ``python -m sitewatt.asyncapi`` writes it.

``docs/asyncapi.json`` is this program's output; a test compares the two. It is written from the side of a gateway: it
sends what goes up and receives what comes down. Source: AsyncAPI 3.0.0.
"""

import json
import sys
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from contracts.control import Command, CommandAck
from contracts.forecast import ForecastBroadcast
from contracts.grid import GridBroadcast
from contracts.market import MarketBroadcast, OrderMessage, TradesMessage
from contracts.metering import MeterReading
from contracts.receipt import Receipt
from contracts.telemetry import EventMessage, StatusMessage, TelemetryMessage
from contracts.topics import Broadcast, Down, Up, broadcast_topic, site_topic
from contracts.wire import Message
from edge.plain.values import device_online_topic, site_online_topic, value_topic

_REF: Final = "#/components/schemas/{model}"
_ZONE, _SITE = "{zone}", "{site}"
_CARRIES: Final[dict[Up | Down | Broadcast, type[Message]]] = {
    Up.TELEMETRY: TelemetryMessage,
    Up.METER: MeterReading,
    Up.ORDERS: OrderMessage,
    Up.ACKS: CommandAck,
    Up.EVENTS: EventMessage,
    Up.STATUS: StatusMessage,
    Down.COMMANDS: Command,
    Down.TRADES: TradesMessage,
    Down.OUTLOOK: ForecastBroadcast,
    Down.RECEIPTS: Receipt,
    Broadcast.FORECAST: ForecastBroadcast,
    Broadcast.MARKET: MarketBroadcast,
    Broadcast.GRID: GridBroadcast,
}
_PARAMETERS: Final = {
    "zone": {"description": "A price area."},
    "site": {"description": "A site; also the client's id and the name of its certificate."},
    "prefix": {"description": "What the site's settings name; without them nothing is told in plain."},
    "device": {"description": "A device of the site, by its id in the site's settings."},
    "point": {"description": "A value of the device; the end of its name is the unit."},
}
# One value a topic, retained, for programs on the site's own broker.
_PLAIN: Final = {
    "plain-value": (value_topic("{prefix}", _SITE, "{device}", "{point}"), "The value as text."),
    "plain-device-online": (device_online_topic("{prefix}", _SITE, "{device}"), "Whether a device answers."),
    "plain-site-online": (site_online_topic("{prefix}", _SITE), "Whether the gateway is there."),
}


def document() -> dict[str, Any]:
    """Return the document."""
    models = sorted(set(_CARRIES.values()), key=lambda model: model.__name__)
    _, defined = models_json_schema([(model, "serialization") for model in models], ref_template=_REF)
    schemas = {**defined["$defs"], "PlainValue": {"type": "string"}}
    schemas["TelemetryMessage"] = _packed_or_plain(schemas["TelemetryMessage"])
    channels = {_name(channel): _channel(channel, model.__name__) for channel, model in _CARRIES.items()}
    operations = {f"{_action(channel)}-{_name(channel)}": _operation(channel) for channel in _CARRIES}
    for name, (address, text) in _PLAIN.items():
        channels[name] = {**_addressed(address, "PlainValue"), "description": text}
        operations[f"send-{name}"] = {"action": "send", "channel": {"$ref": f"#/channels/{name}"}}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "sitewatt",
            "version": "1",
            "description": "Topics of a site's gateway. Unknown fields are ignored, unknown versions (`v`) refused.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": {
                **{model.__name__: _message(model.__name__, (model.__doc__ or "").splitlines()[0]) for model in models},
                "PlainValue": {**_message("PlainValue", "One value."), "contentType": "text/plain"},
            },
            "schemas": schemas,
        },
    }


def _name(channel: Up | Down | Broadcast) -> str:
    return f"broadcast-{channel}" if isinstance(channel, Broadcast) else str(channel)


def _action(channel: Up | Down | Broadcast) -> str:
    return "send" if isinstance(channel, Up) else "receive"


def _channel(channel: Up | Down | Broadcast, message: str) -> dict[str, Any]:
    if isinstance(channel, Broadcast):
        return _addressed(broadcast_topic(zone=_ZONE, channel=channel), message)
    return _addressed(site_topic(zone=_ZONE, site=_SITE, channel=channel), message)


def _addressed(address: str, message: str) -> dict[str, Any]:
    return {
        "address": address,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "parameters": {name: text for name, text in _PARAMETERS.items() if f"{{{name}}}" in address},
    }


def _operation(channel: Up | Down | Broadcast) -> dict[str, Any]:
    return {"action": _action(channel), "channel": {"$ref": f"#/channels/{_name(channel)}"}}


def _message(name: str, summary: str) -> dict[str, Any]:
    return {"name": name, "summary": summary, "payload": {"$ref": _REF.format(model=name)}}


def _packed_or_plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the two forms of telemetry: columns as they are, or deflated as ``packed``, whichever is shorter."""
    packed = {"type": "string", "contentEncoding": "base64", "description": "zlib-deflated JSON rows of columns"}
    return {
        **schema,
        "properties": {**schema["properties"], "packed": packed},
        "required": [name for name in schema["required"] if name != "series"],
        "oneOf": [{"required": ["series"]}, {"required": ["packed"]}],
    }


def text() -> str:
    """Return the document as the file has it."""
    return json.dumps(document(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
