"""``sitewatt market``: clear a call, run a book, settle an interval, replay a journal, judge the rules."""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from cloud.market.auction import Tie
from cloud.market.rules import Mechanism, SelfTrade
from cloud.market.tools.clear import ClearMechanism
from cloud.market.tools.inputs import BadInput, mapping, without_repeats
from contracts.reasons import reason_of
from sitewatt.commands import market_money, market_readings, market_rules
from sitewatt.money_text import ct_per_kwh, eur, kwh, owes
from sitewatt.output import BAD_INPUT, FAILED, fail, print_json, tell

app = typer.Typer(help="The market: clear, settle, replay, simulate.", no_args_is_help=True)
app.add_typer(market_money.claims, name="claims")
app.add_typer(market_readings.readings, name="readings")
app.add_typer(market_rules.rules, name="rules")
app.command()(market_money.estimates)
app.command()(market_money.statement)

FileArgument = Annotated[str, typer.Argument(help="A file, - for standard input.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


@app.command()
def clear(
    file: FileArgument,
    mechanism: Annotated[ClearMechanism, typer.Option(help="How to clear.")] = ClearMechanism.PAY_AS_CLEAR,
    tie: Annotated[Tie, typer.Option(help="Who is served first among equal limits.")] = Tie.TIME,
    self_trade: Annotated[SelfTrade, typer.Option(help="What happens instead of a trade with oneself.")] = (
        SelfTrade.CANCEL_RESTING
    ),
    as_json: JsonOption = False,
) -> None:
    """Clear one call from a file of orders."""
    from cloud.market.tools.clear import clear_file

    with _inputs(as_json):
        answer = clear_file(_load(file), mechanism, tie=tie, self_trade=self_trade)
    if as_json:
        print_json(answer)
        return
    price = answer["price"]
    tell(f"volume {answer['volume']}  welfare {answer['welfare']}  trades {len(answer['trades'])}")
    tell(f"price {price['mid']} in [{price['lo']}, {price['hi']}], pinned by {price['pinned_by'] or 'nobody'}")
    for zone, bounds in answer.get("zones", {}).items():
        tell(f"zone {zone}: {bounds['mid']} in [{bounds['lo']}, {bounds['hi']}]")
    for link, flow in answer.get("flows", {}).items():
        tell(f"flow {link}: {flow}")
    for row in answer.get("self_trade", []):
        tell(f"order {row['id']}: {row['qty']} Wh taken off, they would trade with an order of the same owner")


@app.command()
def run(
    file: FileArgument,
    self_trade: Annotated[SelfTrade, typer.Option(help="What happens instead of a trade with oneself.")] = (
        SelfTrade.CANCEL_RESTING
    ),
    events: Annotated[bool, typer.Option("--events", help="Print every event as a line while reading.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a continuous book over a stream of orders, one JSON object a line."""
    from cloud.market.tools.stream import Stream

    stream = Stream(self_trade)
    with _inputs(as_json), _opened(file) as lines:
        for line in _json_lines(lines, file):
            happened = stream.apply(line)
            if events:
                for event in happened:
                    print_json(event)
    answer = stream.answer()
    if as_json:
        print_json(answer)
        return
    tell(f"{len(answer['replies'])} replies, {len(answer['trades'])} trades, {len(answer['book'])} orders rest")
    tell(f"state {answer['state_hash']}")


@app.command()
def settle(file: FileArgument, as_json: JsonOption = False) -> None:
    """Settle one interval from its trades and meter readings."""
    from cloud.market.tools.settle import settle_file
    from sitewatt.meter_file import with_meters

    with _inputs(as_json):
        data, understood = with_meters(_load(file))
        answer = settle_file(data)
    _say_read(understood)
    for sentence in answer.get("warnings", []):
        tell(f"note: {sentence}", err=True)
    if as_json:
        print_json(answer)
        return
    for row in answer["settlements"]:
        tell(_settled_row(row))
    tell(f"{len(answer['lines'])} ledger lines, sum {eur(answer['sum']['money_uct'])}")


@app.command()
def share(file: FileArgument, as_json: JsonOption = False) -> None:
    """Share a community's energy by its key over many intervals, and say what each member pays."""
    from cloud.market.tools.share import share_file
    from sitewatt.meter_file import with_members

    with _inputs(as_json):
        data, understood = with_members(_load(file))
        answer = share_file(data)
    _say_read(understood)
    for sentence in answer.get("warnings", []):
        tell(f"note: {sentence}", err=True)
    if as_json:
        print_json(answer)
        return
    for name, row in answer["members"].items():
        tell(
            f"{name}: took {kwh(row['import_wh'])}, {kwh(row['shared_in_wh'])} of it from members; gave "
            f"{kwh(row['export_wh'])}, {kwh(row['shared_out_wh'])} of it to members; {owes(row['money_uct'])}, alone "
            f"{owes(row['alone_uct'])}"
        )
    tell(f"{answer['intervals']} intervals, shared {kwh(answer['shared_wh'])}, sum {eur(answer['sum_uct'])}")


@app.command()
def replay(
    journal: FileArgument,
    snapshot: Annotated[Path | None, typer.Option(help="Write the state that it led to.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Replay a journal and prove that it leads to the states that its checks name; exit 1 where it does not.

    Of a run's folder, or of a cloud's tables, the journal of each zone is replayed and compared with all they hold.
    """
    from cloud.local.opening import tables_place
    from cloud.market.tools.replay import replay as replay_journal

    tables = tables_place(Path(journal))
    if tables is not None:
        _prove(tables, as_json)
        return
    with _inputs(as_json), _opened(journal) as lines:
        found = replay_journal(lines)
    if snapshot is not None:
        _write(snapshot, json.dumps(found.engine.snapshot()), as_json)
    answer = found.answer()
    if as_json:
        print_json(answer)
    else:
        tell(
            f"{answer['commands']} commands, {answer['trades']} trades, {answer['ledger']['lines']} ledger lines, "
            f"sum {eur(answer['ledger']['sum_uct'])}, {answer['checks']} checks"
        )
        for held in answer["held"]:
            tell(f"{held['reading']} of {held['site']} in the interval of {held['start_ms']}: {held['reason']}")
        tell(f"state {answer['state_hash']}" if answer["agrees"] else str(answer["parted_at"]))
    if not answer["agrees"] or answer["ledger"]["sum_uct"] or answer["ledger"]["sum_wh"]:
        raise typer.Exit(FAILED)


@app.command()
def status(
    tables: Annotated[Path, typer.Option(metavar="DIR", help="A run's folder, or that of a cloud's tables.")],
    zone: Annotated[str | None, typer.Option(help="One zone; all of them without it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show whether the markets of a cloud are sound, what they do and what their intervals are worth."""
    answers = _statuses(tables, zone, as_json)
    if as_json:
        print_json({"zones": answers})
        return
    for answer in answers:
        health = answer["health"]
        tell(
            f"{answer['zone']}: {'sound' if health['sound'] else 'NOT SOUND'}, "
            f"{'halted: ' + health['halted'] if health['halted'] else 'trading'}, {health['participants']} sites, "
            f"{health['entries']} entries, {health['ledger_lines']} ledger lines, sum {eur(health['ledger_sum_uct'])}, "
            f"{health['settlements']} settlements, {health['estimated']} of them estimated"
        )
        for product in answer["status"]["products"]:
            start = datetime.fromtimestamp(product["interval_start"] / 1000, UTC)
            tell(
                f"  {start:%Y-%m-%d %H:%M} UTC  {product['state']:<10}  {ct_per_kwh(product['price_mct_per_kwh'])}  "
                f"{kwh(product['volume_wh'])}  {product['trades']} trades"
            )


@app.command()
def baseline(file: FileArgument, as_json: JsonOption = False) -> None:
    """Work out what a site would have used without its event, from like days."""
    from cloud.market.baseline import TooFewDays
    from cloud.market.tools.baseline_file import answer_of, baseline_of
    from sitewatt.history_file import with_history

    with _inputs(as_json):
        data = with_history(_load(file))
        made = baseline_of(data)
        if isinstance(made, TooFewDays):
            sentence = f"{made.found} like days, {made.needed} are needed; no baseline"
            fail(sentence, code="too_few_days", as_json=as_json, found=made.found, needed=made.needed)
    answer = answer_of(data, made)
    if as_json:
        print_json(answer)
        return
    tell(f"{answer['method']}: {answer['baseline_wh']} Wh, ratio {answer['ratio_permille']}/1000")
    tell(f"days {', '.join(answer['days']) or 'none'}; flags {', '.join(answer['flags']) or 'none'}")


@app.command()
def report(
    journal: Annotated[str | None, typer.Argument(help="A journal; a small simulation where there is none.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write price, volume, welfare and imbalance as an SVG.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Report price, volume, welfare and imbalance per interval."""
    from cloud.market.tools.chart import picture

    with _inputs(as_json):
        rows = _intervals(journal)
    if plot is not None:
        _write(plot, picture(rows, title=f"{len(rows)} delivery intervals"), as_json)
    if as_json:
        print_json({"intervals": rows, "plot": None if plot is None else str(plot)})
        return
    for row in rows:
        tell(
            f"{datetime.fromtimestamp(row['start_ms'] / 1000, UTC):%Y-%m-%d %H:%M} UTC  {ct_per_kwh(row['price'])}  "
            f"volume {kwh(row['volume_wh'])}  welfare {eur(row['welfare_uct'])}  imbalance {kwh(row['imbalance_wh'])}"
        )


@app.command()
def simulate(
    agents: Annotated[int, typer.Option(min=2, max=100_000, help="How many agents; half of them buy.")] = 1000,
    intervals: Annotated[int, typer.Option(min=1, max=10_000, help="How many delivery intervals.")] = 96,
    seed: Annotated[int, typer.Option(help="What everything follows from.")] = 7,
    mechanism: Annotated[Mechanism, typer.Option(help="How each interval trades.")] = Mechanism.CALL,
    as_json: JsonOption = False,
) -> None:
    """Run zero-intelligence and strategic agents on the real engine and say how well the market did."""
    from cloud.market.tools.simulation import simulate as run_agents

    if mechanism is Mechanism.SHARING:
        sentence = "with sharing nobody bids: try a key on readings by `sitewatt market share`"
        fail(sentence, code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
    answer = run_agents(agents=agents, intervals=intervals, seed=seed, mechanism=mechanism).answer()
    if as_json:
        print_json(answer)
        return
    for name, value in answer.items():
        tell(f"{name}: {value}")


def _say_read(understood: list[str]) -> None:
    for sentence in understood:
        tell(f"read {sentence}", err=True)


def _settled_row(row: Mapping[str, Any]) -> str:
    """Return what one site owes for an interval, and from what it follows."""
    flags = f" ({'estimated' if row['method'] != 'implausible' else 'implausible'})" if row["estimated"] else ""
    response = ""
    if row["demand_response_wh"] or row["demand_response_uct"]:
        response = f", demand response {kwh(row['demand_response_wh'])} {owes(row['demand_response_uct'])}"
    money_uct = sum(row[f"{part}_uct"] for part in ("trades", "fees", "imbalance", "demand_response", "charges"))
    return (
        f"{row['site']}: metered {kwh(row['metered_wh'])}, traded {kwh(row['traded_wh'])}, imbalance "
        f"{kwh(row['imbalance_wh'])} at {ct_per_kwh(row['imbalance_mct_per_kwh'])}{response}, "
        f"{owes(money_uct)}{flags}"
    )


def _prove(tables: Path, as_json: bool) -> None:
    """Print the proof of each zone; exit 1 where one does not hold."""
    from cloud.errors import CloudError
    from cloud.local.proof import prove_file

    try:
        answers = [proof.answer() for proof in prove_file(tables)]
    except CloudError as error:
        fail(str(error), code="store", as_json=as_json)
    if as_json:
        print_json({"agrees": all(answer["agrees"] for answer in answers), "zones": answers})
    for answer in answers if not as_json else ():
        tell(
            f"{answer['zone']}: {answer['entries']} entries, {answer['commands']} commands, {answer['trades']} trades, "
            f"{answer['ledger_lines']} ledger lines, sum {eur(answer['ledger_sum_uct'])}, {answer['items']} items"
        )
        tell(f"state {answer['state_hash']}" if answer["agrees"] else str(answer["parted_at"]))
    if not all(answer["agrees"] for answer in answers):
        raise typer.Exit(FAILED)


def _statuses(folder: Path, zone: str | None, as_json: bool) -> list[dict[str, Any]]:
    """Return status, prices and health of each zone, by the supervisor's own skills at the market's own instant."""
    from cloud.agents.skills import skill
    from cloud.errors import CloudError
    from cloud.local.opening import open_tables, tables_place
    from cloud.shell.skill_ports import reading_ports
    from cloud.stores.registry import load_registry

    path = tables_place(folder)
    if path is None:
        fail(f"{folder} holds no tables.db", code="unreadable", as_json=as_json, exit_code=BAD_INPUT)
    answers = []
    try:
        with contextlib.closing(open_tables(path, read_only=True)) as tables:
            registry = load_registry(tables)
            ports = reading_ports(tables, registry)
            for name in [zone] if zone else [record.id for record in registry.zones]:
                health = ports.market.health(name)
                found = {
                    key: skill(named).call(ports, {"zone": name}, now=health.at).model_dump(mode="json")
                    for key, named in (
                        ("health", "market_health"),
                        ("status", "market_status"),
                        ("prices", "price_discovery"),
                    )
                }
                answers.append({"zone": name, **found})
    except CloudError as error:
        fail(str(error), code="store", as_json=as_json)
    return answers


@contextlib.contextmanager
def _inputs(as_json: bool) -> Iterator[None]:
    """Turn what is wrong with the input into one sentence and exit 2."""
    try:
        yield
    except BadInput as error:
        fail(str(error), code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
    except OSError as error:
        sentence = f"{error.filename or 'the file'} cannot be read: {error.strerror or error}"
        fail(sentence, code="unreadable", as_json=as_json, exit_code=BAD_INPUT)
    except UnicodeDecodeError as error:
        fail(f"the file is not UTF-8: {error.reason}", code="bad_input", as_json=as_json, exit_code=BAD_INPUT)


@contextlib.contextmanager
def _opened(file: str) -> Iterator[TextIO]:
    if file == "-":
        yield sys.stdin
        return
    with Path(file).open(encoding="utf-8-sig") as lines:
        yield lines


def _load(file: str) -> Mapping[str, Any]:
    from domain.series.decode import decode
    from domain.series.errors import SeriesError

    try:
        text = sys.stdin.read() if file == "-" else decode(Path(file).read_bytes())[0]
        return mapping(json.loads(text.removeprefix("\ufeff"), object_pairs_hook=without_repeats), file)
    except SeriesError as error:
        raise BadInput(f"{file} cannot be read: {error}") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadInput(f"{file} cannot be read: {reason_of(error)}") from error


def _json_lines(lines: TextIO, file: str) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"line {number} of {file}"
        try:
            yield mapping(json.loads(line, object_pairs_hook=without_repeats), where)
        except (json.JSONDecodeError, RecursionError) as error:
            raise BadInput(f"{where} cannot be read: {reason_of(error)}") from error


def _write(path: Path, text: str, as_json: bool) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}", code="unwritable", as_json=as_json, exit_code=BAD_INPUT)


def _intervals(journal: str | None) -> list[dict[str, Any]]:
    if journal is None:
        from cloud.market.tools.simulation import simulate as run_agents

        return run_agents(agents=100, intervals=96, seed=7).intervals
    from cloud.market.tools.replay import replay as replay_journal
    from cloud.market.tools.report import IntervalReport

    watcher = IntervalReport()
    with _opened(journal) as lines:
        replay_journal(lines, watch=watcher.take)
    return watcher.rows()
