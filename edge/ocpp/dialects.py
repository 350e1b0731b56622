"""What a station of either version is answered, and how it is asked: from its messages to one ``Station``.

Answers are made at once and wait for nothing, so a station cannot hold up control.
Source: OCPP 1.6 edition 2, sections 4 and 5; OCPP 2.0.1 edition 2 part 2, B, E, G, J and K.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from edge.ocpp.limits import Limit, composite_a, fallback_v16, fallback_v201, lease_v16, lease_v201
from edge.ocpp.settings import Version
from edge.ocpp.station import Station, Transaction
from edge.ocpp.values import newest, number

Payload = dict[str, Any]
HEARTBEAT_S = 60
COMPOSITE_S = 60
_TEXT_MAX = 80
# Which states of a 1.6 connector mean a car, and whether it charges. Source: OCPP 1.6, 4.9, table of states.
_WITHOUT_CAR = frozenset({"Available", "Reserved", "Unavailable"})
_MEASURANDS = (
    "Power.Active.Import,Current.Import,Voltage,Energy.Active.Import.Register,SoC",
    "Power.Active.Import,Current.Import,Voltage,Energy.Active.Import.Register",
    "Power.Active.Import,Energy.Active.Import.Register",
)


_RATE_UNIT = "ChargingScheduleAllowedChargingRateUnit"
# Whether a station can use one phase of three. Source: OCPP 1.6, 9.3.5; OCPP 2.0.1 part 2, 2.11.
_ONE_PHASE, _ONE_PHASE_V201 = "ConnectorSwitch3to1PhaseSupported", "Phases3to1"
# What a 2.0.1 station tells and nobody here goes by: taken, so that it does not tell it again.
_TAKEN_V201 = (
    "SecurityEventNotification",
    "NotifyReport",
    "NotifyEvent",
    "LogStatusNotification",
    "NotifyChargingLimit",
    "ClearedChargingLimit",
    "FirmwareStatusNotification",
    "NotifyMonitoringReport",
)


class StationRefused(Exception):
    """A station said no; ``status`` is its own word."""

    def __init__(self, action: str, status: str) -> None:
        super().__init__(f"{action} was answered {status}")
        self.status = status


class Calls(Protocol):
    """Asks the station that is connected."""

    async def __call__(self, action: str, payload: Payload) -> Payload:
        """Return its answer.

        Raises:
            DeviceSilent: No answer in time.
            StationRefused: It answered with an error.
        """


class DialectV16:
    """OCPP 1.6J."""

    version = Version.V16

    def __init__(self, station: Station, call: Calls) -> None:
        """Speak for a station."""
        self._station = station
        self._call = call
        self.answers: Mapping[str, Callable[[Payload], Payload]] = {
            "BootNotification": self._boot,
            "Heartbeat": lambda _: {"currentTime": _now(station)},
            "Authorize": lambda asked: {"idTagInfo": _tag_info(station, asked.get("idTag"))},
            "StatusNotification": self._status,
            "MeterValues": self._meter_values,
            "StartTransaction": self._start,
            "StopTransaction": self._stop,
            "DataTransfer": lambda _: {"status": "UnknownVendorId"},
            "FirmwareStatusNotification": lambda _: {},
            "DiagnosticsStatusNotification": lambda _: {},
        }

    async def prepare(self) -> None:
        """Ask what the station takes, have it measure at our pace, and leave it with its fallback.

        Raises:
            DeviceSilent: No answer.
            StationRefused: It does not take the fallback.
        """
        station = self._station
        told = await self._configuration([_RATE_UNIT, _ONE_PHASE])
        units = told.get(_RATE_UNIT, "Current")
        station.switches_phases = _yes_or_no(told.get(_ONE_PHASE))
        station.in_watts = "Current" not in units and "Power" in units
        for measurands in _MEASURANDS:
            if await self._change("MeterValuesSampledData", measurands):
                break
        interval_s = str(station.settings.meter_interval_s)
        if not await self._change("MeterValueSampleInterval", interval_s):
            station.last_error = f"it does not take MeterValueSampleInterval {interval_s}"
        for connector in station.sections:
            await self.set_fallback(connector, station.fallback_of(connector))
        for connector in station.sections:
            await _answer_or_nothing(
                self._call, "TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": connector}
            )

    async def set_fallback(self, connector: int, limit: Limit) -> None:
        """Leave a connector with a limit for good."""
        await self._set(fallback_v16(limit, connector=connector))

    async def set_lease(self, connector: int, limit: Limit, *, transaction: int | str | None, lease_s: float) -> None:
        """Give a connector a limit that ends by itself."""
        of = transaction if isinstance(transaction, int) else None
        now = self._station.clock.now()
        await self._set(lease_v16(limit, connector=connector, transaction=of, now=now, lease_s=lease_s))

    async def composite_a(self, connector: int, *, phases: int) -> float | None:
        """Return the current in force, where the station tells it."""
        asked = {"connectorId": connector, "duration": COMPOSITE_S}
        return composite_a(await _answer_or_nothing(self._call, "GetCompositeSchedule", asked), phases=phases)

    async def _set(self, request: Payload) -> None:
        _accepted("SetChargingProfile", await self._call("SetChargingProfile", request))

    async def start(self, connector: int, id_tag: str) -> None:
        """Start a charge for the car at a connector."""
        asked = {"connectorId": connector, "idTag": id_tag}
        _accepted("RemoteStartTransaction", await self._call("RemoteStartTransaction", asked))

    async def _configuration(self, keys: Sequence[str]) -> dict[str, str]:
        answer = await _answer_or_nothing(self._call, "GetConfiguration", {"key": list(keys)})
        found = answer.get("configurationKey")
        entries = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
        return {_text(one.get("key")): _text(one.get("value")) for one in entries if one.get("value") is not None}

    async def _change(self, key: str, value: str) -> bool:
        answer = await _answer_or_nothing(self._call, "ChangeConfiguration", {"key": key, "value": value})
        return answer.get("status") in ("Accepted", "RebootRequired")

    def _boot(self, asked: Payload) -> Payload:
        names = {"vendor": "chargePointVendor", "model": "chargePointModel", "firmware": "firmwareVersion"}
        self._station.boot = {name: _text(asked[key]) for name, key in names.items() if key in asked}
        return {"status": "Accepted", "currentTime": _now(self._station), "interval": HEARTBEAT_S}

    def _status(self, asked: Payload) -> Payload:
        connector = self._station.connectors.get(asked["connectorId"])
        if connector is not None:
            connector.status = _text(asked.get("status"))
            connector.charging = connector.status == "Charging"
            fault = _text(asked.get("errorCode"))
            connector.error = None if fault in ("", "NoError") else fault
            if connector.status == "Available":
                self._station.idle(asked["connectorId"])
        return {}

    def _meter_values(self, asked: Payload) -> Payload:
        at = asked["connectorId"]
        if isinstance(running := asked.get("transactionId"), int):
            self._station.runs(at, running)
        taken_at, values = newest(asked["meterValue"])
        self._station.measured(at, values, taken_at=taken_at)
        return {}

    def _start(self, asked: Payload) -> Payload:
        info = _tag_info(self._station, asked.get("idTag"))
        if info["status"] != "Accepted":
            return {"transactionId": 0, "idTagInfo": info}
        given = self._station.new_transaction(
            asked["connectorId"], began_wh=number(asked.get("meterStart")), began_at=_text(asked.get("timestamp"))
        )
        return {"transactionId": given, "idTagInfo": info}

    def _stop(self, asked: Payload) -> Payload:
        self._station.end(asked["transactionId"])
        return {}


class DialectV201:
    """OCPP 2.0.1; a connector of ours is an EVSE."""

    version = Version.V201

    def __init__(self, station: Station, call: Calls) -> None:
        """Speak for a station."""
        self._station = station
        self._call = call
        self._starts = 0
        self.answers: Mapping[str, Callable[[Payload], Payload]] = {
            "BootNotification": self._boot,
            "Heartbeat": lambda _: {"currentTime": _now(station)},
            "Authorize": lambda asked: {"idTokenInfo": _tag_info(station, _token(asked))},
            "StatusNotification": self._status,
            "MeterValues": self._meter_values,
            "TransactionEvent": self._event,
            "NotifyEVChargingNeeds": lambda _: {"status": "Accepted"},
            "NotifyEVChargingSchedule": lambda _: {"status": "Accepted"},
            "DataTransfer": lambda _: {"status": "UnknownVendorId"},
            **{action: (lambda _: {}) for action in _TAKEN_V201},
        }

    async def prepare(self) -> None:
        """Ask what the station takes, have it measure at our pace, and leave it with its fallback; raises as 1.6."""
        station = self._station
        units = await self._told("SmartChargingCtrlr", "RateUnit")
        station.switches_phases = _yes_or_no(await self._told("SmartChargingCtrlr", _ONE_PHASE_V201))
        station.in_watts = bool(units) and "A" not in units.split(",")
        interval_s = str(station.settings.meter_interval_s)
        for measurands in _MEASURANDS:
            if await self._variable("SampledDataCtrlr", "TxUpdatedMeasurands", measurands):
                break
        if not await self._variable("SampledDataCtrlr", "TxUpdatedInterval", interval_s):
            station.last_error = f"it does not take TxUpdatedInterval {interval_s}"
        for evse in station.sections:
            await self.set_fallback(evse, station.fallback_of(evse))
        for evse in station.sections:
            at = {"id": evse, "connectorId": 1}
            await _answer_or_nothing(
                self._call, "TriggerMessage", {"requestedMessage": "StatusNotification", "evse": at}
            )

    async def set_fallback(self, connector: int, limit: Limit) -> None:
        """Leave an EVSE with a limit for good."""
        await self._set(fallback_v201(limit, evse=connector))

    async def set_lease(self, connector: int, limit: Limit, *, transaction: int | str | None, lease_s: float) -> None:
        """Give an EVSE a limit that ends by itself."""
        of = transaction if isinstance(transaction, str) else None
        now = self._station.clock.now()
        await self._set(lease_v201(limit, evse=connector, transaction=of, now=now, lease_s=lease_s))

    async def composite_a(self, connector: int, *, phases: int) -> float | None:
        """Return the current in force, where the station tells it."""
        asked = {"evseId": connector, "duration": COMPOSITE_S}
        return composite_a(await _answer_or_nothing(self._call, "GetCompositeSchedule", asked), phases=phases)

    async def _set(self, request: Payload) -> None:
        _accepted("SetChargingProfile", await self._call("SetChargingProfile", request))

    async def start(self, connector: int, id_tag: str) -> None:
        """Start a charge for the car at an EVSE."""
        token = {"idToken": id_tag, "type": "Central"}
        self._starts += 1
        asked = {"evseId": connector, "remoteStartId": self._starts, "idToken": token}
        _accepted("RequestStartTransaction", await self._call("RequestStartTransaction", asked))

    async def _told(self, component: str, name: str) -> str:
        wanted = [{"component": {"name": component}, "variable": {"name": name}}]
        return _first_value(await _answer_or_nothing(self._call, "GetVariables", {"getVariableData": wanted}))

    async def _variable(self, component: str, name: str, value: str) -> bool:
        entry = {"component": {"name": component}, "variable": {"name": name}, "attributeValue": value}
        answer = await _answer_or_nothing(self._call, "SetVariables", {"setVariableData": [entry]})
        results = answer.get("setVariableResult")
        first = results[0] if isinstance(results, list) and results and isinstance(results[0], dict) else {}
        return first.get("attributeStatus") in ("Accepted", "RebootRequired")

    def _boot(self, asked: Payload) -> Payload:
        about = asked["chargingStation"]
        names = {"vendor": "vendorName", "model": "model", "firmware": "firmwareVersion"}
        self._station.boot = {name: _text(about[key]) for name, key in names.items() if key in about}
        return {"status": "Accepted", "currentTime": _now(self._station), "interval": HEARTBEAT_S}

    def _status(self, asked: Payload) -> Payload:
        connector = self._station.connectors.get(asked["evseId"])
        if connector is not None:
            connector.status = _text(asked.get("connectorStatus"))
            connector.error = "Faulted" if connector.status == "Faulted" else None
            if connector.status == "Available":
                connector.charging = False
                self._station.idle(asked["evseId"])
        return {}

    def _meter_values(self, asked: Payload) -> Payload:
        taken_at, values = newest(asked["meterValue"])
        self._station.measured(asked["evseId"], values, taken_at=taken_at)
        return {}

    def _event(self, asked: Payload) -> Payload:
        about, station = asked["transactionInfo"], self._station
        running = _text(about["transactionId"], longest=36)
        at = _evse(asked) or next(
            (n for n, one in station.connectors.items() if one.transaction and one.transaction.id == running), None
        )
        taken_at, values = newest(asked.get("meterValue", []))
        if at is not None:
            if asked["eventType"] == "Started":
                station.begin(at, Transaction(id=running, began_wh=values.get("energy_import_wh")))
            elif asked["eventType"] == "Updated":
                station.runs(at, running)
            connector = station.connectors.get(at)
            if connector is not None and asked["eventType"] != "Ended" and not is_with_car(connector.status):
                connector.status = "Occupied"  # Some tell a transaction before they tell the connector.
            if connector is not None and (state := about.get("chargingState")) is not None:
                connector.charging = state == "Charging"
            station.measured(at, values, taken_at=taken_at)
        if asked["eventType"] == "Ended":
            station.end(running)
        token = _token(asked)
        return {} if token is None else {"idTokenInfo": _tag_info(station, token)}


def _accepted(action: str, answer: Payload) -> None:
    """Take an answer that says yes.

    Raises:
        StationRefused: It says anything else; of 2.0.1 with its reason.
    """
    if answer.get("status") != "Accepted":
        info = answer.get("statusInfo")
        reason = _text(info.get("reasonCode")) if isinstance(info, dict) else ""
        raise StationRefused(action, " ".join(filter(None, (_text(answer.get("status")), reason))))


def _yes_or_no(text: str | None) -> bool | None:
    """Return what a station says of itself, ``None`` where it says nothing."""
    return None if not text else text.strip().lower() == "true"


async def _answer_or_nothing(call: Calls, action: str, payload: Payload) -> Payload:
    """Return the answer of a station that may not know what it is asked, nothing where it says no."""
    try:
        return await call(action, payload)
    except StationRefused:
        return {}


def is_with_car(status: str | None) -> bool | None:
    """Return whether a connector's state means a car, ``None`` while nobody can tell."""
    if status is None or status == "Faulted":
        return None
    return status not in _WITHOUT_CAR


def _tag_info(station: Station, tag: Any) -> Payload:
    known = station.settings.id_tags
    return {"status": "Accepted" if known is None or tag in known or tag in station.own_tags else "Invalid"}


def _token(asked: Payload) -> Any:
    token = asked.get("idToken")
    return token.get("idToken") if isinstance(token, dict) else None


def _evse(asked: Payload) -> int | None:
    evse = asked.get("evse")
    found = evse.get("id") if isinstance(evse, dict) else None
    return found if isinstance(found, int) else None


def _first_value(answer: Payload) -> str:
    results = answer.get("getVariableResult")
    first = results[0] if isinstance(results, list) and results and isinstance(results[0], dict) else {}
    return _text(first.get("attributeValue")) if first.get("attributeStatus") == "Accepted" else ""


def _text(value: Any, *, longest: int = _TEXT_MAX) -> str:
    return value[:longest] if isinstance(value, str) else ""


def _now(station: Station) -> str:
    return _written(station.clock.now())


def _written(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"
