"""One list of figures: each function counts by it, on AWS in its log and in a private cloud at ``/metrics``."""

import importlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cloud.figures import COLD_STARTS, DIMENSION, FIGURES, LEDGER_LINES, NAMESPACE, RECORDS, REFUSED, TRADES
from cloud.handlers import status
from cloud.infra.functions import FUNCTIONS, FunctionDefinition
from cloud.local.metrics import LOCAL_FIGURES, Counts
from cloud.local.report import ledger
from cloud.shell import counting
from contracts.telemetry import StatusMessage
from contracts.topics import Up
from tests.support.cloud.sites import START, ZONE, batch, context, house_in
from tests.support.market.shell import run_events, story
from tests.support.promtool import complaints

DOC = Path(__file__).parents[4] / "docs" / "operations.md"


@pytest.fixture(autouse=True)
def _back() -> Iterator[None]:
    yield
    counting.install(None)


@pytest.mark.parametrize("definition", FUNCTIONS, ids=[each.name for each in FUNCTIONS])
def test_every_function_of_the_stack_counts_under_its_own_name(definition: FunctionDefinition) -> None:
    """A function that does not would be missing from every page of figures, and nobody would notice."""
    assert importlib.import_module(definition.handler).handler.counts_as == definition.name


def test_a_call_writes_one_line_in_the_embedded_metric_format(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The keys that CloudWatch looks for, a value for each figure, and the function as the dimension."""
    with house_in(tmp_path):
        told = batch(Up.STATUS, StatusMessage(site="farm", online=True, at=START), b'{"v": 9}', at=START)
        status.handler(told, context())
    (line,) = capsys.readouterr().out.splitlines()
    metric = json.loads(line)
    (directive,) = metric["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == NAMESPACE
    assert directive["Dimensions"] == [[DIMENSION]] and metric[DIMENSION] == "status"
    named = {each["Name"]: each["Unit"] for each in directive["Metrics"]}
    assert named.keys() - {COLD_STARTS.name} == {RECORDS.name, REFUSED.name} and set(named.values()) == {"Count"}
    assert (metric[RECORDS.name], metric[REFUSED.name]) == ([2.0], [1.0])


def test_promtool_finds_nothing_to_complain_of_in_a_private_clouds_figures() -> None:
    """The same conventions as the gateway's; every figure there is, and the streams' and the sites'."""
    counts = Counts()
    counts.called("cloud.handlers.market_tick", seconds=0.25, cpu_s=0.125, failed=True)
    for figure in FIGURES:
        counts.add("market-tick", figure, 1)
    text = counts.text({"waiting": 3, "set_aside": 1, "not_forwarded": 2}, {"home-1": 2})
    assert complaints(text.encode()) == ""
    assert "no help" in complaints(b"thing 1\n").lower(), "the checker checks"


def test_calls_of_one_function_at_once_count_apart(capsys: pytest.CaptureFixture[str]) -> None:
    """A process that serves threads lost the count of one call, and the other call ended in a KeyError."""
    counted_both, ended_one = threading.Barrier(2, timeout=60), threading.Event()

    @counting.counted("busy")
    def busy(event: dict[str, int], context: object) -> None:
        counting.count(TRADES, event["trades"])
        if counted_both.wait() == 0:
            assert ended_one.wait(60)

    def call(trades: int) -> None:
        busy({"trades": trades}, None)
        ended_one.set()

    with ThreadPoolExecutor(max_workers=2) as threads:
        list(threads.map(call, (1, 2)))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(line[TRADES.name] for line in lines) == [[1.0], [2.0]]


def test_a_call_that_counts_nothing_writes_nothing_and_leaves_nothing_behind(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each line of a log is billed, and a count of one call must not show in the next."""

    @counting.counted("silent")
    def silent(event: dict[str, int], context: object) -> None:
        counting.count(TRADES, 0)

    counting._Counting.cold = False
    silent({}, None)
    counting.count(TRADES)  # Nobody's: a command counts nothing.
    assert capsys.readouterr().out == ""

    @counting.counted("loud")
    def loud(event: dict[str, int], context: object) -> None:
        counting.count(TRADES, event["n"])
        raise ValueError("after it counted")

    for number in (2, 3):
        with pytest.raises(ValueError, match="counted"):
            loud({"n": number}, None)
        assert json.loads(capsys.readouterr().out)[TRADES.name] == [float(number)]


def test_what_is_counted_of_a_market_is_what_its_tables_hold(tmp_path: Path) -> None:
    """The figures of a settled product: an operator who watches them sees the ledger."""
    counts = Counts()
    counting.install(counts)
    with house_in(tmp_path) as (services, _):
        run_events(services, story())
        held = ledger(services.stores.tables, [ZONE])
    told = [line.rsplit(" ", 1) for line in counts.text({"waiting": 3}, {"home-1": 2}).splitlines() if line[:1] != "#"]
    sums: dict[str, float] = {}
    for name, value in told:
        sums[name.partition("{")[0]] = sums.get(name.partition("{")[0], 0) + float(value)
    assert sums[LEDGER_LINES.name] == held["lines"] > 8
    assert sums[TRADES.name] >= 4 and sums["sitewatt_records_waiting"] == 3
    assert sums["sitewatt_site_alarms"] == 2
    assert sums.keys() <= {each.name for each in FIGURES} | {each.name for each in LOCAL_FIGURES}


def test_the_page_for_operators_names_every_figure() -> None:
    """And what CloudWatch calls those that it keeps by itself."""
    text = DOC.read_text(encoding="utf-8")
    rows = [f"| `{each.name}` | {each.says} | `{NAMESPACE}`, by `{DIMENSION}` |" for each in FIGURES]
    rows += [f"| `{each.name}` | {each.says} | {each.on_aws} |" for each in LOCAL_FIGURES]
    assert "\n".join(rows) in text, "\n".join(rows)
