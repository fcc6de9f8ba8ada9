"""Checks requests to the sandbox's Clio by Clio's OpenAPI document, where that file is there.

`from clio_contract import requests_fit_clios_contract` in a conftest.py checks every request of the
tests below it, whoever makes it. The sandbox's own tests are left out, because they ask wrongly on
purpose.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import requests
from rig import Clio

from clio_broadly_sync.sandbox import Request

CONTRACT = Path(__file__).parents[2] / "shared" / "clio-contract.json"
"""The document, which lies outside of this repository."""
API = "/api/v4/"
OWN_TESTS = "sandbox"
"""The folder of the sandbox's own tests."""


@cache
def _document() -> Any:
    document = json.loads(CONTRACT.read_text(encoding="utf-8"))
    document["servers"] = [{"url": "/"}]
    del document["security"]  # OAuth 2, which openapi-core does not know
    return document


def _operation(method: str, path: str) -> Any:
    """Return what the document says of an operation; nothing where it does not know it."""
    return _document()["paths"].get(path, {}).get(method.lower(), {})


@cache
def _api(method: str, path: str, name: str) -> Any:
    """Return the document with only one path, and with only one parameter of it.

    For all other parameters openapi-core would only find, slowly, that they were not sent.
    """
    import openapi_core

    operation = _operation(method, path)
    kept = [p for p in operation["parameters"] if p["name"] == name]
    paths = {path: {method.lower(): {**operation, "parameters": kept}}}
    unchecked = openapi_core.Config(spec_validator_cls=None)
    return openapi_core.OpenAPI.from_dict({**_document(), "paths": paths}, config=unchecked)


@cache
def _problem(method: str, path: str, name: str, values: tuple[str, ...]) -> str | None:
    """Return what is wrong with one parameter, or None.

    The answer is cached, because most parameters have the same values as in an earlier request.
    """
    from openapi_core.contrib.requests import RequestsOpenAPIRequest
    from openapi_core.exceptions import OpenAPIError

    asked = requests.Request(method, f"http://clio{path}", params={name: values})
    try:
        _api(method, path, name).validate_request(RequestsOpenAPIRequest(asked))
    except OpenAPIError as error:
        return f"{type(error).__name__}: {error.__cause__ or error}"
    known = {parameter["name"] for parameter in _operation(method, path)["parameters"]}
    return None if name in known else f"unknown parameter {name}"


def problems(method: str, path: str, pairs: list[tuple[str, str]]) -> list[str]:
    """Return what is wrong with a request; a parameter that the document does not know is, too."""
    if not _operation(method, path):
        return [f"{method} {path}: unknown"]
    names = dict.fromkeys(name for name, _ in pairs)
    values = {name: tuple(value for key, value in pairs if key == name) for name in names}
    found = [_problem(method, path, name, values[name]) for name in names]
    return [f"{method} {path}: {problem}" for problem in found if problem]


@contextmanager
def watched() -> Iterator[None]:
    """Note every request to the Clio of any sandbox, and fail at the end where one does not fit."""
    seen: set[tuple[str, str, tuple[tuple[str, str], ...]]] = set()
    serve = Clio.serve

    def note(clio: Clio, request: Request) -> Any:
        if request.path.startswith(API):
            seen.add((request.method, request.path, tuple(request.pairs)))
        return serve(clio, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Clio, "serve", note)
        yield
    found = [p for method, path, pairs in sorted(seen) for p in problems(method, path, [*pairs])]
    assert not found, "\n".join(found)


@pytest.fixture(autouse=True, scope="module")
def requests_fit_clios_contract(request: pytest.FixtureRequest) -> Iterator[None]:
    """Check by the document what a module of tests asks the sandbox's Clio."""
    if request.path.parent.name == OWN_TESTS or not CONTRACT.exists():
        yield
    else:
        with watched():
            yield
