"""The whole data flow: `pull` records what closed, `push` hands over who may be asked.

The two meet only at the ledger. What is decided, and why, is in `rules`; what that makes of a
closing's row, in `decide`; what the state was made with, in `pins`.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from clio_broadly_sync.domain import lifecycle, rules
from clio_broadly_sync.domain.errors import StoppedError, StorageError, SyncError, UnavailableError
from clio_broadly_sync.domain.model import Approval, Command, Due, Page
from clio_broadly_sync.domain.reasons import Reason, State
from clio_broadly_sync.pipeline import pins
from clio_broadly_sync.pipeline.context import Job
from clio_broadly_sync.pipeline.push import check_fields, push_once
from clio_broadly_sync.pipeline.push import end as end_push

MAX_BARREN_WALKS = 3
"""So often a push may read everything again without a single closing getting further."""


def sync(job: Job, *, approve: bool) -> None:
    """Pull what closed since the watermark, then push; the first time, only set the start."""
    begin(job)
    watermark, first_run = job.store.watermark, job.store.first_run
    if job.report.first_run or watermark is None or first_run is None:
        return
    since = rules.walk_from(watermark, first_run, job.overlap)
    walk = _Walk(job, watermark)
    pull(job, walk.watched(job.source.closed_since(since, job.fields)))
    any_due = job.store.ledger.count_due(due(job)) > 0
    if any_due:
        check_fields(job, timedelta.max)
        if job.stale and not approve:  # the next run could not tell any more
            _await_approval(job, due(job))
    walk.move_watermark()
    if any_due:
        push(job, due(job), approve=approve)


def backfill(job: Job, confirm: Callable[[int], bool]) -> None:
    """Pull what closed in `job.close_dates`, ask, then push; the watermark stays."""
    begin(job)
    pull(job, job.source.closed_between(*job.close_dates, job.fields))
    lined_up = job.store.ledger.line_up(due(job), approved_only=False)
    if not lined_up or confirm(lined_up):
        push(job, due(job), approve=False)


def begin(job: Job) -> None:
    """Hold the pins against settings and Clio, or set them; then recover what was left.

    The first `sync` sets pins, start day and watermark, and hands over nobody. A `backfill`
    before it sets the pins only.
    """
    store, known = job.store, job.store.pins()
    if known is not None:
        pins.check_settings(known, job.wanted)
    token = job.token()
    told = known is not None
    account = None if store.has_seen(token) else pins.read_account(job.source, told=told)
    facts: dict[str, str | None] = {}
    if account is not None:
        pins.check_account(known, account)
        facts = pins.seen(store.hash_of(token), account)
        job.zone = job.zone or pins.zone_of(account, told=told)
    job.report.first_run = job.policy.command is Command.SYNC and store.watermark is None
    if known is None or job.report.first_run:
        fields = job.definitions.read(known.fields if known is not None else None)
        known = pins.made_with(job.wanted, known, fields)
    if job.report.first_run:
        facts |= _start(job)
    if facts:
        store.pin(pins.with_account(known, account), **facts)
    _recover(job)


def pull(job: Job, pages: Iterable[Page]) -> None:
    """Record a decision on every closing of the pages, each page in one transaction."""
    for page in pages:
        job.report.matters_read += page.received
        job.progress.read(job.report.matters_read)
        matters = {matter.id: matter for matter in page.matters}
        known = job.store.ledger.known(matters)
        at = job.at()
        noticed = [
            lifecycle.noticed(matter, known.get(id_, ()), job.policy, at)
            for id_, matter in matters.items()
        ]
        pairs = [pair for pair in noticed if pair is not None]
        if pairs:
            check_fields(job, timedelta.max)
            job.record(pairs)


def push(job: Job, wanted: Due, *, approve: bool) -> None:
    """Hand over what is due, in batches; give back what was claimed and could not be sent."""
    approved_only = job.policy.command is Command.SYNC and _surge(job, wanted, approve=approve)
    barren = 0
    try:
        while push_once(job, wanted, approved_only=approved_only):
            before, job.judged = job.judged, 0
            barren = 0 if before else barren + 1
            if barren >= MAX_BARREN_WALKS:
                raise UnavailableError(
                    "What is read grows old before it can be handed over: Clio or Broadly is too "
                    "slow. The next run tries again."
                )
    except StorageError:
        raise  # what is sending may have arrived: the next run marks it
    except SyncError as error:
        end_push(job, None if isinstance(error, StoppedError) else Reason.UNAVAILABLE)
        raise
    end_push(job, None)
    if job.report.in_doubt:
        raise UnavailableError(
            f"Broadly gave no result that can be read for {job.report.in_doubt} clients; "
            "the next run tries again."
        )


def due(job: Job) -> Due:
    """Return what this command may push now: a backfill neither settles nor waits for faults."""
    now = job.source.now()
    if job.policy.command is Command.BACKFILL:
        first, last = job.close_dates
        return Due(Command.BACKFILL, now, faults_until=None, first=first, last=last)
    settled = now - timedelta(hours=job.policy.settle_hours)
    return Due(Command.SYNC, settled, faults_until=now - rules.LOOK_AGAIN)


def _start(job: Job) -> dict[str, str | None]:
    """Return where it all begins: by Clio's clock, which says when a matter was closed."""
    now = job.source.now().replace(microsecond=0)
    watermark = min(now, job.our_clock().replace(microsecond=0))
    job.report.watermark_to = watermark
    return {
        "first_run": now.isoformat(),
        "watermark": watermark.isoformat(),
        "start_day": job.today(now).isoformat(),
    }


