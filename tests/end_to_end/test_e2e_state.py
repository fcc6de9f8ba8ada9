"""The state file: others may not read it, and what is not one is left alone. And the settings."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from world import World

EMPTY = sha256().hexdigest()


def _left_alone(world: World) -> None:
    """Fail with 74, in a real run and in a dry one, and touch neither file nor servers."""
    world.private = False
    world.closing()
    world.forget()
    before = world.files() | {"state.db.lock": EMPTY}
    for options in (["--json"], ["--json", "--dry-run"]):
        ran = world.sync(*options)
        assert ran.code == 74
        assert ran.err.strip()
        assert world.files() | {"state.db.lock": EMPTY} == before, options
    assert (world.paths, world.posts) == ([], [])


def test_state_that_is_no_database(world: World) -> None:
    """Some other file of that name."""
    world.state.write_text("Dear Sir or Madam,\n" * 500)
    _left_alone(world)


def test_state_of_a_newer_program(world: World) -> None:
    """It may mean what this one does not know."""
    database = sqlite3.connect(world.state)
    with database:
        database.execute("UPDATE schema_version SET version = 999")
    database.close()
    _left_alone(world)


def test_state_of_another_program(world: World) -> None:
    """A database, but not ours."""
    world.state.unlink()
    database = sqlite3.connect(world.state)
    with database:
        database.execute("CREATE TABLE songs (title TEXT)")
    database.close()
    world.state.chmod(0o600)
    _left_alone(world)


def test_state_that_others_may_read(world: World) -> None:
    """Until a person makes it private; the sentence says how."""
    world.state.chmod(0o644)
    _left_alone(world)
    for mode in (0o640, 0o602):
        world.state.chmod(mode)
        ran = world.sync("--json")
        assert (ran.code, "chmod" in ran.err) == (74, True)
    world.state.chmod(0o600)
    assert world.sync("--json").delivery == {"sent": 1}


def test_state_that_is_a_link(world: World) -> None:
    """Not followed where the name itself is one."""
    elsewhere = world.folder / "elsewhere.db"
    os.rename(world.state, elsewhere)
    world.state.symlink_to(elsewhere)
    world.private = False
    ran = world.sync("--json")
    assert ran.code in (0, 74)
    if ran.code == 0:
        assert world.state.is_symlink()
        assert not Path(f"{world.state}-wal").exists()


def test_state_that_is_a_folder(world: World) -> None:
    """74 and a sentence."""
    world.state.unlink()
    world.state.mkdir()
    _left_alone(world)


def test_folder_that_others_may_write_to(world: World) -> None:
    """They could put another state in its place."""
    world.state.parent.chmod(0o777)
    _left_alone(world)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_that_cannot_be_written(world: World) -> None:
    """74 before anybody is asked anything."""
    world.state.parent.chmod(0o500)
    try:
        _left_alone(world)
    finally:
        world.state.parent.chmod(0o700)


def test_folder_that_cannot_be_made(fresh: World) -> None:
    """A file stands where the folder should be."""
    (fresh.folder / "state").write_text("")
    fresh.private = False
    ran = fresh.sync("--json")
    assert (ran.code, fresh.paths) == (74, [])


def test_modes_of_a_new_state_whatever_the_umask(fresh: World) -> None:
    """0600 in 0700, which the fixture checks after the run."""
    before = os.umask(0)
    try:
        assert fresh.sync().code == 0
    finally:
        os.umask(before)
    assert fresh.state.exists()


def test_full_disk_or_file_too_large(world: World) -> None:
    """The state cannot grow: 74, nobody is sent what was not written down."""
    import resource

    world.closings(200)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (world.state.stat().st_size + 8192, hard))
    try:
        # Python would leave a module cut short for all the children after it.
        settings = {"SYNC_MAX_NEW": "1000", "PYTHONDONTWRITEBYTECODE": "1"}
        limited = world.start(["sync", "--json"], settings)
        ran = world.finish(limited)
        checked = world.finish(world.start(["check"], settings))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (ran.code, checked.code) == (74, 74)
    assert "failed   state: There is no room to write the state" in checked.out
    assert world.posts == []
    assert world.check().code == 0
    assert world.sync("--json", SYNC_MAX_NEW="1000").delivery == {"sent": 200}


def _sql(world: World, statement: str) -> None:
    with closing(sqlite3.connect(world.state)) as database, database:
        database.execute(statement)


def _cut(share: float) -> Callable[[World], None]:
    return lambda world: os.truncate(world.state, int(world.state.stat().st_size * share))


def _overwritten(first: int, length: int) -> Callable[[World], None]:
    def spoil(world: World) -> None:
        whole = bytearray(world.state.read_bytes())
        whole[first : first + length] = b"\xff" * length
        world.state.write_bytes(whole)

    return spoil


def _after(statement: str) -> Callable[[World], None]:
    return lambda world: _sql(world, statement)


DAMAGED: dict[str, Callable[[World], None]] = {
    "cut to 100 bytes": lambda world: os.truncate(world.state, 100),
    "cut to a page": lambda world: os.truncate(world.state, 4096),
    "cut to a third": _cut(1 / 3),
    "cut to half and a bit": _cut(0.51),
    "its first bytes": _overwritten(0, 16),
    "its first page": _overwritten(100, 2000),
    "all but its first page": _overwritten(4096, 1 << 20),
    "version 0": _after("UPDATE schema_version SET version = 0"),
    "version -5": _after("UPDATE schema_version SET version = -5"),
    "version 1, and it is not": _after("UPDATE schema_version SET version = 1"),
    "no version": _after("DELETE FROM schema_version"),
    "no table of runs": _after("DROP TABLE runs"),
    "no column": _after("ALTER TABLE facts RENAME COLUMN value TO worth"),
    "no text": _after("UPDATE facts SET value = CAST(x'ff' AS TEXT) WHERE name = 'start_day'"),
}
LOOKS = (["sync"], ["sync", "--dry-run"], ["status"], ["verify"], ["check"])


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_state_wants_a_copy(world: World, damage: str) -> None:
    """74 from all of them, and to restore it; permissions and room have nothing to do with it."""
    DAMAGED[damage](world)
    world.private = False
    for asked in LOOKS:
        ran = world.run(*asked)
        said = "\n".join(line for line in (ran.out + ran.err).splitlines() if "state" in line)
        assert ran.code == 74, (asked, ran)
        assert "estore a" in said or "put the last good copy" in said, (asked, said)
        assert "permissions and" not in said, (asked, said)
    assert (world.posts, world.asked) == ([], [])


def test_every_problem_of_the_settings_at_once(fresh: World) -> None:
    """78, a sentence for each, none of the values, and nothing is made or asked."""
    wrong: dict[str, str | None] = {
        "SYNC_RULE": "sometimes",
        "CLIO_BASE_URL": "http://app.clio.example",
        "CLIO_TIME_ZONE": "Mars/Olympus",
        "BROADLY_URL": "ftp://broadly.example",
        "BROADLY_API_KEY": None,
        "BROADLY_BATCH_SIZE": "501",
        "BROADLY_FIELDS": "last_names",
        "BROADLY_DEDUPES": "perhaps",
        "BROADLY_AUTH_HEADER": "Bearer",
        "SYNC_OVERLAP_MINUTES": "4",
        "SYNC_MAX_NEW": "-1",
        "SYNC_COMPANIES": "few",
    }
    ran = fresh.sync("--json", **wrong)
    assert ran.code == 78
    for name, value in wrong.items():
        assert name in ran.err
        assert value is None or len(value) < 4 or value not in ran.err
    assert not fresh.state.parent.exists()
    assert (fresh.paths, fresh.posts) == ([], [])


def test_key_pasted_into_the_wrong_line(fresh: World) -> None:
    """A value is never repeated, whichever setting it was given to."""
    secret = "sk-live-0123456789-pasted"
    fresh.secret(secret)
    (fresh.folder / "broken.env").write_text(f"{secret}\nSYNC_RULE={secret}\n{secret}=1\n")
    file = str(fresh.folder / "broken.env")
    ran = fresh.sync("--json", "--config", file, **dict.fromkeys(fresh.settings))
    assert ran.code == 78


@pytest.mark.parametrize("file", ["missing.env", "home"])
def test_settings_file_that_is_none(fresh: World, file: str) -> None:
    """78 and its name, and no fall back to another one."""
    ran = fresh.sync("--json", "--config", str(fresh.folder / file))
    assert ran.code == 78
    assert file in ran.err


@pytest.mark.parametrize(
    ("ahead", "code"),
    [(timedelta(days=27_000), 74), (timedelta(days=30), 74), (timedelta(hours=24), 0)],
)
def test_watermark_in_the_future(world: World, ahead: timedelta, code: int) -> None:
    """No run has set it; whatever closes until then would be passed over in silence."""
    mark = (datetime.now(UTC) + ahead).isoformat()
    with closing(sqlite3.connect(world.state)) as database, database:
        database.execute("UPDATE facts SET value = ? WHERE name = 'watermark'", (mark,))
    world.closing()
    for command in ("status", "check", "sync"):
        ran = world.run(command)
        assert ran.code == code, command
        assert ("in the future" in " ".join((ran.out + ran.err).split())) is (code == 74)
    assert world.posts == []
