"""What closed in Clio compared with the ledger: what slipped through, and what would go now."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

from clio_broadly_sync.cli import app
from clio_broadly_sync.cli.output import day
from clio_broadly_sync.cli.progress import Progress
from clio_broadly_sync.domain import daily_look, rules
from clio_broadly_sync.domain.lifecycle import Moment
from clio_broadly_sync.domain.model import (
    Closing,
    Command,
    Decision,
    FieldIds,
    Matter,
    Verdict,
)
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.pipeline.ports import Source
from clio_broadly_sync.pipeline.second_look import SecondLook, goes
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Store
from clio_broadly_sync.store.daily_look import AT_ONCE

_WOULD: Final = {
    Verdict.SEND: "send the client, unless the contact's own box or details speak against it",
    Verdict.SKIP: "leave it out",
    Verdict.WAIT: "let it wait",
}


class MissedClosing(NamedTuple):
    """A closing that should be in the ledger and never was."""

    matter_id: int
    closed_on: date | None
    """Its close date; None where it has none, or none that can be read."""
    decision: Decision
    """What `backfill` would decide by the matter alone."""


class WouldGo(NamedTuple):
    """A closing that was skipped for something that has been put right since."""

    matter_id: int
    closed_on: date | None
    reason: Reason | None
    """Why it was skipped."""


@dataclass(slots=True)
class Count:
    """What was read since a close date, and how many closings are not in the ledger and why."""

    since: date
    """The first close date of which everything was read, in the firm's zone. What closed before
    and was edited since then was read as well."""
    matters_read: int = 0
    known: int = 0
    """How many matters the ledger knows that closed since then."""
    shown: int = 0
    """How many of those Clio shows."""
    slipped: int = 0
    """How many should be in the ledger and are not."""
    coming: int = 0
    """How many the next `sync` notices."""
    closed_before_start: int = 0
    """How many are rightly not in it, because they closed before the start day or were last edited
    before the first run."""
    closed_too_long_ago: int = 0
    """How many are rightly not in it, because they had closed too long ago when last edited."""
    would_go: int = 0
    """How many were skipped, and would go now."""
    dates: tuple[date, date] | None = None
    """The first and the last close date of those that slipped through; None where none of them has
    one."""

    def add(self, missed: MissedClosing, today: date) -> None:
        """Count one that slipped through; without a date that can be read, it may lie on any."""
        self.slipped += 1
        if missed.decision.reason is Reason.NO_CLOSE_DATE:
            return
        known = self.dates or (date.max, date.min)
        on = missed.closed_on
        days = (self.since, today) if on is None else (on, on)
        self.dates = min(known[0], days[0]), max(known[1], days[1])


class Scan:
    """One walk through what closed in the last days.

    `span` is the moment of the first run and the watermark, both in aware UTC.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        source: Source,
        progress: Progress,
        span: tuple[datetime, datetime],
    ) -> None:
        self._store = store
        self._progress = progress
        self._source = source
        self._zone = app.firm_zone(settings, store)
        self._first_run, watermark = span
        overlap = timedelta(minutes=settings.sync_overlap_minutes)
        self._read_again = rules.scan_from(watermark, self._first_run, overlap)
        self._sync = app.policy(settings, Command.SYNC, store)
        self._backfill = app.policy(settings, Command.BACKFILL, store)
        self._back = timedelta()
        """How far the walk looks back."""

    def begin(self, days: int) -> Count:
        """Return a count of the last `days` days by Clio's clock, of which nothing is read yet."""
        self._back = timedelta(days=days)
        since = self._day(self._source.now()) - self._back
        return Count(since, known=self._store.integrity.matters_closed_since(since))

    def differences(self, count: Count, fields: FieldIds) -> Iterator[MissedClosing | WouldGo]:
        """Yield what slipped through and what would go now, and count everything in `count`.

        Close dates in the future are read as well.
        """
        for page in self._source.closed_between(count.since, date.max, fields):
            yield from self._of_page(page.matters, count, fields)
        edited_since = max(self._source.now() - self._back, self._first_run)
        for page in self._source.closed_since(edited_since, fields):
            older = [matter for matter in page.matters if _is_older(matter, count.since)]
            yield from self._of_page(older, count, fields)

    def _of_page(
        self, matters: Sequence[Matter], count: Count, fields: FieldIds
    ) -> Iterator[MissedClosing | WouldGo]:
        known = self._store.ledger.known(matter.id for matter in matters)
        count.matters_read += len(matters)
        self._progress.matters_read(count.matters_read)
        count.shown += self._store.integrity.matters_closed_since(count.since, of=known)
        for matter in matters:
            if not _is_known(matter, known.get(matter.id, [])) and self._slipped(matter, count):
                today = self._day(self._source.now())
                decision = rules.by_matter(matter, self._backfill, today)
                missed = MissedClosing(matter.id, matter.closed_on, decision)
                count.add(missed, today)
                yield missed
        for closing in self._would_go({m.id: m for m in matters}, known, fields):
            count.would_go += 1
            yield WouldGo(*closing.key, closing.reason)

    def _would_go(
        self,
        matters: Mapping[int, Matter],
        known: Mapping[int, Sequence[Closing]],
        fields: FieldIds,
    ) -> Iterator[Closing]:
        """Yield what was skipped, and would be sent by the next daily look."""
        skipped = [
            closing
            for several in known.values()
            for closing in several
            if daily_look.is_looked_at(closing, self._sync)
        ]
        second = SecondLook(self._source, self._store.ledger, self._sync, fields, self._at)
        for first in range(0, len(skipped), AT_ONCE):
            pairs = second.decide(skipped[first : first + AT_ONCE], matters)
            yield from (was for was, now in pairs if goes(now))

    def _slipped(self, matter: Matter, count: Count) -> bool:
        """Tell whether `sync` should have noticed it; count it where not.

        The start day and the age are judged by the day of the matter's last edit.
        """
        edited = matter.updated_at
        if edited is not None and edited > self._read_again:
            count.coming += 1
        elif edited is not None and edited < self._first_run:
            count.closed_before_start += 1
        else:
            on = self._day(edited or self._source.now())
            if rules.closed_before_start(matter, self._sync, on):
                count.closed_before_start += 1
            elif rules.closed_too_long_ago(matter, self._sync, on):
                count.closed_too_long_ago += 1
            else:
                return True
        return False

    def _at(self) -> Moment:
        now = self._source.asked_at()
        return Moment(run=0, now=now, today=self._day(now))

    def _day(self, at: datetime) -> date:
        return at.astimezone(self._zone).date()


