"""The server does what its own document says, whatever it is asked.

Requests are made from ``/openapi.json`` alone: from what it allows, and from what it does not. Each
answer must have a status, a type and a body that the document names for that operation.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from shelly_local.watson.server.routes import document
from tests.custom_pictures import neutral, smiling, zipped
from tests.watson_server import CLASSIFIERS, Reply, WatsonServer, part, running

DOCUMENT = document()
OPERATIONS = [
    (method, path) for path, operations in DOCUMENT["paths"].items() for method in operations
]
#: The same every time: a failure here is one for everybody.
EVERY_TIME = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def png(side: int = 48) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "grey").save(buffer, "PNG")
    return buffer.getvalue()


#: What a file may be: pictures, zips of pictures (too few to train on), neither.
GOOD_FILES = (png(), zipped([("a.png", png()), ("folder/b.png", png(64))]))
FILES = st.sampled_from(GOOD_FILES) | st.binary(max_size=200) | st.just(png(16))
#: Values of a query or a field that mean something, by name, and whether they are right.
RIGHT = {
    "version": st.dates().map(str),
    "threshold": st.floats(0, 1).map(str) | st.sampled_from(["", "0,5", "1e-3"]),
    "owners": st.sampled_from(["IBM", "me", "IBM,me", ""]),
    "classifier_ids": st.sampled_from(["default", "emotion", "emotion, default"]),
    "verbose": st.sampled_from(["true", "false"]),
    "customer_id": st.from_regex(r"\A\w{1,40}\Z"),
    "name": st.text(min_size=1, max_size=40),
    "parameters": st.fixed_dictionaries(
        {}, optional={"threshold": st.floats(0, 1), "owners": st.just(["IBM"])}
    ).map(json.dumps),
}
#: JSON that is nested without end, that has half of a surrogate pair, and that is long.
STRANGE_LISTS = ("[" * 60_000, '["\\ud800"]', json.dumps([f"x_{n}" for n in range(1_001)]))
WRONG = {
    "owners": st.sampled_from(STRANGE_LISTS),
    "classifier_ids": st.sampled_from(STRANGE_LISTS),
    "version": st.sampled_from(["2018-13-01", "18-03-19", "today"]),
    "threshold": st.sampled_from(["nan", "-1", "2", "1e999", "high"]),
    "parameters": st.sampled_from(
        [
            *("[]", "{", '{"threshold": []}', '{"classifier_ids": 5}', "0"),
            *('{"url": "http://\\ud800"}', '{"owners": ["\\ud800"]}', '{"url": ' * 10_000),
        ]
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatsonServer]:
    with running(data_dir=tmp_path_factory.mktemp("data")) as running_server:
        yield running_server


@pytest.fixture(scope="module")
def classifier_id(server: WatsonServer) -> str:
    parts = [part("name", "x"), part("smile_positive_examples", zipped(smiling())),
             part("negative_examples", zipped(neutral()))]  # fmt: skip
    reply = server.send(CLASSIFIERS, *parts)
    found: str = reply.json["classifier_id"]
    conforms(reply, DOCUMENT["paths"]["/v3/classifiers"]["post"])
    assert server.settled(found)["status"] == "ready"
    return found


def resolved(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of the document, or the one it refers to."""
    if "$ref" not in entry:
        return entry
    found: Any = DOCUMENT
    for name in entry["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return resolved(found)


def conforms(reply: Reply, operation: dict[str, Any]) -> None:
    """The answer is one that the document promises, and no defect."""
    shown = (reply.status, reply.body[:300])
    assert reply.status < 500, shown
    assert str(reply.status) in operation["responses"], shown
    response = resolved(operation["responses"][str(reply.status)])
    assert reply.headers["Content-Type"] in response["content"], shown
    schema = response["content"][reply.headers["Content-Type"]]["schema"]
    whole = {**schema, "components": DOCUMENT["components"]}
    jsonschema.Draft4Validator(whole).validate(reply.json)
    assert reply.headers["X-Global-Transaction-Id"]


def values(name: str, right: bool) -> st.SearchStrategy[str]:
    good = RIGHT.get(name, st.text(max_size=20))
    return good if right else good | WRONG.get(name, st.nothing()) | st.text(max_size=20)


@st.composite
def requests(
    draw: st.DrawFn, method: str, path: str, ids: list[str], right: bool
) -> tuple[str, list[bytes] | bytes | None]:
    """A path with its query, and the parts of a form, or a body of another kind.

    Args:
        draw: of Hypothesis.
        method, path: an operation of the document.
        ids: of classifiers that are there.
        right: as the document says; otherwise anything may be missing or wrong.
    """
    operation = DOCUMENT["paths"][path][method]
    query = []
    for parameter in map(resolved, operation.get("parameters", [])):
        name, required = parameter["name"], parameter.get("required", False)
        if parameter["in"] == "path":
            known = st.sampled_from(ids) if ids else st.nothing()
            text = draw(known if right else known | st.text(min_size=1, max_size=40))
            path = path.replace(f"{{{name}}}", quote(text, safe=""))
        elif name != "url" and ((required and right) or draw(st.booleans())):
            query.append((name, draw(values(name, right))))
    address = f"{path}?{urlencode(query)}" if query else path
    body = operation.get("requestBody")
    if body is None:
        return address, None
    ((kind, content),) = body["content"].items()
    schema = content["schema"]
    if kind != "multipart/form-data":
        names = st.sampled_from([*schema["properties"], "x"])
        fields = draw(st.dictionaries(names, st.text(max_size=20), max_size=3))
        if right:
            fields = {"apikey": "any"}
        return address, urlencode(fields).encode()
    parts = []
    for name, field in schema["properties"].items():
        if name == "url":
            continue
        needed = right and (name in schema.get("required", ()) or name == "images_file")
        if needed or draw(st.booleans()):
            if field.get("format") == "binary":
                parts.append(part(name, draw(st.sampled_from(GOOD_FILES) if right else FILES)))
            else:
                parts.append(part(name, draw(values(name, right))))
    if "additionalProperties" in schema and not right:
        for number in range(draw(st.integers(0, 3))):
            name = draw(st.sampled_from(["a", "b b", "c-d", "é", ""]))
            parts.append(part(f"{name}{number or ''}_positive_examples", draw(FILES)))
    return address, parts


def ask(server: WatsonServer, method: str, address: str, body: list[bytes] | bytes | None) -> Reply:
    if isinstance(body, list):
        return server.send(address, *body)
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
    return server.ask(method.upper(), address, body, headers)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_whatever_is_asked(
    server: WatsonServer, classifier_id: str, method: str, path: str
) -> None:
    # One that is deleted would not be there for the others.
    ids = [] if method == "delete" else [classifier_id]

    @EVERY_TIME
    @given(st.booleans().flatmap(lambda right: requests(method, path, ids, right and bool(ids))))
    def check(request: tuple[str, list[bytes] | bytes | None]) -> None:
        conforms(ask(server, method, *request), DOCUMENT["paths"][path][method])

    check()


#: What the document allows and nothing of the server's state forbids.
ALWAYS = [
    entry
    for entry in OPERATIONS
    if entry
    not in (
        ("get", "/v3/classify"),  # fetching is off
        ("get", "/v3/detect_faces"),
        ("post", "/v3/classifiers"),  # needs zip files of ten faces
        ("post", "/v3/classifiers/{classifier_id}"),
        ("delete", "/v3/classifiers/{classifier_id}"),
        ("get", "/v3/classifiers/{classifier_id}/core_ml_model"),  # no classifier has one
    )
]


@pytest.mark.parametrize(("method", "path"), ALWAYS)
def test_what_is_allowed_is_done(
    server: WatsonServer, classifier_id: str, method: str, path: str
) -> None:
    @EVERY_TIME
    @given(requests(method, path, [classifier_id], True))
    def check(request: tuple[str, list[bytes] | bytes | None]) -> None:
        reply = ask(server, method, *request)
        assert reply.status == 200, (request, reply.body)

    check()


def test_the_document_is_the_servers(server: WatsonServer, classifier_id: str) -> None:
    assert server.get("/openapi.json").json == DOCUMENT
    # Every path that is answered is in it, and every one in it is answered.
    for method in ("GET", "POST", "DELETE"):
        for path in [*DOCUMENT["paths"], "/v3/classify/x", "/v3/user_data/x", "/v3"]:
            if path.endswith("/core_ml_model") and method != "GET":
                continue  # an id may have a slash, so this is a classifier of another name
            address = path.replace("{classifier_id}", classifier_id) + "?version=no"
            status = server.ask(method, address).status
            there = method.lower() in DOCUMENT["paths"].get(path, {})
            assert (status not in (404, 405)) == there, (method, path)
