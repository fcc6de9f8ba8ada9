"""`status`: how far the runs have come, what waits, and what needs a person.

It reads the settings and the state, and asks nobody.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from functools import partial
from typing import Any, Final

import click

from clio_broadly_sync.cli import app, exports, holder, objections, output
from clio_broadly_sync.cli.days import sent_by_day
from clio_broadly_sync.cli.groups import objects_of, run_object
from clio_broadly_sync.cli.options import Options, common, json_option
from clio_broadly_sync.cli.output import PROGRAM
from clio_broadly_sync.domain import daily_look, rules
from clio_broadly_sync.domain.daily_look import Part
from clio_broadly_sync.domain.errors import ATTENTION, OK, is_failure, outcome_of
from clio_broadly_sync.domain.model import Command, SyncRule
from clio_broadly_sync.domain.reasons import ABOUT, Reason
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Holder, Store, lock
from clio_broadly_sync.store.objections import Objection
from clio_broadly_sync.store.overview import Group, PastRun

RUNS: Final = 5
"""At most so many runs are listed."""
STOPS_MANY: Final = 5
"""A contact that stops so many closings of others is named: its address may be a shared one."""
SILENCE: Final = timedelta(hours=2)
"""After so long without a `sync`, cron does not seem to run it."""
_LEFT: Final = (None, Reason.UNAVAILABLE, Reason.EXPORT)
"""With these, closings of a backfill wait for no more than that backfill."""
_OUTBOX: Final = f"{PROGRAM} outbox"


@click.command()
@json_option
@common
def status(options: Options, as_json: bool) -> None:
    """Say how far it has come, what waits and why, and what needs a person.

    Asks neither Clio nor Broadly, and changes nothing. Ends with 65 while something waits for a
    person or a run hangs, else with 0.

    Example: clio-broadly-sync status
    """
    app.carry_out(partial(_find, options), _text, _object, as_json=as_json)


@dataclass(frozen=True, slots=True)
class Status:
    """What `status` says."""

    now: datetime
    """The moment for which all of it is said (aware UTC)."""
    zone: tzinfo | None
    """The firm's zone; None stands for this machine's."""
    rule: SyncRule
    """The rule that is pinned; that of the settings where nothing is pinned yet."""
    first_run: datetime | None
    """The moment of the first `sync` (aware UTC); None where there was none yet."""
    start_day: date | None
    """A date in the firm's zone; None where no `sync` has run yet."""
    watermark: datetime | None
    """The watermark (aware UTC); None where no `sync` has run yet."""
    paused_until: datetime | None
    """Until when nobody is sent to Broadly after a lost answer (aware UTC); None: no pause."""
    opens_at: datetime | None
    """When the sending hours begin next (aware UTC); None where it is within them."""
    last_sync: PastRun | None
    """The last `sync`, however it ended; None where there was none yet."""
    runs: list[PastRun]
    """The last runs, the latest first."""
    at_work: bool
    """Whether the last run has not come to its end because it is still under way."""
    running: Holder | None
    """Whoever holds the state at this moment, also a command that is no run; None: nobody."""
    waiting: list[Group]
    sending: list[Group]
    held: list[Group]
    dead: list[Group]
    export: exports.Waiting | None
    """What waits for a file; None where the destination is none."""
    stopped_by: list[tuple[int, int]]
    """How many closings each contact stops whose no is not their own, the most first."""
    objections: list[Objection]
    """Who has opted out after they were sent, the first first."""
    looked_at: datetime | None
    """When the daily look last came to its end (aware UTC); None where it never did."""
    not_looked_since: datetime | None
    """Since when no daily look has come to its end, where that is worth a word (aware UTC)."""
    days: list[tuple[date, int]]
    """How many closings were sent to Broadly on each of the last days, the latest first."""
    untouched: int = 0
    """How many closings were skipped because nobody had touched the matter's checkbox."""
    opt_in: str = ""
    """The name of the matter's checkbox."""

    @property
    def cron_seems_to_run(self) -> bool | None:
        """Whether cron seems to run `sync`; None where that cannot be told.

        A `sync` that finds the state held leaves nothing behind.
        """
        if self.last_sync is None:
            return None
        if self.now - self.last_sync.started_at <= SILENCE:
            return True
        return False if self.running is None else None

    @property
    def for_a_person(self) -> int:
        """How many closings go no further until a person has done something."""
        waiting = [group for group in self.waiting if self._needs_a_person(group)]
        return closings_in([*self.held, *self.dead, *waiting])

    @property
    def needs_a_person(self) -> bool:
        return self.for_a_person > 0 or (self.running is not None and self.running.hangs)

    def is_left(self, group: Group) -> bool:
        """Tell whether a backfill has left these closings, which go no further by themselves.

        A backfill that is at work may still take them.
        """
        backfills = self.at_work and self.runs[0].command == Command.BACKFILL
        return group.command is Command.BACKFILL and not backfills

    def is_for_file(self, group: Group) -> bool:
        """Tell whether these closings wait for the file of a `sync`."""
        return group.reason is Reason.EXPORT and group.command is Command.SYNC

    def _needs_a_person(self, group: Group) -> bool:
        is_due = self.export is not None and self.export.is_due and self.is_for_file(group)
        return is_due or self.is_left(group) or bool(_to_do(group))