def _is_older(matter: Matter, since: date) -> bool:
    """Tell whether a walk over the close dates since then does not show a matter.

    That is also one that was closed without a date.
    """
    return matter.readable if matter.closed_on is None else matter.closed_on < since


def _is_known(matter: Matter, closings: Sequence[Closing]) -> bool:
    """Tell whether the ledger has the closing.

    A matter that cannot be read now may be there under the date that could be read then.
    """
    if not matter.readable:
        return bool(closings)
    return any(closing.key.closed_on == matter.closed_on for closing in closings)


def sentence_of(missed: MissedClosing, opt_in: str) -> str:
    """Return a sentence that names the closing and says what `backfill` would do with it.

    `opt_in` is the name of the matter's checkbox.
    """
    if missed.decision.reason is Reason.NO_CLOSE_DATE:
        return (
            f"Matter {missed.matter_id}, closed without a close date: type the date in Clio, and "
            "the next `sync` notices it."
        )
    reason = missed.decision.reason
    why = f" ({reason.named(opt_in)})" if reason else ""
    would = _WOULD[missed.decision.verdict]
    closed = f"closed on {day(missed.closed_on)}" if missed.closed_on else "with an unreadable date"
    return f"Matter {missed.matter_id}, {closed}: `backfill` would {would}{why}."


def object_of(missed: MissedClosing) -> dict[str, Any]:
    return {
        "matter_id": missed.matter_id,
        "closed_on": missed.closed_on,
        "backfill": missed.decision.verdict,
        "reason": missed.decision.reason,
    }


def sentence_of_skipped(would_go: WouldGo, opt_in: str) -> str:
    """Return a sentence that names a closing that would go now; `opt_in` is as above."""
    why = "" if would_go.reason is None else f" ({would_go.reason.named(opt_in)})"
    return (
        f"Matter {would_go.matter_id}, closed on {day(would_go.closed_on)}: nothing speaks against "
        f"it any more; it was left out before{why}."
    )