class _Walk:
    """One walk through what was updated since the watermark."""

    def __init__(self, job: Job, watermark: datetime) -> None:
        self._job = job
        self._watermark = watermark

    def watched(self, pages: Iterable[Page]) -> Iterator[Page]:
        """Pass the pages on; take the time from the answer of the first."""
        before = self._watermark
        for number, page in enumerate(pages):
            if number == 0:
                our_clock = self._job.our_clock()
                self._watermark = rules.next_watermark(before, page.answered_at, our_clock)
                self._job.stale = rules.is_stale(before, page.answered_at)
            yield page

    def move_watermark(self) -> None:
        """After the last page: all that closed before is in the ledger."""
        self._job.store.move_watermark(self._watermark)
        self._job.report.watermark_to = self._watermark


def _recover(job: Job) -> None:
    """Put right what an earlier run left in doubt."""
    dedupes = job.policy.dedupes
    left = job.store.ledger.recover(
        lambda closing: lifecycle.recovered(closing, dedupes), job.source.now()
    )
    job.report.now_held(sum(closing.state is State.HELD for closing in left))


def _surge(job: Job, wanted: Due, *, approve: bool) -> bool:
    """Tell whether only what a person approved may go; note on the rest that it waits for that."""
    ledger, now = job.store.ledger, job.source.now()
    if approve:
        ledger.set_approval(
            wanted, Approval.GIVEN, lambda c: lifecycle.approved(c, job.policy, now), now
        )
        return False
    due_now = ledger.count_unapproved(wanted)
    recent = ledger.count_handed_over(Command.SYNC, now - rules.SURGE_WINDOW)
    job.spare = job.policy.max_new - due_now - recent
    surge = rules.is_surge(due_now, recent, job.policy) or job.stale
    surge = surge or ledger.count_awaiting(wanted) > 0
    if surge:
        _await_approval(job, wanted)
    job.report.surge = ledger.count_awaiting(wanted)
    job.report.attention |= job.report.surge > 0
    return surge


def _await_approval(job: Job, wanted: Due) -> None:
    job.store.ledger.set_approval(
        wanted, Approval.WANTED, lifecycle.awaiting_approval, job.source.now()
    )
