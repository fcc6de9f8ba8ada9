"""Holds requests to the sandbox's Clio against Clio's OpenAPI document, where that lies beside us.

`from clio_contract import requests_fit_clios_contract` in a conftest.py holds every request of
the tests below it, whoever makes it; the sandbox's own tests ask wrongly on purpose.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import requests

from clio_broadly_sync.sandbox import Clio, Request

CONTRACT = Path(__file__).parents[2] / "shared" / "clio-contract.json"
API = "/api/v4/"
OWN_TESTS = "sandbox"


@cache
def _document() -> Any:
    document = json.loads(CONTRACT.read_text(encoding="utf-8"))
    document["servers"] = [{"url": "/"}]
    del document["security"]  # OAuth 2, which openapi-core does not know
    return document


@cache
def _api() -> Any:
    import openapi_core

    return openapi_core.OpenAPI.from_dict(_document())


def problems(method: str, path: str, pairs: list[tuple[str, str]]) -> list[str]:
    """Return what is wrong with a request by the document; unknown parameters, too."""
    from openapi_core.contrib.requests import RequestsOpenAPIRequest
    from openapi_core.exceptions import OpenAPIError

    asked = requests.Request(method, f"http://clio{path}", params=pairs)
    try:
        _api().validate_request(RequestsOpenAPIRequest(asked))
    except OpenAPIError as error:
        return [f"{method} {path}: {type(error).__name__}: {error.__cause__ or error}"]
    known = {parameter["name"] for parameter in _document()["paths"][path]["get"]["parameters"]}
    return [f"{method} {path}: unknown parameter {name}" for name, _ in pairs if name not in known]


@contextmanager
def watched() -> Iterator[None]:
    """Note every request to any sandbox's Clio; at the end, fail where one does not fit."""
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
    """Hold what a module of tests asks the sandbox's Clio against the document."""
    if request.path.parent.name == OWN_TESTS or not CONTRACT.exists():
        yield
    else:
        with watched():
            yield
