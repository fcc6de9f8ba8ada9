"""Golden transcripts of what comes first: `init`, `login`, `logout`, and the practice servers."""

import signal
import socket
import subprocess
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import signing
from golden_files import Golden
from transcripts import Transcript
from world import Ran, World

from clio_broadly_sync.store import locked

KEY, SECRET, TOKEN = "broadly-key-1", "clio-secret-2", "clio-token-3"
URL = "https://broadly.test/v1/customers"
ANSWERS = ("ca", "opt-in", "my-app", SECRET, "batch", URL, KEY, "36")
LAST_OF_SANDBOX = "# CLIO_ACCESS_TOKEN=practice-token\n"
"""The last line that `sandbox` prints on stdout."""
WRONG = (
    ("uk", "ca"), ("all", "both"), ("my app", "my-app"), ("a secret", SECRET),
    ("zapier", "batch"), ("http://broadly.test", URL), ("", KEY), ("720", "24"),
)  # fmt: skip


def _init(done: Transcript, world: World, *answers: str, options: tuple[str, ...] = ()) -> None:
    """Answer through a pipe; nothing is set but what the answers set."""
    child = world.start([*options, "init"], dict.fromkeys(world.settings), stdin=subprocess.PIPE)
    ran = world.finish(child, typed="".join(f"{answer}\n" for answer in answers))
    done.add(ran, *options, "init")


class _Browser:
    """A person who signs in at the page that `login` opens."""

    def __init__(self, world: World, done: Transcript, folder: Path) -> None:
        self._world = world
        self._done = done
        self._pipe = signing.Pipe(folder)

    def login(self, **changes: str | None) -> None:
        """Allow it, and come back with other values in the query."""
        child = self._world.start(["login"], {"BROWSER": str(self._pipe.script)})
        signing.go(signing.with_query(signing.allow(self._pipe.url()), **changes))
        self._done.add(self._world.finish(child), "login")

    def paste(self, typed: str) -> None:
        child = self._world.start(["login", "--paste"], {}, stdin=subprocess.PIPE)
        self._done.add(self._world.finish(child, typed=typed), "login", "--paste")


@pytest.fixture
def done(office: World) -> Transcript:
    return Transcript(office)


@pytest.fixture
def browser(office: World, done: Transcript, tmp_path_factory: pytest.TempPathFactory) -> _Browser:
    signing.by_login(office, TZ="UTC")
    return _Browser(office, done, tmp_path_factory.mktemp("browser"))


def test_first_ten_minutes(
    office: World, done: Transcript, browser: _Browser, golden: Golden
) -> None:
    """The row of the README, on a fresh install."""
    app = office.clio.oauth
    uri = office.settings["CLIO_REDIRECT_URI"]
    office.settings = {}
    _init(
        done, office, office.clio.url, "both", app.client_id, app.client_secret,
        "batch", office.broadly.endpoint, office.broadly.key, "0",
    )  # fmt: skip
    office.settings = {"CLIO_REDIRECT_URI": uri, "TZ": "UTC"}  # a port that is free
    browser.login()
    done.run("check")
    done.run("sync")
    office.later(minutes=1)
    done.note("Three matters are closed.")
    office.closing(thank_you=False)
    office.closing()
    out = office.closing(opt_out=True).matter
    done.on_terminal("sync")
    done.run("explain", str(out))
    done.run("status")
    golden("first_ten_minutes", done.text)


