"""The whole data flow: `pull` records what closed, `push` sends to Broadly who may be asked.

The two meet only at the ledger. What is decided, and why, is in `domain/rules.py`; what that makes
of a closing's row, in `domain/lifecycle.py`; what the state was made with, in `pipeline/pins.py`;
and how a push goes, in `pipeline/push.py`.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta, tzinfo
from itertools import chain, groupby, islice

from clio_broadly_sync.domain import lifecycle, rules
from clio_broadly_sync.domain.errors import PAUSED, Cause, UnavailableError, because, moment
from clio_broadly_sync.domain.model import Approval, Closing, Command, Due, Page
from clio_broadly_sync.domain.reasons import FAULTS, Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.pipeline import daily_look, pins
from clio_broadly_sync.pipeline.context import Lot, RunContext
from clio_broadly_sync.pipeline.push import LOOK_AHEAD, Push


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
    pages = context.source.closed_since(since, context.fields)
    first = next(pages)
    context.store.check_watermark(first.answered_at)
    stale = rules.is_stale(watermark, first.answered_at)
    reached = rules.next_watermark(watermark, first.answered_at, context.our_clock())
    pull(context, chain([first], pages), stale=stale)
    any_due = context.store.ledger.count_due(due(context)) > 0
    if any_due and not context.is_kept_back():
        context.check_fields(timedelta.max)
    # The watermark must not move before this: the next run could not see that it was stale.
    if any_due and stale and not approve:
        _await_approval(context, due(context))
    context.store.move_watermark(reached)
    context.report.watermark_to = reached
    if any_due:
        push(context, due(context), approve=approve, stale=stale, at_once=at_once)
    if context.looks and daily_look.is_due(context):
        _look_daily(context, stale=stale and not approve)
    _tell_objections(context)


def backfill(context: RunContext, confirm: Callable[[Lot], bool]) -> None:
    """Pull what closed in `context.close_dates`, ask, then push; the watermark stays.

    `confirm` is asked about the due closings, and nobody is sent where it returns False. It is not
    asked at a moment at which nobody may be sent.
    """
    begin(context)
    pull(context, context.source.closed_between(*context.close_dates, context.fields))
    _ask_and_push(context, confirm)


def sync_matter(context: RunContext, confirm: Callable[[Lot], bool]) -> None:
    """Pull the one matter `context.matter_id`, ask, then push; the watermark stays.

    That goes on the terms of a backfill, to which a closing that is made pending here belongs. What
    waits already for `sync` stays one of `sync`, and a person's yes approves it. Nothing is noted
    of a matter that is not closed, unless a closing of it waits.
    """
    context = context._replace(policy=context.policy._replace(one_matter=True))
    begin(context)
    found = context.source.matters([context.matter_id or 0], context.fields)
    closed = [matter for matter in found.values() if matter.closed]
    context.report.is_open = len(closed) < len(found)
    pull(context, [Page(closed, len(found), context.source.now())])
    _ask_and_push(context, confirm)


def begin(context: RunContext) -> None:
    """Compare the pins with the settings and Clio, or set them; then recover what was left.

    The first `sync` sets pins, start day and watermark, and sends nobody. A `backfill` before it
    sets the pins only. Raise ConfigError where something does not fit the pins.
    """
    store, known = context.store, context.store.pins()
    if known is not None:
        pins.check_settings(known, context.definitions.wanted)
    token = context.token()
    told = known is not None
    account = None if store.has_seen(token) else pins.read_account(context.source, told=told)
    zone = context.zone
    facts: dict[str, str | None] = {}
    if account is not None:
        pins.check_account(known, account)
        facts = pins.seen(store.hash_of(token), account)
        zone = zone or pins.zone_of(account, told=told)
    context.report.first_run = context.policy.command is Command.SYNC and store.watermark is None
    if known is None or context.report.first_run:
        fields = context.definitions.read(known.fields if known is not None else None)
        known = pins.current_pins(context.definitions.wanted, known, fields)
        context.check_beginning(pins.with_account(known, account))
    if context.report.first_run:
        context.report.left_to_backfill = context.source.count_closed()
        facts |= _start(context, zone)
    if facts:
        store.pin(pins.with_account(known, account), **facts)
    _recover(context)
    context.check_file()


def pull(context: RunContext, pages: Iterable[Page], *, stale: bool = False) -> None:
    """Record a decision on every closing of the pages, each page in one transaction.

    With `stale`, what is noticed waits for a person.
    """
    for page in pages:
        context.report.matters_read += page.received
        context.progress.matters_read(context.report.matters_read)
        matters = {matter.id: matter for matter in page.matters}
        known = context.store.ledger.known(matters)
        at = context.at(stale=stale)
        pairs = []
        for id_, matter in matters.items():
            before = known.get(id_, ())
            if (pair := lifecycle.noticed(matter, before, context.policy, at)) is not None:
                pairs.append(pair)
            else:
                context.report.known += not _waits(before, context.policy.command)
        if pairs:
            context.check_fields(timedelta.max)
            context.record_decisions(pairs)


def _waits(closings: Iterable[Closing], command: Command) -> bool:
    """Tell whether one of these closings waits for this command."""
    return any(one.state is State.PENDING and one.command is command for one in closings)


def push(
    context: RunContext, wanted: Due, *, approve: bool, stale: bool = False, at_once: bool = False
) -> None:
    """Send what is due to Broadly, unless a surge, the sending hours or a pause keep it back.

    Where files are written, it waits for one.

    Raise UnavailableError where a pause is not over (unless `at_once`, and only at a moment at
    which somebody may be sent), or where clients are left in doubt that the next run tries again;
    and what `Push.carry_out` raises.
    """
    allowance: float | None = math.inf
    if context.is_kept_back() and context.report.kept_back is Reason.EXPORT:
        _leave(context, wanted, approve=approve)
        return
    if context.policy.command is Command.SYNC:
        allowance = _surge_allowance(context, wanted, approve=approve, stale=stale)
    if not (at_once or context.is_kept_back()):
        _heed_pause(context, wanted, approved_only=allowance is None)
    Push(context, wanted, allowance).carry_out()
    if in_doubt := context.report.in_doubt:
        raise UnavailableError(
            f"Broadly gave no result that can be read for {in_doubt} "
            f"client{'' if in_doubt == 1 else 's'}; the next run tries again."
        )


def due(context: RunContext) -> Due:
    """Return what this command may push now.

    A `backfill` has no settle time, and it looks again at a fault whenever it runs. So does a run
    for one matter, which pushes whatever waits of that.
    """
    now = context.source.now()
    if context.matter_id is not None:
        return Due(Command.BACKFILL, now, faults_until=None, matter_id=context.matter_id)
    if context.policy.command is Command.BACKFILL:
        first, last = context.close_dates
        return Due(Command.BACKFILL, now, faults_until=None, first=first, last=last)
    settled = now - timedelta(hours=context.policy.settle_hours)
    return Due(Command.SYNC, settled, faults_until=now - rules.LOOK_AGAIN)


def decided(context: RunContext) -> Iterator[Closing]:
    """Yield what the run decided on and what it kept back, each with the reason that is told."""
    kept_back = due(context) if context.report.kept_back is not None else None
    found = context.store.ledger.decided_in_run(context.policy.command, kept_back)
    return map(context.as_told, found)


def _ask_and_push(context: RunContext, confirm: Callable[[Lot], bool]) -> None:
    """Push what is due where a person says yes; nobody is asked where nobody may be sent."""
    if not context.is_kept_back():
        _heed_pause(context, due(context), approved_only=False)
        lined_up = context.store.ledger.line_up(due(context), approved_only=False)
        asks = lined_up > 0 and context.limit != 0
        if not asks or confirm(_lot(context, lined_up)):
            if asks and context.matter_id is not None:
                _approve_matter(context)
            push(context, due(context), approve=False)
    _tell_objections(context)


def _look_daily(context: RunContext, *, stale: bool) -> None:
    """Do the daily look, and push what it makes due.

    A person's yes was for what they saw, so what is found now may be a surge of its own.
    """
    if daily_look.look(context, stale=stale):
        push(context, due(context), approve=False, stale=stale)


def _tell_objections(context: RunContext) -> None:
    """Count who has opted out after they were sent, where no run that ended well has told it."""
    context.report.objections = context.store.ledger.objections.tell()
    context.report.attention |= context.report.objections > 0


def _start(context: RunContext, zone: tzinfo | None) -> dict[str, str | None]:
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
        "start_day": rules.start_day(now, zone).isoformat(),
    }


def _recover(context: RunContext) -> None:
    """Decide on what an earlier run left in doubt, and count what became held.

    What another run is at work on was not left, so it is counted and left alone.
    """
    if context.another_at_work:
        context.report.on_their_way = context.store.outbox.count_sending()
        return
    dedupes = context.policy.dedupes
    left = context.store.recover(
        lambda closing: lifecycle.recovered(closing, dedupes), context.source.now()
    )
    context.report.count_held(sum(closing.state is State.HELD for closing in left))
    context.report.recovered = sum(closing.state is State.SENT for closing in left)
    if context.into_file:
        context.store.exports.begin()


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
    goes_on = context.policy.hours.next_open(until, context.zone)
    error = UnavailableError(PAUSED.format(until=moment(goes_on, context.zone)))
    raise because(Cause.PAUSE, error)


def _surge_allowance(
    context: RunContext, wanted: Due, *, approve: bool, stale: bool
) -> float | None:
    """Return how many closings that become readable may go before there is a surge.

    None says that there is one: the rest is noted to wait, and only what a person approved may go.
    With `approve`, all that is due now is approved first. A yes to a question approves those whom
    it was about; whoever becomes readable was none of them.
    """
    ledger, now = context.store.ledger, context.source.now()
    if approve:
        _approve(context, wanted)
        return math.inf
    due_now, awaiting, recent = ledger.counts_of_surge(wanted, now - rules.SURGE_WINDOW)
    surge = rules.is_surge(due_now, recent, context.policy) or stale
    if not surge and not awaiting:
        return context.policy.max_new - due_now - recent
    _await_approval(context, wanted)
    if _is_agreed_to(context, wanted):
        _approve_those_asked_about(context)
        if not ledger.count_awaiting(wanted):
            return 0 if stale else context.policy.max_new - recent
    _count_awaiting(context, wanted)
    return None


def _is_agreed_to(context: RunContext, wanted: Due) -> bool:
    """Ask a person about a surge; not at a moment at which nobody may be sent."""
    paused = rules.paused_until(context.doubts, context.source.now()) is not None
    if paused or context.limit_left == 0 or context.is_kept_back():
        return False
    return context.asks(_lot(context, context.store.ledger.line_up_awaiting(wanted)))


def _approve_those_asked_about(context: RunContext) -> None:
    """Note a person's yes to what is lined up: with a limit, to no more clients than may go."""
    lined_up = context.store.ledger.lined_up()
    by_client = groupby(lined_up, lambda one: one.contact_id or -one.key.matter_id)
    may_go = islice((closings for _, closings in by_client), context.limit_left)
    _note_approval(context, chain.from_iterable(may_go))


