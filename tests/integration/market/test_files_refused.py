"""``sitewatt market`` on files that say what nobody reads: the key is named, and nothing is cleared beside it."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sitewatt.commands.market import app

BUY = {"id": "mill", "side": "buy", "qty": 800, "price": 28_000}
SELL = {"id": "farm", "side": "sell", "qty": 1000, "price": 9_000}
LINK = {"from": "east", "to": "west", "capacity": 100}
TRADE = {"buy": "mill", "sell": "farm", "qty": 1000, "price": 20_000}


def _json(*arguments: str, data: Any, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [*arguments, "-", "--json"], input=json.dumps(data))
    assert result.exit_code == code, result.output
    return json.loads(result.stdout if code == 0 else result.output)


REFUSED: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "a key of an order": (["clear"], {"orders": [BUY | {"min_qty": 5}]}, "unknown key 'min_qty'"),
    "a key of the file": (["clear", "--mechanism", "merit-order"], {"orders": [SELL], "load": 700}, "'load'"),
    "a merit order for nobody": (["clear", "--mechanism", "merit-order"], {"orders": [SELL]}, "demand of the file"),
    "demand in a call": (["clear"], {"orders": [SELL], "demand": 5}, "use merit-order"),
    "zones in a call": (["clear"], {"orders": [BUY, SELL], "zones": ["east"]}, "has no network"),
    "links in a call": (["clear"], {"orders": [BUY, SELL], "links": [LINK]}, "has no network"),
    "an order's zone in a call": (["clear"], {"orders": [BUY | {"zone": "east"}, SELL]}, "zone east of order mill"),
    "an order without a zone": (
        ["clear", "--mechanism", "network"],
        {"orders": [BUY, SELL | {"zone": "east"}], "zones": ["east", "west"], "links": [LINK]},
        "order mill names no zone",
    ),
    "a misspelled zone": (
        ["clear", "--mechanism", "network"],
        {"orders": [BUY | {"zone": "East"}, SELL | {"zone": "east"}], "zones": ["east", "west"], "links": [LINK]},
        "zone East of order mill is neither listed nor linked",
    ),
    "a misspelled link": (
        ["clear", "--mechanism", "network"],
        {"orders": [BUY | {"zone": "west"}], "links": [LINK | {"capacty": 5}]},
        "did you mean capacity?",
    ),
    "a share of nobody": (
        ["share"],
        {
            "rules": {"sharing": {"key": "static", "price_mct_per_kwh": 1, "shares_permille": {"Ann": 900}}},
            "sites": {"ann": {"import_wh": [5]}},
        },
        "names 'Ann', which is none of the sites: ann",
    ),
    "a house of nobody": (
        ["share"],
        {
            "rules": {"sharing": {"key": "hierarchical", "price_mct_per_kwh": 1, "levels": [[["ann", "bob"]]]}},
            "sites": {"ann": {"import_wh": [5]}},
        },
        "names 'bob'",
    ),
    "a baseline's flag": (
        ["settle"],
        {
            "trades": [TRADE],
            "demand_response": [
                {"event": "e", "site": "mill", "committed_wh": 3, "baseline_wh": 9, "price": 1, "flags": ["few-day"]}
            ],
        },
        "flags of demand_response[0]",
    ),
    "no orders": (["clear"], {}, "has no orders"),
    "nothing to settle": (["settle"], {"rules": {}}, "neither trades nor meters"),
    "a name with a space": (["clear"], {"orders": [BUY | {"id": " farm"}, SELL]}, "make it another name"),
    "a name with a sign that nobody sees": (["clear"], {"orders": [BUY | {"id": "farm\u200b"}, SELL]}, "another name"),
    "a flag that needs no look": (
        ["settle"],
        {"trades": [TRADE], "rules": {"claims": {"pay_flags": ["few-dayz"]}}},
        "claims.pay_flags of rules has 'few-dayz'",
    ),
    "a meter in kWh": (["settle"], {"meters": [{"site": "mill", "import_kwh": 1}]}, "did you mean import_wh?"),
    "a meter without a reading": (["settle"], {"trades": [TRADE], "meters": [{"site": "mill"}]}, "no reading"),
    "a reduction of a site that is not there": (
        ["settle"],
        {
            "trades": [TRADE],
            "demand_response": [{"event": "e", "site": "Mill", "committed_wh": 3, "baseline_wh": 9, "price": 1}],
        },
        "site 'Mill' of demand_response[0]",
    ),
    "a site named as an account": (
        ["settle"],
        {"meters": [{"site": "fees", "import_wh": 1}]},
        "an account of the market",
    ),
    "a meter of the utility": (["settle"], {"meters": [{"site": "utility", "import_wh": 1}]}, "has no meter"),
    "a connection of nobody": (["settle"], {"trades": [TRADE], "connections": {"mil": 9}}, "did you mean mill?"),
    "a field of a trade": (["settle"], {"trades": [TRADE | {"volume": 5}]}, "unknown key 'volume'"),
    "a field of an event": (["baseline"], {"event": {"day": "2025-03-19", "start": 64}}, "unknown key 'start'"),
    "a field of a baseline": (["baseline"], {"event": {}, "holiday": []}, "unknown key 'holiday'"),
}


@pytest.mark.parametrize(("command", "data", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_nobody_reads_is_refused_by_name(command: list[str], data: dict[str, Any], words: str) -> None:
    """A misspelled key was volume 0 and exit 0."""
    assert words in _json(*command, data=data, code=2)["error"]["message"]


def test_a_line_of_a_stream_with_an_unknown_key_is_rejected_by_name() -> None:
    """Each line has its own reply; the others stand."""
    replies = _json("run", data={"op": "new", **BUY, "prize": 3})["replies"]
    assert replies[0]["status"] == "rejected" and "unknown key 'prize'" in replies[0]["reason"]


def test_whole_numbers_are_ids_and_zones() -> None:
    """A numbered zone was no zone, and 800 Wh crossed a line for 100."""
    zones = {"zones": [1, 2], "links": [{"from": 1, "to": 2, "capacity": 100}]}
    orders = [BUY | {"id": 7, "zone": 2}, SELL | {"id": 8, "zone": 1}]
    answer = _json("clear", "--mechanism", "network", data={"orders": orders, **zones})
    assert (answer["volume"], answer["fills"]) == (100, {"7": 100, "8": 100})
    assert _json("run", data={"op": "new", **BUY, "id": 7})["replies"][0]["id"] == "7"
    trade = {"buy": 7, "sell": 8, "qty": 5, "price": 1}
    assert {row["site"] for row in _json("settle", data={"trades": [trade]})["settlements"]} == {"7", "8"}


def test_an_order_without_a_number_is_last() -> None:
    """A file's position is no sequence beside numbers that are."""
    late, early = SELL | {"id": "late"}, SELL | {"id": "early", "seq": 900}
    fills = _json("clear", data={"orders": [late, early, BUY]})["fills"]
    assert fills == {"late": 0, "early": 800, "mill": 800}
    assert _json("clear", data={"orders": [late, SELL, BUY]})["fills"]["late"] == 800


