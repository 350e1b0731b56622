"""What the tables of a cloud prove, in words: for `sitewatt cloud report`."""

from collections.abc import Iterator, Mapping
from typing import Any

from sitewatt.money_text import ct_per_kwh, kwh, owes

Report = Mapping[str, Any]


def report_lines(report: Report) -> Iterator[str]:
    """Yield the lines of a report, as ``cloud.local.report.CloudReport`` holds it in plain values."""
    for one in report["intervals"]:
        traded = f"{ct_per_kwh(one['price'])}  {kwh(one['volume_wh'])} in {one['trades']} trades"
        yield f"{one['zone']}  {one['start']}  {one['state']:<9}  {traded}"
    yield _ledger(report["ledger"])
    orders = report["orders"]
    yield (
        f"orders: {orders['sent']} sent, {orders['accepted']} taken, {orders['rejected']} refused, "
        f"{orders['traded']} traded at least in part"
    )
    for channel, counts in report["channels"].items():
        yield _channel(channel, counts)
    for event in report["dr_events"]:
        yield _event(event)
    for claim in report["dr_claims"]:
        yield _claim(claim)
    yield f"{_many(report['refused'], 'message')} of sites refused at the border"
    yield _streams(report["streams"])


def _ledger(ledger: Report) -> str:
    if not ledger["lines"]:
        return "ledger: nothing is settled yet"
    sound = ledger["sum"] == 0 and ledger["energy_sum"] == 0
    rest = "money and energy sum to zero" if sound else (
        f"BROKEN: {ledger['sum']} millionths of a cent and {ledger['energy_sum']} Wh are left over"
    )  # fmt: skip
    return f"ledger: {_many(ledger['lines'], 'line')}, {rest}"


def _channel(channel: str, counts: Report) -> str:
    lost = f"{counts['lost']} LOST" if counts["lost"] else "none lost"
    repeated = f", {counts['duplicated']} repeated and taken once" if counts["duplicated"] else ""
    return f"{channel}: {counts['stored']} of {counts['published']} stored, {lost}{repeated}"


def _event(event: Report) -> str:
    return (
        f"event {event['event_id']} at {event['detected_at']}: limit {event['limit_w'] / 1000:.1f} kW, "
        f"{event['commands']} commands, {event['effective']} effective, {kwh(event['delivered_wh'])} delivered"
    )


def _claim(claim: Report) -> str:
    if not claim["taken"]:
        return f"claim of {claim['site']} for {claim['event']}: refused"
    paid = "not settled yet" if claim["paid_uct"] is None else f"{claim['site']} {owes(claim['paid_uct'])}"
    flags = f" ({', '.join(claim['flags'])})" if claim["flags"] else ""
    return f"claim of {claim['site']} for {claim['event']}: {paid}{flags}"


def _streams(streams: Report) -> str:
    aside = _many(streams["set_aside"], "record")
    more = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in streams.items()
                     if name not in ("set_aside", "waiting"))  # fmt: skip
    advice = "; sitewatt cloud set-aside list shows them" if streams["set_aside"] else ""
    return f"streams: {streams['waiting']} waiting, {aside} set aside{advice}{f' ({more})' if more else ''}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