def _lot(context: RunContext, lined_up: int) -> Lot:
    ledger = context.store.ledger
    return Lot(lined_up, ledger.clients_lined_up(), ledger.lined_up())


def _approve_matter(context: RunContext) -> None:
    """Note a person's yes to what was lined up of a matter and belongs to `sync`.

    What belongs to a backfill needs none. A fault is only to be read again in this run, which a
    change would prevent.
    """
    waiting = (
        closing
        for closing in context.store.ledger.lined_up()
        if closing.command is Command.SYNC and closing.reason not in FAULTS
    )
    _note_approval(context, waiting)


def _note_approval(context: RunContext, closings: Iterator[Closing]) -> None:
    now = context.source.now()
    while chunk := list(islice(closings, LOOK_AHEAD)):
        pairs = [(closing, lifecycle.approved(closing, context.policy, now)) for closing in chunk]
        context.store.ledger.record(pairs, now)


def _leave(context: RunContext, wanted: Due, *, approve: bool) -> None:
    """Let what is due wait for a file; with `approve`, without a person's yes from now on.

    Nobody is sent, so it is no surge, however many gather; but what waits for a yes is told.
    """
    if approve:
        _approve(context, wanted)
    _count_awaiting(context, wanted)


def _count_awaiting(context: RunContext, wanted: Due) -> None:
    context.report.surge = context.store.ledger.count_awaiting(wanted)
    context.report.attention |= context.report.surge > 0


def _approve(context: RunContext, wanted: Due) -> None:
    now = context.source.now()
    context.store.ledger.set_approval(
        wanted, Approval.GIVEN, lambda c: lifecycle.approved(c, context.policy, now), now
    )


def _await_approval(context: RunContext, wanted: Due) -> None:
    context.store.ledger.set_approval(
        wanted, Approval.WANTED, lifecycle.awaiting_approval, context.source.now()
    )