@pytest.mark.parametrize("mechanism", ["pay-as-clear", "pay-as-bid", "merit-order", "network"])
def test_orders_of_one_owner_never_trade_with_each_other(mechanism: str) -> None:
    """A file is held to what a running market does: the resting order gives way."""
    orders = [BUY | {"owner": "ada", "agent": "a"}, SELL | {"owner": "ada", "agent": "b"}]
    answer = _json("clear", "--mechanism", mechanism, data={"orders": orders})
    assert (answer["volume"], answer["trades"], answer["fills"]) == (0, [], {"mill": 0, "farm": 0})
    assert answer["self_trade"] == [{"id": "mill", "qty": 800, "reason": "self-trade"}]
    other = {"id": "shop", "side": "buy", "qty": 100, "price": 20_000}
    answer = _json("clear", "--mechanism", mechanism, "--self-trade", "decrement", data={"orders": [*orders, other]})
    assert answer["fills"] == {"mill": 0, "farm": 100, "shop": 100}


def test_a_tariff_in_another_unit_is_said() -> None:
    """A tariff of 30 is 0.03 ct/kWh, which nobody means."""
    rules = {"last_resort": {"import_mct_per_kwh": 30, "export_mct_per_kwh": 8}}
    words = _json("settle", data={"meters": [{"site": "home", "import_wh": 1000}], "rules": rules})["warnings"]
    assert "import_mct_per_kwh is 30, which is 0.03 ct/kWh" in words[0]


