"""Signing in and out, as the person at the browser and as whoever disturbs it."""

import logging
import queue
import signal
import socket
import subprocess
import time
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import signing
from browser import chromium
from rig import faults
from world import World

from clio_broadly_sync.cli import login
from clio_broadly_sync.cli.callback_server import CallbackServer, Reply
from clio_broadly_sync.cli.main import cli

ANSWERED = "<h1>Almost done</h1><p>Go back to the terminal; you can close this page.</p>"


@pytest.fixture
def unsigned(fresh: World) -> World:
    """A fresh install whose settings hold the app, and no token."""
    signing.by_login(fresh)
    return fresh


def _signed_in(world: World) -> bool:
    """Tell by a run: without a sign-in it ends with 77 and names `login`."""
    ran = world.sync("--dry-run")
    if ran.code == 77:
        assert "run `clio-broadly-sync login`" in ran.err
    return ran.code == 0


# In the browser


def test_decline_with_chromium(unsigned: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Decline has a page of its own, and nothing is kept."""
    folder = tmp_path_factory.mktemp("browser")
    pipe = signing.Pipe(folder)
    with chromium(folder) as browser:
        child = unsigned.start(["login"], {"BROWSER": str(pipe.script)})
        browser.go(pipe.url())
        browser.press("Decline")
        browser.heading("Not signed in")
        ran = unsigned.finish(child)
    assert ran.code == 77
    assert not unsigned.state.exists()
    assert not _signed_in(unsigned)


# Disturbed


def test_stray_answers_neither_end_nor_steal_it(unsigned: World) -> None:
    """What does not know the `state` is refused and told of once; the right one still counts."""
    child, url = signing.started(unsigned)
    right = signing.allow(url)
    for state in ("guessed", "", None, "é"):
        for more in ({"code": "mine"}, {"code": None, "error": "access_denied"}):
            page = signing.go(signing.with_query(right, state=state, **more))
            assert (page.status_code, "Not the sign-in" in page.text) == (400, True)
    uri = unsigned.settings["CLIO_REDIRECT_URI"]
    assert signing.go(uri.replace("/callback", "/favicon.ico")).status_code == 404
    assert signing.go(signing.with_query(right).replace("/callback", "/other")).status_code == 404
    assert signing.go(right).status_code == 200
    ran = unsigned.finish(child)
    assert ran.code == 0
    assert ran.err.count("does not belong to this sign-in") == 1
    assert _signed_in(unsigned)


def test_clients_that_hang_do_not_keep_it_waiting(unsigned: World) -> None:
    """Connections that say nothing, or half of something, are no hindrance."""
    child, url = signing.started(unsigned)
    address = urlsplit(unsigned.settings["CLIO_REDIRECT_URI"])
    hanging = [socket.create_connection((address.hostname, address.port)) for _ in range(20)]
    for one in hanging[::2]:
        one.sendall(b"GET /callback?code=")
    assert signing.go(signing.allow(url)).status_code == 200
    assert unsigned.finish(child).code == 0
    for one in hanging:
        one.close()


def test_page_is_ours_alone(unsigned: World) -> None:
    """It holds nothing of the answer, loads nothing, is not kept, and tells nobody of itself."""
    child, url = signing.started(unsigned)
    answer = signing.allow(url)
    page = signing.go(answer)
    unsigned.finish(child)
    assert ANSWERED in page.text
    assert not any(value in page.text for value in signing.query_of(answer).values())
    assert "http" not in page.text
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    policy = page.headers["Content-Security-Policy"]
    style = page.text.partition("<style>")[2].partition("</style>")[0]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "Python" not in page.headers["Server"]


@pytest.mark.parametrize(
    ("brought", "title", "text", "mark"),
    [
        ({"error": None}, "Almost done", "Go back to the terminal", "yes"),
        ({"code": None, "error": "access_denied"}, "Not signed in", "You declined", "no"),
        ({"code": None, "error": "server_error"}, "Not signed in", "Clio gave no sign-in", "no"),
        ({"error": "server_error"}, "Not signed in", "Clio gave no sign-in", "no"),
        ({"state": "older"}, "Not the sign-in that is waited for", "This page may be an", "no"),
    ],
)
def test_each_page_says_whether_it_worked_and_what_to_do(
    brought: dict[str, str | None], title: str, text: str, mark: str
) -> None:
    """By a mark, a title and a sentence or two, on a telephone as well."""
    uri = f"http://127.0.0.1:{signing.free_port()}/callback"
    with CallbackServer(uri, "this"):
        page = signing.go(signing.with_query(f"{uri}?state=this&code=a", **brought)).text
    assert f"<h1>{title}</h1><p>{text}" in page
    assert f'<svg class="{mark}"' in page
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert "<script" not in page


def test_interrupted_while_it_waits(unsigned: World) -> None:
    """Ctrl-C ends it with 130, and another one can begin at once."""
    child, _ = signing.started(unsigned)
    child.send_signal(signal.SIGINT)
    assert unsigned.finish(child).code == 130
    signing.sign_in(unsigned)


def test_a_signal_is_not_slept_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that comes as a wait begins is heard only when that wait is over: none is long."""
    waits: list[float] = []

    class Silent(queue.SimpleQueue[Reply | None]):
        def get(self, block: bool = True, timeout: float | None = None) -> Reply | None:
            waits.append(timeout or 0.0)
            if len(waits) < 3:
                raise queue.Empty
            return Reply("code", None)

    monkeypatch.setattr("queue.SimpleQueue", Silent)
    with CallbackServer(f"http://127.0.0.1:{signing.free_port()}/callback", "state") as loopback:
        assert loopback.wait(300.0, strayed=list) == Reply("code", None)
    assert max(waits) <= 1.0


def test_nobody_comes(
    unsigned: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After 5 minutes (of which none pass here) it ends with 77 and the likeliest reason: a page
    of Clio's own never comes back, and its reason is the redirect address."""
    monkeypatch.setattr(login, "WAIT_SECONDS", 0.0)
    assert _ended(unsigned, monkeypatch) == 77
    said = capsys.readouterr().err
    assert "Still waiting" not in said
    assert "within 5 minutes" in said
    assert unsigned.settings["CLIO_REDIRECT_URI"] in said
    assert not unsigned.state.exists()


def _ended(world: World, monkeypatch: pytest.MonkeyPatch) -> object:
    """Run `login` in this process, and return the exit code."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    log = logging.getLogger("clio_broadly_sync")
    for name, value in (log.__dict__ | {"handlers": []}).items():
        monkeypatch.setattr(log, name, value)
    for name, value in {**world.settings, **signing.NO_BROWSER}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        cli(["login"])
    for number, handler in before.items():
        signal.signal(number, handler)
    return ended.value.code


def test_after_a_minute_it_is_said_what_may_be_wrong(
    unsigned: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a word about the sign-in itself, which goes on; no minute passes here."""
    monkeypatch.setattr(login, "HINT_SECONDS", 0.0)
    monkeypatch.setattr(login, "WAIT_SECONDS", 0.01)
    assert _ended(unsigned, monkeypatch) == 77
    said = capsys.readouterr().err
    assert said.startswith("Still waiting for the browser.")
    assert f"{unsigned.settings['CLIO_REDIRECT_URI']} must be listed" in said
    assert "login --paste" in said


def test_only_this_machine_can_reach_it(unsigned: World) -> None:
    """It listens on the address of the setting, and on no other that this machine has."""
    child, url = signing.started(unsigned)
    port = urlsplit(unsigned.settings["CLIO_REDIRECT_URI"]).port or 0
    listening = [line.split()[1:4] for line in _sockets() if line.split()[3] == "0A"]
    assert [local for local, *_ in listening if local.endswith(f":{port:04X}")] == [
        f"0100007F:{port:04X}"
    ]
    signing.go(signing.allow(url))
    unsigned.finish(child)


def _sockets() -> list[str]:
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    return [line for table in tables for line in table.read_text().splitlines()[1:]]


def test_localhost_is_every_address_of_that_name(unsigned: World) -> None:
    """The browser may take any of them, so another program may hold none."""
    port = signing.free_port()
    uri = f"http://localhost:{port}/callback"
    unsigned.clio.oauth.redirect_uris = {uri}
    unsigned.settings["CLIO_REDIRECT_URI"] = uri
    signing.sign_in(unsigned)
    for host in {str(found[4][0]) for found in socket.getaddrinfo("localhost", port)}:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, port), family=family):
            ran = unsigned.run("login", **signing.NO_BROWSER)
        assert (ran.code, "Another program listens" in ran.err) == (78, True)


