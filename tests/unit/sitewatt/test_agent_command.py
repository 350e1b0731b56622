"""``sitewatt agent``: the skills from a command line, over a folder of tables."""

import json
import sys
from pathlib import Path

import httpx
import pytest
import yaml
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import TextResourceContents
from typer.testing import CliRunner

from cloud.stores.registry import save_registry
from sitewatt.commands.agent import app
from tests.support.cloud.doors import served_by
from tests.support.cloud.scripted_model import chat, scripted
from tests.support.cloud.sites import ZONE, house_in
from tests.support.market.shell import run_events, story

WAIT_S = 120.0


def tables_in(folder: Path) -> Path:
    """Write the tables of a market's story and return their folder."""
    with house_in(folder) as (services, _):
        save_registry(services.stores.tables, services.registry)
        run_events(services, story())
    return folder


def run(*arguments: str) -> tuple[int, dict[str, object]]:
    """Run the command and return its exit code and answer."""
    result = CliRunner().invoke(app, [*arguments, "--json"])
    return result.exit_code, json.loads(result.stdout)


def test_the_list_has_all_five_agents_with_schemas() -> None:
    """A program builds its forms from it."""
    code, answer = run("list")
    skills = answer["skills"]
    assert code == 0 and isinstance(skills, list)
    assert {each["agent"] for each in skills} == {
        "forecasting", "producer", "consumer", "market-supervisor", "grid-optimisation",
    }  # fmt: skip
    assert all(each["question"]["type"] == "object" for each in skills)


def test_a_skill_is_called_over_a_folder_and_rights_hold_there_too(tmp_path: Path) -> None:
    """The same office as behind every door."""
    where = ("--tables", str(tables_in(tmp_path)))
    code, answer = run("call", "market_health", *where, "--arg", f"zone={ZONE}")
    assert code == 0 and answer["answer"]["sound"] is True  # type: ignore[index]
    halt = ("call", "halt_market", *where, "--question", json.dumps({"zone": ZONE, "reason": "why not"}))
    assert run(*halt, "--as", "member", "--key", "k")[1]["error"]["code"] == "denied"  # type: ignore[index]
    assert run(*halt)[0] == 2
    assert run(*halt, "--key", "k")[1]["answer"] == {"zone": ZONE, "halted": "why not"}
    assert run(*halt, "--key", "k")[1]["repeated"] is True
    code, answer = run("call", "market_status", *where, "--arg", "zone=zone-9")
    assert code == 2 and "zone-9" in str(answer["error"])


async def test_a_model_client_starts_the_server_and_speaks_over_its_pipes(tmp_path: Path) -> None:
    """The form in which desktop programs want it; the process is the one that ships."""
    arguments = ["-m", "sitewatt", "agent", "serve", "--stdio", "--tables", str(tables_in(tmp_path))]
    server = StdioServerParameters(command=sys.executable, args=arguments)
    async with Client(stdio_client(server)) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert "market_status" in names and "halt_market" not in names
        answer = await client.call_tool("market_health", {"zone": ZONE})
        assert answer.structured_content["sound"] is True
        found, cursor = set[str](), None
        while True:
            page = await client.list_resources(cursor=cursor)
            found |= {str(one.uri) for one in page.resources}
            if (cursor := page.next_cursor) is None:
                break
        kinds = {uri.removeprefix("sitewatt://").partition("/")[0] for uri in found}
        assert kinds == {"zone", "feeder", "site", "document", "manual", "profile", "tariff"}
        for uri in ("sitewatt://tariff/gb-agile", "sitewatt://profile/eastron_sdm630", *_documents(found)):
            (told,) = (await client.read_resource(uri)).contents
            assert isinstance(told, TextResourceContents) and len(told.text) > 500


def _documents(found: set[str]) -> list[str]:
    return sorted(uri for uri in found if uri.startswith("sitewatt://document/"))


def test_doors_open_beyond_this_machine_only_with_a_file_of_callers(tmp_path: Path) -> None:
    """Nobody publishes a market by a missing option."""
    code, answer = run("serve", "--tables", str(tmp_path), "--host", "0.0.0.0")
    assert code == 2 and "--callers" in str(answer["error"])


def test_a_token_is_shown_once_and_the_file_holds_its_hash() -> None:
    """Whoever reads the file cannot come in with it."""
    result = CliRunner().invoke(app, ["token", "anna", "--role", "operator", "--zone", "zone-1"])
    (entry,) = yaml.safe_load(result.stdout)["callers"]
    assert entry["name"] == "anna" and entry["effects"] == ["reads", "proposes"]
    assert result.stderr.strip() and result.stderr.strip() not in result.stdout


def test_a_question_in_plain_words_is_answered_by_the_configured_model(tmp_path: Path) -> None:
    """And without one it is said how else to find out."""
    where = ("ask", "Is the market sound?", "--tables", str(tables_in(tmp_path)))
    code, answer = run(*where)
    assert code == 1 and answer["error"]["code"] == "no_reasoner"  # type: ignore[index]
    turns = (chat(call=("market_health", '{"zone": "zone-1"}')), chat(text="It is sound."))
    with scripted(*turns) as script:
        code, answer = run(*where, "--reasoner", "openai", "--model", "local", "--endpoint", script.url)
    assert code == 0 and answer["answer"] == "It is sound." and answer["turns"] == 2
    code, answer = run(*where, "--reasoner", "openai", "--model", "local", "--endpoint", script.url)
    assert code == 1 and answer["stop"] == "unreachable"