def test_a_file_with_a_mark_or_in_utf_16_is_read_as_any_other(tmp_path: Path) -> None:
    """Editors of one system write them, and nobody sees the difference."""
    text = json.dumps({"orders": [BUY, SELL]})
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path = tmp_path / f"{encoding}.json"
        path.write_text(text, encoding=encoding)
        result = CliRunner().invoke(app, ["clear", str(path), "--json"])
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["volume"] == 800
    stream = tmp_path / "stream.jsonl"
    stream.write_text(json.dumps({"op": "new", "price": 1, "qty": 1} | {"id": "s", "side": "sell"}), "utf-8-sig")
    assert CliRunner().invoke(app, ["run", str(stream)]).exit_code == 0


REDUCED = {"event": "e", "site": "mill", "committed_wh": 300, "baseline_wh": 1000, "price": 40_000, "penalty": 50_000}


@pytest.mark.parametrize(
    ("meter", "reduction", "paid_uct", "word"),
    [
        ({"import_wh": 700}, {}, -12_000_000, ""),
        ({"import_wh": 700}, {"flags": ["few-days"]}, 0, "waits; not paid"),
        ({"import_wh": 700, "estimated": True}, {}, 0, ""),
    ],
)
def test_nothing_is_paid_on_an_estimate_or_a_flag(
    meter: dict[str, Any], reduction: dict[str, Any], paid_uct: int, word: str
) -> None:
    """A file may say that a reading is estimated and why someone should look at a baseline."""
    data = {"meters": [{"site": "mill", **meter}], "demand_response": [REDUCED | reduction]}
    answer = _json("settle", data=data)
    assert [row["demand_response_uct"] for row in answer["settlements"]] == [paid_uct]
    assert word in " ".join(answer.get("warnings", [""]))


def test_a_reading_that_nothing_bounds_is_named() -> None:
    """Four gigawatts on a connection of which the file says nothing."""
    answer = _json("settle", data={"meters": [{"site": "mill", "import_wh": 10**9}]})
    assert "more than 10 MW" in answer["warnings"][0]


def test_a_single_price_without_a_tariff_is_the_bands_end_whatever_traded() -> None:
    """One Wh for next to nothing priced all that was missing."""
    trade = {"buy": "mill", "sell": "farm", "qty": 1, "price": 100}
    meters = [{"site": "mill", "import_wh": 100_000}, {"site": "farm", "export_wh": 1}]
    for rule in ("spread", "single", "two-price"):
        rules = {"last_resort": None, "imbalance": rule}
        answer = _json("settle", data={"trades": [trade], "meters": meters, "rules": rules})
        assert answer["imbalance_price"]["short"] == 400_000


def test_a_key_that_stands_twice_is_refused() -> None:
    """Of two quantities the last would have counted, and nobody would have known."""
    for command, text in (
        ("clear", '{"orders": [{"id": "a", "side": "buy", "qty": 1, "qty": 9, "price": 1}]}'),
        ("run", '{"op": "new", "id": "a", "side": "buy", "qty": 1, "price": 1, "price": 900}'),
    ):
        result = CliRunner().invoke(app, [command, "-", "--json"], input=text)
        assert result.exit_code == 2 and "stands twice in one object" in result.output


def test_a_baseline_above_the_connection_waits_whoever_tells_it() -> None:
    """A claim of a gigawatt on a connection of 2 kW was paid."""
    claim = REDUCED | {"baseline_wh": 10**9}
    data = {"connections": {"mill": 500}, "meters": [{"site": "mill", "import_wh": 0}], "demand_response": [claim]}
    answer = _json("settle", data=data)
    assert [row["demand_response_uct"] for row in answer["settlements"]] == [0]
    assert "above-connection and waits" in answer["warnings"][0]


