"""The figures of a report, as values: nothing here reads or counts.

No client's name, address, number or display number is among them; closings are known by ids.
A date is one in the firm's zone, and a moment is aware UTC. The texts (`why`, `helps`, …) are plain
sentences, in which what stands between two `backticks` is a command or the name of something.

A closing belongs to the day of its close date; one without a close date, to the day on which it was
noticed.
"""

from collections.abc import Sequence
from datetime import date, datetime, tzinfo
from enum import StrEnum
from typing import Final, NamedTuple

from clio_broadly_sync.domain.funnel import Step
from clio_broadly_sync.domain.model import SyncRule
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.report.alike import Alike


class Period(NamedTuple):
    """Some days in a row."""

    first: date
    last: date
    """The last day, which is included."""


class Counts(NamedTuple):
    """How many closings have come to each step; no figure is larger than the one before it."""

    closed: int = 0
    in_scope: int = 0
    could_be_asked: int = 0
    tried: int = 0
    accepted: int = 0

    @property
    def not_tried(self) -> int:
        """How many were not given to Broadly."""
        return self.closed - self.tried


class DropOut(NamedTuple):
    """Closings that came no further, for one reason.

    The closings of all that have one `step` are what this step's figure lacks of the one before.
    """

    step: Step
    """The first step that they do not reach."""
    state: State
    reason: Reason | None
    """None where they wait for the next run, are on their way, are held, or were rejected. Of what
    waits it is the one that is told at this moment (`domain/told.py`)."""
    closings: int
    needs_a_person: bool
    """Whether they are among `ForAPerson`; they then go no further by themselves."""
    why: str
    """In a few words, without a full stop, such as “opted out”."""
    helps: str
    """In a sentence: what a person can do or, beginning with “Nothing to do”, why there is nothing.
    """


class Week(NamedTuple):
    """The days of a week (from Monday on) that lie in the period, or before it.

    A week is cut where the period begins and ends, where the days begin and end of which all is
    known and, where the period has more than `MOST_WEEKS`, where a month begins. So there may be
    several of one week, and the weeks add up to the period, and to its months.
    """

    first: date
    last: date
    in_period: bool
    """Whether it lies in the period, and not before it."""
    known: bool
    """Whether all that closed in it is known. Where it is not, a count is what is known so far, and
    a zero is none."""
    counts: Counts
    waits: int
    """How many, of `counts.not_tried`, wait for a person."""


class DayState(StrEnum):
    """How the runs of `sync` went on a day."""

    RAN = "ran"
    """There were runs, and all of them did their work."""
    FAILED = "failed"
    """There were runs, and one of them failed or was cut short."""
    SILENT = "silent"
    """There was no run, although there had been some before."""
    NOT_YET = "not_yet"
    """There was no run: it was before the first one, or today, when one may still come."""


class Failure(NamedTuple):
    """Why runs of a day failed."""

    why: str
    """The sentence, or sentences, of the error."""
    runs: int
    """So many runs failed with it."""
    last_at: datetime
    """When the last of them began."""


class Day(NamedTuple):
    """The runs of `sync` that began on a day."""

    on: date
    state: DayState
    runs: int
    failed: int
    """How many of them failed or were cut short."""
    failures: Sequence[Failure] = ()
    """Why, the most frequent first, and at most `CAUSES`."""


class Waiting(NamedTuple):
    """A closing that goes no further until a person has done something."""

    matter_id: int
    contact_id: int | None
    closed_on: date | None
    state: State
    reason: Reason | None
    since: datetime
    """When it was noticed, where it waits; else when it came to this state."""
    in_period: bool
    word: str
    """One word or two for its state, such as “held”, “rejected” or “hidden”."""
    to_do: str
    """In a sentence or two: what a person can do, and what happens then."""


class ForAPerson(NamedTuple):
    """What waits for a person at this moment, whenever it closed: the same as in `status`."""

    closings: int
    in_period: int
    """How many of them closed in the period."""
    not_tried: int
    """How many of those in the period were not given to Broadly: the sum of `Week.waits`."""
    listed: Sequence[Waiting]
    """At most `LISTED` of them: those of the period first, then the oldest first."""


class OptedOut(NamedTuple):
    """A closing whose client opted out after it was sent."""

    matter_id: int
    contact_id: int
    closed_on: date | None
    sent_at: datetime
    noticed_at: datetime
    """When the opt-out was first read in Clio."""


class OptOuts(NamedTuple):
    """Who opted out after being sent: of `Counts.accepted` of the period, and of before it."""

    closings: int
    """How many closings of the period."""
    before: int
    """How many of the weeks before it."""
    listed: Sequence[OptedOut]
    """At most `LISTED` of the period, the first noticed first."""


LISTED: Final = 20
"""At most so many closings are listed; `report --list` has all."""
CAUSES: Final = 3
"""At most so many reasons are told why runs of a day failed."""
MOST_WEEKS: Final = 26
"""Of a longer period, its months are drawn."""
WEEKS_BEFORE: Final = 12
"""So many weeks before the period are told, to compare it with."""


class Figures(NamedTuple):
    """All that a report says."""

    made_at: datetime
    """The moment for which all of it is said."""
    version: str
    """The version of this program."""
    zone: tzinfo | None
    """The firm's zone, for showing moments (`domain.errors.moment`); None: this machine's."""
    zone_name: str | None
    """The zone's name, such as `America/Los_Angeles`; None where it is this machine's."""
    host: str
    """Clio's scheme and host, for links to matters."""
    rule: SyncRule
    opt_in: str
    """The name of the matter's checkbox."""
    opt_out: str
    """The name of the contact's checkbox."""

    period: Period
    """What was asked for; days to come are left out."""
    known: Period | None
    """The part of the period that is counted: up to the day of `known_until`. None where nothing is
    known of it: no run has been yet, or it lies after that, or before `known_from`."""
    known_from: date | None
    """The day of the first `sync`. Of days before it, only what a backfill brought, or somebody
    edited later, is known. None where no `sync` has run yet, which is then so of all days."""
    known_until: datetime | None
    """Up to this moment all that closed is known; None where no run has been yet."""
    later: int
    """How many closings of the ledger have a close date in the period, but after `known`: they are
    counted nowhere here."""

    counts: Counts | None
    """Those of `known`; None where that is."""
    dropped: Sequence[DropOut]
    """Who came no further at which step, in the order of the steps, the most first."""
    before: Counts | None
    """Those of the 12 weeks before the period, as far as all is known of them; None where nothing
    is."""
    weeks: Sequence[Week]
    """The 12 weeks before the period, and then its own."""
    days: Sequence[Day]
    """Those of the period, each once."""
    for_a_person: ForAPerson
    opted_out: OptOuts
    last_failure: str | None
    """Why the last `sync` failed; None where it did not, or where there was none."""
    silent_since: datetime | None
    """When the last `sync` began, where none has for so long that cron does not seem to run it;
    None where one has, or where there never was any."""
    alike: Sequence[Alike] = ()
    """Whether everybody is asked alike, for each way of grouping that was asked for (`--by`)."""
