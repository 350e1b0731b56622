"""The REST door over a real socket: answers, problems, tags, pages and tables."""

import csv
import io
from pathlib import Path

import httpx

from tests.support.cloud.doors import BEARER, OWNER, doors_in
from tests.support.cloud.sites import ZONE

HALT = {"zone": ZONE, "reason": "price feed wrong"}


def test_a_skill_is_read_and_asked_and_an_unchanged_answer_is_not_sent_again(tmp_path: Path) -> None:
    """A page that polls costs little."""
    with doors_in(tmp_path) as doors, httpx.Client(base_url=doors.url) as client:
        read = client.get("/v1/skills/market_status", params={"zone": ZONE, "hours_back": 4})
        assert read.status_code == 200 and read.json()["volume_wh"] > 0
        again = client.get(
            "/v1/skills/market_status",
            params={"zone": ZONE, "hours_back": 4},
            headers={"If-None-Match": read.headers["etag"]},
        )
        assert again.status_code == 304 and not again.content
        asked = client.post("/v1/skills/market_status", json={"zone": ZONE, "hours_back": 4})
        assert asked.json() == read.json()


def test_a_statement_is_a_table_for_a_spreadsheet(tmp_path: Path) -> None:
    """Bookkeepers open it with what they have."""
    with doors_in(tmp_path) as doors:
        answer = httpx.get(
            f"{doors.url}/v1/skills/consumer_statement", params={"site": "home-2"}, headers={"Accept": "text/csv"}
        )
        (row,) = csv.DictReader(io.StringIO(answer.text))
        assert answer.headers["content-type"].startswith("text/csv") and row["metered_wh"] == "80"


def test_lists_come_in_pages(tmp_path: Path) -> None:
    """A fleet of thousands does not fit one answer."""
    with doors_in(tmp_path) as doors, httpx.Client(base_url=doors.url) as client:
        first = client.get("/v1/sites", params={"limit": 3}).json()
        rest = client.get("/v1/sites", params={"limit": 3, "cursor": first["next"]}).json()
        assert [one["id"] for one in first["items"] + rest["items"]] == ["farm", "factory", "home-1", "home-2"]
        assert rest["next"] is None
        assert client.get("/v1/sites", params={"limit": 0}).status_code == 422


def test_what_is_wrong_is_a_problem_with_a_reason(tmp_path: Path) -> None:
    """A program tells a mistake of its own from one of ours."""
    with doors_in(tmp_path) as doors, httpx.Client(base_url=doors.url) as client:
        where = "/v1/skills/market_status"
        answers = {
            400: client.post(where, content=b"{", headers={"Content-Type": "application/json"}),
            404: client.get("/v1/skills/fly"),
            405: client.get("/v1/skills/relief_study"),
            413: client.post(where, content=b" " * 1_100_000, headers={"Content-Type": "application/json"}),
            415: client.post(where, content=b"{}", headers={"Content-Type": "text/plain"}),
            422: client.get(where, params={"zone": ZONE, "hours_back": 99}),
        }
        for status, answer in answers.items():
            assert answer.status_code == status == answer.json()["status"], answer.text
            assert answer.headers["content-type"] == "application/problem+json"
        assert "hours_back" in answers[422].json()["detail"]
        assert answers[405].headers["allow"] == "POST"
        missing = client.get(where, params={"zone": "zone-9"})
        assert missing.status_code == 404 and "zone-9" in missing.json()["detail"]


def test_without_a_token_nothing_and_with_one_what_was_granted(tmp_path: Path) -> None:
    """Each door asks the same office."""
    with doors_in(tmp_path, tokens=True) as doors, httpx.Client(base_url=doors.url) as client:
        stranger = client.get("/v1/sites")
        assert stranger.status_code == 401 and "oauth-protected-resource" in stranger.headers["www-authenticate"]
        assert client.get("/.well-known/oauth-protected-resource/mcp").json()["resource"] == f"{doors.url}/mcp"
        owner = {"Authorization": f"Bearer {OWNER}"}
        assert [one["id"] for one in client.get("/v1/sites", headers=owner).json()["items"]] == ["home-1"]
        other = client.get("/v1/skills/consumer_statement", params={"site": "factory"}, headers=owner)
        assert other.status_code == 403
        assert client.post("/v1/skills/halt_market", json=HALT, headers=owner).status_code == 404
        assert client.post("/v1/skills/halt_market", json=HALT, headers=BEARER).status_code == 422  # No key.
        keyed = {**BEARER, "Idempotency-Key": "k-1"}
        first = client.post("/v1/skills/halt_market", json=HALT, headers=keyed)
        again = client.post("/v1/skills/halt_market", json=HALT, headers=keyed)
        assert first.json() == again.json() and again.headers["idempotent-replayed"] == "true"
        clash = client.post("/v1/skills/halt_market", json={**HALT, "reason": "another"}, headers=keyed)
        assert clash.status_code == 409


def test_the_description_names_every_path_and_resolves(tmp_path: Path) -> None:
    """Clients are generated from it."""
    with doors_in(tmp_path) as doors, httpx.Client(base_url=doors.url) as client:
        document = client.get("/openapi.json").json()
        assert document["openapi"] == "3.1.0" and "/v1/skills/market_status" in document["paths"]
        names = set(document["components"]["schemas"])
        references = {
            part.partition('"')[0] for part in client.get("/openapi.json").text.split("#/components/schemas/")[1:]
        }
        assert references <= names
