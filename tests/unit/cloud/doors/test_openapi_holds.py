"""Whatever is asked, the REST door answers as its own description says: no other status, type or shape, and no 5xx."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud.agents.skills import SKILLS
from contracts.skills.base import Effect
from tests.support.cloud.doors import BEARER, Doors, doors_in
from tests.support.cloud.sites import FEEDER, ZONE

KNOWN = (ZONE, FEEDER, "farm", "factory", "home-1")
# Below what the gate lets one caller ask at once.
EXAMPLES = 80


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """Serve the market's story."""
    with doors_in(tmp_path_factory.mktemp("rest"), tokens=True) as running:
        yield running


@pytest.fixture(scope="module")
def http(doors: Doors) -> Iterator[httpx.Client]:
    """Return a client that may ask everything."""
    with httpx.Client(base_url=doors.url, headers=BEARER) as client:
        yield client


@pytest.fixture(scope="module")
def document(http: httpx.Client) -> Any:
    """Return the description as it is served."""
    return http.get("/openapi.json").json()


def values(schema: dict[str, Any], schemas: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return what a schema describes."""
    if "$ref" in schema:
        return values(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "anyOf" in schema:
        return st.one_of([values(one, schemas) for one in schema["anyOf"]])
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    kind = schema.get("type")
    if kind == "string":
        pattern = schema.get("pattern")
        text = st.from_regex(pattern, fullmatch=True) if pattern else st.text(max_size=schema.get("maxLength", 20))
        return st.sampled_from(KNOWN) | text
    if kind in {"integer", "number"}:
        low = schema.get("minimum", schema.get("exclusiveMinimum", -(10**6)))
        high = schema.get("maximum", schema.get("exclusiveMaximum", 10**6))
        return st.integers(int(low), int(high))
    if kind == "boolean":
        return st.booleans()
    if kind == "array":
        return st.lists(values(schema["items"], schemas), max_size=3)
    if kind == "object":
        fields = {name: values(one, schemas) for name, one in schema.get("properties", {}).items()}
        needed = set(schema.get("required", ()))
        optional = {name: one for name, one in fields.items() if name not in needed}
        return st.fixed_dictionaries({name: fields[name] for name in needed}, optional=optional)
    return st.none()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def test_every_answer_is_one_that_the_description_has(http: httpx.Client, document: Any) -> None:
    """A generated client meets nothing that it was not told of."""
    schemas, met = document["components"]["schemas"], Counter[int]()

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(SKILLS), st.data())
    def hold(each: Any, data: st.DataObject) -> None:
        path = f"/v1/skills/{each.name}"
        described = document["paths"][path]
        asked = data.draw(values(described["post"]["requestBody"]["content"]["application/json"]["schema"], schemas))
        if isinstance(asked, dict) and asked and data.draw(st.booleans(), "one field broken"):
            asked = {**asked, data.draw(st.sampled_from(sorted(asked))): data.draw(JSON)}
        headers = {"Idempotency-Key": data.draw(st.text("abc", min_size=1))} if each.effect is Effect.ACTS else {}
        if "get" in described and data.draw(st.booleans(), "as a query"):
            method, answer = "get", http.get(path, params={key: str(value) for key, value in asked.items()})
        else:
            method, answer = "post", http.post(path, json=asked, headers=headers)
        responses = described[method]["responses"]
        assert answer.status_code < 500, (path, asked, answer.text)
        assert str(answer.status_code) in responses, (path, asked, answer.status_code)
        media_type = answer.headers["content-type"].partition(";")[0]
        assert media_type in responses[str(answer.status_code)]["content"], (path, asked, media_type)
        if answer.status_code == 200:
            each.answer.model_validate_json(answer.content)
        else:
            assert answer.json()["status"] == answer.status_code and answer.json()["detail"]
        met[answer.status_code] += 1

    hold()
    assert met[200] and met[422] and met[404], met
