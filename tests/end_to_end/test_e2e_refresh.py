"""A token that ends is renewed, once, whoever is killed meanwhile; or a person has to sign in."""

import signal
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta

import pytest
import signing
from rig import at_request, faults
from surroundings import BUSY_SECONDS
from world import Child, Ran, World

TOKEN = "/oauth/token"


@pytest.fixture
def signed_in(punctual: World) -> World:
    """A firm after its first sync, whose program is signed in for a day."""
    punctual.clio.oauth.token_life = timedelta(days=1)
    signing.keep_sign_in(punctual)
    return punctual


def _posts(world: World) -> int:
    return world.paths.count(TOKEN)


@pytest.mark.parametrize("rotating", [False, True])
@pytest.mark.parametrize("early", [False, True])
def test_ended_token_is_renewed(signed_in: World, rotating: bool, early: bool) -> None:
    """In the run itself, with one POST; the next run uses what this one got."""
    signed_in.clio.oauth.rotating = rotating
    matter = signed_in.closing().matter
    if early:
        signed_in.clio.oauth.expire()
    else:
        signed_in.later(days=1)
    for _ in range(2):
        assert signed_in.sync().code == 0
    assert _posts(signed_in) == 1
    assert [e.status for e in signed_in.clio.history].count(401) == early
    assert signed_in.asked == [matter]


def test_dry_run_keeps_what_it_got(signed_in: World) -> None:
    """The token and nothing else is written: the ledger, the watermark and the pins stay."""
    signed_in.clio.oauth.rotating = True
    signed_in.closing()
    signed_in.clio.oauth.expire()
    before = _all_but_the_sign_in(signed_in)
    assert signed_in.sync("--dry-run").code == 0
    assert _all_but_the_sign_in(signed_in) == before
    assert {file.name for file in signed_in.state.parent.iterdir()} == {
        "state.db", "state.db.lock", "state.db.sign-in.lock",
    }  # fmt: skip
    assert signed_in.sync("--dry-run").code == 0
    assert _posts(signed_in) == 1


def _all_but_the_sign_in(world: World) -> list[str]:
    with closing(sqlite3.connect(world.state)) as database:
        return [line for line in database.iterdump() if "'sign_in_" not in line]


# Killed


class Killer:
    """Starts a run and kills it, in the thread of the request that it is waiting for."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._started = threading.Event()
        self._child: Child | None = None

    def run(self) -> None:
        self._child = self._world.start(["sync"], {})
        self._started.set()
        assert self._world.finish(self._child).code == -signal.SIGKILL
        with self._world.clio.outage():
            pass  # whatever the server was still doing for it is done now

    def kill(self) -> None:
        assert self._started.wait(BUSY_SECONDS)
        assert self._child is not None
        self._child.kill()
        self._child.wait(BUSY_SECONDS)


def _before_the_post(world: World, killer: Killer) -> None:
    """Killed when its refresh token was on its way; Clio never read it."""
    world.clio.faults.add(faults.drop(), when=faults.on(TOKEN))
    world.clio.before = at_request(1, killer.kill, TOKEN)


def _after_the_server_rotated(world: World, killer: Killer) -> None:
    """Killed when Clio had done its work and had not answered."""
    world.clio.after = at_request(1, killer.kill, TOKEN)


def _after_the_answer(world: World, killer: Killer) -> None:
    """Killed with the answer in hand: its commit has to wait for the lock that is held here."""
    database = sqlite3.connect(world.state, isolation_level=None, check_same_thread=False)

    def kill() -> None:
        killer.kill()
        database.close()

    world.clio.before = at_request(1, lambda: database.execute("BEGIN IMMEDIATE"), TOKEN)
    world.clio.sent = at_request(1, kill, TOKEN)


def _after_the_commit(world: World, killer: Killer) -> None:
    """Killed when it uses the new token for the first time (the first request was refused)."""
    world.clio.before = at_request(2, killer.kill, "/api/")


@pytest.mark.parametrize("rotating", [False, True], ids=["reusable", "rotating"])
@pytest.mark.parametrize(
    ("killed", "loses"),
    [
        (_before_the_post, False), (_after_the_server_rotated, True),
        (_after_the_answer, True), (_after_the_commit, False),
    ],
)  # fmt: skip
def test_killed_while_renewing(
    signed_in: World, killed: Callable[[World, Killer], None], loses: bool, rotating: bool
) -> None:
    """The next run recovers; or, where the only refresh token is spent, it says what to do."""
    world = signed_in
    world.clio.oauth.rotating = rotating
    matter = world.closing().matter
    world.clio.oauth.expire()
    killer = Killer(world)
    killed(world, killer)
    killer.run()
    world.clio.before = world.clio.after = world.clio.sent = None
    posts = _posts(world)
    assert posts == 1
    ran = world.sync()
    if rotating and loses:
        assert (ran.code, "run `clio-broadly-sync login`" in ran.err) == (77, True)
        assert world.asked == []
        signing.sign_in(world)
        ran = world.sync()
    else:
        assert _posts(world) == (posts if killed is _after_the_commit else posts + 1)
    assert (ran.code, world.asked) == (0, [matter])


# Side by side


def test_two_at_once_make_one_post(signed_in: World) -> None:
    """The second was refused as well while the first was renewing; it uses what the first got."""
    world = signed_in
    world.clio.oauth.rotating = True
    world.clio.oauth.expire()
    refused = threading.Event()
    seen: list[Ran] = []

    def second() -> None:
        child = world.start(["sync", "--dry-run"], {})
        world.clio.sent = at_request(1, refused.set, "/api/")
        threads.append(threading.Thread(target=lambda: seen.append(world.finish(child))))
        threads[0].start()
        assert refused.wait(BUSY_SECONDS)

    threads: list[threading.Thread] = []
    world.clio.before = at_request(1, second, TOKEN)
    first = world.sync()
    threads[0].join()
    assert [first.code, seen[0].code] == [0, 0], (first.err, seen[0].err)
    assert _posts(world) == 1
    assert [e.status for e in world.clio.history].count(401) == 2


# Interrupted


@pytest.mark.parametrize(
    "command", [["explain", "4242"], ["check"], ["sync", "--dry-run"]], ids=" ".join
)
def test_signal_loses_no_sign_in(signed_in: World, command: list[str]) -> None:
    """What only looks ends at once at a signal, but not between a spent token and the new one."""
    world = signed_in
    world.clio.oauth.rotating = True
    world.clio.oauth.expire()
    started, children = threading.Event(), []

    def ask_to_stop() -> None:
        assert started.wait(BUSY_SECONDS)
        children[0].send_signal(signal.SIGTERM)

    world.clio.after = at_request(1, ask_to_stop, TOKEN)
    children.append(world.start(command, {}))
    started.set()
    assert world.finish(children[0]).code == 143
    assert (world.sync().code, _posts(world)) == (0, 1)
