"""`status`: whether all is well, how far the runs have come, what waits, what needs a person.

It reads the settings and the state, and asks nobody.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple

import click

from clio_broadly_sync.cli import app, holder, objections, output
from clio_broadly_sync.cli.groups import objects_of, run_object
from clio_broadly_sync.cli.options import Options, json_option, of_a_firm
from clio_broadly_sync.cli.output import PROGRAM, folded
from clio_broadly_sync.cli.standing import Status, read_status, to_do
from clio_broadly_sync.domain.errors import (
    ATTENTION,
    OK,
    ConfigError,
    DeniedError,
    StorageError,
    is_failure,
    words_of,
)
from clio_broadly_sync.domain.model import Command
from clio_broadly_sync.domain.reasons import ABOUT, Reason
from clio_broadly_sync.store.overview import Group, PastRun

STOPS_MANY: Final = 5
"""A contact that stops so many closings of others is named: its address may be a shared one."""
_LEFT: Final = (None, Reason.UNAVAILABLE, Reason.EXPORT)
"""With these, closings of a backfill wait for no more than that backfill."""
_LOST: Final = (None, Reason.UNKNOWN_OUTCOME)
"""With these, what is held is in doubt for no more than a lost answer."""
_MENDED_BY_HAND: Final = {one.exit_code for one in (StorageError, DeniedError, ConfigError)}
"""After these ends of a `sync` a person has something to do, which no run can tell is done."""
_OUTBOX: Final = f"{PROGRAM} outbox"


@click.command()
@json_option
@of_a_firm
def status(options: Options, as_json: bool) -> None:
    """Say whether all is well, how far it has come, what waits and why, and what needs a person.

    Asks neither Clio nor Broadly, and changes nothing. Ends with 65 while closed matters need a
    person or a run hangs, else with 0, also where the last `sync` failed.

    Example: clio-broadly-sync status
    """
    app.carry_out(partial(_find, options), _text, _object, as_json=as_json)


def _find(options: Options, call: app.Call) -> Iterator[Status]:
    settings = app.settings_of(options)
    with app.opened(settings, writes=False) as store:
        store.check_watermark(app.our_clock())
        found = read_status(settings, store, app.our_clock())
    call.code = ATTENTION if found.needs_a_person else OK
    yield found


# What `status` prints: short lines for a person, or JSON.


class Verdict(NamedTuple):
    """How it stands, in lines of which the first says the most, and their colour."""

    lines: list[str]
    colour: str


def verdict(status: Status) -> Verdict:
    """Return whether all is well; what is not, with what to do."""
    failed, needed, paused = [*_failures(status)], [*_needs(status)], [*_paused(status)]
    if failed or needed or paused:
        return Verdict([*failed, *needed, *paused], "red" if failed else "yellow")
    if not status.runs:
        first = "The first one notes where to start, and sends nobody."
        return Verdict([f"No run yet. Next: `{PROGRAM} sync`.", first], "yellow")
    if status.watermark is None:
        return Verdict(["All well: nothing needs a person."], "green")
    until = f"Up to date until {_when(status)}"
    return Verdict([f"All well. {until}; nothing needs a person."], "green")


def lines(status: Status) -> Iterator[str]:
    """Yield what follows the verdict: how far the runs have come, what waits, and how it went."""
    yield from _how_far(status)
    yield from _runs(status)
    yield from _waiting(status)
    yield from _held(status)
    yield from _rejected(status)
    yield from objections.lines(status.objections, status.zone)
    yield from _stopped_by(status)
    yield from _untouched(status)
    yield from _days(status)


def _text(status: Status) -> str:
    said = verdict(status)
    first = click.style(folded("\n".join(said.lines)), fg=said.colour)
    return "\n".join([first, *map(folded, lines(status))])


def _object(found: Iterator[Status], call: app.Call) -> Iterator[tuple[str, Any]]:
    status = [*found]
    yield "outcome", call.outcome
    for one in status:
        yield from _figures(one).items()


def _figures(status: Status) -> dict[str, Any]:
    mark, last = status.watermark, status.last_sync
    return {
        "verdict": " ".join(verdict(status).lines),
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


def _needs(status: Status) -> Iterator[str]:
    """Yield what waits for a person or keeps clients from going, a sentence each."""
    if number := status.for_a_person:
        need = output.count(number, "closed matter needs", "closed matters need")
        yield f"{need} a person ({_which(status)}): see → below."
    if opted_out := len(status.objections):
        have = output.count(opted_out, "client has", "clients have")
        yield f"{have} opted out after being sent to Broadly: see → below."
    if (until := status.paused_until) is not None:
        yield f"Nobody is sent until {_on(until, status)}: Broadly's last answer was lost."


def _which(status: Status) -> str:
    """Return what closings need a person for; how many for each, where there are several."""
    groups = [group for group in status.waiting if status.is_for_a_person(group)]
    needs = [(group.closings, _need(group, status)) for group in groups]
    needs += [(group.closings, "held") for group in status.held]
    needs += [(group.closings, "rejected") for group in status.dead]
    if len(words := {need for _, need in needs}) == 1:
        return words.pop()
    return ", ".join(f"{closings} {need}" for closings, need in needs)


def _need(group: Group, status: Status) -> str:
    if status.is_left(group) or group.reason is None:
        return "left by a backfill"
    return group.reason.named(status.opt_in)


def _failures(status: Status) -> Iterator[str]:
    """Yield what keeps the runs from their work, and what to do."""
    last = status.last_sync
    if status.hindrance is not None and (last is None or last.failure != status.hindrance):
        yield status.hindrance
    yield from holder.hanging(status.running)
    if last is not None and last.exit_code is not None and is_failure(last.exit_code):
        ended = f"The last `sync` failed ({words_of(last.exit_code)}, {last.exit_code})"
        yield from (f"{ended}. Why:", last.failure or f"see what `{PROGRAM} check` says.")
        if last.failure is not None and last.exit_code in _MENDED_BY_HAND:
            yield f"Once that is done: `{PROGRAM} sync`."
    if status.cron_seems_to_run is False and status.firm is not None:
        yield f"No worker seems to run the firm: see `{PROGRAM} fleet status`."
    elif status.cron_seems_to_run is False:
        yield "Cron does not seem to run `sync`: look at its line with `crontab -l`."
    if (looked := status.not_looked_since) is not None:
        passed = output.length(status.now - looked)
        yield f"No daily look for {passed}. Why: see what `{PROGRAM} check` says."


def _paused(status: Status) -> Iterator[str]:
    if status.is_paused:
        yield f"The firm is paused: nobody is sent until `{PROGRAM} firms resume {status.firm}`."


def _how_far(status: Status) -> Iterator[str]:
    yield ""
    if status.watermark is None:
        yield "Up to date  not yet: no `sync` has run"
    else:
        passed = output.length(status.now - status.watermark)
        yield f"Up to date  until {_when(status)} ({passed} ago)"
    since = status.start_day
    yield f"Rule        {status.rule}" + (f", since {output.day(since)}" if since else "")
    if status.last_sync is not None:
        yield f"Last sync   {_ago(status.last_sync.started_at, status)}"
    if status.opens_at is not None:
        yield f"Hours       nobody is sent until {_on(status.opens_at, status)} (SYNC_SEND_HOURS)"
    yield from holder.lines(status.running, lambda at: _ago(at, status))


def _runs(status: Status) -> Iterator[str]:
    yield from ("", "Last runs") if status.runs else ()
    width = max([8, *(len(run.command) for run in status.runs)])
    for number, run in enumerate(status.runs):
        began = output.moment(run.started_at, status.zone)
        yield f"  {began:<18}  {run.command:<{width}}  {_ended(run, status.at_work and not number)}"


def _ended(run: PastRun, at_work: bool) -> str:
    if run.exit_code is None or run.finished_at is None:
        return "at work" if at_work else "cut short; the next run finds out"
    took = output.length(run.finished_at - run.started_at)
    code = f" ({run.exit_code})" if run.exit_code else ""
    return f"{words_of(run.exit_code)}{code}, {took}"


def _waiting(status: Status) -> Iterator[str]:
    if status.waiting or status.sending:
        yield from ("", "Waiting")
    for group in status.waiting:
        yield _row(group, _why(group, status))
        yield _since(group, status)
        if status.is_left(group):
            again = "or `sync --matter` again" if status.export is None else "with --csv FILE"
            yield _do(f"run the same `backfill` {again}; or leave them out:")
            yield _do(f"`{_OUTBOX} drop --command backfill`")
        for text in to_do(group):
            yield _do(text)
        if status.export is not None and status.is_for_file(group):
            yield from map(_do, status.export.to_do())
    for group in status.sending:
        cut_short = "were on the way when a run was cut short; the next one finds out"
        yield _row(group, "on the way to Broadly" if status.at_work else cut_short)


def _why(group: Group, status: Status) -> str:
    """Return words that say why the closings wait.

    Those of a backfill do not wait for the next run, because no run of cron takes them.
    """
    if group.command is Command.BACKFILL and group.reason in _LEFT:
        return "left by a backfill" if status.is_left(group) else "of a backfill; one is at work"
    if group.reason is None:
        return "nothing speaks against them; they go with the next run"
    return ABOUT[group.reason].waits or group.reason


def _held(status: Status) -> Iterator[str]:
    if status.held:
        yield from ("", "Held")
    for group in status.held:
        more = "" if group.reason in _LOST else f" ({group.reason.named(status.opt_in)})"
        yield _row(group, f"perhaps sent: Broadly's answer was lost{more}")
        yield _since(group, status)
    if status.held:
        yield _do(f"look them up in Broadly: `{_OUTBOX} list --state held`")
        yield _do(f"not there: send again: `{_OUTBOX} resend --state held`")
        yield _do(f"there: leave out: `{_OUTBOX} drop --state held`")


def _rejected(status: Status) -> Iterator[str]:
    if status.dead:
        yield from ("", "Rejected")
    for group in status.dead:
        yield _row(group, "rejected by Broadly, or put off too often")
        yield _since(group, status)
    if status.dead:
        yield _do(f"look at them: `{_OUTBOX} list --state rejected`")
        yield _do("correct the client's e-mail or phone in Clio, then send them again:")
        yield _do(f"`{_OUTBOX} resend --state rejected`")
        yield _do(f"or leave them out: `{_OUTBOX} drop --state rejected`")


def _stopped_by(status: Status) -> Iterator[str]:
    """Say how many are stopped by a no that is not their own, and by which cards most of them."""
    if status.stopped_by:
        total = sum(closings for _, closings in status.stopped_by)
        yield from ("", f"Not sent, as a contact with the same address opted out: {total}")
    for contact, closings in status.stopped_by:
        if closings >= STOPS_MANY:
            yield f"{closings:>6}  by contact {contact}"
            yield _do("is its number or address shared, such as a reception's? Correct it in Clio")


def _untouched(status: Status) -> Iterator[str]:
    if status.untouched:
        yield from ("", f"Not sent, as nobody had touched {status.opt_in}: {status.untouched}")


def _days(status: Status) -> Iterator[str]:
    if total := sum(closings for _, closings in status.days):
        yield from (
            "",
            f"Sent to Broadly and accepted in the last {len(status.days)} days: {total}",
        )
    for day, closings in status.days:
        if closings:
            yield f"  {output.day(day):>11}  {closings:>6}"


def _row(group: Group, text: str) -> str:
    return f"{group.closings:>6}  {text}"


def _since(group: Group, status: Status) -> str:
    told = group.command is not Command.BACKFILL or group.reason in _LEFT
    whose = "" if told else "of a backfill, "
    return f"        {whose}the oldest since {_on(group.oldest, status)}"


def _do(text: str) -> str:
    return f"      → {text}"


def _ago(at: datetime, status: Status) -> str:
    passed: timedelta = status.now - at
    return f"{_on(at, status)} ({output.length(passed)} ago)"


def _when(status: Status) -> str:
    """Return until when it is up to date: a mere time, where that was today."""
    mark, zone = status.watermark or status.now, status.zone
    is_today = mark.astimezone(zone).date() == status.now.astimezone(zone).date()
    return f"{mark.astimezone(zone):%H:%M %Z}" if is_today else output.moment(mark, zone)


def _on(at: datetime, status: Status) -> str:
    return output.moment(at, status.zone)