@pytest.mark.parametrize(
    ("price", "imports", "words"),
    [
        (40_000, [5], "who consumes pays more"),
        (-1, [5], "who generates gets less"),
        (10_000, [None], "ann: 1 readings are missing"),
        (10_000, [5], None),
    ],
)
def test_what_is_odd_about_a_community_is_said(price: int, imports: list[int | None], words: str | None) -> None:
    """A price beyond the tariffs makes sharing a loss, and a member without readings gets nothing."""
    sharing = {"key": "dynamic", "price_mct_per_kwh": price}
    data = {"rules": {"sharing": sharing}, "sites": {"ann": {"import_wh": imports}, "roof": {"export_wh": [5]}}}
    warnings = _json("share", data=data).get("warnings", [])
    assert [words in warning for warning in warnings if words] == ([True] if words else [])
    assert len(warnings) == (words is not None)


FREE_RIDER = {
    "trades": [TRADE | {"price": 9_376}],
    "meters": [
        {"site": "mill", "import_wh": 3_000},
        {"site": "farm", "export_wh": 1_000},
        {"site": "home", "export_wh": 1_000},
    ],
}
METERED = [{"site": "mill", "import_wh": 1_000}, {"site": "farm", "export_wh": 1_000}]
PAYS = {"event": "e", "committed_wh": 300, "baseline_wh": 1_000, "price": 10_000}
OWED: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "who sold nothing gets no more than who sold": (FREE_RIDER, {"farm": -9_376, "home": -8_000, "mill": 69_376}),
    "the same by two prices": (
        FREE_RIDER | {"rules": {"imbalance": "two-price"}},
        {"farm": -9_376, "home": -9_376, "mill": 69_376},
    ),
    "no reading, no pay for a reduction": (
        {
            "trades": [TRADE | {"qty": 700}],
            "meters": [{"site": "farm", "export_wh": 700}],
            "demand_response": [PAYS | {"site": "mill", "price": 40_000}],
        },
        {"farm": -14_000, "mill": 14_000},
    ),
    "a reduction is paid beside what is used": (
        {"meters": [{"site": "home", "import_wh": 700}], "demand_response": [PAYS | {"site": "home"}]},
        {"home": 21_000 - 3_000},
    ),
    "the same use without an event": ({"meters": [{"site": "home", "import_wh": 700}]}, {"home": 21_000}),
    "an increase that was asked for": (
        {
            "trades": [TRADE | {"price": -5_000}],
            "meters": [{"site": "mill", "import_wh": 1_400}, METERED[1]],
            "demand_response": [PAYS | {"site": "mill", "committed_wh": -400, "price": 3_000, "penalty": 1_000}],
        },
        {"farm": 5_000, "mill": -5_000 - 1_200},
    ),
    "a reduction at a price below zero": (
        {
            "trades": [TRADE],
            "meters": [{"site": "mill", "import_wh": 700}, METERED[1]],
            "demand_response": [PAYS | {"site": "mill", "price": -10_000, "penalty": -5_000}],
        },
        {"farm": -20_000, "mill": 20_000 + 3_000},
    ),
    "a trade below zero, more fed in than sold": (
        {"trades": [TRADE | {"price": -5_000}], "meters": [METERED[0], {"site": "farm", "export_wh": 1_200}]},
        {"farm": 5_000 + 1_000, "mill": -5_000},
    ),
    "tariffs below zero": (
        {
            "meters": [{"site": "farm", "export_wh": 1_000}],
            "rules": {"last_resort": {"import_mct_per_kwh": -2_000, "export_mct_per_kwh": -9_000}},
        },
        {"farm": 9_000},
    ),
    "a buyer without a meter": ({"trades": [TRADE], "meters": [METERED[1]]}, {"farm": -20_000, "mill": 20_000}),
}


@pytest.mark.parametrize(("data", "owed"), OWED.values(), ids=OWED.keys())
def test_what_each_site_owes_in_cases_worked_out_by_hand(data: dict[str, Any], owed: dict[str, int]) -> None:
    """Wh times thousandths of a cent per kWh, in thousands; tariffs of 30 and 8 ct where the case names none."""
    answer = _json("settle", data=data)
    kinds = ("trades_uct", "fees_uct", "imbalance_uct", "demand_response_uct")
    assert {row["site"]: sum(row[kind] for kind in kinds) for row in answer["settlements"]} == {
        site: 1_000 * uct for site, uct in owed.items()
    }
    assert answer["sum"]["money_uct"] == 0