def test_init(office: World, done: Transcript, golden: Golden) -> None:
    """Wrong answers, no app, a token, a file that is there, no folder, and not all answered."""
    office.secret(KEY, SECRET, TOKEN)
    _init(done, office, *(answer for pair in WRONG for answer in pair))
    done.note("Once more, into other files.")
    _init(done, office, *ANSWERS)
    for name, answers in {
        "a token.env": ("", "both", "", TOKEN, "batch", URL, KEY, ""),
        "later.env": ("", "both", "", "", "", URL, "", ""),
        "hook.env": (*ANSWERS[:4], "webhook", URL, SECRET * 2, ""),
        "file.env": (*ANSWERS[:4], "csv", ""),
    }.items():
        _init(done, office, *answers, options=("--config", name))
    _init(done, office, *ANSWERS, options=("--config", "none/config.env"))
    _init(done, office, *ANSWERS[:2], options=("--config", "half.env"))
    done.note("The environment sets the key.")
    child = office.start(
        ["--config", "key.env", "init"],
        dict.fromkeys(office.settings) | {"BROADLY_API_KEY": KEY},
        stdin=subprocess.PIPE,
    )
    typed = "\n".join([*ANSWERS[:5], URL, "36", ""])
    done.add(office.finish(child, typed=typed), "--config", "key.env", "init")
    golden("init", done.text)


def test_login(office: World, done: Transcript, browser: _Browser, golden: Golden) -> None:
    """Each way it may end, in the browser and by pasting."""
    done.note("Declined; another error; no code; one that is spent; a wrong secret; then allowed.")
    browser.login(code=None, error="access_denied")
    browser.login(code=None, error="server\x1b[31m_error")
    browser.login(code=None)
    browser.login(code="spent")
    secret = office.settings["CLIO_CLIENT_SECRET"]
    office.settings["CLIO_CLIENT_SECRET"] = "a-wrong-secret"
    browser.login()
    office.settings["CLIO_CLIENT_SECRET"] = secret
    done.run("logout")
    browser.login()
    done.note("Pasted: of another sign-in, made up, nothing.")
    browser.paste("http://127.0.0.1:1/callback?code=x&state=other\n")
    browser.paste("made-up\n")
    browser.paste("")
    done.note("Clio does not say who it is; a token in the settings.")
    office.clio.forbid("users")
    office.settings["CLIO_ACCESS_TOKEN"] = office.clio.token
    browser.login()
    office.clio.allow("users")
    done.note("Another account than that of the state.")
    assert office.sync().code == 0
    office.firm.account.id += 1
    browser.login()
    golden("login", done.text)


def test_login_that_cannot_begin(office: World, done: Transcript, golden: Golden) -> None:
    """No app, no secret, an address of another machine, a port that is taken, a run at work."""
    signing.by_login(office, TZ="UTC")
    done.run("login", CLIO_CLIENT_ID=None, CLIO_CLIENT_SECRET=None)
    done.run("login", CLIO_CLIENT_SECRET=None)
    done.run("login", CLIO_REDIRECT_URI="https://app.clio.com/oauth/approval")
    address = urlsplit(office.settings["CLIO_REDIRECT_URI"])
    with socket.create_server((address.hostname or "", address.port or 0)):
        done.run("login")
    signing.keep_sign_in(office)
    with locked(office.state):
        done.run("login")
        done.run("logout")
    golden("login_that_cannot_begin", done.text)


def test_logout(office: World, done: Transcript, golden: Golden) -> None:
    """Signed in, withdrawn in Clio before, not signed in, and with a token in the settings."""
    token = office.settings["CLIO_ACCESS_TOKEN"]
    signing.keep_sign_in(office)
    done.run("logout")
    signing.keep_sign_in(office)
    done.note("It was withdrawn in Clio before.")
    office.clio.oauth.revoke()
    done.run("logout")
    done.run("logout")
    done.run("logout", CLIO_ACCESS_TOKEN=token)
    golden("logout", done.text)


def test_practice_servers(office: World, done: Transcript, golden: Golden) -> None:
    """The whole job on them; and they alone, until Ctrl-C, with either receiver."""
    done.run("demo")
    for more in ((), ("--profile", "webhook")):
        child = office.start(["sandbox", "--port", str(signing.free_port()), *more], {})
        assert child.stdout is not None
        printed = [*iter(partial(next, child.stdout), LAST_OF_SANDBOX)]
        child.send_signal(signal.SIGINT)
        ran = office.finish(child)
        said = "".join([*printed, LAST_OF_SANDBOX, ran.out])
        done.add(Ran(ran.code, said, ran.err), "sandbox", "--port", "8711", *more)
    golden("practice_servers", done.text)
