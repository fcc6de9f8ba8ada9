"""The sign-in's protocol against an answering Clio, and the token that is renewed in time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses
from parts import NOW, Clock, transport
from rig import Sandbox

from clio_broadly_sync.clio.auth import App, GivenToken, LoginToken, OAuth
from clio_broadly_sync.domain.credentials import Grant, Secret
from clio_broadly_sync.domain.errors import (
    BusyError,
    ConfigError,
    DeniedError,
    StoppedError,
    StorageError,
    SyncError,
    UnavailableError,
)
from clio_broadly_sync.transport.signals import Stop

BASE = "https://app.clio.com"
TOKEN = f"{BASE}/oauth/token"
APP = App("the-id", Secret("the-secret"), "http://127.0.0.1:8765/callback")
ANSWER = {"token_type": "bearer", "access_token": "new", "expires_in": 3600}
OLD = Grant(BASE, "t-old", "r-kept", NOW + timedelta(days=1))


class Kept:
    """A stand-in for the store: what is kept, what another process does, and what went wrong.

    `saved`: what was new when it was saved.
    """

    def __init__(self, grant: Grant | None = OLD) -> None:
        self.grant = grant
        self.saved: list[Grant] = []
        self.at_lock: Callable[[], object] = lambda: None
        self.locked = False

    def read(self) -> Grant | None:
        return self.grant

    def save(self, grant: Grant) -> None:
        assert self.locked, "saved beside others"
        self.saved += [grant] if grant != self.grant else []
        self.grant = grant

    @contextmanager
    def alone(self) -> Iterator[None]:
        self.at_lock()
        self.locked = True
        yield
        self.locked = False


def _oauth(app: App = APP, *, clock: Clock | None = None, at: datetime = NOW) -> OAuth:
    return OAuth(transport(clock=clock), app, BASE, now=lambda: at)


def _token(kept: Kept, app: App = APP, *, at: datetime = NOW, stop: Stop | None = None) -> Any:
    return LoginToken(kept, _oauth(app, at=at), stop or Stop(), now=lambda: at)


def _form(number: int = -1) -> dict[str, str]:
    body: Any = responses.calls[number].request.body
    return {name: values[0] for name, values in parse_qs(body.decode(), True).items()}


@contextmanager
def _fails(kind: type[SyncError], sentence: str) -> Iterator[None]:
    """Expect this error, which tells no secret."""
    with pytest.raises(kind, match=sentence) as caught:
        yield
    told = f"{caught.value} {caught.value!r}"
    assert not any(word in told for word in ("the-secret", "the-code", "r-kept", "t-old", "body"))


# The address for the browser


def test_address_for_the_browser() -> None:
    """All that Clio's page needs, and no secret."""
    parts = urlsplit(_oauth().authorize_url("a state&"))
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{BASE}/oauth/authorize"
    assert {name: value[0] for name, value in parse_qs(parts.query).items()} == {
        "response_type": "code",
        "client_id": "the-id",
        "redirect_uri": APP.redirect_uri,
        "state": "a state&",
        "redirect_on_decline": "true",
    }


@pytest.mark.parametrize(
    ("app", "sentence"),
    [
        (App(None, None, "x"), "CLIO_CLIENT_ID and CLIO_CLIENT_SECRET must"),
        (App(None, Secret("the-secret"), "x"), "^CLIO_CLIENT_ID must"),
        (App("the-id", None, "x"), "^CLIO_CLIENT_SECRET must"),
    ],
)
def test_app_that_is_not_set(app: App, sentence: str) -> None:
    """Both settings are named at once; nothing is sent."""
    with _fails(ConfigError, sentence):
        _oauth(app).authorize_url("s")
    with _fails(ConfigError, sentence):
        _oauth(app).refresh(OLD)


# The code, and what it is good for


