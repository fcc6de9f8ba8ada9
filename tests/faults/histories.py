"""Random histories: hypothesis chooses what runs in a firm's weeks, and what fails.

The checker judges after each run. In the end nothing fails any more, and then the program must come
to a state in which nothing is under way.
"""

import shutil
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import books
import checker
from checker import STORAGE
from circumstances import ON_TIME, Circumstances, Dropped
from drill import DONE, KILLED, MakeDrill
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test
from mishaps import MISHAPS, OF_A_FIRM, a_matter, armed
from weeks import Weeks, numbers

AT_REST = 8
"""How many rounds, each of 30 hours, it may take until nothing is under way."""
LOOKS = 3
"""How many rounds, each of 30 hours, it may take until a daily look has come to its end: a pause
after a lost answer may keep back the first, and a look that a clock noted wrongly the second."""
OUTBOX = ("held", "dead", "pending")

points = st.integers(1, 60)
sides = {side: [name for name in MISHAPS if name.startswith(side)] for side in ("Clio", "Broadly")}
others = [name for name in MISHAPS if name not in (*sides["Clio"], *sides["Broadly"])]
work = st.integers(0, 4)
commands = st.sampled_from(["sync", "sync", "backfill", "sync --matter"])


def play(
    make_drill: MakeDrill,
    number: int,
    *,
    histories: int,
    steps: int,
    of_a_firm: bool = False,
    shorten: bool = False,
) -> list[int]:
    """Play histories, and return how many clients Broadly accepted in each.

    The same `number` always gives the same histories. `shorten` looks for the shortest history that
    fails.
    """
    finished: list[int] = []
    history = FirmHistory if of_a_firm else History
    kind = type("History", (history,), {"make": staticmethod(make_drill), "finished": finished})
    limits = settings(
        max_examples=histories,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=[Phase.generate] + [Phase.shrink] * shorten,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(number)(kind), settings=limits)
    return finished


class Copy(NamedTuple):
    """A copy of the state's folder."""

    folder: Path
    told: Circumstances
    """What people had done when it was made."""
    accepted: int
    """How many items Broadly had accepted when it was made."""

    @property
    def is_whole(self) -> bool:
        """Tell whether the state's file alone is the whole state; no killed run left changes."""
        return not any(self.folder.glob("*-wal"))


