"""The whole data flow: `pull` records what closed, `push` sends to Broadly who may be asked.

The two meet only at the ledger. What is decided, and why, is in `domain/rules.py`; what that makes
of a closing's row, in `domain/lifecycle.py`; what the state was made with, in `pipeline/pins.py`;
and how one walk of a push goes, in `pipeline/push.py`.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice

from clio_broadly_sync.domain import lifecycle, rules
from clio_broadly_sync.domain.errors import (
    Cause,
    StoppedError,
    StorageError,
    SyncError,
    UnavailableError,
    because,
    moment,
)
from clio_broadly_sync.domain.model import Approval, Command, Due, Page
from clio_broadly_sync.domain.reasons import PAUSED, Reason, State
from clio_broadly_sync.pipeline import pins
from clio_broadly_sync.pipeline.context import RunContext
from clio_broadly_sync.pipeline.push import LOOK_AHEAD, check_fields, push_once
from clio_broadly_sync.pipeline.push import end as end_push

MAX_BARREN_WALKS = 3
"""A push ends after so many walks in a row in which no closing got any further."""


def sync(context: RunContext, *, approve: bool, at_once: bool = False) -> None:
    """Pull what closed since the watermark, then push; the first time, only set the start.

    With `approve`, a person approves what is due, so that a surge does not wait; and with
    `at_once`, a pause after a lost answer is not waited out.
    """
    begin(context)
    watermark, first_run = context.store.watermark, context.store.first_run
    if context.report.first_run or watermark is None or first_run is None:
        return
    since = rules.scan_from(watermark, first_run, context.overlap)
    walk = _Walk(context, watermark)
    pull(context, walk.watched(context.source.closed_since(since, context.fields)))
    any_due = context.store.ledger.count_due(due(context)) > 0
    if any_due:
        check_fields(context, timedelta.max)
        # The watermark must not move before this: the next run could not see that it was stale.
        if context.stale and not approve:
            _await_approval(context, due(context))
    walk.move_watermark()
    if any_due:
        push(context, due(context), approve=approve, at_once=at_once)


def backfill(context: RunContext, confirm: Callable[[int], bool]) -> None:
    """Pull what closed in `context.close_dates`, ask, then push; the watermark stays.

    `confirm` is asked with the number of due closings, and nobody is sent where it returns False.
    """
    begin(context)
    pull(context, context.source.closed_between(*context.close_dates, context.fields))
    _heed_pause(context, due(context), approved_only=False)
    lined_up = context.store.ledger.line_up(due(context), approved_only=False)
    if not lined_up or confirm(lined_up):
        push(context, due(context), approve=False)


def begin(context: RunContext) -> None:
    """Compare the pins with the settings and Clio, or set them; then recover what was left.

    The first `sync` sets pins, start day and watermark, and sends nobody. A `backfill` before it
    sets the pins only. Raise ConfigError where something does not fit the pins.
    """
    store, known = context.store, context.store.pins()
    if known is not None:
        pins.check_settings(known, context.wanted)
    token = context.token()
    told = known is not None
    account = None if store.has_seen(token) else pins.read_account(context.source, told=told)
    facts: dict[str, str | None] = {}
    if account is not None:
        pins.check_account(known, account)
        facts = pins.seen(store.hash_of(token), account)
        context.zone = context.zone or pins.zone_of(account, told=told)
    context.report.first_run = context.policy.command is Command.SYNC and store.watermark is None
    if known is None or context.report.first_run:
        fields = context.definitions.read(known.fields if known is not None else None)
        known = pins.current_pins(context.wanted, known, fields)
        context.check_beginning(pins.with_account(known, account))
    if context.report.first_run:
        facts |= _start(context)
    if facts:
        store.pin(pins.with_account(known, account), **facts)
    _recover(context)


def pull(context: RunContext, pages: Iterable[Page]) -> None:
    """Record a decision on every closing of the pages, each page in one transaction."""
    for page in pages:
        context.report.matters_read += page.received
        context.progress.matters_read(context.report.matters_read)
        matters = {matter.id: matter for matter in page.matters}
        known = context.store.ledger.known(matters)
        at = context.at()
        noticed = [
            lifecycle.noticed(matter, known.get(id_, ()), context.policy, at)
            for id_, matter in matters.items()
        ]
        pairs = [pair for pair in noticed if pair is not None]
        if pairs:
            check_fields(context, timedelta.max)
            context.record_decisions(pairs)


def push(context: RunContext, wanted: Due, *, approve: bool, at_once: bool = False) -> None:
    """Send what is due to Broadly, in batches; give back what was claimed and could not be sent.

    Raise UnavailableError where Clio or Broadly is too slow, where a pause is not over (unless
    `at_once`), or where clients are left in doubt that the next run tries again; and any other
    SyncError that ended the push.
    """
    approved_only = context.policy.command is Command.SYNC and _surge(
        context, wanted, approve=approve
    )
    if not at_once:
        _heed_pause(context, wanted, approved_only=approved_only)
    barren = 0
    try:
        while push_once(context, wanted, approved_only=approved_only):
            before, context.progressed = context.progressed, 0
            barren = 0 if before else barren + 1
            if barren >= MAX_BARREN_WALKS:
                raise UnavailableError(
                    "What is read grows old before it can be handed over: Clio or Broadly is too "
                    "slow. The next run tries again."
                )
    except StorageError:
        raise  # what is sending may have arrived, so for the next run it is in doubt
    except SyncError as error:
        reason = None if isinstance(error, StoppedError) else Reason.UNAVAILABLE
        end_push(context, reason, error.cause)
        raise
    end_push(context, None)
    if context.report.in_doubt:
        raise UnavailableError(
            f"Broadly gave no result that can be read for {context.report.in_doubt} clients; "
            "the next run tries again."
        )


def due(context: RunContext) -> Due:
    """Return what this command may push now.

    A `backfill` has no settle time, and it looks again at a fault whenever it runs.
    """
    now = context.source.now()
    if context.policy.command is Command.BACKFILL:
        first, last = context.close_dates
        return Due(Command.BACKFILL, now, faults_until=None, first=first, last=last)
    settled = now - timedelta(hours=context.policy.settle_hours)
    return Due(Command.SYNC, settled, faults_until=now - rules.LOOK_AGAIN)


def _start(context: RunContext) -> dict[str, str | None]:
    """Return the facts of the first run's moment.

    It goes by Clio's clock, which says when a matter was closed; the watermark goes by our clock
    where that is earlier.
    """
    now = context.source.now().replace(microsecond=0)
    watermark = min(now, context.our_clock().replace(microsecond=0))
    context.report.watermark_to = watermark
    return {
        "first_run": now.isoformat(),
        "watermark": watermark.isoformat(),
        "start_day": rules.start_day(now, context.zone).isoformat(),
    }


class _Walk:
    """One walk through what was updated since the watermark."""

    def __init__(self, context: RunContext, watermark: datetime) -> None:
        self._context = context
        self._watermark = watermark

    def watched(self, pages: Iterable[Page]) -> Iterator[Page]:
        """Yield the pages; take the next watermark from the answer of the first one."""
        before = self._watermark
        for number, page in enumerate(pages):
            if number == 0:
                self._context.store.check_watermark(page.answered_at)
                our_clock = self._context.our_clock()
                self._watermark = rules.next_watermark(before, page.answered_at, our_clock)
                self._context.stale = rules.is_stale(before, page.answered_at)
            yield page

    def move_watermark(self) -> None:
        """Move the watermark; call it after the last page, when all before it is recorded."""
        self._context.store.move_watermark(self._watermark)
        self._context.report.watermark_to = self._watermark


def _recover(context: RunContext) -> None:
    """Decide on what an earlier run left in doubt, and count what became held.

    What another run is at work on was not left, so it is counted and left alone.
    """
    if context.another_at_work:
        context.report.on_their_way = context.store.outbox.count_sending()
        return
    dedupes = context.policy.dedupes
    left = context.store.ledger.recover(
        lambda closing: lifecycle.recovered(closing, dedupes), context.source.now()
    )
    context.report.count_held(sum(closing.state is State.HELD for closing in left))


def _heed_pause(context: RunContext, wanted: Due, *, approved_only: bool) -> None:
    """Raise UnavailableError where a pause after a lost answer keeps back what may go otherwise.

    What is due is noted to wait for that; what waits for it already is not written again.
    """
    until = rules.paused_until(context.doubts, context.source.now())
    ledger = context.store.ledger
    if until is None or context.limit == 0:
        return
    if not ledger.line_up(wanted, approved_only=approved_only):
        return
    closings = ledger.lined_up()
    while chunk := list(islice(closings, LOOK_AHEAD)):
        pairs = [(closing, lifecycle.paused(closing)) for closing in chunk]
        context.record_decisions([(old, new) for old, new in pairs if new != old])
    error = UnavailableError(PAUSED.format(until=moment(until, context.zone)))
    raise because(Cause.PAUSE, error)


def _surge(context: RunContext, wanted: Due, *, approve: bool) -> bool:
    """Return whether only what a person approved may go; note on the rest that it waits for that.

    With `approve`, all that is due now is approved first.
    """
    ledger, now = context.store.ledger, context.source.now()
    if approve:
        ledger.set_approval(
            wanted, Approval.GIVEN, lambda c: lifecycle.approved(c, context.policy, now), now
        )
        return False
    due_now = ledger.count_unapproved(wanted)
    recent = ledger.count_handed_over(Command.SYNC, now - rules.SURGE_WINDOW)
    context.surge_allowance = context.policy.max_new - due_now - recent
    surge = rules.is_surge(due_now, recent, context.policy) or context.stale
    surge = surge or ledger.count_awaiting(wanted) > 0
    if surge:
        _await_approval(context, wanted)
    context.report.surge = ledger.count_awaiting(wanted)
    context.report.attention |= context.report.surge > 0
    return surge


def _await_approval(context: RunContext, wanted: Due) -> None:
    context.store.ledger.set_approval(
        wanted, Approval.WANTED, lifecycle.awaiting_approval, context.source.now()
    )
