"""Where the tests run makes no difference: whose terminal, which environment, how busy a machine.

Each child of a test has a session of its own, and none outlives its test. Otherwise one that asks
for a secret would ask on the terminal of whoever runs the tests, live on when its test has failed,
and take the next line that is typed there for its answer.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

KEPT = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV",
        "HISTORIES", "SHORTEN", "CLIO_BROADLY_SYNC_BROWSER_TESTS",
        "CLIO_BROADLY_SYNC_FLEET_TESTS", "FLEET_TEST_DATABASE")  # fmt: skip
KEPT_KINDS = ("PY", "COV", "HYPOTHESIS_", "MUTANT_")
"""By which Python and what it needs are found, and by which the tests themselves are steered."""
BUSY_SECONDS = 30
"""On the busiest machine, what waits for nothing is over by then."""

begun: list[Any] = []
"""Those of this test, and before them those of the whole session."""


class Child(subprocess.Popen[Any]):
    """Has no terminal but those that it is given as its streams."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **{**named, "start_new_session": True})
        begun.append(self)

    def kill(self) -> None:
        """End it with all that it has begun in its turn."""
        if self.poll() is None:
            kill_session(self.pid)


@contextmanager
def at_once() -> Iterator[None]:
    """Fail where this waits for what it need not; that has to take a minute."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < BUSY_SECONDS


def kill_session(leader: int) -> None:
    """End a child that has a session of its own, and whatever it began there."""
    with suppress(ProcessLookupError):  # it may just have ended
        os.killpg(leader, signal.SIGKILL)


@pytest.fixture(autouse=True, scope="session")
def sessions_of_their_own() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", Child)
        yield


@pytest.fixture(autouse=True)
def none_outlives_its_test() -> Iterator[None]:
    """End what still runs after a test, which has failed or has one more fault."""
    earlier = len(begun)
    yield
    left = [child for child in begun[earlier:] if child.poll() is None]
    del begun[earlier:]
    for child in left:
        child.kill()
        child.wait()
    assert not left, f"left running, and ended now: {[child.args for child in left]}"


@pytest.fixture(autouse=True, scope="session")
def environment_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let no setting, proxy, zone, width or language of whoever runs the tests reach them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if not _is_kept(name)]:
            patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("LANG", "C.UTF-8")
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def _is_kept(name: str) -> bool:
    return name in KEPT or name.startswith(KEPT_KINDS)
