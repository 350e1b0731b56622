"""The habits of real devices by name, each as the fault rules that make it: ``NAME`` or ``NAME=VALUE``.

A quirk lasts as long as the device; a faults file says the same with chances, windows and an end.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from contracts.faults import fault_of
from firmware_sim.errors import ExceptionCode, PlantError
from firmware_sim.fault_rules import FaultKind, FaultRule, Requests

Rules = list[FaultRule]


@dataclass(frozen=True, kw_only=True)
class Quirk:
    """One habit: how it is written, what the device does, and the rules that make it."""

    form: str
    does: str
    rules: Callable[[str], Rules]


def quirk_rules(texts: Iterable[str]) -> tuple[FaultRule, ...]:
    """Return the rules of quirks that were asked for by name.

    Raises:
        PlantError: There is no such quirk, or its value does not fit.
    """
    rules: Rules = []
    for text in texts:
        name, _, value = text.partition("=")
        quirk = QUIRKS.get(name)
        if quirk is None:
            raise PlantError(f"no quirk is called {name!r}; there are {', '.join(QUIRKS)}")
        if ("=" in quirk.form) != bool(value):
            raise PlantError(f"quirk {text!r} is written {quirk.form}")
        try:
            rules += quirk.rules(value)
        except ValidationError as error:
            raise PlantError(f"quirk {text!r}: {fault_of(error.errors(include_url=False)[0])}") from error
        except (ValueError, KeyError) as error:
            raise PlantError(f"quirk {text!r} is written {quirk.form}: {error}") from error
    return tuple(rules)


def quirk_table() -> str:
    """Return every quirk, how it is written and what the device does, one a line."""
    width = max(len(quirk.form) for quirk in QUIRKS.values())
    return "\n".join(f"{quirk.form:{width}}  {quirk.does}" for quirk in QUIRKS.values())


def _span(text: str) -> dict[str, int]:
    """Return the addresses of ``A-B`` or ``A``; none for nothing, which is all."""
    if not text:
        return {}
    first, _, last = text.partition("-")
    return {"address": int(first, 0), "count": int(last or first, 0) - int(first, 0) + 1}


def _refusing(text: str, requests: Requests) -> Rules:
    code, _, span = text.partition("@")
    return [FaultRule(kind=FaultKind.EXCEPTION, code=ExceptionCode(int(code)), requests=requests, **_span(span))]  # type: ignore[arg-type]


def _first(text: str) -> Rules:
    count, code = text.split(":")
    return [
        FaultRule(
            kind=FaultKind.EXCEPTION,
            code=ExceptionCode(int(code)),
            count_max=int(count),
            requests=Requests.READS,
        )
    ]


def _zero(text: str) -> Rules:
    from_s, span, *rest = text.split(":")
    until_s = float(from_s) + float(rest[0] if rest else 2)
    return [FaultRule(kind=FaultKind.ZEROS, from_s=float(from_s), to_s=until_s, **_span(span))]  # type: ignore[arg-type]


def _set(text: str) -> Rules:
    rules = []
    for one in text.split(","):
        from_s, point, for_s = one.split(":")
        address, value = point.split("=")
        rules.append(
            FaultRule(
                kind=FaultKind.VALUES,
                from_s=float(from_s),
                to_s=float(from_s) + float(for_s),
                address=int(address, 0),
                values=(int(value, 0),),
            )
        )
    return rules


def _seconds(kind: FaultKind) -> Callable[[str], Rules]:
    return lambda text: [FaultRule(kind=kind, delay_s=float(text))]


def _always(kind: FaultKind) -> Callable[[str], Rules]:
    return lambda _: [FaultRule(kind=kind)]


def _on(kind: FaultKind, requests: Requests) -> Callable[[str], Rules]:
    return lambda text: [FaultRule(kind=kind, requests=requests, **_span(text))]  # type: ignore[arg-type]


QUIRKS: dict[str, Quirk] = {
    "unit_reply": Quirk(
        form="unit_reply=N",
        does="every answer names unit N, whatever was asked",
        rules=lambda text: [FaultRule(kind=FaultKind.UNIT_REPLY, as_unit=int(text))],
    ),
    "any_unit": Quirk(form="any_unit", does="answers whatever unit is asked", rules=_always(FaultKind.ANY_UNIT)),
    "deaf_after_connect": Quirk(
        form="deaf_after_connect=S",
        does="does not hear what comes in the first S seconds of a connection",
        rules=_seconds(FaultKind.DEAF),
    ),
    "close_unless": Quirk(
        form="close_unless=S",
        does="closes a connection on which nothing comes within S seconds",
        rules=_seconds(FaultKind.CLOSE_IDLE),
    ),
    "close_each": Quirk(
        form="close_each", does="closes the connection after each answer", rules=_always(FaultKind.CLOSE)
    ),
    "exc": Quirk(
        form="exc=CODE[@A-B]",
        does="refuses reads (of A to B) with an exception",
        rules=lambda text: _refusing(text, Requests.READS),
    ),
    "wexc": Quirk(
        form="wexc=CODE[@A-B]",
        does="refuses writes (of A to B) with an exception",
        rules=lambda text: _refusing(text, Requests.WRITES),
    ),
    "exc_first": Quirk(form="exc_first=N:CODE", does="refuses the first N reads with an exception", rules=_first),
    "max": Quirk(
        form="max=N",
        does="refuses reads of more than N registers with exception 3",
        rules=lambda text: [FaultRule(kind=FaultKind.TOO_LONG, count=int(text), requests=Requests.READS)],
    ),
    "tid_before": Quirk(
        form="tid_before", does="answers with the transaction id of the request before", rules=_always(FaultKind.SWAP)
    ),
    "zero_after": Quirk(
        form="zero_after=S:A-B[:L]",
        does="registers A to B read zero from second S on, for L (2) seconds",
        rules=_zero,
    ),
    "set_at": Quirk(
        form="set_at=S:ADDRESS=VALUE:L[,...]",
        does="a register reads a value from second S on, for L seconds",
        rules=_set,
    ),
    "echo": Quirk(
        form="echo",
        does="repeats the request before the answer, as a half-duplex adapter does (serial frames)",
        rules=_always(FaultKind.ECHO),
    ),
    "short": Quirk(
        form="short", does="answers one register fewer than asked", rules=_on(FaultKind.SHORT, Requests.READS)
    ),
    "silent": Quirk(
        form="silent=A-B", does="does not answer reads that touch A to B", rules=_on(FaultKind.DROP, Requests.READS)
    ),
    "sticky": Quirk(
        form="sticky=A-B",
        does="confirms writes to A to B and does not keep them",
        rules=_on(FaultKind.STICKY, Requests.WRITES),
    ),
}
