"""A world whose runs may be killed at a point, or altered, and are checked one by one."""

import json
import shutil
import signal
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import books
import checker
import exported
import requests
from books import Books
from circumstances import ON_TIME, Circumstances, Hours, Reader, Walked
from databases import Database
from firm_state import FirmState
from forkserver import ForkServer
from ground import Ground
from surroundings import BUSY_SECONDS
from world import ALTERED, PACKAGE, SHIFTED, Closing, Ran, Row, World

from clio_broadly_sync.sandbox import Request

IMPORTED = {
    "externalId": "External ID", "transactionId": "Transaction ID",
    "transactionDate": "Transaction Date", "firstName": "First Name", "lastName": "Last Name",
    "companyName": "Company", "email": "Email", "phone": "Phone",
}  # fmt: skip
"""What an import makes of the columns of a file."""
KILLED = -signal.SIGKILL
DONE = (0, 65)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_RUNS = 3
"""How many runs it may take, once the faults have ended, until nothing is under way."""


class Drill(World):
    """A world that may alter its runs, and in which the checker judges each of them."""

    def __init__(
        self, ground: Ground, forks: ForkServer, folder: Path, profile: str = "batch"
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(ground.sandbox(profile), folder, ground.bytecode)
        self.clio.keep_answers = True
        self.variant: str | None = None
        """The name of the wrong program (`altered/variants.py`) that runs instead of ours."""
        self.limits: dict[str, str] = {}
        """What else the program may not have, as environment (`altered/sitecustomize.py`)."""
        self.ahead = ON_TIME
        """How far the machine's clock is ahead of the firm's."""
        self.circumstances = Circumstances()
        self.removes_files = True
        """Whether a person removes a file as soon as it is imported."""
        self._imported: set[str] = set()
        self._found: dict[str, Request] = {}
        """The first request to Clio that came when a file was there, by the file's name."""
        self._files = 0
        """How many files were named so far."""
        self._forks = forks
        self.kill_at: int | str = ""
        """The number or name of the point at which runs are killed; empty: at none."""
        self._points = folder / "points"
        self._slept = folder / "slept"
        self._watermark = ""
        """The watermark at the last check."""

    is_in_files = True
    """Whether the state lies in files, of which a copy of one can be put beside the others."""

    @property
    def lock(self) -> Path:
        """Return the file by whose lock two runs keep out of each other's way."""
        return self.state.with_name(f"{self.state.name}.lock")

    def unlock(self) -> None:
        """Let two runs no longer keep out of each other's way."""
        self.lock.unlink()

    def copy(self, folder: Path) -> Path:
        """Copy the state with its folder, and return the copy."""
        shutil.copytree(self.state.parent, folder)
        return folder

    def put(self, copy: Path) -> None:
        """Let the state be that of a copy."""
        shutil.rmtree(self.state.parent, ignore_errors=True)
        shutil.copytree(copy, self.state.parent)

    def crowd(self, clients: int, on: Any) -> list[Closing]:
        """Close matters of so many clients on a day, and return those.

        Beside them, those of one who opted out and of their other card, of one without the
        thank-you box, and a second one of the first client.
        """
        closings = [self.closing(on) for _ in range(clients)]
        no = self.closing(on, opt_out=True).contact
        self.closing(on, email=self.firm.contacts.get(no).email)
        self.closing(on, thank_you=False)
        self.matter(closings[0].contact, on)
        return closings

    def meanwhile(self, closings: Sequence[Closing]) -> None:
        """Let what was read before a kill grow old, and be no longer true of the last two."""
        self.later(minutes=20)
        self.firm.set_opt_out(closings[-1].contact)
        self.firm.reopen(closings[-2].matter)

    def write_files(self) -> None:
        """Let clients go into files from now on, each of which a person imports when it is there.

        What a person imports is posted to Broadly, so that the checker sees who is in it, and when
        it was there.
        """
        self.settings |= exported.SETTINGS
        self.clio.received = self._find_files
        if self.state.exists():
            ran = self.run("check", "--accept")
            assert ran.code in DONE, ran.out

    def export(self, command: Sequence[str] = ("sync",)) -> list[str]:
        """Return the arguments of a command that writes a file which there is not yet."""
        self._files += 1
        return [*command, "--csv", str(exported.folder(self) / f"{self._files}.csv")]

    def import_files(self) -> None:
        """Import what came about since the last time, in its order."""
        hooks = self.broadly.before, self.broadly.after
        self.broadly.before = self.broadly.after = None  # they are for what the program does
        files = exported.folder(self).glob("*.csv")
        for file in sorted(files, key=lambda file: file.stat().st_mtime_ns):
            if file.name not in self._imported:
                self._imported.add(file.name)
                self._import(file)
        self.broadly.before, self.broadly.after = hooks

    def _import(self, file: Path) -> None:
        """Import a file as of the moment from which it was there, and let a person remove it."""
        rows, accepted = exported.rows(file.read_bytes()), len(self.broadly.accepted)
        items = [{k: row[name] for k, name in IMPORTED.items() if row[name]} for row in rows]
        answer = requests.post(
            self.sandbox.settings()["BROADLY_URL"],
            json={"source": "import", "customers": items},
            headers={
                "Authorization": f"Bearer {self.broadly.key}",
                "Idempotency-Key": str(uuid.uuid4()),
            },
            timeout=BUSY_SECONDS,
        )
        assert answer.status_code == 200, answer.text
        if found := self._found.get(file.name):
            self._date_back(found, accepted)
        if self.removes_files:
            file.unlink()

    def _find_files(self, request: Request) -> None:
        """Note which files are there before Clio answers this request."""
        for file in exported.folder(self).glob("*.csv"):
            self._found.setdefault(file.name, request)

    def _date_back(self, found: Request, before: int) -> None:
        """Let the last import count from when its file was there: nobody leaves a file again.

        `before` is how many items Broadly had accepted before the import.
        """
        posts, accepted = self.broadly.history, self.broadly.accepted
        request = replace(posts[-1].request, at=found.at, number=found.number)
        posts[-1] = replace(posts[-1], request=request)
        accepted[before:] = [replace(one, at=found.at) for one in accepted[before:]]

    def start(
        self, arguments: Sequence[str], settings: Mapping[str, str | None], *files: Any, **more: Any
    ) -> Any:
        """Start a child by fork, or, if it gets files of its own, as every other world does."""
        if files or more:
            return super().start(arguments, settings, *files, **more)
        return self._forks.start(arguments, self._environment(settings), self.folder)

    def run(self, *arguments: str, **settings: str | None) -> Ran:
        """Run the program to its end, and check all that has happened so far."""
        began = self.firm.clock.now().replace(microsecond=0)
        ran = self.beside(*arguments, **settings)
        if arguments[0] == "backfill" and "--dry-run" not in arguments and ran.code in DONE:
            first, last = (date.fromisoformat(arguments[n]) for n in (2, 4))
            self.circumstances.backfills.append(Walked(first, last, began))
        self.judge()
        return ran

    def beside(self, *arguments: str, **settings: str | None) -> Ran:
        """Run the program to its end, perhaps beside another run, and judge only how it ended."""
        begun = mark()
        ran = super().run(*arguments, **settings)
        if "--csv" in arguments:
            self.import_files()
        done, dry = ran.code in DONE, "--dry-run" in arguments
        self.circumstances.readers.append(Reader(begun, mark(), done, dry))
        return ran

    def sleep(self, time: timedelta, *, clock_is_set: bool) -> None:
        """Suspend the machine for this time, while a run is at work on it.

        `clock_is_set` says whether its wall clock is right as soon as it wakes. If not, it is
        behind by as much for the rest of this run.
        """
        self.later(seconds=time.total_seconds())
        self._slept.write_text(f"{time.total_seconds()}{' set' * clock_is_set}")
        if not clock_is_set:
            behind = self.ahead - time
            self.circumstances.note_clocks(clio=self.clio.skew, machine=behind)

    def points(self, *arguments: str) -> list[str]:
        """Run the program undisturbed, and return the names of the points that it passed."""
        ran = self.run(*arguments)
        assert ran.code in DONE, ran.err
        return self.passed()

    def passed(self) -> list[str]:
        """Return the names of the points that the last run passed."""
        return self._points.read_text().splitlines()

    def kill(self, point: int | str, *arguments: str) -> bool:
        """Run the program and kill it at the point with this number or name.

        Return whether it was killed; it was not where it met no such point.
        """
        self.kill_at = point
        try:
            ran = self.run(*arguments)
        finally:
            self.kill_at = ""
        assert ran.code in (KILLED, *DONE), ran.err
        return ran.code == KILLED

    def lasting(self) -> int:
        """Return how many bytes of the state's log the last run has made sure to outlive a cut."""
        told = Path(f"{self._points}.lasting")
        return int(told.read_text()) if told.exists() else 0

    def set_hours(self, days: str, hours: str) -> None:
        """Set the sending hours, by days such as mon-fri and hours such as 22-6, for all runs."""
        self.settings |= {"SYNC_SEND_DAYS": days, "SYNC_SEND_HOURS": hours}
        first, last = (DAYS.index(day) for day in days.split("-"))
        begin, end = map(int, hours.split("-"))
        length = end - begin if end > begin else end + 24 - begin
        begins = frozenset(range(first, last + 1))
        posts = len(self.broadly.posts)
        self.circumstances.hours.append(Hours(posts, begins, begin, length))

    def put_back(self, copy: Path, told: Circumstances, accepted: int) -> None:
        """Put an old copy of the state back, made when Broadly had accepted so many items.

        `told` are the circumstances at that time.
        """
        self.put(copy)
        self.note_put_back(told, accepted)

    def note_put_back(self, told: Circumstances, accepted: int) -> None:
        """Note that the state is again what it was when Broadly had accepted so many items."""
        names = [one.transaction_id for one in self.broadly.accepted]
        self.circumstances.note_put_back(told, accepted, names)
        self.circumstances.posts_forgotten = len(self.broadly.posts)
        self._watermark = ""

    def put_half_back(self, copy: Path) -> Books | None:
        """Put only the state's file of a copy back; what a killed run left beside it stays.

        Return what the two are together, if that is a state that there was: as it was just now, or
        as it was copied. Where it is a mixture, return None.
        """
        there_were = [books.read(self.state), books.read(copy / self.state.name)]
        shutil.copy(copy / self.state.name, self.state)
        both = books.read_if_sound(self.state)
        return both if both in there_were else None

    def run_on_half(self, half: Books | None) -> Ran:
        """Sync where half a copy was put back; it may only go on with a state that there was.

        `half` is what `put_half_back` returned.
        """
        before, posts = self._state_files(), len(self.broadly.posts)
        ran = self.beside("sync")
        wrote = self._state_files() != before or len(self.broadly.posts) != posts
        checker.check_half_a_restore(ran.code, wrote=wrote, is_mixture=half is None)
        return ran

    def rest(self, *arguments: str) -> None:
        """Run the program until nothing is under way; then check that another run does nothing."""
        for _ in range(MAX_RUNS):
            ran = self.run(*arguments)
            assert ran.code in DONE, ran.err
            if not {row.state for row in self.rows()} & {"pending", "sending"}:
                break
        checker.check_rest(self)
        checker.check_idle(self, lambda: self.run(*arguments))

    def _state_files(self) -> dict[str, str]:
        """Return a digest of the state's file and of the changes beside it."""
        names = self.state.name, f"{self.state.name}-wal"
        return {name: digest for name, digest in self.files().items() if name in names}

    def judge(self) -> None:
        """Check all that has happened so far, and that the watermark has not gone back."""
        checker.check(self, self.circumstances)
        if self.state.exists():
            watermark = books.read(self.state).facts.get("watermark", self._watermark)
            assert watermark >= self._watermark, "the watermark went back"
            self._watermark = watermark

    def _environment(self, settings: Mapping[str, str | None]) -> dict[str, str]:
        environment = super()._environment(settings)
        for file in (self._points, Path(f"{self._points}.lasting"), self._slept):
            file.unlink(missing_ok=True)
        more = {"POINTS": str(self._points), "KILL_AT": str(self.kill_at)}
        more |= {"SLEPT": str(self._slept)}
        more |= {"VARIANT": self.variant} if self.variant else {}
        ahead = self.firm.clock.now() + self.ahead - datetime.now(UTC)
        more |= {"CLOCK_AHEAD": str(ahead.total_seconds())}
        more |= {"PYTHONPATH": f"{ALTERED}:{SHIFTED}:{PACKAGE}"}
        return environment | more | self.limits


class FirmDrill(Drill):
    """The same of a firm in PostgreSQL."""

    is_in_files = False

    def __init__(
        self,
        ground: Ground,
        forks: ForkServer,
        folder: Path,
        profile: str = "batch",
        *,
        database: Database,
    ) -> None:
        super().__init__(ground, forks, folder, profile)
        self.state.parent.mkdir(mode=0o700)
        self.settings["FIRM_ADDRESS"] = database.emptied()
        self.state: Any = FirmState(self.state.parent, database)

    def unlock(self) -> None:
        """As behind a pooler that hands one session to several runs."""
        self.limits["NO_LOCK"] = "yes"

    def cut(self) -> None:
        """End the sessions of every run that is at work."""
        self.state.database.cut()

    def copy(self, folder: Path) -> Path:
        super().copy(folder)
        self.state.save(folder)
        return folder

    def put(self, copy: Path) -> None:
        super().put(copy)
        self.state.put(copy)

    def beside(self, *arguments: str, **settings: str | None) -> Ran:
        sessions = len(self.state.database.sessions)
        ran = super().beside(*arguments, **settings)
        self.state.database.wait(sessions)
        return ran

    def rows(self) -> list[Row]:
        found = books.read(self.state).rows
        return [Row(one.matter, one.closed_on, one.state, one.reason) for one in found]

    def files(self) -> dict[str, str]:
        """Return a digest of every file in the state's folder, and the rows as one of them."""
        return super().files() | {"rows": json.dumps(self.state.database.rows())}


def mark() -> int:
    """Return a number between those of the requests so far and those of the requests to come."""
    return Request(datetime.now(UTC), "", "", "", {}, b"").number


MakeDrill = Callable[..., AbstractContextManager[Drill]]


@contextmanager
def told(what: str) -> Iterator[None]:
    """Add to a failure in this context in which of many trials it happened."""
    try:
        yield
    except Exception as error:
        error.add_note(what)
        raise