@responses.activate
def test_code_is_exchanged_in_the_body() -> None:
    """Nothing of it is in the address or in a header."""
    responses.post(TOKEN, json={**ANSWER, "refresh_token": "again"})
    grant = _oauth().exchange("the-code")
    assert (grant.host, grant.access_token, grant.refresh_token) == (BASE, "new", "again")
    assert grant.expires_at == NOW + timedelta(hours=1)
    assert _form() == {
        "client_id": "the-id",
        "client_secret": "the-secret",
        "grant_type": "authorization_code",
        "code": "the-code",
        "redirect_uri": APP.redirect_uri,
    }
    request = responses.calls[0].request
    assert request.url == TOKEN
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert "Authorization" not in request.headers


@pytest.mark.parametrize(
    ("changes", "life", "refresh"),
    [
        ({"token_type": "Bearer"}, 3600, None),
        ({"token_type": None}, 3600, None),
        ({"expires_in": 2592000}, 2592000, None),
        ({"expires_in": 0.5}, 0.5, None),
        ({"expires_in": None}, 3600, None),
        ({"expires_in": 10**400}, 10 * 365 * 86400, None),
        ({"expires_in": 0}, 3600, None),
        ({"expires_in": -1}, 3600, None),
        ({"expires_in": "3600"}, 3600, None),
        ({"expires_in": True}, 3600, None),
        ({"expires_in": []}, 3600, None),
        ({"refresh_token": ""}, 3600, None),
        ({"refresh_token": "r~!"}, 3600, "r~!"),
    ],
)
@responses.activate
def test_answers_that_are_read(changes: dict[str, Any], life: float, refresh: str | None) -> None:
    """What may be absent may be, and any life is believed; what is none costs no tokens."""
    answer = {name: value for name, value in {**ANSWER, **changes}.items() if value is not None}
    responses.post(TOKEN, json=answer)
    grant = _oauth().exchange("the-code")
    assert grant.expires_at - NOW == timedelta(seconds=life)
    assert grant.refresh_token == refresh


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>body</html>", b"[]", b"null", b'{"access_token": "a", "access_token": "b"}',
        *(
            {**ANSWER, name: value}
            for name, values in {
                "token_type": ["mac", None, 5],
                "access_token": [None, "", 5, "a b", "a\nb", "é", "a\x00"],
                "refresh_token": [5, "a b", "é", []],
            }.items()
            for value in values
        ),
    ],
    ids=str,
)  # fmt: skip
@responses.activate
def test_answers_that_cannot_be_read(body: Any) -> None:
    """69: nothing is made of them; a code is not used twice for it."""
    if isinstance(body, bytes):
        responses.post(TOKEN, body=body)
    else:
        responses.post(TOKEN, json=body)
    with _fails(UnavailableError, "cannot be read"):
        _oauth().exchange("the-code")
    assert len(responses.calls) == 1


INVALID_GRANT = {"error": "invalid_grant", "error_description": "body"}
INVALID_CLIENT = {"error": "invalid_client"}


@pytest.mark.parametrize(
    ("status", "body", "kind", "sentence"),
    [
        (400, INVALID_GRANT, DeniedError, "did not take the code"),
        (401, INVALID_GRANT, DeniedError, "did not take the code"),
        (400, INVALID_CLIENT, DeniedError, "CLIO_CLIENT_SECRET"),
        (401, INVALID_CLIENT, DeniedError, "CLIO_CLIENT_SECRET"),
        (401, {"error": {"type": "body"}}, DeniedError, "401"),
        (401, ["body"], DeniedError, "401"),
        (403, {"error": "body"}, DeniedError, "403"),
        (400, {"error": "invalid_request"}, ConfigError, "no longer fit"),
        (422, {}, ConfigError, "no longer fit"),
        (403, ["blocked"], UnavailableError, "Something between"),
        (451, {}, UnavailableError, "Something between"),
        (404, {}, ConfigError, "address"),
        (302, {}, ConfigError, "redirect"),
        (500, {}, UnavailableError, "out of order"),
        (429, {}, UnavailableError, "busy"),
    ],
)
@responses.activate
def test_refusals_of_a_code(status: int, body: Any, kind: type[SyncError], sentence: str) -> None:
    """Each has its sentence, and none repeats what Clio wrote."""
    responses.post(TOKEN, json=body, status=status)
    with _fails(kind, sentence):
        _oauth().exchange("the-code")


