"""``sitewatt agent report``: what a zone's day came to, from figures alone; a language model may put it in words."""

import contextlib
import json
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.skills.base import Effect, Role
from contracts.skills.report import SITES_MIN, DayAnswer
from sitewatt.commands.agent_model import (
    CentsOption,
    GuardrailOption,
    ModelOption,
    ModelRegionOption,
    ModelUrlOption,
    PriceReadOption,
    PriceWrittenOption,
    Reasoner,
    ReasonerOption,
    SiteValuesOption,
    bounds_of,
    check_model,
    model_of,
)
from sitewatt.commands.agent_tables import JsonOption, TablesOption, local_caller, opened_tables
from sitewatt.money_text import ct_per_kwh, eur, kwh
from sitewatt.output import BAD_INPUT, fail, print_json, tell

if TYPE_CHECKING:
    from cloud.agents.reasoning import Conversation


def report(
    tables: TablesOption,
    day: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="A local day of the zone.")],
    zone: Annotated[str, typer.Option(help="Which zone.")],
    reasoner: ReasonerOption = Reasoner.NONE,
    model: ModelOption = "",
    endpoint: ModelUrlOption = None,
    region: ModelRegionOption = None,
    guardrail: GuardrailOption = None,
    site_values: SiteValuesOption = False,
    cents: CentsOption = None,
    price_read: PriceReadOption = None,
    price_written: PriceWrittenOption = None,
    role: Annotated[Role, typer.Option("--as", help="In whose role.")] = Role.OPERATOR,
    as_json: JsonOption = False,
) -> None:
    """Write a zone's day: trades, prices, settlements, events, what is open. With a reasoner, its words come below.

    The figures never wait for a model, and stand as they are where it gives none.
    """
    from cloud.errors import CloudError, SkillError
    from cloud.shell.agents_office import office_of
    from cloud.shell.ask_agents import ask

    if reasoner is not Reasoner.NONE:
        check_model(reasoner, model, endpoint, guardrail, as_json=as_json)
    bounds = bounds_of(cents=cents, price_read=price_read, price_written=price_written, as_json=as_json)
    try:
        asked = date.fromisoformat(day)
    except ValueError:
        fail(f"{day!r} is no day such as 2026-11-30", code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
    store, registry = opened_tables(tables, as_json)
    with contextlib.closing(store):
        local = local_caller(role, [zone], None)
        caller = replace(local, effects=local.effects - {Effect.ACTS})
        office = office_of(store, registry)
        try:
            question = {"zone": zone, "day": asked.isoformat()}
            figures = office.call(caller, "daily_report", question, door="command line").answer
            told = DayAnswer.model_validate(figures)
            where = registry.zone(told.zone)
            assert where is not None, "the skill has found it"
            text = day_text(told, clock=where.clock)
            talk: Conversation | None = None
            if reasoner is not Reasoner.NONE:
                talk = ask(
                    _prompt(text, figures),
                    model=model_of(reasoner, model, endpoint, region, guardrail),
                    caller=caller,
                    office=office,
                    tables=store,
                    bounds=bounds,
                    site_values=site_values,
                )
        except SkillError as error:
            fail(str(error), code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
        except CloudError as error:
            fail(str(error), code="store", as_json=as_json)
    if as_json:
        words = None if talk is None else {"answer": talk.answer, "stop": talk.stop, "detail": talk.detail}
        print_json({"report": dict(figures), "text": text, "reasoner": words})
        return
    tell(text)
    if talk is not None and talk.answer is not None:
        tell(f"\n## In words, by {talk.model}\n\n{talk.answer}")
    elif talk is not None:
        tell(f"no words: {talk.stop}{': ' + talk.detail if talk.detail else ''}", err=True)


def day_text(told: DayAnswer, *, clock: Any) -> str:
    """Return a day as a page of Markdown, in local time."""
    lines = [f"# {told.zone}, {told.day:%Y-%m-%d}", ""]
    if told.volume_wh:
        assert told.dearest_at is not None and told.cheapest_at is not None, "what was traded has a price"
        lines += [
            f"- traded: {kwh(told.volume_wh)} in {told.trades} trades over {told.intervals} delivery intervals, "
            f"{ct_per_kwh(told.mean_mct_per_kwh)} on average",
            f"- dearest interval: {told.dearest_at.astimezone(clock):%H:%M}, {ct_per_kwh(told.dearest_mct_per_kwh)}; "
            f"cheapest: {told.cheapest_at.astimezone(clock):%H:%M}, {ct_per_kwh(told.cheapest_mct_per_kwh)}",
        ]
    else:
        lines.append("- traded: nothing")
    lines.append(
        f"- settled: {told.settlements} site intervals of {told.settled_sites} sites, {told.estimated} on an estimate"
    )
    if told.sums is None:
        lines.append(f"- metered sums are not told: fewer than {SITES_MIN} sites were settled")
    else:
        lines += [
            f"- metered: {kwh(told.sums.import_wh)} in, {kwh(told.sums.export_wh)} out",
            f"- imbalance: {kwh(told.sums.imbalance_wh)}, {eur(told.sums.imbalance_uct)}; "
            f"demand response: {eur(told.sums.demand_response_uct)}",
        ]
    state = "sound" if told.sound else "NOT SOUND"
    halted = f", halted ({told.halted})" if told.halted is not None else ""
    lines.append(f"- market now: {state}{halted}, {told.waiting_claims} claims wait for a person")
    for event in told.events:
        lines.append(
            f"- event {event.event_id} at {event.feeder}, {event.detected_at.astimezone(clock):%H:%M}: "
            f"{event.peak_w / 1000:.1f} kW against {event.limit_w / 1000:.1f} kW, {event.sites} sites asked, "
            f"{event.effective} of {event.commands} orders effective, {kwh(event.delivered_wh)} delivered, "
            f"{'released' if event.released else 'not released yet'}"
        )
    return "\n".join([*lines, *([] if told.events else ["- no demand-response event"])])


def _prompt(text: str, figures: Any) -> str:
    return (
        "Write the daily report of this zone in at most ten sentences for its operator: what stood out, what is open, "
        "what to look at. Use the figures below, look up with the tools what they leave open, and say what is not "
        f"known.\n\n{text}\n\n{json.dumps({'data': dict(figures)}, ensure_ascii=False)}"
    )