# Whose account


def test_another_account_is_not_taken(world: World) -> None:
    """The state belongs to one account: 78, and the sign-in from before goes on."""
    signing.by_login(world)
    signing.sign_in(world)
    lock = {"state.db.lock": "whoever held it last"}
    before = world.files() | lock
    world.firm.account.id += 1
    child, url = signing.started(world)
    signing.go(signing.allow(url))
    assert world.finish(child).code == 78
    assert world.files() | lock == before
    world.firm.account.id -= 1
    assert world.sync().code == 0


def test_another_host_is_not_even_asked(world: World) -> None:
    """A state that has a host signs in there only."""
    signing.by_login(world)
    ran = world.run("login", **signing.NO_BROWSER, CLIO_BASE_URL="http://127.0.0.1:1")
    assert (ran.code, ran.out) == (78, "")
    assert "CLIO_BASE_URL" in ran.err


def test_names_from_clio_do_nothing_to_a_terminal(unsigned: World) -> None:
    """Control and escape characters of a name are not passed on."""
    unsigned.firm.account.user_name = "Eve\x1b]0;owned\x07 \u202eadmin"
    unsigned.firm.account.name = "Harbor\r\n& Vale" + "!" * 200
    child, url = signing.started(unsigned)
    signing.go(signing.allow(url))
    said = unsigned.finish(child).out
    line = next(line for line in said.splitlines() if line.startswith("Signed in"))
    assert line.isprintable()
    assert len(line) < 160
    assert "owned" not in line


