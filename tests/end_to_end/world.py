"""The program as a child process beside a sandbox, and the checks of what each run leaves."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import leaks
import planting
from forkserver import ForkServer
from rig import Sandbox, faults

import clio_broadly_sync
from clio_broadly_sync.sandbox import Box, Request

Child: TypeAlias = "subprocess.Popen[str]"
OUTCOMES = {
    0: "ok", 65: "attention", 69: "unavailable", 74: "storage", 75: "busy", 77: "denied",
    78: "config", 130: "interrupted", 143: "interrupted",
}  # fmt: skip
"""The outcome that each exit code has in `--json`."""
KEYS = {
    "run_id", "command", "dry_run", "outcome", "watermark", "matters_read", "to_send", "skipped",
    "objections", "delivery", "requests", "seconds",
}  # fmt: skip
"""The keys of a run's `--json`; `decisions` may be there as well."""
NOBODY = {"sent": 0, "duplicate": 0, "suppressed": 0, "rejected": 0, "held": 0, "waiting": 0}
"""The `delivery` of a run that sent nobody."""
SHIFTED = Path(__file__).parent / "shifted_clock"
"""A folder which, on the PYTHONPATH of a child, lets its clock run ahead."""
PACKAGE = Path(clio_broadly_sync.__file__).parents[1]
ALTERED = Path(__file__).parents[1] / "faults" / "altered"
"""A folder which, on the PYTHONPATH of a child, changes the program for a test."""
NO_WAITS = {"NO_WAITS": "yes"}
"""For runs in which somebody stays away: what is tried again is tried at once. A run's time that is
short would do as well, but might be over on a busy machine before the first try. By fork only."""
HURRY = {"SYNC_RUN_MINUTES": "0.01"}
"""For runs that end in the same way however soon their time is over."""


class Closing(NamedTuple):
    """A matter that was closed for a client of its own."""

    matter: int
    """The matter's id."""
    contact: int
    """The client's id."""


class Row(NamedTuple):
    """What the ledger says of one closing."""

    matter: int
    """The matter's id."""
    closed_on: str
    """The close date, such as 2026-11-20; empty where there is none."""
    state: str
    reason: str | None


