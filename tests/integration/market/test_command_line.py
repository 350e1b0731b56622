"""``sitewatt market`` as other programs call it: real files in, JSON out, one sentence and exit 2 for bad input."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from cloud.market import commands
from cloud.market.engine import Engine
from sitewatt.commands.market import app
from tests.support.market.streams import FIRST_ORDERS, T0_MS, participants, rules


def _run(*arguments: str, code: int = 0, stdin: str | None = None) -> str:
    result = CliRunner().invoke(app, list(arguments), input=stdin)
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.output


def _json(*arguments: str, code: int = 0, stdin: str | None = None) -> Any:
    return json.loads(_run(*arguments, "--json", code=code, stdin=stdin))


ORDERS = [
    {"id": "b1", "agent": "ada", "side": "buy", "qty": 10, "price": 9, "seq": 1, "zone": "west"},
    {"id": "b2", "agent": "bob", "side": "buy", "qty": 10, "price": 7, "seq": 2, "zone": "west"},
    {"id": "s1", "agent": "cy", "side": "sell", "qty": 15, "price": 3, "seq": 3, "zone": "east"},
    {"id": "s2", "agent": "dee", "side": "sell", "qty": 10, "price": 8, "seq": 4, "zone": "west"},
]
ONE_PLACE = [{key: value for key, value in order.items() if key != "zone"} for order in ORDERS]


def test_clear_answers_volume_price_fills_trades_and_payments(tmp_path: Path) -> None:
    """The interface that other programs read."""
    file = tmp_path / "orders.json"
    file.write_text(json.dumps({"orders": ONE_PLACE}), encoding="utf-8")
    answer = _json("clear", "--mechanism", "pay-as-clear", str(file))
    assert (answer["volume"], answer["welfare"]) == (15, 80)
    assert {name: answer["price"][name] for name in ("lo", "hi", "mid", "pinned_by")} == {
        "lo": 7,
        "hi": 7,
        "mid": 7,
        "pinned_by": "b2",
    }
    assert answer["fills"] == {"b1": 10, "b2": 5, "s1": 15, "s2": 0}
    assert answer["payments"] == {"ada": 70, "bob": 35, "cy": -105}
    bid = _json("clear", "--mechanism", "pay-as-bid", str(file))
    assert bid["fills"] == answer["fills"]
    assert bid["payments"] == {"ada": 90, "bob": 35, "cy": -125}
    assert "pinned by b2" in _run("clear", str(file))


def test_clear_serves_a_fixed_demand_and_a_network(tmp_path: Path) -> None:
    """The two other mechanisms, with what is short and with rent."""
    file = tmp_path / "orders.json"
    link = {"from": "east", "to": "west", "capacity": 12, "fee": 1}
    file.write_text(json.dumps({"orders": ORDERS, "zones": ["east", "west"], "links": [link]}), encoding="utf-8")
    network = _json("clear", "--mechanism", "network", str(file))
    assert network["flows"] == {"east>west": 12}
    assert network["fills"] == {"b1": 10, "b2": 2, "s1": 12, "s2": 0}
    assert network["zones"] == {"east": {"lo": 3, "hi": 3, "mid": 3}, "west": {"lo": 7, "hi": 7, "mid": 7}}
    assert (network["fees"], network["rent"]) == (12, 36)
    assert sum(network["payments"].values()) == 48
    assert "flow east>west: 12" in _run("clear", "--mechanism", "network", str(file))
    offers = tmp_path / "offers.json"
    offers.write_text(json.dumps({"orders": ONE_PLACE[2:], "demand": 30}), encoding="utf-8")
    merit = _json("clear", "--mechanism", "merit-order", str(offers))
    assert (merit["volume"], merit["short"], merit["price"]["lo"], merit["price"]["hi"]) == (25, 5, 8, None)


BAD_CLEAR: dict[str, tuple[Any, str]] = {
    "a float quantity": ({"orders": [ORDERS[0] | {"qty": 1.5}]}, "qty of orders[0] is 1.5, not a whole number"),
    "no quantity": ({"orders": [ORDERS[0] | {"qty": 0}]}, "qty of orders[0] is 0, below 1"),
    "an id twice": ({"orders": [ORDERS[0], ORDERS[0]]}, "id 'b1' of orders[1] is there twice; ids are unique"),
    "a side that is none": (
        {"orders": [ORDERS[0] | {"side": "hold"}]},
        "side of orders[0] is 'hold', neither buy nor sell",
    ),
    "a list": ([], "is a list, not an object"),
    "orders that are none": ({"orders": "all"}, "orders in the file is a str, not a list"),
    "a link to nowhere": (
        {"orders": ORDERS, "links": [{"from": "east", "to": "moon", "capacity": 1}]},
        "names zone 'moon', which is neither listed nor has orders",
    ),
}


@pytest.mark.parametrize(("data", "sentence"), BAD_CLEAR.values(), ids=BAD_CLEAR.keys())
def test_bad_input_is_one_sentence_and_exit_2(data: Any, sentence: str) -> None:
    """A caller can show the sentence and trust the code."""
    answer = _json("clear", "--mechanism", "network", "-", code=2, stdin=json.dumps(data))
    assert answer["error"]["code"] == "bad_input"
    assert sentence in answer["error"]["message"]
    assert "\n" not in answer["error"]["message"]


def test_a_file_that_is_missing_or_not_json_is_said_so(tmp_path: Path) -> None:
    """The two commonest mistakes."""
    assert "cannot be read" in _run("clear", str(tmp_path / "nothing.json"), code=2)
    assert "is not JSON" in _run("settle", "-", code=2, stdin="{")
    second = "line 2 of - cannot be read: it is not JSON at column 1: a value is missing"
    assert second in _run("run", "-", code=2, stdin='{"op":"cancel","id":"x"}\nnope\n')


STREAM = [
    {"op": "new", "id": "1", "side": "sell", "qty": 5, "price": 10},
    {"op": "new", "id": "2", "side": "buy", "qty": 8, "price": 11, "agent": "zoe"},
    {"op": "new", "id": "2", "side": "buy", "qty": 8, "price": 11, "agent": "zoe"},
    {"op": "new", "id": "2", "side": "buy", "qty": 9, "price": 11, "agent": "zoe"},
    {"op": "new", "id": "3", "side": "sell", "qty": 1, "price": 11, "agent": "zoe"},
    {"op": "modify", "id": "3", "qty": 2, "price": 12},
    {"op": "new", "id": "4", "side": "buy", "qty": 9, "price": 12, "tif": "FOK"},
    {"op": "new", "id": "5", "side": "buy", "qty": 1, "price": 12, "post_only": True},
    {"op": "new", "id": "6", "side": "buy", "qty": 1, "price": 12, "tif": "ioc"},
    {"op": "cancel", "id": "9"},
    {"op": "new", "id": "7", "side": "buy", "qty": 1.0, "price": 12},
    {"op": "new", "id": "8", "side": "buy", "qty": 1, "price": 1, "tif": "soon"},
]


def test_run_answers_every_line_and_repeats_to_the_same_hash() -> None:
    """Each line has its reply, in order; the hash proves a second run."""
    lines = "\n".join(json.dumps(line) for line in STREAM)
    answer = _json("run", "-", stdin=lines)
    assert [(reply["id"], reply["status"]) for reply in answer["replies"]] == [
        ("1", "accepted"),
        ("2", "partly_filled"),
        ("2", "partly_filled"),
        ("2", "rejected"),
        ("3", "accepted"),
        ("2", "cancelled"),
        ("3", "accepted"),
        ("4", "cancelled"),
        ("5", "rejected"),
        ("6", "filled"),
        ("9", "rejected"),
        ("7", "rejected"),
        ("8", "rejected"),
    ]
    assert answer["trades"] == [
        {"taker": "2", "maker": "1", "price": 10, "qty": 5},
        {"taker": "6", "maker": "3", "price": 12, "qty": 1},
    ]
    assert answer["book"] == [{"id": "3", "side": "sell", "price": 12, "qty": 1}]
    assert _json("run", "-", stdin=lines)["state_hash"] == answer["state_hash"]
    events = [json.loads(line) for line in _run("run", "-", "--events", "--json", stdin=lines).splitlines()]
    assert events[-1] == answer
    assert len(events) == len(answer["replies"]) + len(answer["trades"]) + 1


def test_settle_estimates_corrects_and_pays_a_reduction_once() -> None:
    """One interval from file to ledger."""
    data = {
        "rules": {"last_resort": {"import_mct_per_kwh": 30_000, "export_mct_per_kwh": 8_000}},
        "trades": [{"buy": "mill", "sell": "farm", "qty": 1000, "price": 20_000}],
        "meters": [
            {"site": "mill", "import_wh": 700},
            {"site": "mill", "import_wh": 750, "version": 2},
        ],
        "demand_response": [
            {
                "event": "e1",
                "site": "mill",
                "committed_wh": 300,
                "baseline_wh": 1000,
                "price": 40_000,
                "penalty": 50_000,
            }
        ],
    }
    answer = _json("settle", "-", stdin=json.dumps(data))
    assert answer["sum"] == {"money_uct": 0, "energy_wh": 0}
    farm, first, corrected = answer["settlements"]
    assert (farm["site"], farm["estimated"], farm["imbalance_wh"]) == ("farm", True, 1000)
    assert (first["demand_response_wh"], first["imbalance_wh"], first["demand_response_uct"]) == (300, 0, -12_000_000)
    assert (corrected["version"], corrected["demand_response_wh"], corrected["imbalance_wh"]) == (2, 250, 0)
    words = _run("settle", "-", stdin=json.dumps(data))
    assert "farm: metered 0.000 kWh, traded -1.000 kWh, imbalance 1.000 kWh at 30.000 ct/kWh, owes 0.10 EUR" in words
    assert "demand response 0.300 kWh receives 0.12 EUR" in words and "(estimated)" in words
    wrong = data | {"rules": {"tick": 5}}
    assert "rules break their schema at tick" in _run("settle", "-", code=2, stdin=json.dumps(wrong))


def test_a_delivery_never_costs_more_than_none_where_nothing_was_traded() -> None:
    """What a site never bought leaves no position: the reduction cost it the import tariff."""
    home = {"site": "home", "import_wh": 700}
    terms = {"event": "e1", "site": "home", "committed_wh": 300, "baseline_wh": 1000, "price": 10_000}
    without = _json("settle", "-", stdin=json.dumps({"meters": [home]}))["balances"]["home"]
    paid = _json("settle", "-", stdin=json.dumps({"meters": [home], "demand_response": [terms]}))["balances"]["home"]
    assert without == {"money_uct": 700 * 30_000, "energy_wh": 700}
    assert paid == {"money_uct": 700 * 30_000 - 300 * 10_000, "energy_wh": 700}


def _journal(check: bool = True) -> list[dict[str, Any]]:
    engine = Engine(rules())
    stream = [*participants(), *FIRST_ORDERS, dict(commands.tick(at_ms=T0_MS + 10**7))]
    for command in stream:
        engine.apply(command)
    state = engine.state_hash() if check else "0" * 64
    return [{"rules": engine.rules.model_dump(mode="json")}, *stream, {"check": {"state_hash": state}}]


def test_replay_proves_a_journal_and_names_where_it_parts(tmp_path: Path) -> None:
    """Journal and state agree, or exit 1 says from which line they do not."""
    file = tmp_path / "journal.jsonl"
    file.write_text("\n".join(json.dumps(entry) for entry in _journal()), encoding="utf-8")
    snapshot = tmp_path / "state.json"
    answer = _json("replay", str(file), "--snapshot", str(snapshot))
    assert answer["agrees"]
    assert (answer["trades"], answer["ledger"]["sum_uct"]) == (1, 0)
    restored = tmp_path / "restored.jsonl"
    state = json.loads(snapshot.read_text(encoding="utf-8"))
    check = {"check": {"state_hash": answer["state_hash"]}}
    restored.write_text(json.dumps({"snapshot": state}) + "\n" + json.dumps(check), encoding="utf-8")
    assert _json("replay", str(restored))["agrees"]
    file.write_text("\n".join(json.dumps(entry) for entry in _journal(check=False)), encoding="utf-8")
    assert "state after" in _run("replay", str(file), code=1)
    assert "neither rules nor a snapshot" in _run("replay", "-", code=2, stdin='{"op":"tick","at_ms":1}')
    assert "the journal is empty" in _run("replay", "-", code=2, stdin="")


def test_report_draws_price_volume_welfare_and_imbalance(tmp_path: Path) -> None:
    """A picture is how an operator sees a day."""
    file, plot = tmp_path / "journal.jsonl", tmp_path / "day.svg"
    file.write_text("\n".join(json.dumps(entry) for entry in _journal()), encoding="utf-8")
    answer = _json("report", str(file), "--plot", str(plot))
    assert [(row["price"], row["volume_wh"], row["welfare_uct"]) for row in answer["intervals"]] == [(10, 5, 10)]
    root = ElementTree.parse(plot).getroot()
    assert root.tag.endswith("svg")
    assert "0.010 ct/kWh" in _run("report", str(file))
    assert len(_json("report")["intervals"]) == 96


def test_baseline_shows_days_ratio_flags_and_the_reduction() -> None:
    """What is paid can be worked out by hand from the answer."""
    history = {f"2025-03-{day:02d}": [100] * 96 for day in range(1, 20)}
    history["2025-03-19"] = [110] * 64 + [60] * 32
    data = {"history": history, "event": {"day": "2025-03-19", "first": 64, "count": 2}, "excluded": ["2025-03-18"]}
    answer = _json("baseline", "-", stdin=json.dumps(data))
    assert answer["baseline_wh"] == [110, 110]
    assert answer["reduction_wh"] == [50, 50]
    assert "2025-03-18" not in answer["days"]
    short = {"method": "pre-event", "before_wh": [80, 90], "event": {"count": 2}}
    assert _json("baseline", "-", stdin=json.dumps(short))["flags"] == ["few-days"]
    few = {"history": {}, "event": {"day": "2025-03-19", "first": 64, "count": 2}}
    assert _json("baseline", "-", code=1, stdin=json.dumps(few))["error"]["needed"] == 5
    wrong = {"history": {"someday": []}, "event": {"day": "2025-03-19", "first": 64, "count": 2}}
    assert "'someday' is not a day" in _run("baseline", "-", code=2, stdin=json.dumps(wrong))


def test_a_simulation_repeats_for_its_seed_and_balances() -> None:
    """Figures that cannot be repeated prove nothing."""
    arguments = ("simulate", "--agents", "40", "--intervals", "6", "--seed", "7")
    answer = _json(*arguments)
    assert answer == _json(*arguments)
    assert answer != _json(*arguments[:-1], "8")
    assert answer["settlement"]["ledger"]["sum_uct"] == 0
    assert 0 < answer["efficiency_permille"] <= 1000