def _find(options: Options, call: app.Call) -> Iterator[Status]:
    settings = app.settings_of(options)
    with app.opened(settings, writes=False) as store:
        store.check_watermark(app.our_clock())
        found = read_status(settings, store, app.our_clock())
    call.code = ATTENTION if found.needs_a_person else OK
    yield found


def read_status(settings: Settings, store: Store, now: datetime) -> Status:
    """Return what `status` says at the moment `now` (aware UTC)."""
    overview, known = store.overview, store.pins()
    zone, policy = app.firm_zone(settings, store), app.policy(settings, Command.SYNC, store)
    last_runs, hours = overview.last_runs(RUNS), policy.hours
    settled = now - timedelta(hours=policy.settle_hours)
    waiting = overview.waiting(rules.kept_back(policy, now, zone), settled)
    until = rules.paused_until(None if policy.dedupes else store.doubts, now)
    looks = {part: store.looked(part) for part in Part}
    return Status(
        now=now,
        zone=zone,
        rule=settings.sync_rule if known is None else known.rule,
        first_run=store.first_run,
        start_day=store.start_day,
        watermark=store.watermark,
        paused_until=until and hours.next_open(until, zone),
        opens_at=None if hours.are_open(now, zone) else hours.next_open(now, zone),
        last_sync=overview.last_sync(),
        runs=last_runs,
        at_work=store.at_work is not None,
        running=lock.holder(settings.sync_state),
        waiting=waiting,
        sending=overview.sending(),
        held=overview.held(),
        dead=overview.dead(),
        export=exports.waiting(settings, store, waiting, now.astimezone(zone).date()),
        stopped_by=overview.stopped_by(),
        objections=store.ledger.objections.listed(now),
        looked_at=daily_look.done_at(looks),
        not_looked_since=daily_look.overdue_since(looks, store.first_run, now),
        days=sent_by_day(store, now, zone),
        untouched=overview.untouched(),
        opt_in=settings.sync_opt_in_field,
    )


def closings_in(groups: Iterable[Group]) -> int:
    return sum(group.closings for group in groups)


# What `status` prints: short lines for a person, or JSON.


def lines(status: Status) -> Iterator[str]:
    """Yield the lines for a person: first what needs one, then how far the runs have come."""
    yield from _summary(status)
    yield from _how_far(status)
    yield from _runs(status)
    yield from _waiting(status)
    yield from _outcomes(status)
    yield from objections.lines(status.objections, status.zone)
    yield from _stopped_by(status)
    yield from _untouched(status)
    yield from _days(status)