@dataclass(frozen=True)
class Ran:
    """What came of a run of the program."""

    code: int
    """The exit code; a signal that killed the run is its negative number."""
    out: str
    """What was printed on stdout, or on the terminal where there was one."""
    err: str
    """What was printed on stderr, if it was not a terminal."""

    @property
    def json(self) -> dict[str, Any]:
        """Return the object that `--json` printed."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def delivery(self) -> dict[str, int]:
        """Return the counts of `delivery` that are not zero."""
        return {name: count for name, count in self.json["delivery"].items() if count}

    @property
    def decisions(self) -> dict[int, tuple[str, str | None]]:
        """Return the decision and its reason for each matter, by its id."""
        entries = self.json["decisions"]
        found = {e["matter_id"]: (e["decision"], e["reason"]) for e in entries}
        assert len(found) == len(entries), "a matter has more than one entry"
        return found

    @property
    def order(self) -> list[int]:
        """Return the ids of the matters that were to be sent, in the order of sending."""
        return [e["matter_id"] for e in self.json["decisions"] if e["decision"] == "send"]


_LOSE = (
    "DELETE FROM changes WHERE closing IN (SELECT number FROM closings WHERE matter_id = ?)",
    "DELETE FROM people WHERE closing IN (SELECT number FROM closings WHERE matter_id = ?)",
    "DELETE FROM closings WHERE matter_id = ?",
)


class World:
    """A sandbox, a folder for everything the program may write, and the program itself.

    `folder` holds the state and what the program may write, and `bytecode` the compiled modules.
    `forks` starts the runs that only run to their end; without it, and where a test deals with a
    run meanwhile, a fresh interpreter is started.
    """

    def __init__(
        self, sandbox: Sandbox, folder: Path, bytecode: Path, forks: ForkServer | None = None
    ) -> None:
        self.sandbox = sandbox
        self.firm, self.clio, self.broadly = sandbox.firm, sandbox.clio, sandbox.broadly
        self.folder = folder
        self.state = folder / "state" / "state.db"
        self.private = True
        """Whether to check after each run that only the owner may read the state."""
        self.stands_still = False
        """Whether the program's clock stands still, as the firm's does once it is frozen."""
        self.settings = sandbox.settings(SYNC_STATE=str(self.state))
        """The settings of all runs, as environment."""
        self._bytecode = bytecode
        self._forks = forks
        self._keys = {self.clio.token, self.broadly.key}
        """The secrets that are searched for, beside those of the sandbox."""
        for name in ("home", "tmp"):
            (folder / name).mkdir()

    # The firm

    def later(self, **time: float) -> None:
        """Let time pass for the firm, and with it for the program."""
        self.firm.clock.advance(timedelta(**time))
        self.clio.oauth.issue(self.clio.token)  # it would expire after a month

    def catch_up(self) -> None:
        """Let the firm's clock be no longer behind this machine's: it moves, and the program's too.

        Until noon in the firm's zone, its day is otherwise the program's yesterday.
        """
        behind = datetime.now(UTC) - self.firm.clock.now()
        self.later(seconds=max(0.0, behind.total_seconds()) + 60)

    def closing(
        self, on: Any = "today", *, thank_you: Any = True, opt_out: Any = Box.UNTOUCHED, **who: Any
    ) -> Closing:
        """Add a client and close a matter of theirs; `who` is as in `Firm.add_contact`."""
        contact = self.firm.add_contact(opt_out=opt_out, **who)
        return Closing(self.matter(contact, on, thank_you=thank_you), contact)

    def matter(self, contact: int | None, on: Any = "today", *, thank_you: Any = True) -> int:
        """Close a new matter of this client, and return its id."""
        matter = self.firm.add_matter(contact, thank_you=thank_you)
        self.firm.close(matter, on)
        return matter

    def closings(self, number: int, **how: Any) -> list[int]:
        """Close so many matters, each of a new client, and return their ids."""
        return [self.closing(**how).matter for _ in range(number)]

    def day(self, days_ago: int = 0) -> date:
        """Return the date in the firm's zone so many days ago."""
        return self.firm.today() - timedelta(days=days_ago)

    # The program

    def dedupes(self, dedupes: bool = True) -> None:
        """Let Broadly recognize what it has accepted, or not, and set BROADLY_DEDUPES to match."""
        self.broadly.dedupes = dedupes
        self.settings["BROADLY_DEDUPES"] = "true" if dedupes else "false"

    def busy(self) -> None:
        """Let Broadly refuse the next POST for longer than any run lasts."""
        self.broadly.faults.add(faults.answer(503, headers={"Retry-After": "7200"}))

    def sync(self, *options: str, **settings: str | None) -> Ran:
        return self.run("sync", *options, **settings)

    def backfill(self, first: date, last: date, *options: str, **settings: str | None) -> Ran:
        return self.run("backfill", "--from", str(first), "--to", str(last), *options, **settings)

    def check(self, *options: str, **settings: str | None) -> Ran:
        return self.run("check", *options, **settings)

    def run(self, *arguments: str, **settings: str | None) -> Ran:
        """Run the program to its end, and check what it leaves; a setting of None is taken away."""
        return self.finish(self._forked(arguments, settings))

    def _forked(self, arguments: Sequence[str], settings: Mapping[str, str | None]) -> Any:
        """Start a child by fork, or by `start` where there is no server that forks."""
        if self._forks is None:
            return self.start(arguments, settings)
        environment = self._environment(settings)
        self._keys |= leaks.keys_in(environment)
        return self._forks.start(arguments, environment, self.folder)

    def start(
        self,
        arguments: Sequence[str],
        settings: Mapping[str, str | None],
        terminal: int | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> Child:
        """Start a child, on a terminal if its descriptor is given; call `finish` afterwards."""
        files = stdin, subprocess.PIPE, subprocess.PIPE
        if terminal is not None:
            files = terminal, terminal, terminal
        environment = self._environment(settings)
        self._keys |= leaks.keys_in(environment)
        return subprocess.Popen(
            [sys.executable, "-m", "clio_broadly_sync", *arguments],
            env=environment,
            cwd=self.folder,
            stdin=files[0],
            stdout=files[1],
            stderr=files[2],
            text=True,
        )

    def finish(self, child: Child, *, typed: str | None = None, printed: str | None = None) -> Ran:
        """Wait for a child's end, and check what must hold after every run.

        `typed` is what the child reads, and `printed` what it has printed on a terminal.
        """
        with child:
            try:
                out, err = child.communicate(typed, timeout=60)
            except subprocess.TimeoutExpired:
                child.kill()
                raise
        ran = Ran(child.returncode, printed or out or "", err or "")
        self._check_leaks(ran, named=printed is not None and _may_name(child.args))
        self._check_modes()
        self._check_output(ran, child.args)
        return ran

    # What came of it

    @property
    def asked(self) -> list[int]:
        """Return the ids of the matters whose clients Broadly accepted, in order."""
        return [matter_of(accepted.item) for accepted in self.broadly.accepted]

    @property
    def posts(self) -> list[list[int]]:
        """Return the ids of the matters in each POST."""
        return [[matter_of(i) for i in customers(post.body)] for post in self.broadly.posts]

    @property
    def paths(self) -> list[str]:
        """Return the paths that Clio was asked for, without `/api/v4/` and `.json`."""
        return [e.path.removeprefix("/api/v4/").removesuffix(".json") for e in self.clio.history]

    def forget(self) -> None:
        """Let the histories of both servers begin anew."""
        self.clio.history.clear()
        self.broadly.history.clear()

    def ledger(self) -> dict[int, Row]:
        """Return `rows` by matter id; fail where a matter has several closings."""
        rows = self.rows()
        found = {row.matter: row for row in rows}
        assert len(found) == len(rows), "a matter has several closings"
        return found

    def rows(self) -> list[Row]:
        """Return the ledger's rows (none without a state), from a copy to leave the state alone."""
        if not self.state.exists():
            return []
        with tempfile.TemporaryDirectory() as copy:
            for file in self.state.parent.glob("state.db*"):
                shutil.copy(file, copy)
            database = sqlite3.connect(Path(copy) / "state.db")
            found = database.execute("SELECT matter_id, closed_on, state, reason FROM closings")
            rows = [Row(*row) for row in found]
            database.close()
        return sorted(rows, key=lambda row: row[:2])

    def files(self) -> dict[str, str]:
        """Return a digest of every file in the state's folder, by name; none without a folder."""
        return {f.name: sha256(f.read_bytes()).hexdigest() for f in _files(self.state.parent)}

    def lose(self, *matters: int) -> None:
        """Take all closings of these matters out of the ledger, as if half a copy were put back."""
        with planting.opened(self.state) as database:
            for matter in matters:
                for statement in _LOSE:
                    database.execute(statement, (matter,))

    # What must always hold

    def check_end(self) -> None:
        """Check the whole history by the promises that hold in every test."""
        accepted = [a.transaction_id for a in self.broadly.accepted]
        assert len(accepted) == len(set(accepted)), "a client was asked twice for one closing"
        of_clio = {self.clio.token, self.clio.oauth.client_secret} | self.clio.oauth.tokens
        for exchange in self.broadly.history:
            assert not any(word in str(exchange.request) for word in of_clio), "Broadly got it"
        for exchange in self.clio.history:
            assert self.broadly.key not in str(exchange.request), "Clio got Broadly's key"
            of_the_api = exchange.path.startswith("/api/")
            assert not of_the_api or exchange.headers["authorization"].startswith("Bearer ")
            assert not any(word in exchange.request.target for word in of_clio), "in an address"

    def secret(self, *words: str) -> None:
        """Search for these words, too, in all that is written and printed."""
        self._keys.update(words)

    def leaked(self, file: Path) -> list[str]:
        """Return a sentence for everything personal or secret that this file must not hold."""
        return leaks.found({str(file): file.read_bytes()}, leaks.of(self.sandbox, self._keys))

    def _environment(self, settings: Mapping[str, str | None]) -> dict[str, str]:
        given = {**self.settings, **settings}
        environment = {
            "PATH": os.defpath,
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(PACKAGE),
            "PYTHONWARNINGS": "error",
            "PYTHONPYCACHEPREFIX": str(self._bytecode),
            **{name: value for name, value in given.items() if value is not None},
        }
        now = self.firm.clock.now()
        ahead = (now - datetime.now(UTC)).total_seconds()
        if ahead > 0 or given.keys() & {"SLEPT", "PEAK"}:
            environment["CLOCK_AHEAD"] = str(max(ahead, 0))
            environment["PYTHONPATH"] = f"{SHIFTED}:{PACKAGE}"
        if ahead > 0 and self.stands_still:
            environment["CLOCK_AT"] = now.isoformat()
        if "NO_WAITS" in given:
            environment["PYTHONPATH"] = f"{ALTERED}:{environment['PYTHONPATH']}"
        return environment

    def _check_leaks(self, ran: Ran, *, named: bool) -> None:
        """Check what was printed and every file: in the state, in the home, temporary ones.

        `named` says that it was printed on a terminal by what may name a client there.
        """
        places = {str(file): file.read_bytes() for file in _files(self.folder)}
        places[leaks.ON_A_TERMINAL if named else "stdout"] = ran.out.encode()
        places["stderr"] = ran.err.encode()
        leaked = leaks.found(places, leaks.of(self.sandbox, self._keys))
        assert not leaked, "; ".join(leaked)
        assert not any((self.folder / "tmp").iterdir()), "a temporary file was left"

    def _check_modes(self) -> None:
        folder = self.state.parent
        if not self.private or not folder.exists():
            return
        assert _mode(folder) == 0o700
        loose = {str(file): oct(_mode(file)) for file in _files(folder) if _mode(file) != 0o600}
        assert not loose

    def _check_output(self, ran: Ran, arguments: Any) -> None:
        assert ran.code != 1, f"a bug:\n{ran.err}"
        assert "Traceback" not in ran.err
        if "--json" not in arguments or ran.code == -signal.SIGKILL:
            return
        if ran.code == 2:
            assert ran.out == ""
            return
        decoder = json.JSONDecoder(object_pairs_hook=_unique)
        said, end = decoder.raw_decode(ran.out)
        assert ran.out[end:] in ("\n", "\r\n"), "more than one object"
        if said.get("command") in ("sync", "backfill"):
            more = {"files"} if "--csv" in arguments else set()
            more |= {"matter_id", "says"} if "--matter" in arguments else set()
            assert said.keys() - {"decisions"} == KEYS | more
        assert said["outcome"] == OUTCOMES[ran.code]


def _may_name(arguments: Any) -> bool:
    """Tell whether a call may show names on a terminal: by `explain`, a question, or `--names`."""
    words = set(map(str, arguments))
    return "--json" not in words and bool(words & {"explain", "sync", "backfill", "--names"})


def matter_of(item: Any) -> int:
    """Return the id of the matter that the transactionId of an item names."""
    return int(item["transactionId"].split(":")[2])


def customers(body: bytes) -> list[dict[str, Any]]:
    """Return the items in the body of a POST to Broadly."""
    found: dict[str, Any] = json.loads(body)
    items: list[dict[str, Any]] = found.get("customers", [found])  # a webhook gets one, bare
    return items


def on_post(act: Callable[[], object], *, number: int = 1) -> Callable[..., None]:
    """Return a hook for Broadly that acts once, at the POST with this number (the first is 1)."""
    seen: list[Request] = []

    def hook(request: Request, *response: Any) -> None:
        seen.append(request)
        if len(seen) == number:
            act()

    return hook


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs), "a key occurs twice"
    return dict(pairs)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


MakeWorld: TypeAlias = Callable[[Path], World]
"""What makes a world in a folder."""
