"""Random weeks of a firm: what people do in Clio, and how time passes."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import date, timedelta
from typing import Any, ClassVar

import books
from circumstances import ON_TIME
from drill import DONE, Drill, MakeDrill
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from mishaps import CHANNELS, CONFIG, UNAVAILABLE, a_client, a_matter

from clio_broadly_sync.sandbox import Box
from clio_broadly_sync.sandbox.firm import OPT_OUT, TEXTS, THANK_YOU

APART = timedelta(hours=47)
"""Clocks may differ by so much at most; beyond 48 hours, no run begins."""
DAY = 26 * 60
CLOCKS = [(0, 0), (0, 0), (0, 0), (5, 0), (-5, 0), (0, 5), (0, -5), (5, 5), (0, DAY), (0, -DAY),
          (DAY, 0), (-DAY, 0), (5, DAY), (DAY, -DAY)]  # fmt: skip
"""By how many minutes Clio's clock and the machine's clock are ahead.

They are never both ahead by more than the overlap: then the watermark would be, too, and no program
could notice it.
"""
RENAMED = {"BroadlyOptOut": "Opt-out from Broadly", "SendBroadlyThankYou": "Thank you!"}
"""How the two custom fields are called when somebody has renamed them."""
UNREADABLE = "maybe"
"""The value of a box that is neither checked nor unchecked."""

AT_ANY_HOUR = ("mon-sun", "0-24")
HOURS = [AT_ANY_HOUR, AT_ANY_HOUR, ("mon-sun", "22-6"), ("mon-fri", "7-19")]
"""The sending hours, as SYNC_SEND_DAYS and SYNC_SEND_HOURS have them."""
NOES = [Box.UNTOUCHED, True]
"""How the box of a second card may be, which has the address of another one."""

numbers = st.integers(0, 7)
days_ago = st.sampled_from([0, 0, 0, 1, 3, 20, 40, 400, -5, None])
boxes = st.sampled_from([True, True, True, True, False, Box.UNTOUCHED, UNREADABLE])
times = st.sampled_from(
    [timedelta(minutes=m) for m in (10, 20, 120)] + [timedelta(hours=h) for h in (21, 30, 96, 750)]
)
clocks = st.sampled_from(
    [(timedelta(minutes=clio), timedelta(minutes=machine)) for clio, machine in CLOCKS]
)


class Weeks(RuleBasedStateMachine):
    """What people do in Clio, and how time passes; a subclass adds what runs and what fails."""

    make: ClassVar[MakeDrill]
    """Opens the world; whoever runs the histories sets it."""
    finished: ClassVar[list[int]]
    """How many clients Broadly accepted in each history that came to its end."""

    def __init__(self) -> None:
        super().__init__()
        self._opened = ExitStack()
        self._begun: Drill | None = None
        self.into_files = False
        """Whether clients go into files, which are imported after each run."""
        self._runs = 0
        """How many runs there were that might write a file."""
        self._broken: set[str] = set()
        """The names of the custom fields that are renamed now."""

    @property
    def drill(self) -> Drill:
        assert self._begun
        return self._begun

    @initialize(
        dedupes=st.booleans(),
        settle=st.sampled_from(["0", "0", "24"]),
        most=st.sampled_from(["50", "50", "3"]),
        reask=st.sampled_from(["180", "2", "0"]),
        page=st.sampled_from([2, 200]),
        batch=st.sampled_from(["1", "2", "50"]),
        profile=st.sampled_from(["batch", "batch", "webhook", "csv"]),
        untouched=st.sampled_from(["skip", "skip", "send"]),
        texts=st.sampled_from(["", TEXTS]),
        hours=st.sampled_from(HOURS),
    )
    def begin(
        self,
        dedupes: bool,
        settle: str,
        most: str,
        reask: str,
        page: int,
        batch: str,
        profile: str,
        untouched: str,
        texts: str,
        hours: tuple[str, str],
    ) -> None:
        """Open a world with these settings, and let its first sync run."""
        self.into_files = profile == "csv"
        dedupes = dedupes and profile == "batch"
        world = type(self).make(dedupes=dedupes, profile=profile)
        self._begun = self._opened.enter_context(world)
        if self.into_files:
            self.drill.write_files()
            self.drill.removes_files = False  # a run that was killed looks at it first
            self.drill.limits |= {"SMALL_FILES": "4", "FILES": "yes"}
        self.drill.limits["NO_WAITS"] = "yes"
        self.drill.settings |= {
            "SYNC_SETTLE_HOURS": settle, "SYNC_MAX_NEW": most, "SYNC_REASK_DAYS": reask,
            "BROADLY_BATCH_SIZE": batch, "SYNC_OPT_IN_UNTOUCHED": untouched,
            "SYNC_TEXT_FIELD": texts,
        }  # fmt: skip
        self.drill.set_hours(*hours)
        self.drill.clio.cap_pages("matter", page)
        assert self.drill.run("check", "--accept").code == 0
        self.wait(timedelta(days=20))  # so that there are close dates since the start day
        self.run("sync")

    # What the firm does

    @rule(number=st.integers(1, 4), on=days_ago, thank_you=boxes, opt_out=boxes, texts=boxes)
    def close(self, number: int, on: int | None, thank_you: Any, opt_out: Any, texts: Any) -> None:
        """Close a matter for each of so many new clients.

        If there are several, the last of them has this opt-out and the others have none.
        """
        for left in reversed(range(number)):
            box = opt_out if number > 1 and not left else Box.UNTOUCHED
            self.drill.closing(self._day(on), thank_you=thank_you, opt_out=box, texts=texts)

    @rule(client=numbers, on=days_ago)
    def close_another(self, client: int, on: int | None) -> None:
        self.drill.matter(a_client(self.drill, client), self._day(on))

    @rule(client=numbers, channel=st.sampled_from(CHANNELS), opt_out=st.sampled_from(NOES))
    def close_for_a_namesake(self, client: int, channel: str, opt_out: Any) -> None:
        """Close a matter for a new contact with the e-mail address or phone of another one."""
        contact = self.drill.firm.contacts.get(a_client(self.drill, client))
        self.drill.closing(opt_out=opt_out, **{channel: getattr(contact, channel)})

    @rule(matter=numbers, act=st.sampled_from(["reopen", "edit", "close", "delete_matter"]))
    def change(self, matter: int, act: str) -> None:
        getattr(self.drill.firm, act)(a_matter(self.drill, matter))

    @rule(matter=numbers, on=days_ago)
    def correct_date(self, matter: int, on: int | None) -> None:
        self.drill.firm.close(a_matter(self.drill, matter), self._day(on))

    @rule(matter=numbers, box=boxes, told=st.booleans())
    def tick(self, matter: int, box: Any, told: bool) -> None:
        """Put the thank-you box of a matter into this state; Clio may not tell of the edit."""
        row = a_matter(self.drill, matter)
        self.drill.firm.set_box("matter", row, box, THANK_YOU, touch=told)

    @rule(client=numbers, box=boxes, told=st.booleans())
    def opt_out(self, client: int, box: Any, told: bool) -> None:
        row = a_client(self.drill, client)
        self.drill.firm.set_box("contact", row, box, OPT_OUT, touch=told)

    @rule(matter=numbers, client=numbers)
    def put_right(self, matter: int, client: int) -> None:
        """Tick a matter's box and untick a client's, and let a day pass and a run look."""
        firm = self.drill.firm
        firm.set_box("matter", a_matter(self.drill, matter), True, THANK_YOU, touch=False)
        firm.set_box("contact", a_client(self.drill, client), False, OPT_OUT, touch=False)
        self.wait(timedelta(hours=21))
        self.run("sync")

    @rule(client=numbers, box=boxes)
    def allow_texts(self, client: int, box: Any) -> None:
        self.drill.firm.set_box("contact", a_client(self.drill, client), box, TEXTS)

    @rule(client=numbers, how=st.sampled_from(["hide_contact", "redact_contact", "show_contact"]))
    def see(self, client: int, how: str) -> None:
        """Change what the token's user may see of a client."""
        getattr(self.drill.firm, how)(a_client(self.drill, client))

    @rule(name=st.sampled_from(sorted(RENAMED)), at_once=st.sampled_from([True, True, True, False]))
    def rename_field(self, name: str, at_once: bool) -> None:
        """Rename a custom field and run; the field gets its name back at once, or later."""
        if name not in self._broken:
            self.drill.firm.fields.set_raw(name, name=RENAMED[name])
            self._broken.add(name)
            self.drill.closing()
            self.run("sync")
        if at_once:
            self._mend_field(name)

    @precondition(lambda self: self._broken)
    @rule()
    def mend_fields(self) -> None:
        for name in sorted(self._broken):
            self._mend_field(name)

    @rule(time=times)
    def wait(self, time: timedelta) -> None:
        self.drill.later(seconds=time.total_seconds())

    @rule(ahead=clocks)
    def set_clocks(self, ahead: tuple[timedelta, timedelta]) -> None:
        self.drill.clio.skew, self.drill.ahead = clio, machine = ahead
        self.drill.circumstances.note_clocks(clio=clio, machine=machine)

    # The end

    def teardown(self) -> None:
        with self._opened:
            if self._begun and sys.exception() is None:
                self.end()
                self.finished.append(len(self.drill.broadly.accepted))

    def end(self) -> None:
        """Check how the history ends; a subclass says how."""
        raise NotImplementedError

    def mend(self) -> None:
        """Let clocks, custom fields, contacts, boxes and close dates in Clio be in order again.

        From then on somebody may be sent at any hour.
        """
        firm = self.drill.firm
        self.drill.set_hours(*AT_ANY_HOUR)
        self.set_clocks((ON_TIME, ON_TIME))
        self.mend_fields()
        for contact in list(firm.contacts.walk()):
            firm.show_contact(contact.id)
            if contact.boxes.get(firm.fields[OPT_OUT].id) == UNREADABLE:
                firm.set_opt_out(contact.id)
        for matter in list(firm.matters.walk()):
            if UNREADABLE in matter.boxes.values():
                firm.set_thank_you(matter.id)
            if matter.status == "Closed" and matter.closed is None:
                firm.set_close_date(matter.id, "today")

    # How it is done

    def run(self, *arguments: str, codes: Sequence[int] = ()) -> None:
        """Run the program, and check that its exit code fits what there is to fail.

        `codes` are those that it may have beside those for a good end.
        """
        posts = len(self.drill.broadly.posts)
        if self.into_files and arguments[0] in ("sync", "backfill") and self._names_a_file():
            arguments = tuple(self.drill.export(arguments))
        ran = self.drill.run(*arguments)
        apart = abs(self.drill.clio.skew - self.drill.ahead) > APART
        away = apart or bool(books.read(self.drill.state).facts.get("doubts"))
        may = {*DONE, *codes, *[CONFIG] * bool(self._broken), *[UNAVAILABLE] * away}
        assert ran.code in may, f"{arguments} ended with {ran.code}: {ran.err}"
        if self._broken or apart:
            assert len(self.drill.broadly.posts) == posts, "somebody was sent all the same"

    def _names_a_file(self) -> bool:
        """Tell whether the next run writes a file; one in four only notes."""
        self._runs += 1
        return self._runs % 4 > 0

    def _mend_field(self, name: str) -> None:
        self.drill.firm.fields.set_raw(name)
        self._broken.discard(name)

    def _day(self, days_ago: int | None) -> date | None:
        return None if days_ago is None else self.drill.day(days_ago)