def test_a_token_in_the_settings_wins(unsigned: World) -> None:
    unsigned.settings["CLIO_ACCESS_TOKEN"] = unsigned.clio.token
    child, url = signing.started(unsigned)
    signing.go(signing.allow(url))
    assert unsigned.finish(child).code == 0
    unsigned.forget()
    assert unsigned.sync().code == 0
    used = {e.headers["authorization"] for e in unsigned.clio.history}
    assert used == {f"Bearer {unsigned.clio.token}"}


# By pasting


@pytest.mark.parametrize("what", ["code", "address", "blanks"])
def test_paste(unsigned: World, what: str) -> None:
    """The code alone, or the address that the browser ended on; any redirect address does."""
    uri = f"{unsigned.clio.url}/oauth/approval"
    child = unsigned.start(["login", "--paste"], {"CLIO_REDIRECT_URI": uri}, stdin=subprocess.PIPE)
    address = signing.allow(signing.opened(child))
    text = signing.query_of(address)["code"] if what == "code" else address
    ran = unsigned.finish(child, typed=f"  {text} \n" if what == "blanks" else f"{text}\n")
    assert ran.code == 0
    assert _signed_in(unsigned)


# Signing out


def _check_nothing_left(world: World) -> None:
    for file in world.folder.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        assert not any(token.encode() in content for token in world.clio.oauth.tokens), file


def test_logout_of_a_token_that_has_ended(unsigned: World) -> None:
    """It is renewed first, or Clio would not let it be withdrawn: at its time or before."""
    for ended_early in (True, False):
        signing.keep_sign_in(unsigned)
        if ended_early:
            unsigned.clio.oauth.expire()
        else:
            unsigned.later(days=31)
        ran = unsigned.run("logout")
        assert (ran.code, "erased here." in ran.out) == (0, True)
        assert not [g for g in unsigned.clio.oauth.grants if g.access != unsigned.clio.token]
        _check_nothing_left(unsigned)


@pytest.mark.parametrize("trouble", ["away", "refuses", "broken", "withdrawn"])
def test_logout_when_clio_does_not_play_along(unsigned: World, trouble: str) -> None:
    """The tokens are erased here all the same; it says what is left to do."""
    signing.keep_sign_in(unsigned)
    if trouble == "away":
        with unsigned.clio.outage():
            ran = unsigned.run("logout")
    else:
        if trouble == "withdrawn":
            unsigned.clio.oauth.revoke()
        else:
            status = 403 if trouble == "refuses" else 404
            when = faults.on("deauthorize")
            unsigned.clio.faults.add(faults.answer(status), when=when, times=None)
        ran = unsigned.run("logout")
    assert (ran.code, "did not confirm" in ran.out) == (0, True)
    _check_nothing_left(unsigned)
    assert not _signed_in(unsigned)


def test_logout_does_not_wait_for_a_busy_clio(unsigned: World) -> None:
    """Not even after an answer, as a run would: the token has just been renewed."""
    signing.keep_sign_in(unsigned)
    unsigned.later(days=31)
    busy = faults.answer(429, headers={"Retry-After": "40"})
    unsigned.clio.faults.add(busy, when=faults.on("deauthorize"), times=None)
    begun = time.monotonic()
    ran = unsigned.run("logout")
    assert (ran.code, "did not confirm" in ran.out) == (0, True)
    assert time.monotonic() - begun < 20
    _check_nothing_left(unsigned)
