"""The settings of a fleet: checked at once, quoted never, and nothing of it where there is none."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from databases import KEY
from rig import Sandbox

from clio_broadly_sync.domain.errors import ConfigError
from clio_broadly_sync.settings import OF_FLEET, near_names, read_given
from clio_broadly_sync.settings.fleet import OF_ONE_FIRM, FleetSettings, fleet_settings

HERE = "postgresql://fleet@127.0.0.1/fleet"
SECRET = "s3cr3tw0rd"
OTHER_KEY = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY="


def read(**given: str) -> FleetSettings:
    """Return the settings that an environment names, beside those that there must be."""
    environ = {"FLEET_DATABASE": HERE, "FLEET_KEYS": KEY, **given}
    return fleet_settings(read_given(None, environ, Path("/nonexistent")))


def problems(**given: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        read(**given)
    assert caught.value.exit_code == 78
    return caught.value.problems


def test_what_is_set_and_what_is_not() -> None:
    """What is no setting of the fleet is a default for its firms."""
    found = read(FLEET_KEYS=f"{OTHER_KEY}, {KEY}", FLEET_SLOTS="3", SYNC_RULE="opt-out")
    assert [key.reveal() for key in found.fleet_keys] == [OTHER_KEY, KEY]
    assert found.fleet_database.reveal() == HERE
    assert (found.fleet_slots, found.lease.total_seconds()) == (3, 90)
    assert (found.fleet_silent_hours, found.fleet_keep_idle_runs_days) == (6, 30)
    assert found.fleet_ping_url is None
    assert found.defaults == {"sync_rule": "opt-out"}


def test_nothing_is_shown_that_is_secret() -> None:
    found = read(FLEET_DATABASE=f"postgresql://fleet:{SECRET}@localhost/fleet", CLIO_REGION="eu")
    assert SECRET not in repr(found)
    assert KEY not in repr(found)


def test_every_problem_at_once() -> None:
    """A sentence each, in the order of the settings, and a missing one among them."""
    with pytest.raises(ConfigError) as caught:
        fleet_settings(
            read_given(
                None,
                {"FLEET_DATABASE": "mysql://x", "FLEET_SLOTS": "0", "SYNC_STATE": "/state.db"}
                | {"BROADLY_API_KEY": "key"},
                Path("/nonexistent"),
            )
        )
    assert [problem.split()[:3] for problem in caught.value.problems] == [
        ["FLEET_DATABASE", "must", "be"],
        ["FLEET_KEYS", "is", "not"],
        ["FLEET_SLOTS", "must", "be"],
        ["BROADLY_API_KEY", "is", "one"],
        ["SYNC_STATE", "is", "one"],
    ]


def test_both_that_there_must_be() -> None:
    with pytest.raises(ConfigError) as caught:
        fleet_settings(read_given(None, {"FLEET_SLOTS": "2"}, Path("/nonexistent")))
    assert [problem.split(";")[0] for problem in caught.value.problems] == [
        "FLEET_DATABASE is not set",
        "FLEET_KEYS is not set",
    ]


@pytest.mark.parametrize(
    "address",
    [
        "postgresql:///fleet",
        "postgresql://fleet@localhost/fleet",
        "postgres://fleet:pass@127.0.0.1:6432/fleet",
        "postgresql://fleet@[::1]/fleet",
        "postgresql://fleet@/fleet?host=/var/run/postgresql",
        "postgresql://%2Fvar%2Frun%2Fpostgresql/fleet",
        "postgresql://fleet@db.example/fleet?sslmode=verify-full",
        "postgresql://fleet@a.example,b.example/fleet?sslmode=verify-full&connect_timeout=3",
        "postgresql://fleet@localhost/fleet?hostaddr=10.0.0.1&sslmode=verify-full",
    ],
)
def test_address_to_which_nobody_listens(address: str) -> None:
    assert read(FLEET_DATABASE=address).fleet_database.reveal() == address


@pytest.mark.parametrize(
    ("name", "value", "is_here"),
    [
        ("PGHOST", "/var/run/postgresql", True),
        ("PGHOST", "db.example", False),
        ("PGHOSTADDR", "10.0.0.1", False),
        ("PGSERVICE", "fleet", False),
    ],
)
def test_host_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, is_here: bool
) -> None:
    """It is taken where the address names none."""
    monkeypatch.setenv(name, value)
    with nullcontext() if is_here else pytest.raises(ConfigError, match="FLEET_DATABASE must be"):
        read(FLEET_DATABASE="postgresql:///fleet")
    read(FLEET_DATABASE="postgresql:///fleet?sslmode=verify-full")


@pytest.mark.parametrize(
    "address",
    [
        "fleet",
        f"mysql://fleet:{SECRET}@localhost/fleet",
        f"postgresql://fleet:{SECRET}@localhost/fle\net",
        f"postgresql://fleet:{SECRET}@db.example/fleet",
        f"postgresql://fleet:{SECRET}@db.example/fleet?sslmode=require",
        f"postgresql://fleet:{SECRET}@db.example/fleet?sslmode=verify-full&sslmode=disable",
        f"postgresql://fleet:{SECRET}@localhost/fleet?host=db.example",
        f"postgresql://fleet:{SECRET}@localhost,db.example/fleet",
        f"postgresql://fleet:{SECRET}@/fleet?host=/var/run/postgresql,db.example",
        f"postgresql://fleet:{SECRET}@localhost/fleet?hostaddr=10.0.0.1",
        f"postgresql://fleet:{SECRET}@/fleet?service=elsewhere",
        f"postgresql://fleet:{SECRET}@[/fleet",
    ],
)
def test_address_to_which_somebody_may_listen(address: str) -> None:
    """Or that is none; it holds a password, so it is not quoted."""
    (problem,) = problems(FLEET_DATABASE=address)
    assert problem.startswith("FLEET_DATABASE must be an address such as postgresql://")
    assert SECRET not in problem
    assert "db.example" not in problem


@pytest.mark.parametrize(
    "keys",
    [
        SECRET,
        f"{KEY},{SECRET}",
        f"{KEY},,{OTHER_KEY}",
        f"{KEY} {OTHER_KEY}",
        f"{KEY};{OTHER_KEY}",
        KEY[:-4],
        f"{KEY}{KEY}",
        "ключ",
    ],
)
def test_keys_that_are_none(keys: str) -> None:
    (problem,) = problems(FLEET_KEYS=keys)
    assert problem.startswith("FLEET_KEYS must be keys of `clio-broadly-sync fleet key`")
    assert not any(part in problem for part in (SECRET, KEY[:8], OTHER_KEY[:8], "ключ"))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("FLEET_SLOTS", ["0", "257", "two"]),
        ("FLEET_LEASE_SECONDS", ["4", "3601", "90s"]),
        ("FLEET_SILENT_HOURS", ["0", "8761"]),
        ("FLEET_KEEP_IDLE_RUNS_DAYS", ["0", "36501"]),
        ("FLEET_PING_URL", ["http://example.com/x", SECRET]),
    ],
)
def test_others_have_bounds(name: str, wrong: list[str]) -> None:
    for text in wrong:
        (problem,) = problems(**{name: text})
        assert problem.startswith(f"{name} must be ")
        assert problem.endswith(".")
        assert SECRET not in problem


@pytest.mark.parametrize("name", OF_ONE_FIRM)
def test_what_is_one_firms_is_refused(name: str) -> None:
    """With it, one firm's clients could go out under another's key."""
    (problem,) = problems(**{name: SECRET})
    assert problem == (
        f"{name} is one firm's: take it out of the fleet's settings, and give it to the firm by "
        "`firms add` or `firms set`."
    )


@pytest.mark.parametrize("name", OF_FLEET)
def test_misspelt_name_in_the_file_is_pointed_out(name: str, tmp_path: Path) -> None:
    """A letter that is missing names the one that was meant, and what it was set to nowhere."""
    file = tmp_path / "config.env"
    wrong = name[:8] + name[9:]
    file.write_text(f"{wrong}={SECRET}\n")
    given = read_given(file, {"FLEET_DATABASE": HERE, "FLEET_KEYS": KEY}, tmp_path)
    with pytest.raises(ConfigError) as caught:
        fleet_settings(given)
    (problem,) = caught.value.problems
    assert problem == (
        f"Line 1 of the settings file sets {wrong}, which is no setting: did you mean {name}?"
    )


@pytest.mark.parametrize("name", OF_FLEET)
def test_misspelt_name_in_the_environment_is_pointed_out(name: str) -> None:
    """A firm that is taken for one alone would begin a state in which nobody was asked."""
    wrong = name[:8] + name[9:]
    assert near_names({wrong: SECRET, name: SECRET, "FLEET_STREET": SECRET}) == [
        f"The environment sets {wrong}, which is no setting: did you mean {name}?"
    ]


def test_file_and_environment_both_count(tmp_path: Path) -> None:
    """The environment wins."""
    file = tmp_path / "config.env"
    file.write_text(f"FLEET_DATABASE={HERE}\nFLEET_KEYS={KEY}\nFLEET_SLOTS=4\n")
    found = fleet_settings(read_given(file, {"FLEET_SLOTS": "5"}, tmp_path))
    assert (found.fleet_slots, found.fleet_database.reveal()) == (5, HERE)


Loaded = Callable[..., set[str]]


@pytest.fixture
def loaded(tmp_path: Path, sandbox: Sandbox) -> Loaded:
    """Return what runs the program against the sandbox; it returns what packages it loaded."""
    program = (
        "import sys\n"
        "from clio_broadly_sync.__main__ import main\n"
        "sys.argv = ['clio-broadly-sync', *sys.argv[1:]]\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "print('LOADED', *{name.partition('.')[0] for name in sys.modules},\n"
        "    *(name for name in sys.modules if name.startswith('clio_broadly_sync.')))\n"
    )

    def run(*words: str) -> set[str]:
        settings = sandbox.settings(SYNC_STATE=str(tmp_path / "state" / "state.db"))
        path = {"PYTHONPATH": str(Path(__file__).parents[2])}
        ran = subprocess.run(
            [sys.executable, "-c", program, *words],
            env=settings | path,
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
        )
        return set(ran.stdout.rpartition("LOADED")[2].split())

    return run


@pytest.mark.parametrize("words", [["sync"], ["check"], ["status"]], ids=" ".join)
def test_without_a_fleet_nothing_of_it_is_loaded(words: list[str], loaded: Loaded) -> None:
    """As the program really runs, with the sandbox on the other side."""
    loaded("sync")
    found = loaded(*words)
    assert {"click", "sqlite3"} <= found
    of_fleets = {"psycopg", "psycopg_pool", "psycopg_binary", "cryptography", "procrastinate"}
    assert not found & of_fleets
    ours = {name.removeprefix("clio_broadly_sync.") for name in found}
    assert not ours & {"fleet", "settings.fleet", "store.firms", "store.due", "store.seal"}