def test_a_models_address_that_is_none_is_an_answer_not_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library has an error of its own for it, which is none of a service."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    of = ("--reasoner", "bedrock", "--region", "eu-central-1", "--endpoint", "1e9", "--model", "m")
    code, answer = run("ask", "why", *of, "--tables", str(tables_in(tmp_path)))
    assert code == 1 and answer["stop"] == "unreachable"


@pytest.mark.parametrize(
    ("reasoner", "guardrail", "says"),
    [
        ("bedrock", "gr-1", "must be ID:VERSION"),
        ("bedrock", "gr-1:newest", "must be ID:VERSION"),
        ("openai", "gr-1:3", "would not be held by it"),
    ],
)
def test_a_guardrail_that_would_not_hold_is_refused(tmp_path: Path, reasoner: str, guardrail: str, says: str) -> None:
    """Who believes that answers are filtered must not find out later that they were not."""
    where = ("ask", "Is it sound?", "--tables", str(tmp_path), "--model", "m", "--endpoint", "http://127.0.0.1:9")
    code, answer = run(*where, "--reasoner", reasoner, "--guardrail", guardrail)
    assert code == 2 and says in str(answer["error"])


def test_the_doors_stand_on_the_tables_of_a_stack_on_aws_as_well(tmp_path: Path) -> None:
    """The same skills, rights, records and live events, without a cloud on this machine."""
    key = ("--card-key", str(tmp_path / "cards.pem"))
    with served_by("tests.support.cloud.doors_on_moto", options=key) as served:
        status = httpx.get(f"{served.url}/v1/skills/market_status", params={"zone": ZONE}, timeout=WAIT_S)
        assert status.status_code == 200 and status.json()["zone"] == ZONE
        denied = httpx.post(f"{served.url}/v1/skills/halt_market", json={"zone": ZONE, "reason": "x"}, timeout=WAIT_S)
        assert denied.status_code == 404  # Whoever comes without a token never acts.
        with httpx.stream("GET", f"{served.url}/v1/live/zone/{ZONE}", timeout=WAIT_S) as answer:
            assert next(line for line in answer.iter_lines() if line.startswith("event:")).startswith("event: product/")
    for where in ((), ("--aws", "--tables", str(tmp_path))):
        code, refused = run("serve", *where)
        assert code == 2 and "name --tables DIR or --aws" in str(refused["error"])


def test_a_day_is_reported_from_figures_and_no_single_household_is_in_it(tmp_path: Path) -> None:
    """The report never waits for a model, and stands where one gives no words."""
    where = ("--tables", str(tables_in(tmp_path)), "--zone", ZONE)
    code, answer = run("report", *where, "--day", "2026-03-17")
    report, text = answer["report"], str(answer["text"])
    assert code == 0 and answer["reasoner"] is None and isinstance(report, dict)
    # 3 + 0.7 + 0.3 kWh at 9 ct from the farm, 9 kWh at 30 ct from the utility.
    assert (report["trades"], report["volume_wh"], report["mean_mct_per_kwh"]) == (4, 13_000, 23_538)
    assert (
        report["settled_sites"] == 4 and report["sums"]["import_wh"] == 13_580 and report["sums"]["export_wh"] == 3_800
    )
    assert report["sound"] is True and report["events"] == []
    assert "traded: 13.000 kWh in 4 trades" in text and "23.538 ct/kWh" in text
    assert not any(name in json.dumps(answer) for name in ("home-1", "home-2", "factory", "farm"))
    code, answer = run("report", *where, "--day", "2026-03-18")
    assert code == 0 and "traded: nothing" in str(answer["text"]) and "fewer than 3 sites" in str(answer["text"])
    assert run("report", *where, "--day", "yesterday")[0] == 2
    assert run("report", *where, "--day", "2026-03-17", "--as", "member")[0] == 2


def test_a_model_puts_a_day_in_words_and_without_consent_sees_no_household(tmp_path: Path) -> None:
    """What goes to the model are the zone's figures; what it says comes below them."""
    where = ("--tables", str(tables_in(tmp_path)), "--zone", ZONE, "--day", "2026-03-17")
    with scripted(chat(text="A quiet day.")) as script:
        model = ("--reasoner", "openai", "--model", "m", "--endpoint", script.url)
        code, answer = run("report", *where, *model)
    assert code == 0 and answer["reasoner"] == {"answer": "A quiet day.", "stop": "done", "detail": ""}
    sent = json.dumps(script.asked)
    assert "13000" in sent and not any(name in sent for name in ("home-1", "home-2", "factory", "farm"))
    model = ("--reasoner", "openai", "--model", "m", "--endpoint", script.url)  # Nobody listens there any more.
    code, answer = run("report", *where, *model)
    assert code == 0 and "traded: 13.000 kWh" in str(answer["text"])
    assert answer["reasoner"]["stop"] == "unreachable"  # type: ignore[index]