def _text(status: Status) -> str:
    return output.folded("\n".join(lines(status)))


def _object(found: Iterator[Status], call: app.Call) -> Iterator[tuple[str, Any]]:
    status = [*found]
    yield "outcome", call.outcome
    for one in status:
        yield from _figures(one).items()


def _figures(status: Status) -> dict[str, Any]:
    mark, last = status.watermark, status.last_sync
    return {
        "for_a_person": status.for_a_person,
        "rule": status.rule,
        "first_run": status.first_run,
        "start_day": status.start_day,
        "watermark": mark,
        "watermark_age_seconds": mark and status.now - mark,
        "last_sync": last and last.started_at,
        "cron_seems_to_run": status.cron_seems_to_run,
        "opens_at": status.opens_at,
        "at_work": status.at_work,
        "running": status.running and holder.as_object(status.running),
        "runs": [run_object(run) for run in status.runs],
        "waiting": objects_of(status.waiting),
        "sending": objects_of(status.sending),
        "held": objects_of(status.held),
        "dead": objects_of(status.dead),
        "export": status.export and status.export._asdict(),
        "stopped_by_another_contact": [
            {"contact_id": contact, "closings": closings} for contact, closings in status.stopped_by
        ],
        "never_touched": status.untouched,
        "objections": [one._asdict() for one in status.objections],
        "daily_look": status.looked_at,
        "handed_over": [{"day": day, "closings": closings} for day, closings in status.days],
    }


def _summary(status: Status) -> Iterator[str]:
    if not status.runs:
        yield "No run yet: the first `sync` notes where to start, and hands over nobody."
    elif status.for_a_person:
        waits = output.count(status.for_a_person, "closing waits", "closings wait")
        yield f"{waits} for a person: see → below."
    else:
        yield "No closing waits for a person."
    yield from holder.hanging(status.running)
    last = status.last_sync
    if last is not None and last.exit_code is not None and is_failure(last.exit_code):
        ended = f"{outcome_of(last.exit_code)} ({last.exit_code})"
        if last.failure is None:
            yield f"The last `sync` failed: {ended}. Why: `{PROGRAM} check`."
        else:
            yield from (f"The last `sync` failed: {ended}. Why:", last.failure)
    if status.cron_seems_to_run is False:
        yield "Cron does not seem to run `sync`: look at its line with `crontab -l`."


def _how_far(status: Status) -> Iterator[str]:
    yield ""
    if status.watermark is None:
        yield "Watermark  none yet: no `sync` has run"
    else:
        yield f"Watermark  {_ago(status.watermark, status)}; all before it is recorded"
    since = status.start_day
    yield f"Rule       {status.rule}" + (f", start day {output.day(since)}" if since else "")
    if status.last_sync is not None:
        yield f"Last sync  {_ago(status.last_sync.started_at, status)}"
    if status.opens_at is not None:
        yield f"Hours      nobody is sent until {_on(status.opens_at, status)} (SYNC_SEND_HOURS)"
    if (until := status.paused_until) is not None:
        yield f"Paused     until {_on(until, status)}: Broadly's last answer was lost"
    if (looked := status.not_looked_since) is not None:
        yield f"Daily look not done since {_ago(looked, status)}"
    yield from holder.lines(status.running, lambda at: _ago(at, status))


def _runs(status: Status) -> Iterator[str]:
    yield from ("", "Last runs") if status.runs else ()
    width = max([8, *(len(run.command) for run in status.runs)])
    for number, run in enumerate(status.runs):
        began = output.moment(run.started_at, status.zone)
        yield f"  {began:<18}  {run.command:<{width}}  {_ended(run, status.at_work and not number)}"


