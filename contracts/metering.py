"""What the meter at the connection point counted in one delivery interval: what settlement is made from."""

from typing import ClassVar

from contracts.topics import Up
from contracts.units import Instant, IntervalWh, Number, RegisterWh, ToldClock, ToldQuality
from contracts.wire import SiteMessage


class MeterReading(SiteMessage):
    """Energy of one delivery interval at the connection point, in whole Wh.

    Registers are the meter's rising counters at the end of the interval. A later reading of the same interval carries a
    higher ``version`` and replaces the earlier one; settlement posts the difference.
    """

    channel: ClassVar[str] = Up.METER

    interval_start: Instant
    import_wh: IntervalWh
    export_wh: IntervalWh
    register_import_wh: RegisterWh
    register_export_wh: RegisterWh
    quality: ToldQuality
    clock: ToldClock
    version: Number = 1
