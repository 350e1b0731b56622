"""Who comes too often waits, and the file of callers is checked."""

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from cloud.doors.callers import Callers, read_callers
from cloud.doors.gate import Gate
from cloud.errors import SetupError


async def test_a_caller_that_asks_too_often_is_told_when_to_come_again() -> None:
    """One loop of a client must not take the server from the others."""
    now = 0.0
    inner = Starlette(routes=[Route("/", lambda request: PlainTextResponse("in"))])
    app = Gate(inner, callers=Callers(), rate_per_s=0.5, burst=2, monotonic=lambda: now)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        assert [(await client.get("/")).status_code for _ in range(3)] == [200, 200, 429]
        assert (await client.get("/")).headers["retry-after"] == "3"
        now = 2.0
        assert (await client.get("/")).status_code == 200


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("callers: []", "callers"),
        ("callers: [{name: anna, role: king, token_sha256: x}]", "role"),
        (f"callers: [{{name: anna, role: operator, token_sha256: {'a' * 64}}},"
         f" {{name: anna, role: member, token_sha256: {'b' * 64}}}]", "anna twice"),
        (": :", "cannot be read"),
    ],
)  # fmt: skip
def test_a_file_of_callers_that_cannot_be_used_is_refused_by_the_key(tmp_path: Path, text: str, sentence: str) -> None:
    """A server with a wrong file must not start open."""
    path = tmp_path / "callers.yaml"
    path.write_text(text)
    with pytest.raises(SetupError, match=sentence):
        read_callers(path)
