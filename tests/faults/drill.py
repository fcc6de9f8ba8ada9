"""A world whose runs may be killed at a point or altered, and are judged one by one."""

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import books
import checker
from checker import Walked
from forkserver import ForkServer
from ground import Ground
from world import Ran, World

ALTERED = Path(__file__).parent / "altered"
KILLED = -signal.SIGKILL
DONE = (0, 65)
MAX_RUNS = 3
"""So many runs at most until nothing is under way, once the faults have ended."""


class Drill(World):
    """`variant`: the wrong program that runs instead of ours."""

    def __init__(self, ground: Ground, forks: ForkServer, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(ground.sandbox(), folder, ground.bytecode)
        self.clio.keep_answers = True
        self.variant: str | None = None
        self.backfills: list[Walked] = []
        self._forks = forks
        self._kill_at: int | str = ""
        self._points = folder / "points"
        self._watermark = ""

    def start(
        self, arguments: Sequence[str], settings: Mapping[str, str | None], *files: Any, **more: Any
    ) -> Any:
        """Start a child by fork; with files of its own, as every other world does."""
        if files or more:
            return super().start(arguments, settings, *files, **more)
        return self._forks.start(arguments, self._environment(settings), self.folder)

    def run(self, *arguments: str, **settings: str | None) -> Ran:
        """Run to the end, and judge all that has happened so far."""
        began = self.firm.clock.now()
        ran = super().run(*arguments, **settings)
        if arguments[0] == "backfill" and "--dry-run" not in arguments and ran.code in DONE:
            first, last = (date.fromisoformat(arguments[n]) for n in (2, 4))
            self.backfills.append(Walked(first, last, began))
        self.judge()
        return ran

    def points(self, *arguments: str) -> list[str]:
        """Run undisturbed; return the points that it passed."""
        ran = self.run(*arguments)
        assert ran.code in DONE, ran.err
        return self._points.read_text().splitlines()

    def kill(self, point: int | str, *arguments: str) -> bool:
        """Run, killed at the point with this number or name; False where it met no such point."""
        self._kill_at = point
        try:
            ran = self.run(*arguments)
        finally:
            self._kill_at = ""
        assert ran.code in (KILLED, *DONE), ran.err
        return ran.code == KILLED

    def rest(self, *arguments: str) -> None:
        """Run until nothing is under way any more; then another run does nothing."""
        for _ in range(MAX_RUNS):
            ran = self.run(*arguments)
            assert ran.code in DONE, ran.err
            if not {row.state for row in self.rows()} & {"pending", "sending"}:
                break
        checker.check_rest(self)
        checker.check_idle(self, lambda: self.run(*arguments))

    def judge(self) -> None:
        checker.check(self, backfills=self.backfills)
        if self.state.exists():
            watermark = books.read(self.state).facts.get("watermark", self._watermark)
            assert watermark >= self._watermark, "the watermark went back"
            self._watermark = watermark

    def _environment(self, settings: Mapping[str, str | None]) -> dict[str, str]:
        environment = super()._environment(settings)
        self._points.unlink(missing_ok=True)
        more = {"POINTS": str(self._points), "KILL_AT": str(self._kill_at)}
        more |= {"VARIANT": self.variant} if self.variant else {}
        return environment | more | {"PYTHONPATH": f"{ALTERED}:{environment['PYTHONPATH']}"}


MakeDrill = Callable[..., AbstractContextManager[Drill]]


@contextmanager
def told(what: str) -> Iterator[None]:
    """Let a failure inside say in which of many trials it was."""
    try:
        yield
    except Exception as error:
        error.add_note(what)
        raise
