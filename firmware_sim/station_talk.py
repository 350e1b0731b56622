"""What a simulated charging station says and answers, in either version: plain messages, no library of the protocol."""

from typing import TYPE_CHECKING, Any

from firmware_sim.station_profiles import profile_v16, profile_v201, written

if TYPE_CHECKING:
    from firmware_sim.station import ChargingStation

Payload = dict[str, Any]
Call = tuple[str, Payload]


class NotKnown(Exception):
    """The station does not know what it is asked."""


class TalkV16:
    """OCPP 1.6J."""

    subprotocol = "ocpp1.6"

    def __init__(self, station: "ChargingStation") -> None:
        """Speak for a station."""
        self._station = station

    def boot(self) -> Call:
        """Return the first message."""
        about = {"chargePointVendor": "sitewatt", "chargePointModel": "simulated", "firmwareVersion": "1"}
        return "BootNotification", about

    def status(self) -> Call:
        """Return how the connector is."""
        now = written(self._station.now())
        said = {"connectorId": 1, "errorCode": "NoError", "status": self.state(), "timestamp": now}
        return "StatusNotification", said

    def started(self, id_tag: str) -> Call:
        """Return that charging begins."""
        station = self._station
        said = {"connectorId": 1, "idTag": id_tag, "meterStart": int(station.energy_wh)}
        return "StartTransaction", said | {"timestamp": written(station.now())}

    def taken(self, answer: Payload) -> str | None:
        """Return how the transaction is called, ``None`` where it was refused."""
        accepted = answer.get("idTagInfo", {}).get("status") == "Accepted"
        return str(answer["transactionId"]) if accepted else None

    def stopped(self) -> Call:
        """Return that charging has ended."""
        station = self._station
        said = {"transactionId": int(station.transaction or 0), "meterStop": int(station.energy_wh)}
        return "StopTransaction", said | {"timestamp": written(station.now())}

    def measured(self) -> Call:
        """Return what the meter shows."""
        station = self._station
        samples = [
            {"value": f"{station.power_w:.1f}", "measurand": "Power.Active.Import", "unit": "W"},
            {"value": f"{station.energy_wh:.0f}", "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
            {"value": f"{station.soc_percent:.0f}", "measurand": "SoC", "unit": "Percent", "location": "EV"},
        ]
        for phase in range(1, station.config.phases + 1):
            samples.append(
                {"value": f"{station.current_a:.2f}", "measurand": "Current.Import", "unit": "A", "phase": f"L{phase}"}
            )
            samples.append(
                {"value": f"{station.voltage_v:.1f}", "measurand": "Voltage", "unit": "V", "phase": f"L{phase}-N"}
            )
        said: Payload = {
            "connectorId": 1,
            "meterValue": [{"timestamp": written(station.now()), "sampledValue": samples}],
        }
        if station.transaction is not None:
            said["transactionId"] = int(station.transaction)
        return "MeterValues", said

    def answer(self, action: str, asked: Payload) -> Payload:
        """Return the answer to what the station is asked.

        Raises:
            NotKnown: It does not know it.
        """
        station = self._station
        if action == "SetChargingProfile":
            if station.config.refuses_profiles:
                return {"status": "Rejected"}
            station.profiles.put(profile_v16(asked["connectorId"], asked["csChargingProfiles"]))
            return {"status": "Accepted"}
        if action == "GetCompositeSchedule" and not station.config.no_composite:
            period = {"startPeriod": 0, "limit": round(station.limit()[0], 1)}
            schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [period]}
            return {
                "status": "Accepted",
                "connectorId": asked["connectorId"],
                "scheduleStart": written(station.now()),
                "chargingSchedule": schedule,
            }
        if action == "ChangeConfiguration":
            if asked["key"] == "MeterValueSampleInterval":
                station.meter_s = float(asked["value"])
            return {"status": "Accepted"}
        if action == "GetConfiguration":
            unit = {"key": "ChargingScheduleAllowedChargingRateUnit", "readonly": True, "value": "Current"}
            can = "true" if station.config.switches_phases else "false"
            switch = {"key": "ConnectorSwitch3to1PhaseSupported", "readonly": True, "value": can}
            return {"configurationKey": [unit, switch]}
        if action == "RemoteStartTransaction":
            station.start_as = asked["idTag"]
            return {"status": "Accepted"}
        if action == "TriggerMessage":
            station.say_soon(self.status())
            return {"status": "Accepted"}
        raise NotKnown(action)

    def changed(self) -> Call:
        """Return what is said where the state has changed."""
        return self.status()

    def state(self) -> str:
        """Return the state of the connector."""
        station = self._station
        if not station.plugged:
            return "Available"
        if station.transaction is None:
            return "Preparing"
        return "Charging" if station.current_a > 0 else "SuspendedEVSE"