@responses.activate
def test_code_is_tried_again_only_where_it_never_arrived() -> None:
    """A code works once: asking twice would end in a sentence that is not true."""
    responses.post(TOKEN, status=503, headers={"Retry-After": "7"})
    responses.post(TOKEN, json=ANSWER)
    clock = Clock()
    assert _oauth(clock=clock).exchange("the-code").access_token == "new"
    assert clock.waits == [7.0]
    responses.post(TOKEN, status=502)
    with pytest.raises(UnavailableError):
        _oauth().exchange("the-code")
    assert len(responses.calls) == 3


# The token of a run


def test_token_of_the_settings() -> None:
    """Nothing is got in its place: it must be replaced, or removed before a sign-in counts."""
    token = GivenToken(Secret("given"))
    assert token.access_token() == "given"
    with pytest.raises(DeniedError, match=r"CLIO_ACCESS_TOKEN.*remove it.*login") as caught:
        token.refresh()
    assert (caught.value.status, "given" in str(caught.value)) == (401, False)


@pytest.mark.parametrize(
    ("grant", "kind", "sentence"),
    [
        (None, DeniedError, "Not signed in to Clio: run `clio-broadly-sync login`"),
        (
            Grant("https://eu.app.clio.com", "t-old", "r-kept", NOW),
            ConfigError,
            "another Clio host .* or, before the first run, run",
        ),
    ],
)
@responses.activate
def test_no_token(grant: Grant | None, kind: type[SyncError], sentence: str) -> None:
    """Nothing is sent: to nobody, and not to a host that the tokens are not for."""
    for use in (_token(Kept(grant)).access_token, _token(Kept(grant)).refresh):
        with _fails(kind, sentence):
            use()
    assert len(responses.calls) == 0


@pytest.mark.parametrize(("left", "renewed"), [(61, False), (60, True), (0, True), (-999, True)])
@responses.activate
def test_token_is_renewed_a_minute_before_its_end(left: float, renewed: bool) -> None:
    """Once; the answer's life counts from then on."""
    responses.post(TOKEN, json=ANSWER)
    kept = Kept()
    token = _token(kept, at=OLD.expires_at - timedelta(seconds=left))
    assert {token.access_token() for _ in range(3)} == {"new" if renewed else "t-old"}
    assert len(kept.saved) == renewed


@pytest.mark.parametrize(("answer", "kept_now"), [({}, "r-kept"), ({"refresh_token": "r2"}, "r2")])
@responses.activate
def test_refresh_is_committed_as_a_whole(answer: dict[str, str], kept_now: str) -> None:
    """A refresh token in the answer takes the place of the old one; without one, the old stays."""
    responses.post(TOKEN, json=ANSWER | answer)
    kept = Kept()
    token = _token(kept)
    assert token.access_token() == "t-old"
    token.refresh()
    assert token.access_token() == "new"
    assert kept.saved == [Grant(BASE, "new", kept_now, NOW + timedelta(hours=1))]
    assert _form() == {
        "client_id": "the-id",
        "client_secret": "the-secret",
        "grant_type": "refresh_token",
        "refresh_token": "r-kept",
    }


@responses.activate
def test_token_that_is_not_committed_is_not_used() -> None:
    """The disk fills up meanwhile: the run ends, and the next one finds what there was."""
    responses.post(TOKEN, json=ANSWER)
    kept = Kept()

    def full(grant: Grant) -> None:
        if grant != kept.grant:
            raise StorageError("The state could not be used.")

    kept.save = full  # type: ignore[method-assign]
    token = _token(kept)
    with pytest.raises(StorageError):
        token.refresh()
    assert token.access_token() == "t-old"


@responses.activate
def test_state_that_takes_nothing_is_found_out_before_clio_is_asked() -> None:
    """What Clio gives for a spent refresh token has to be kept: nothing is spent in vain."""
    kept = Kept()

    def full(grant: Grant) -> None:
        raise StorageError("The state could not be used.")

    kept.save = full  # type: ignore[method-assign]
    with pytest.raises(StorageError):
        _token(kept).refresh()
    assert len(responses.calls) == 0


