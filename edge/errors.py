"""The tree of the gateway's errors: whose fault it is, and whether waiting helps.

EdgeError
├── ConfigError            the settings; waiting does not help
├── DeviceError
│   ├── DeviceSilent         no usable answer; try again later
│   ├── DeviceRefused        the device said no; do not repeat
│   └── DeviceImplausible    it answered what cannot be; distrust it
├── ValueRefused           what we were asked to write does not fit; nothing was written
├── LinkError              the broker or the way to it; try again later
│   └── LinkTakenOver        another client has our id; try again much later
├── FleetError
│   ├── FleetRefused         the fleet service said no; do not repeat
│   ├── FleetSilent          no answer came; try again later
│   ├── UpdateRefused        we do not take the update; do not repeat
│   ├── UpdateInterrupted    the artefact was not reached; try again later
│   └── UpdateFailed         the new version cannot be used; stay with the running one
├── ProviderUnavailable    a provider of prices or weather gave no usable answer; try again later
├── StatusUnavailable      no running gateway answers on site; start it, or ask as its user
└── OutboxError           the disk; keep controlling, say so
    ├── OutboxFull          no room
    ├── OutboxCorrupt       damaged; set it aside and begin anew
    └── OutboxInUse         another process has it; do not start
"""


class EdgeError(Exception):
    """Root of what the gateway raises itself."""


class ConfigError(EdgeError):
    """The configuration cannot be used: names the key, the value and the bound; ``faults`` has each, where known."""

    def __init__(self, message: str, *, faults: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.faults = faults


class DeviceError(EdgeError):
    """A device did not do what was asked."""


class DeviceSilent(DeviceError):
    """No usable answer came in time."""


class DeviceRefused(DeviceError):
    """The device answered with an exception."""

    def __init__(self, message: str, *, exception_code: int) -> None:
        super().__init__(message)
        self.exception_code = exception_code


class DeviceImplausible(DeviceError):
    """The device answered with a value that cannot be."""


class ValueRefused(EdgeError):
    """A value does not fit the register, the range or the profile's rules; nothing was written."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class LinkError(EdgeError):
    """The broker, or the way to it, failed."""


class LinkTakenOver(LinkError):
    """Another client connected under our id."""


class LinkEndedByBroker(LinkError):
    """The broker ended the connection and said why; it is not that another client uses our id."""


class FleetError(EdgeError):
    """The fleet service, or our identity in it, is not as it should be."""


class FleetRefused(FleetError):
    """The fleet service refused a request; ``code`` is its own word for why."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class FleetSilent(FleetError):
    """The fleet service did not answer in time."""


class UpdateRefused(FleetError):
    """We do not take an update; ``code`` says why in one word."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class UpdateInterrupted(FleetError):
    """An update's artefact could not be fetched now."""


class UpdateFailed(FleetError):
    """A new version cannot be used; the running one goes on."""


class ProviderUnavailable(EdgeError):
    """A provider of prices or weather, or the owner's file of them, gave no usable answer; what is kept counts on.

    ``retry_after_s`` is how long it asks us to wait.
    """

    def __init__(self, message: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StatusUnavailable(EdgeError):
    """No running gateway could be asked for its status."""


class OutboxError(EdgeError):
    """The outbox could not keep a record."""


class OutboxFull(OutboxError):
    """There is no room for a record."""


class OutboxCorrupt(OutboxError):
    """The outbox's file is damaged or is no outbox."""


class OutboxInUse(OutboxError):
    """Another process has the outbox open; two writers would give the same numbers twice."""
