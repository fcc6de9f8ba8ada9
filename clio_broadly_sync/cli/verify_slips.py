"""Closings that slipped through: what closed in Clio, held against the ledger. Only reads."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

from clio_broadly_sync.cli import app, times
from clio_broadly_sync.cli.progress import Progress
from clio_broadly_sync.clio.source import Clio
from clio_broadly_sync.domain import rules
from clio_broadly_sync.domain.model import Closing, Command, Decision, FieldIds, Matter, Verdict
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Store

_WOULD: Final = {
    Verdict.SEND: "hand the client over, unless the contact's own box or details speak against it",
    Verdict.SKIP: "skip it",
    Verdict.WAIT: "let it wait",
}


class Slip(NamedTuple):
    """A closing that the ledger never saw and should have; `decision`: what `backfill` would do
    by the matter alone."""

    matter_id: int
    closed_on: date | None
    decision: Decision


@dataclass(slots=True)
class Count:
    """What was read since a close date, and what came of it. `coming`: the next `sync` notices
    them; `before_start`, `too_old`: rightly not in the ledger. `dates`: of the slips, the first
    and the last."""

    since: date
    read: int = 0
    slipped: int = 0
    coming: int = 0
    before_start: int = 0
    too_old: int = 0
    dates: tuple[date, date] | None = None

    def add(self, slip: Slip, today: date) -> None:
        """Count a slip; what has no date that can be read could lie on any."""
        self.slipped += 1
        known = self.dates or (date.max, date.min)
        days = (self.since, today) if slip.closed_on is None else (slip.closed_on, slip.closed_on)
        self.dates = min(known[0], days[0]), max(known[1], days[1])


class Walk:
    """One walk through what closed in the last days. `span`: first run and watermark."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        source: Clio,
        progress: Progress,
        span: tuple[datetime, datetime],
    ) -> None:
        self._store = store
        self._progress = progress
        self._source = source
        self._zone = times.firm_zone(settings, store)
        self._first_run, watermark = span
        overlap = timedelta(minutes=settings.sync_overlap_minutes)
        self._read_again = rules.scan_from(watermark, self._first_run, overlap)
        self._sync = app.policy(settings, Command.SYNC, store)
        self._backfill = app.policy(settings, Command.BACKFILL, store)

    def begin(self, days: int) -> Count:
        """Return the count, with its first day by Clio's clock."""
        return Count(since=self._day(self._source.now()) - timedelta(days=days))

    def slips(self, count: Count, fields: FieldIds) -> Iterator[Slip]:
        """Yield what slipped through, and count everything; future close dates are read as well."""
        for page in self._source.closed_between(count.since, date.max, fields):
            known = self._store.ledger.known(matter.id for matter in page.matters)
            count.read += len(page.matters)
            self._progress.read(count.read)
            for matter in page.matters:
                if not _is_known(matter, known.get(matter.id, [])) and self._slipped(matter, count):
                    today = self._day(self._source.now())
                    decision = rules.by_matter(matter, self._backfill, today)
                    slip = Slip(matter.id, matter.closed_on, decision)
                    count.add(slip, today)
                    yield slip

    def _slipped(self, matter: Matter, count: Count) -> bool:
        """Tell whether `sync` should have noticed it, judged by the day of its last edit."""
        edited = matter.updated_at
        if edited is not None and edited > self._read_again:
            count.coming += 1
        elif edited is not None and edited < self._first_run:
            count.before_start += 1
        else:
            on = self._day(edited or self._source.now())
            if rules.closed_before_start(matter, self._sync, on):
                count.before_start += 1
            elif rules.closed_too_long_ago(matter, self._sync, on):
                count.too_old += 1
            else:
                return True
        return False

    def _day(self, at: datetime) -> date:
        return at.astimezone(self._zone).date()


def _is_known(matter: Matter, closings: Sequence[Closing]) -> bool:
    """What cannot be read now may be in the ledger under the date that could."""
    if not matter.readable:
        return bool(closings)
    return any(closing.key.closed_on == matter.closed_on for closing in closings)


def sentence(slip: Slip) -> str:
    """Say which, and what `backfill` would do with it."""
    why = f" ({slip.decision.reason})" if slip.decision.reason else ""
    would = _WOULD[slip.decision.verdict]
    return f"Matter {slip.matter_id}, closed on {slip.closed_on or 'no date'}: " + (
        f"`backfill` would {would}{why}."
    )


def as_object(slip: Slip) -> dict[str, Any]:
    decision = slip.decision
    return {
        "matter_id": slip.matter_id,
        "closed_on": slip.closed_on and slip.closed_on.isoformat(),
        "backfill": str(decision.verdict),
        "reason": decision.reason and str(decision.reason),
    }
