"""The sign-in in the state: always as it is in the file, and nothing else there is touched."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC
from hashlib import sha256
from pathlib import Path

import old_states
import pytest
from factories import start
from parts import NOW

from clio_broadly_sync.domain.account import Grant
from clio_broadly_sync.domain.errors import BusyError, StorageError
from clio_broadly_sync.store import Store, TokenStore
from clio_broadly_sync.store import tokens as module

HOST = "https://app.clio.com"
GRANT = Grant(HOST, "access-one", "refresh-one", NOW)
OTHER = Grant(HOST, "access-two", "refresh-two", NOW.replace(year=2027))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.db"


@pytest.fixture
def state(path: Path) -> Path:
    """A state at rest."""
    with Store.open(path):
        return path


def _files(path: Path) -> dict[str, str]:
    return {f.name: sha256(f.read_bytes()).hexdigest() for f in path.parent.iterdir()}


def _holding(path: Path, *words: str) -> list[str]:
    files = {f.name: f.read_bytes() for f in path.parent.iterdir()}
    return [name for name, content in files.items() for w in words if w.encode() in content]


def test_nobody_has_signed_in(path: Path) -> None:
    """None, with or without a state; and none is made."""
    assert TokenStore(path).read() is None
    assert not path.parent.exists()
    with Store.open(path):
        assert TokenStore(path).read() is None


def test_what_is_saved_is_read(path: Path) -> None:
    """On a fresh install the state is made, and it is private."""
    TokenStore(path).save(GRANT)
    read = TokenStore(path).read()
    assert read == GRANT
    assert read.expires_at.tzinfo is UTC
    assert (path.parent.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("second", [OTHER, replace(OTHER, refresh_token=None)])
def test_the_second_takes_the_place_of_the_first(state: Path, second: Grant) -> None:
    """All of it: no refresh token of another sign-in is kept."""
    TokenStore(state).save(GRANT)
    TokenStore(state).save(second)
    assert TokenStore(state).read() == second


def test_firms_do_not_share_a_sign_in(state: Path) -> None:
    """What one saves or erases is nothing to the other."""
    one, two = TokenStore(state), TokenStore(state, firm=2)
    one.save(GRANT)
    assert two.read() is None
    two.save(OTHER)
    assert (one.read(), two.read()) == (GRANT, OTHER)
    two.erase()
    assert (one.read(), two.read()) == (GRANT, None)


def test_saving_is_all_or_nothing(state: Path) -> None:
    """A commit that fails leaves the sign-in from before, whole."""
    TokenStore(state).save(GRANT)
    database = sqlite3.connect(state)
    database.execute(
        "CREATE TRIGGER full BEFORE INSERT ON facts WHEN NEW.name = 'sign_in_refresh_token' "
        "BEGIN SELECT RAISE(ABORT, 'no room'); END"
    )
    database.commit()
    database.close()
    with pytest.raises(StorageError):
        TokenStore(state).save(OTHER)
    assert TokenStore(state).read() == GRANT


def _dead(state: Path) -> None:
    """Leave what a killed run leaves: a -wal that holds the last transaction, and a -shm."""
    copy = state.with_name("copy")
    with Store.open(state):
        TokenStore(state).save(GRANT)
        for end in ("", "-wal", "-shm"):
            shutil.copy(f"{state}{end}", f"{copy}{end}")
    for end in ("", "-wal", "-shm"):
        os.replace(f"{copy}{end}", f"{state}{end}")


def _restored(state: Path) -> None:
    """The same from a backup that left the -shm out."""
    _dead(state)
    Path(f"{state}-shm").unlink()


@pytest.mark.parametrize("left", [_dead, _restored])
def test_reading_leaves_every_file_as_it_was(state: Path, left: Callable[[Path], None]) -> None:
    """What a killed run left in the -wal is found, and not a byte is changed for it."""
    left(state)
    before = _files(state)
    assert len(before) > 1
    assert TokenStore(state).read() == GRANT
    assert _files(state) == before


def test_reading_a_state_at_rest_leaves_nothing_beside_it(state: Path) -> None:
    """No -wal and no -shm appears, not even for a folder that cannot be written to."""
    TokenStore(state).save(GRANT)
    before = _files(state)
    assert TokenStore(state).read() == GRANT
    assert _files(state) == before == {state.name: before[state.name]}


def test_read_while_a_run_is_at_work(state: Path) -> None:
    """Each reading is of this moment, from this process and from another, and disturbs no lock."""
    with Store.open(state) as store:
        start(store)
        for grant in (GRANT, OTHER):
            _in_a_child(state, f"sign_in.save({_spelt(grant)})")
            assert TokenStore(state).read() == grant
            assert _in_a_child(state, f"print(sign_in.read() == {_spelt(grant)})") == "True\n"
        store.move_watermark(NOW)
        assert store.watermark == NOW
    with Store.open(state) as store:
        assert store.watermark == NOW


def _spelt(grant: Grant) -> str:
    moment = f"datetime.fromisoformat({grant.expires_at.isoformat()!r})"
    return f"Grant({grant.host!r}, {grant.access_token!r}, {grant.refresh_token!r}, {moment})"


def _in_a_child(state: Path, statement: str) -> str:
    program = (
        "import sys\nfrom datetime import datetime\nfrom pathlib import Path\n"
        "from clio_broadly_sync.domain.account import Grant\n"
        "from clio_broadly_sync.store import TokenStore\n"
        f"sign_in = TokenStore(Path({str(state)!r}))\n{statement}\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


@pytest.mark.parametrize("version", old_states.VERSIONS)
def test_an_older_state_stays_as_old_as_it_is(path: Path, version: int) -> None:
    """A dry run that renews the token writes the token; the state waits for the real run, after
    which the sign-in is still the same."""
    old = {"host": HOST, "access_token": "a", "expires_at": NOW.isoformat()}
    old_states.make(path, version, **{f"sign_in_{name}": value for name, value in old.items()})
    before = old_states.read(path)
    sign_in = TokenStore(path)
    assert sign_in.read() == Grant(HOST, "a", None, NOW)
    sign_in.save(GRANT)
    assert sign_in.read() == GRANT
    after = old_states.read(path)
    assert {**after, "facts": None} == {**before, "facts": None}
    with Store.open(path):
        assert sign_in.read() == GRANT
    sign_in.erase()
    assert sign_in.read() is None


@pytest.mark.parametrize("left", [None, _dead])
def test_no_byte_is_left_of_what_is_erased(
    state: Path, left: Callable[[Path], None] | None
) -> None:
    """Nor of all the tokens before it; what else the state holds stays."""
    with Store.open(state) as store:
        start(store)
        store.move_watermark(NOW)
    words = []
    for number in range(30):
        words += [f"access-{number:03}-" + "x" * 1500, f"refresh-{number:03}-" + "y" * 50]
        TokenStore(state).save(Grant(HOST, *words[-2:], NOW))
    if left is not None:
        left(state)
        words += ["access-one", "refresh-one"]
    TokenStore(state).erase()
    assert _holding(state, *words) == []
    assert TokenStore(state).read() is None
    with Store.open(state) as store:
        assert store.watermark == NOW


def test_erasing_says_when_somebody_reads(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another program still reads cannot be wiped: that is told, and not passed over."""
    monkeypatch.setattr(module, "_PATIENT", "PRAGMA busy_timeout = 0")
    TokenStore(state).save(GRANT)
    reader = sqlite3.connect(state, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM facts").fetchall()
    with pytest.raises(StorageError, match="traces"):
        TokenStore(state).erase()
    reader.close()
    TokenStore(state).erase()
    assert _holding(state, "access-one", "refresh-one") == []


def test_one_at_a_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Across processes, and private; who waits too long is told that it is busy."""
    monkeypatch.setattr(module, "ALONE_SECONDS", 0.0)
    program = (
        "import sys\nfrom pathlib import Path\nfrom clio_broadly_sync.store import TokenStore\n"
        f"with TokenStore(Path({str(path)!r})).alone():\n    print('in', flush=True)\n    input()\n"
    )
    path.parent.mkdir(mode=0o700)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        with pytest.raises(BusyError), TokenStore(path).alone():
            pass
        other.communicate("\n")
    with TokenStore(path).alone():
        lock = Path(f"{path}.sign-in.lock")
        assert lock.stat().st_mode & 0o777 == 0o600


def test_waits_for_another_that_is_soon_done(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again and again who has the lock, until it is free."""
    path.parent.mkdir(mode=0o700)
    other = TokenStore(path).alone()
    other.__enter__()
    waits: list[float] = []

    def let_go(seconds: float) -> None:
        waits.append(seconds)
        other.__exit__(None, None, None)

    monkeypatch.setattr("time.sleep", let_go)
    with TokenStore(path).alone():
        assert len(waits) == 1


def test_others_may_not_read_it(state: Path) -> None:
    """Tokens are neither put into nor taken from a state that others can look into."""
    state.chmod(0o644)
    sign_in = TokenStore(state)
    for use in (sign_in.read, sign_in.erase, lambda: sign_in.save(GRANT)):
        with pytest.raises(StorageError, match="chmod 600"):
            use()


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM facts WHERE name = 'sign_in_host'",
        "DELETE FROM facts WHERE name = 'sign_in_expires_at'",
        "UPDATE facts SET value = 'soon' WHERE name = 'sign_in_expires_at'",
        "UPDATE facts SET value = '0001-01-01T00:00:00+14:00' WHERE name = 'sign_in_expires_at'",
    ],
)
def test_damaged_sign_in(path: Path, damage: str) -> None:
    """74 and not a bug; it can be erased, and a new one takes its place."""
    sign_in = TokenStore(path)
    for mend in (sign_in.erase, lambda: sign_in.save(OTHER)):
        sign_in.save(GRANT)
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(damage)
        with pytest.raises(StorageError, match="damaged") as caught:
            sign_in.read()
        assert "one" not in str(caught.value)
        mend()
        sign_in.read()


def test_a_grant_shows_nothing_of_itself() -> None:
    """It may stand in a traceback, or a log line by mistake."""
    assert "one" not in f"{GRANT!r} {GRANT}"
