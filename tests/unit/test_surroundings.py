"""Where the tests run makes no difference: neither its terminal nor its environment, nor what ran
there before."""

import itertools
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

TESTS = Path(__file__).parents[1]
SESSION = [sys.executable, "-c", "import os; print(os.getsid(0))"]
ON_A_TERMINAL = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"
CONFTEST = "from surroundings import *\n"
DRAWN_TWICE = """
import importlib, pkgutil
import clio_broadly_sync, conftest
from hypothesis import given, settings, strategies as st

def drawn():
    several = []

    @settings(max_examples=1000, database=None)
    @given(st.tuples(st.integers(0, 254), st.integers(0, 254)))
    def draw(pair):
        several.append(pair)

    draw()
    return several

conftest.pytest_configure()
before = drawn()
for found in pkgutil.walk_packages(clio_broadly_sync.__path__, "clio_broadly_sync."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
assert drawn() == before
"""


@pytest.mark.parametrize(
    "begin",
    [
        lambda: subprocess.run(SESSION, stdout=subprocess.PIPE, text=True, check=True).stdout,
        lambda: subprocess.check_output(SESSION, text=True),
        lambda: subprocess.Popen(SESSION, stdout=subprocess.PIPE, text=True).communicate()[0],
        lambda: subprocess.check_output(["sh", "-c", '"$0" "$@"; :', *SESSION], text=True),
        lambda: subprocess.check_output(SESSION, text=True, start_new_session=False),
    ],
    ids=["run", "output", "begun", "a child's child", "asked for none"],
)
def test_each_has_a_session_of_its_own(begin: Callable[[], str]) -> None:
    """However it is begun: so it has no terminal but what it is given."""
    assert int(begin()) != os.getsid(0)


def inner(folder: Path, test: str, **environment: str) -> str:
    """Run a test on a terminal of its own; return what pytest says of it."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_inner.py").write_text(textwrap.dedent(test))
    pytest_run = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--tb=line"]
    ran = subprocess.run(
        [sys.executable, "-c", ON_A_TERMINAL, *pytest_run],
        cwd=folder,
        env={"PATH": os.defpath, "PYTHONPATH": str(TESTS), "TERM": "dumb", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return ran.stdout


def test_none_has_the_terminal_of_the_tests(tmp_path: Path) -> None:
    """What would ask there for a secret, as getpass does, finds none."""
    said = inner(
        tmp_path,
        """
        import subprocess

        def test_tests_themselves_have_one():
            open("/dev/tty").close()

        def test_their_children_have_none():
            assert subprocess.run("exec 3</dev/tty", shell=True).returncode != 0
        """,
    )
    assert "2 passed" in said, said


@pytest.mark.parametrize("failing", [False, True])
def test_what_is_left_running_is_ended_and_told(tmp_path: Path, failing: bool) -> None:
    """Whether its test fails or passes; with all that it has begun itself."""
    os.mkfifo(tmp_path / "held")
    with open(os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)) as held:
        said = inner(
            tmp_path,
            f"""
            import subprocess

            def test_leaves_one():
                command = "exec 3>held; echo begun >&3; echo; sleep 60; :"
                child = subprocess.Popen(command, shell=True, stdout=subprocess.PIPE)
                child.stdout.readline()
                child.stdout.close()
                assert {not failing}
            """,
        )
        assert ("1 failed, 1 error" if failing else "1 passed, 1 error") in said, said
        assert "left running, and ended now" in said
        os.set_blocking(held.fileno(), True)
        assert held.read() == "begun\n"  # and then its end: nobody holds it any more


def test_what_has_ended_is_no_fault() -> None:
    """Waited for or not."""
    child = subprocess.Popen(["true"])
    assert os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)


def test_environment_is_that_of_the_tests(tmp_path: Path) -> None:
    """No setting, no proxy, no file of settings, no width and no zone of the user's."""
    said = inner(
        tmp_path,
        """
        import os, time
        from pathlib import Path

        def test_it():
            ours = {"PATH", "PYTHONPATH", "HOME", "LANG", "TZ", "PYTEST_CURRENT_TEST"}
            assert os.environ.keys() - {"PYTEST_VERSION", "LC_CTYPE"} == ours
            assert time.tzname[0] == "UTC"
            assert not list(Path.home().iterdir())
        """,
        SYNC_RULE="perhaps",
        CLIO_BROADLY_SYNC_CONFIG="/nowhere/config.env",
        PING_URL="nonsense",
        http_proxy="http://127.0.0.1:1",
        ALL_PROXY="http://127.0.0.1:1",
        REQUESTS_CA_BUNDLE="/nowhere",
        COLUMNS="20",
        NO_COLOR="1",
        LANG="tr_TR.UTF-8",
        TZ="Asia/Tokyo",
        HOME=str(TESTS),
    )
    assert "1 passed" in said, said


def test_busy_machine_fails_no_test_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long an example takes to make or to try; and the inputs are the same each time."""
    ticks = itertools.count(step=10)
    monkeypatch.setattr("time.perf_counter", lambda: float(next(ticks)))
    first, second = _tried(), _tried()
    assert first == second
    assert len(first) > 1


def _tried() -> list[list[int]]:
    found: list[list[int]] = []

    @given(st.lists(st.integers()))
    def tries(numbers: list[int]) -> None:
        found.append(numbers)

    tries()
    return found


def test_what_other_tests_have_loaded_changes_no_input() -> None:
    """Hypothesis tries the constants of what is loaded, too, and so the same in any process."""
    paths = os.pathsep.join(map(str, [TESTS, TESTS.parent]))
    ran = subprocess.run(
        [sys.executable, "-c", DRAWN_TWICE],
        env={"PATH": os.defpath, "PYTHONPATH": paths},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
