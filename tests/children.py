"""Children of the tests: each in a session of its own, and none outlives its test.

Otherwise a child that asks for a secret would ask on the terminal of whoever runs the tests, live
on when its test has failed, and take the next line that is typed there for its answer.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

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