@responses.activate
def test_what_another_process_got_is_used() -> None:
    """It was there when our turn came: no POST. If it ends as well, it is renewed."""
    kept = Kept()
    token = _token(kept)
    token.access_token()
    theirs = Grant(BASE, "theirs", "theirs", NOW + timedelta(days=1))
    kept.at_lock = lambda: setattr(kept, "grant", theirs)
    token.refresh()
    assert (token.access_token(), kept.saved, len(responses.calls)) == ("theirs", [], 0)
    responses.post(TOKEN, json=ANSWER)
    ended = Grant(BASE, "ended", "theirs", NOW)
    kept.at_lock = lambda: setattr(kept, "grant", ended)
    token.refresh()
    assert (token.access_token(), _form()["refresh_token"]) == ("new", "theirs")


@pytest.mark.parametrize("status", [400, 401])
@responses.activate
def test_refused_refresh_looks_once_more(status: int) -> None:
    """Somebody may have renewed it meanwhile; or a person has to sign in again."""
    kept = Kept()
    theirs = Grant(BASE, "theirs", "theirs", NOW + timedelta(days=1))

    def refused(request: object) -> tuple[int, dict[str, str], str]:
        kept.grant = theirs
        return status, {}, '{"error": "invalid_grant"}'

    responses.add_callback(responses.POST, TOKEN, refused)
    token = _token(kept)
    token.refresh()
    assert (token.access_token(), kept.saved) == ("theirs", [])
    with _fails(DeniedError, "run `clio-broadly-sync login`"):
        token.refresh()


@responses.activate
def test_sign_in_that_cannot_be_renewed() -> None:
    """It is used as long as it lasts; then a person has to sign in again."""
    kept = Kept(Grant(BASE, "t-old", None, OLD.expires_at))
    assert _token(kept).access_token() == "t-old"
    with _fails(DeniedError, "has ended: run `clio-broadly-sync login`"):
        _token(kept, at=OLD.expires_at).access_token()
    assert len(responses.calls) == 0


def test_renewing_without_the_app() -> None:
    """78: the settings lost what login was done with."""
    with _fails(ConfigError, "CLIO_CLIENT_ID and CLIO_CLIENT_SECRET must be set"):
        _token(Kept(), App(None, None, "x")).refresh()


@responses.activate
def test_outage_is_not_a_refusal() -> None:
    """Lost answers are asked for again; nobody is told to sign in for an outage."""
    for _ in range(3):
        responses.post(TOKEN, status=502)
    responses.post(TOKEN, json=ANSWER)
    kept = Kept()
    _token(kept).refresh()
    assert len(kept.saved) == 1
    responses.replace(responses.POST, TOKEN, status=503)
    with _fails(UnavailableError, "Clio"):
        _token(kept).refresh()


def test_waiting_for_others(stop: Stop) -> None:
    """A signal ends the wait; who waits in vain is busy; in both cases nothing was sent."""
    kept = Kept()

    def held() -> None:
        raise BusyError("Another run.")

    kept.at_lock = held
    with pytest.raises(BusyError):
        _token(kept).refresh()
    kept.at_lock = lambda: stop.ask(15)
    with pytest.raises(StoppedError):
        _token(kept, stop=stop).refresh()


# Taking it back


def test_whole_life_at_the_sandbox(sandbox: Sandbox) -> None:
    """Code, token, refresh, and back: the same requests as Clio's."""
    its = sandbox.clio.oauth
    app = App(its.client_id, Secret(its.client_secret), "http://127.0.0.1:8765/callback")
    oauth = OAuth(transport(), app, sandbox.clio.url, now=lambda: NOW)
    first = its.issue()
    grant = Grant(sandbox.clio.url, first.access, first.refresh, NOW)
    its.rotating = True
    second = oauth.refresh(grant)
    assert its.valid(second.access_token)
    assert second.refresh_token not in (None, first.refresh)
    oauth.withdraw(second.access_token)
    assert not its.valid(second.access_token)
    assert not its.valid(first.access)
    with pytest.raises(DeniedError) as caught:
        oauth.withdraw(second.access_token)
    assert b"invalid_token" in caught.value.body
    assert caught.value.status == 401