class TalkV201:
    """OCPP 2.0.1."""

    subprotocol = "ocpp2.0.1"

    def __init__(self, station: "ChargingStation") -> None:
        """Speak for a station."""
        self._station = station
        self._number = 0

    def boot(self) -> Call:
        """Return the first message."""
        about = {"vendorName": "sitewatt", "model": "simulated", "firmwareVersion": "1"}
        return "BootNotification", {"reason": "PowerUp", "chargingStation": about}

    def status(self) -> Call:
        """Return how the connector is."""
        state = "Occupied" if self._station.plugged else "Available"
        said = {"timestamp": written(self._station.now()), "connectorStatus": state, "evseId": 1, "connectorId": 1}
        return "StatusNotification", said

    def started(self, id_tag: str) -> Call:
        """Return that charging begins; the station names the transaction."""
        self._station.transaction = f"sim-{int(self._station.now().timestamp())}"
        token = {"idToken": {"idToken": id_tag, "type": "Central"}}
        return "TransactionEvent", self._content("Started", "CablePluggedIn") | token

    def taken(self, answer: Payload) -> str | None:
        """Return how the transaction is called, ``None`` where it was refused."""
        refused = answer.get("idTokenInfo", {}).get("status", "Accepted") != "Accepted"
        return None if refused else self._station.transaction

    def stopped(self) -> Call:
        """Return that charging has ended."""
        return "TransactionEvent", self._content("Ended", "EVDeparted")

    def measured(self) -> Call:
        """Return what the meter shows: of a transaction where one runs."""
        if self._station.transaction is None:
            return "MeterValues", {"evseId": 1, "meterValue": [self._values()]}
        return "TransactionEvent", self._content("Updated", "MeterValuePeriodic")

    def answer(self, action: str, asked: Payload) -> Payload:
        """Return the answer to what the station is asked; raises as 1.6."""
        station = self._station
        if action == "SetChargingProfile":
            if station.config.refuses_profiles:
                return {"status": "Rejected", "statusInfo": {"reasonCode": "UnsupportedParam"}}
            station.profiles.put(profile_v201(asked["evseId"], asked["chargingProfile"]))
            return {"status": "Accepted"}
        if action == "GetCompositeSchedule" and not station.config.no_composite:
            schedule = {
                "evseId": asked["evseId"],
                "duration": asked["duration"],
                "scheduleStart": written(station.now()),
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": round(station.limit()[0], 1)}],
            }
            return {"status": "Accepted", "schedule": schedule}
        if action == "SetVariables":
            results = []
            for one in asked["setVariableData"]:
                if one["variable"]["name"] == "TxUpdatedInterval":
                    station.meter_s = float(one["attributeValue"])
                results.append(
                    {"attributeStatus": "Accepted", "component": one["component"], "variable": one["variable"]}
                )
            return {"setVariableResult": results}
        if action == "RequestStartTransaction":
            station.start_as = asked["idToken"]["idToken"]
            return {"status": "Accepted"}
        if action == "GetVariables":
            values = {"RateUnit": "A,W", "Phases3to1": "true" if station.config.switches_phases else "false"}
            results = [
                {
                    "attributeStatus": "Accepted",
                    "attributeValue": values[one["variable"]["name"]],
                    "component": one["component"],
                    "variable": one["variable"],
                }
                for one in asked["getVariableData"]
            ]
            return {"getVariableResult": results}
        if action == "TriggerMessage":
            station.say_soon(self.status())
            return {"status": "Accepted"}
        raise NotKnown(action)

    def changed(self) -> Call:
        """Return what is said where the state has changed: within a transaction it is of that."""
        if self._station.transaction is None:
            return self.status()
        return "TransactionEvent", self._content("Updated", "ChargingStateChanged")

    def state(self) -> str:
        """Return the state of the connector and of what charges there."""
        station = self._station
        return f"{station.plugged} {station.transaction is not None} {station.current_a > 0}"

    def _content(self, kind: str, reason: str) -> Payload:
        station = self._station
        content: Payload = {
            "eventType": kind,
            "timestamp": written(station.now()),
            "triggerReason": reason,
            "seqNo": self._number,
            "transactionInfo": {
                "transactionId": station.transaction,
                "chargingState": "Charging" if station.current_a > 0 else "SuspendedEVSE",
            },
            "evse": {"id": 1, "connectorId": 1},
            "meterValue": [self._values()],
        }
        self._number += 1
        return content

    def _values(self) -> Payload:
        station = self._station
        samples: list[Payload] = [
            {"value": round(station.power_w / 1000, 4), "measurand": "Power.Active.Import"}
            | {"unitOfMeasure": {"unit": "kW"}},
            {"value": round(station.energy_wh), "measurand": "Energy.Active.Import.Register"},
            {"value": round(station.soc_percent), "measurand": "SoC", "location": "EV"}
            | {"unitOfMeasure": {"unit": "Percent"}},
        ]
        for phase in range(1, station.config.phases + 1):
            samples.append(
                {"value": round(station.current_a, 2), "measurand": "Current.Import", "phase": f"L{phase}"}
                | {"unitOfMeasure": {"unit": "A"}}
            )
        return {"timestamp": written(station.now()), "sampledValue": samples}