class History(Weeks):
    """What runs in these weeks, what fails, and what a person does about it."""

    def __init__(self) -> None:
        super().__init__()
        self._copy: Copy | None = None

    # What runs, and what fails

    @rule(work=work, options=st.sampled_from([[], [], ["--yes"], ["--limit", "1"]]))
    def sync(self, work: int, options: Sequence[str]) -> None:
        self.run(*self._with_work("sync", work), *options)

    @rule(command=commands, work=work, name=st.sampled_from(sides["Clio"]), number=numbers)
    def run_while(self, command: str, work: int, name: str, number: int) -> None:
        """Run a command while something is wrong with Clio."""
        self._run_in_trouble(name, number, *self._with_work(command, work))

    @rule(command=commands, work=work, name=st.sampled_from(sides["Broadly"]), number=numbers)
    def send_while(self, command: str, work: int, name: str, number: int) -> None:
        """Run a command while something is wrong with Broadly, which a file has nothing of."""
        if self.into_files:
            return
        self._run_in_trouble(name, number, *self._with_work(command, work))

    @rule(command=commands, work=work, name=st.sampled_from(others), number=numbers)
    def run_and_meanwhile(self, command: str, work: int, name: str, number: int) -> None:
        """Run a command, and let the firm or another command do something meanwhile."""
        self._run_in_trouble(name, number, *self._with_work(command, work))

    @rule(command=commands, work=work, point=points)
    def run_killed(self, command: str, work: int, point: int) -> None:
        arguments = self._with_work(command, work)
        self.drill.kill_at = point
        self.run(*arguments, codes=(KILLED,))
        self.drill.kill_at = ""

    @rule(command=commands, work=work, room=st.integers(0, 20))
    def run_on_a_full_disk(self, command: str, work: int, room: int) -> None:
        """Run a command with 24 KiB for each file, and 8 KiB more for each unit of `room`."""
        arguments = self._with_work(command, work)
        self.drill.limits["FILE_BYTES"] = str(24_576 + room * 8192)
        self.run(*arguments, codes=(STORAGE,))
        del self.drill.limits["FILE_BYTES"]

    @rule(first=st.sampled_from([500, 25]), last=st.sampled_from([2, 0, -9]))
    def backfill(self, first: int, last: int) -> None:
        self.run(*self._backfill(first, last))

    @rule(number=numbers)
    def sync_matter(self, number: int) -> None:
        """Send one of the matters by itself, whatever has become of it."""
        self.run(*self._alone(number))

    @rule()
    def try_dry(self) -> None:
        """Make a dry run, and check that nothing is written and nobody is sent."""
        files, posts = self.drill.files(), len(self.drill.broadly.posts)
        self.run("sync", "--dry-run")
        assert self.drill.files() == files, "a dry run has written"
        assert len(self.drill.broadly.posts) == posts, "a dry run has sent"

    # What a person does about it

    @rule(number=numbers)
    def resend(self, number: int) -> None:
        self._put_right("resend", number, "held", "dead")

    @rule(number=numbers)
    def drop(self, number: int) -> None:
        self._put_right("drop", number, *OUTBOX)

    @rule()
    def copy(self) -> None:
        folder = self.drill.folder / "copy"
        shutil.rmtree(folder, ignore_errors=True)
        self.drill.copy(folder)
        told = deepcopy(self.drill.circumstances)
        self._copy = Copy(folder, told, len(self.drill.broadly.accepted))

    @precondition(lambda self: self._copy and not self._broken)
    @rule()
    def put_copy_back(self) -> None:
        """Put the copy back, and do what the README says then.

        That is to notice what was closed, and to drop what Broadly has received.
        """
        assert self._copy
        self.drill.put_back(*self._copy)
        self.set_clocks((ON_TIME, ON_TIME))
        posts = len(self.drill.broadly.posts)
        self.run("sync", "--limit", "0")
        assert len(self.drill.broadly.posts) == posts, "a run with --limit 0 has sent"
        if not self.drill.broadly.dedupes:
            self._drop_what_broadly_has()

    @precondition(lambda self: self._copy and self._copy.is_whole and not self._broken)
    @precondition(lambda self: self.drill.is_in_files)
    @rule(command=commands, work=work, point=points)
    def put_half_back(self, command: str, work: int, point: int) -> None:
        """Put the state's file of the copy beside what a killed run left, and then all of the copy.

        Where that is the state as it was copied, a run goes on with it as with any old copy.
        """
        assert self._copy
        self.set_clocks((ON_TIME, ON_TIME))
        self.run_killed(command, work, point)
        as_it_was = books.read(self.drill.state)
        half = self.drill.put_half_back(self._copy.folder)
        if half and half != as_it_was:
            self.drill.note_put_back(self._copy.told, self._copy.accepted)
        self.drill.run_on_half(half)
        self.put_copy_back()

    # The end

    def end(self) -> None:
        """Check that nothing is under way once nothing fails any more and every wait is over.

        After that another run does nothing, and `verify` finds nothing.
        """
        self.mend()
        for _ in range(LOOKS):
            self.drill.later(hours=30)
            self.run("sync", "--yes")
        checker.check_who_was_put_right(self.drill)
        for _ in range(AT_REST):
            self.drill.later(hours=30)
            self.run(*self._backfill(500, -40))
            self.run("sync", "--yes")
            if not {row.state for row in self.drill.rows()} & {"pending", "sending"}:
                break
        checker.check_rest(self.drill)
        checker.check_idle(self.drill, lambda: self.drill.run("sync"))
        verified = self.drill.run("verify")
        assert verified.code == 0, f"verify ended with {verified.code}: {verified.out}"

    # How it is done

    def _with_work(self, command: str, work: int) -> list[str]:
        """Close matters of so many new clients for this command to read; return its arguments."""
        for _ in range(work):
            self.drill.closing(self._day(0 if command == "sync" else 40))
        self.drill.later(seconds=10)
        if command == "sync --matter":
            return self._alone(0)
        return ["sync"] if command == "sync" else self._backfill(500, 0)

    def _alone(self, number: int) -> list[str]:
        """Return the arguments of a run for one of the matters, of which 0 is the newest."""
        return ["sync", "--matter", str(a_matter(self.drill, number)), "--yes"]

    def _backfill(self, first: int, last: int) -> list[str]:
        days = str(self.drill.day(first)), str(self.drill.day(last))
        return ["backfill", "--from", days[0], "--to", days[1], "--yes"]

    def _run_in_trouble(self, name: str, number: int, *arguments: str) -> None:
        with armed(self.drill, name, number) as mishap:
            self.run(*arguments, codes=mishap.codes)

    def _put_right(self, what: str, number: int, *states: str) -> None:
        """Let a person choose one matter of the outbox in these states, and do this with it."""
        if found := [row.matter for row in self.drill.rows() if row.state in states]:
            self._change_outbox(what, found[number % len(found)])

    def _drop_what_broadly_has(self) -> None:
        received = {one.transaction_id for one in self.drill.broadly.accepted}
        rows = books.read(self.drill.state).rows
        waiting = {r.matter for r in rows if r.state in OUTBOX and r.transaction_id in received}
        for matter in sorted(waiting):
            self._change_outbox("drop", matter)

    def _change_outbox(self, what: str, matter: int) -> None:
        drill = self.drill
        accepted = [one.transaction_id for one in drill.broadly.accepted]
        ran = drill.run("outbox", what, str(matter), "--yes", "--json")
        assert ran.code in DONE, ran.err
        for closing in ran.json["closings"]:
            name = f"clio:matter:{closing['matter_id']}:{closing['closed_on']}"
            if what == "resend":
                times, posts = accepted.count(name), len(drill.broadly.posts)
                drill.circumstances.note_resent(name, accepted=times, posts=posts)
            else:
                dropped = Dropped(name, len(accepted), drill.firm.clock.now())
                drill.circumstances.dropped.append(dropped)


class FirmHistory(History):
    """The same of a firm in PostgreSQL, from which a run may be cut off."""

    @rule(command=commands, work=work, name=st.sampled_from(sorted(OF_A_FIRM)), number=numbers)
    def run_cut_off(self, command: str, work: int, name: str, number: int) -> None:
        self._run_in_trouble(name, number, *self._with_work(command, work))
