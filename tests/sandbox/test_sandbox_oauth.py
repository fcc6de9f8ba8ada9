"""Signing in to the sandbox's Clio: consent, codes, tokens, and taking them back."""

from datetime import timedelta
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from rig import Sandbox

CALLBACK = "http://127.0.0.1:8765/callback"


class Forms(HTMLParser):
    """Collects the hidden inputs of each form on a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[dict[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.found.append({})
        elif tag == "input":
            self.found[-1][str(given["name"])] = given["value"] or ""


class Browser:
    """A person at a browser, and the program that waits for the code."""

    def __init__(self, sandbox: Sandbox, session: requests.Session) -> None:
        self.oauth, self.url, self.session = sandbox.clio.oauth, sandbox.clio.url, session

    def open(self, **changes: str) -> requests.Response:
        query = {
            "response_type": "code", "client_id": self.oauth.client_id, "redirect_uri": CALLBACK,
            "state": 'a"&b', **changes,
        }  # fmt: skip
        return self._get("/oauth/authorize", query)

    def decide(self, decision: str, **changes: str) -> requests.Response:
        forms = Forms(self.open(**changes).text).found
        form = next(form for form in forms if form["decision"] == decision)
        return self._post("/oauth/authorize", form)

    def code(self, **changes: str) -> str:
        location = self.decide("allow", **changes).headers["Location"]
        return parse_qs(urlsplit(location).query)["code"][0]

    def token(self, **form: str) -> requests.Response:
        known = {"client_id": self.oauth.client_id, "client_secret": self.oauth.client_secret}
        return self._post("/oauth/token", known | form)

    def exchange(self, code: str, redirect_uri: str = CALLBACK) -> requests.Response:
        return self.token(grant_type="authorization_code", code=code, redirect_uri=redirect_uri)

    def _get(self, path: str, query: Any) -> requests.Response:
        url = self.url + path
        return self.session.get(url, params=query, allow_redirects=False, timeout=60)

    def _post(self, path: str, form: Any) -> requests.Response:
        url = self.url + path
        return self.session.post(url, data=form, allow_redirects=False, timeout=60)


@pytest.fixture
def browser(sandbox: Sandbox, session: requests.Session) -> Browser:
    return Browser(sandbox, session)


def test_declining_gives_an_error_or_a_page(browser: Browser) -> None:
    """Only with redirect_on_decline does the program hear of it."""
    assert browser.decide("decline").status_code == 200
    location = browser.decide("decline", redirect_on_decline="true").headers["Location"]
    assert parse_qs(urlsplit(location).query) == {"error": ["access_denied"], "state": ['a"&b']}


def test_consent_can_be_given_beforehand(browser: Browser) -> None:
    """For programs without a person: the page is skipped."""
    browser.oauth.auto_consent = True
    assert "code=" in browser.open().headers["Location"]


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "other"}, {"redirect_uri": "http://127.0.0.1:8765/callback/"},
        {"redirect_uri": "http://localhost:8765/callback"}, {"response_type": "token"},
    ],
)  # fmt: skip
def test_unknown_app_or_redirect_is_refused(browser: Browser, changes: dict[str, str]) -> None:
    """Nothing is ever sent to an address that isn't listed."""
    answer = browser.open(**changes)
    assert answer.status_code in (400, 401)
    assert "Location" not in answer.headers


def test_listed_redirect_may_carry_more_parameters(browser: Browser) -> None:
    """An extra query on a listed address is accepted and kept."""
    location = browser.decide("allow", redirect_uri=f"{CALLBACK}?try=2").headers["Location"]
    assert location.startswith(f"{CALLBACK}?try=2&code=")


def test_approval_page_shows_the_code(browser: Browser) -> None:
    """A program that can't listen lets the person copy the code."""
    uri = f"{browser.url}/oauth/approval"
    location = browser.decide("allow", redirect_uri=uri).headers["Location"]
    shown = browser.session.get(location, timeout=60).text
    assert parse_qs(urlsplit(location).query)["code"][0] in shown


def test_code_works_once_in_time_and_for_its_redirect(browser: Browser, sandbox: Sandbox) -> None:
    """Used, late or with another redirect, a code is invalid_grant."""
    code = browser.code()
    assert browser.exchange(code).status_code == 200
    late, moved = browser.code(), browser.code()
    refused = [browser.exchange(code), browser.exchange(moved, "http://127.0.0.1:1/callback")]
    sandbox.firm.clock.advance(timedelta(minutes=10))
    refused.append(browser.exchange(late))
    assert [(r.status_code, r.json()["error"]) for r in refused] == [(400, "invalid_grant")] * 3