def _ended(run: PastRun, at_work: bool) -> str:
    if run.exit_code is None or run.finished_at is None:
        return "at work" if at_work else "cut short; the next run settles it"
    took = output.length(run.finished_at - run.started_at)
    code = f" ({run.exit_code})" if run.exit_code else ""
    return f"{outcome_of(run.exit_code)}{code}, {took}"


def _waiting(status: Status) -> Iterator[str]:
    if status.waiting or status.sending:
        yield from ("", "Waiting")
    for group in status.waiting:
        yield _row(group, _why(group, status))
        yield _since(group, status)
        if status.is_left(group):
            again = "again: no other run takes them" if status.export is None else "with --csv FILE"
            yield _do(f"run the same backfill {again}; or drop them:")
            yield _do(f"`{_OUTBOX} drop --command backfill`")
        for text in _to_do(group):
            yield _do(text)
        if status.export is not None and status.is_for_file(group):
            yield from map(_do, status.export.to_do())
    for group in status.sending:
        cut_short = "were on their way when a run was cut short; the next one settles it"
        yield _row(group, "on their way to Broadly" if status.at_work else cut_short)


def _why(group: Group, status: Status) -> str:
    """Return words that say why the closings wait.

    Those of a backfill do not wait for the next run, because no run of cron takes them.
    """
    if group.command is Command.BACKFILL and group.reason in _LEFT:
        left = "of a backfill that did not come to its end"
        return left if status.is_left(group) else "of a backfill; one is at work"
    if group.reason is None:
        return "nothing speaks against them; they go with the next run"
    return ABOUT[group.reason].waits or group.reason


def _to_do(group: Group) -> tuple[str, ...]:
    """Return what a person can do about closings that wait; nothing where they go by themselves."""
    return ABOUT[group.reason].to_do if group.reason else ()


def _outcomes(status: Status) -> Iterator[str]:
    for name, groups, text in (
        ("Held", status.held, "perhaps handed over: Broadly's answer was lost"),
        ("Dead letters", status.dead, "rejected by Broadly, or put off too often"),
    ):
        if groups:
            yield from ("", name)
        for group in groups:
            yield _row(group, text)
            yield _since(group, status)
        if groups:
            word = "held" if name == "Held" else "dead"
            yield _do(f"look at them: `{_OUTBOX} list --state {word}`")
            yield _do(f"send them again: `{_OUTBOX} resend --state {word}`")
            yield _do(f"or let them go: `{_OUTBOX} drop --state {word}`")


def _stopped_by(status: Status) -> Iterator[str]:
    """Say how many are stopped by a no that is not their own, and by which cards most of them."""
    if status.stopped_by:
        total = sum(closings for _, closings in status.stopped_by)
        yield from ("", f"Stopped by the no of another contact with the same address: {total}")
    for contact, closings in status.stopped_by:
        if closings >= STOPS_MANY:
            yield f"{closings:>6}  by contact {contact}"
            yield _do("is its number or address shared, such as a reception's? Correct it in Clio")


def _untouched(status: Status) -> Iterator[str]:
    if status.untouched:
        yield from ("", f"Skipped, for nobody had touched {status.opt_in}: {status.untouched}")


def _days(status: Status) -> Iterator[str]:
    total = sum(closings for _, closings in status.days)
    yield from ("", f"Handed over in the last {len(status.days)} days: {total}")
    for day, closings in status.days if total else ():
        yield f"  {output.day(day):>11}  {closings:>6}"


def _row(group: Group, text: str) -> str:
    return f"{group.closings:>6}  {text}"


def _since(group: Group, status: Status) -> str:
    reason = f"{group.reason}, " if group.reason is not None else ""
    return f"        {reason}{group.command}; the oldest since {_on(group.oldest, status)}"


def _do(text: str) -> str:
    return f"      → {text}"


def _ago(at: datetime, status: Status) -> str:
    passed: timedelta = status.now - at
    return f"{_on(at, status)} ({output.length(passed)} ago)"


def _on(at: datetime, status: Status) -> str:
    return output.moment(at, status.zone)
