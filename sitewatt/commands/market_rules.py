"""``sitewatt market rules``: by which rules a market settles, and its move to the present edition of them."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.units import epoch_ms
from sitewatt.commands.market_tables import JsonOption, TablesArgument, ZoneOption, opened, zones_of
from sitewatt.output import BAD_INPUT, fail, print_json, tell

if TYPE_CHECKING:
    from cloud.market.rules import MarketRules
    from cloud.stores.registry import ZoneRecord
    from cloud.stores.tables import Tables

rules = typer.Typer(help="The rules that a market settles by.", no_args_is_help=True)


@rules.command()
def show(tables: TablesArgument, zone: ZoneOption = None, as_json: JsonOption = False) -> None:
    """Show the edition and the money rules of each running market, and what a move would change."""
    with opened(tables, as_json) as (store, registry):
        found = [_answer(store, record) for record in zones_of(registry, zone, as_json)]
    if as_json:
        print_json({"zones": found})
        return
    for answer in found:
        tell(f"{answer['zone']}: edition {answer['edition']}, version {answer['version']}")
        for name, (now, then) in answer["a_move_changes"].items():
            tell(f"  {name}: {now} -> {then}")


@rules.command()
def move(
    tables: TablesArgument,
    zone: Annotated[str, typer.Option(help="Which zone's market.")],
    by: Annotated[str, typer.Option(help="Who decides; kept in the journal.")],
    reason: Annotated[str, typer.Option(help="Why; kept in the journal.")],
    as_json: JsonOption = False,
) -> None:
    """Move a market to the present edition: what has not settled yet settles by it, what has stays as it is."""
    from cloud.market import commands
    from cloud.shell.skill_ports import beside

    with opened(tables, as_json, write=True) as (store, registry):
        (record,) = zones_of(registry, zone, as_json)
        answer = _answer(store, record)
        if not answer["a_move_changes"]:
            sentence = f"the market of {zone} has edition {answer['edition']}; there is no later one"
            fail(sentence, code="nothing_to_do", as_json=as_json, exit_code=BAD_INPUT)
        _, after = _rules(store, record)
        command = commands.move_rules(after, by=by, reason=reason, at_ms=epoch_ms(datetime.now(UTC)))
        beside(store, registry)(zone, command)
        done = _answer(store, record)
    if as_json:
        print_json({**done, "moved": True})
        return
    tell(f"{zone} settles by edition {done['edition']} from now on, says {by}: {reason}")


def _rules(store: "Tables", record: "ZoneRecord") -> "tuple[MarketRules, MarketRules]":
    """Return the rules that a market has, and those after a move."""
    from cloud.market.moving import moved_rules
    from cloud.market.rules import EDITION, MarketRules
    from cloud.shell.market.reading import read_fold

    configured = MarketRules.model_validate({"edition": EDITION, **record.market, "zone": record.id})
    fold = read_fold(store, record.id)
    now = configured if fold is None else fold.engine.rules
    return now, moved_rules(now, configured)


def _answer(store: "Tables", record: "ZoneRecord") -> dict[str, Any]:
    now, then = _rules(store, record)
    before, after = now.model_dump(mode="json"), then.model_dump(mode="json")
    changes = {
        name: [before.get(name), after.get(name)]
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    }
    return {
        "zone": record.id,
        "edition": now.edition,
        "version": now.version,
        "a_move_changes": changes if now.edition < then.edition else {},
    }
