"""`report --person`: all that is stored about one client, as lines, as JSON, and as rows.

It is for a complaint to the bar, or for a client who asks what is kept. Nobody else is asked.
"""

import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from clio_broadly_sync.cli import app, exports, output
from clio_broadly_sync.cli.app import Call
from clio_broadly_sync.cli.explain import answer, sentences
from clio_broadly_sync.cli.explain.sentences import Given
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.cli.output import batch_of
from clio_broadly_sync.cli.report import files, rows
from clio_broadly_sync.domain import rules
from clio_broadly_sync.domain.consent import Channels
from clio_broadly_sync.domain.model import Approval, Closing, Destination, Key, Profile
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Store
from clio_broadly_sync.store.dossier import ClosingKept, Dossier, RunKept
from clio_broadly_sync.store.history import Step
from clio_broadly_sync.transport.addresses import host_of

NOT_STORED: Final = (
    "Not stored: a name, an e-mail address, a phone number, or a matter's name or display number. "
    "A keyed hash is a number that is made from an address, a number or an id. Nobody can read it "
    "back; but whoever has the state can test whether it was made from an address that they know."
)
NOT_LOOKED_AT: Final = (
    "Not looked at: Clio and Broadly, which hold data of their own; files that `sync --csv` wrote, "
    "which hold names and addresses; copies of the state; mails of cron and logs, which hold ids."
)


class Person(NamedTuple):
    """What is stored about a client, and what it takes to say it."""

    dossier: Dossier
    given: Given
    profile: Profile | None
    """The kind of the destination; None before the first run, as with `host`."""
    host: str | None
    """Scheme and host of the destination; None also where it is a file."""
    names: Mapping[int, str]
    """The names of the checkboxes that the state goes by, by the fields' ids."""
    now: datetime

    def at(self, moment: datetime) -> str:
        return output.moment(moment, self.given.zone)


def find(options: Options, contact_id: int, file: Path | None, call: Call) -> Iterator[Any]:
    """Yield lines for a person, or what JSON is made of; write the file that was named."""
    settings = app.settings_of(options)
    to_stdout = file == exports.STDOUT
    if file is not None and not to_stdout:
        files.check_place(file, settings)
    with app.opened(settings, writes=False) as store:
        found = read(settings, store, contact_id)
    if call.as_json:
        yield found
    elif to_stdout:
        yield from (line.rstrip("\r\n") for line in _csv_lines(found))
    elif file is None:
        yield output.folded("\n".join(lines_of(found)))
    if file is not None and not to_stdout:
        files.write(file, (line.encode() for line in _csv_lines(found)), call.stop)
        if sys.stdout.isatty() and not call.as_json:
            yield f"{file}: {output.count(len([*rows_of(found)]), 'row')}."


def read(settings: Settings, store: Store, contact_id: int) -> Person:
    """Return what the state holds about a contact. May raise StorageError."""
    pins, now = store.pins(), app.our_clock()
    given = sentences.given(settings, store, now)
    called = (given.opt_out, given.opt_in, settings.sync_text_field)
    fields = () if pins is None else pins.fields
    return Person(
        dossier=store.dossiers.of(contact_id),
        given=given,
        profile=None if pins is None else pins.destination.profile,
        host=None if pins is None else _host(pins.destination, settings),
        names={id_: name for id_, name in zip(fields, called, strict=False) if id_ and name},
        now=now,
    )


def _host(destination: Destination, settings: Settings) -> str | None:
    """Return scheme and host; the state itself has only a keyed hash of a webhook's address."""
    is_known = destination.profile is Profile.BATCH
    address = destination.address if is_known else settings.broadly_url
    return host_of(address) if address and destination.profile is not Profile.CSV else None


# For a person.


def lines_of(person: Person) -> Iterator[str]:
    """Yield what is stored, the closings first; and at the end, what is not."""
    dossier = person.dossier
    if dossier.is_empty:
        yield f"Nothing is stored about contact {dossier.contact_id} ({person.at(person.now)})."
    else:
        yield f"All that is stored about contact {dossier.contact_id} ({person.at(person.now)})"
    for kept in dossier.closings:
        yield ""
        yield from _closing_lines(person, kept)
    yield from _noes(person)
    if dossier.runs:
        yield from ("", "The runs that took part, and by what they decided")
        yield from (f"  {person.at(run.past.started_at)}  {_run(person, run)}"
                    for run in dossier.runs)  # fmt: skip
    if person.profile is not None and not dossier.is_empty:
        yield from ("", f"Sent to: {person.profile}{f', {person.host}' if person.host else ''}")
    yield from ("", NOT_STORED, NOT_LOOKED_AT)


def _closing_lines(person: Person, kept: ClosingKept) -> Iterator[str]:
    given, key = person.given, kept.story.closing.key
    closing = rules.as_told(kept.story.closing, given.policy, person.now, given.zone)
    yield f"M{_key(key)[1:]}"
    yield f"  {sentences.sentence(kept.story._replace(closing=closing), given)}"
    for text in _about(person, kept):
        yield f"  {text}"
    for step in kept.story.steps:
        yield f"  {answer.change(step, given.zone, given.opt_in)}"


def _about(person: Person, kept: ClosingKept) -> Iterator[str]:
    closing, objected_at = kept.story.closing, kept.story.objected_at
    if closing.contact_id != person.dossier.contact_id:
        yield f"It was tried for this contact; the matter's client is {closing.contact_id} by now."
    yield f"Noticed {person.at(closing.noticed_at)}"
    read = f"Last read {person.at(closing.read_at)} (run {closing.read_in_run})"
    edited = closing.updated_at
    yield f"{read}, as edited {person.at(edited)}" if edited is not None else read
    if closing.claimed_at is not None:
        batch = batch_of(closing.claimed_in_run, closing.batch)
        channels = sentences.channels(closing)
        claimed = f"Last tried {person.at(closing.claimed_at)}, batch {batch}"
        yield f"{claimed}; {channels}" if channels else claimed
    if objected_at is not None:
        told = "" if kept.told_in_run is None else f" (told by run {kept.told_in_run})"
        yield f"Opted out after it was sent: noticed {person.at(objected_at)}{told}"
    if noted := ", ".join(_noted(closing)):
        yield f"Noted: {noted}"
    if kept.hashes:
        yield f"Of the person: {_hashes(kept.hashes)}"


def _noted(closing: Closing) -> Iterator[str]:
    if closing.in_doubt:
        yield "once it was not known what became of it"
    if closing.resent:
        yield "a person sent it again"
    if closing.approval is Approval.WANTED:
        yield "it wants a person's yes"
    if closing.approval is Approval.GIVEN:
        yield "a person approved it"
    if closing.tries:
        yield output.count(closing.tries, "run has tried in vain", "runs have tried in vain")


def _noes(person: Person) -> Iterator[str]:
    no, stopped = person.dossier.no, person.dossier.stopped
    if no is not None:
        box = person.given.opt_out
        yield from ("", f"{box} was checked when it was last read, {person.at(no.read_at)}")
        yield f"  Of the person: {_hashes(no.hashes)}"
    if stopped:
        yield from ("", "It has kept others with the same address from being asked")
        yield from (f"  {_key(key)}" for key in stopped)


def _run(person: Person, run: RunKept) -> str:
    begins = f"run {run.past.run} ({run.past.command}): "
    if run.version is None:
        return f"{begins}version, rule and fields were not noted yet"
    boxes = (run.opt_out_field, run.opt_in_field, run.text_field)
    read = ", ".join(_box(person, id_) for id_ in boxes if id_ is not None) or "not noted"
    untouched = f"; untouched box: {run.opt_in_untouched}" if run.opt_in_untouched else ""
    return f"{begins}version {run.version}, rule {run.rule}, fields {read}{untouched}"


def _box(person: Person, id_: int) -> str:
    name = person.names.get(id_)
    return f"{name} ({id_})" if name else str(id_)


def _key(key: Key) -> str:
    on = "no close date" if key.closed_on is None else f"close date {output.day(key.closed_on)}"
    return f"matter {key.matter_id}, {on}"


def _hashes(number: int) -> str:
    return output.count(number, "keyed hash", "keyed hashes")


# For a program.


def object_of(found: Iterator[Person], call: Call) -> Iterator[tuple[str, Any]]:
    """Yield what `--json` says; where there is no answer, that is no more than the outcome."""
    people = [*found]
    yield "outcome", call.outcome
    for person in people:
        yield from _object(person)


def _object(person: Person) -> Iterator[tuple[str, Any]]:
    dossier = person.dossier
    yield "contact_id", dossier.contact_id
    yield "in_ledger", not dossier.is_empty
    yield "made_at", person.now
    yield "destination", {"profile": person.profile, "host": person.host}
    yield "opt_out_read", None if dossier.no is None else dossier.no._asdict()
    yield "stopped", [key._asdict() for key in dossier.stopped]
    yield "closings", [_closing(kept) for kept in dossier.closings]
    yield "runs", [_run_object(run) for run in dossier.runs]
    yield "not_stored", NOT_STORED
    yield "not_looked_at", NOT_LOOKED_AT


def _closing(kept: ClosingKept) -> dict[str, Any]:
    closing = kept.story.closing
    shown = {name: value for name, value in closing._asdict().items() if name != "key"}
    return {
        **closing.key._asdict(),
        **shown,
        "approval": closing.approval.name.lower(),
        "batch": batch_of(closing.claimed_in_run, closing.batch),
        "channels": _channels(closing.channels),
        "opted_out_at": kept.story.objected_at,
        "told_in_run": kept.told_in_run,
        "hashes": kept.hashes,
        "changes": [answer.step_object(step) for step in kept.story.steps],
    }


def _channels(channels: Channels | None) -> list[str] | None:
    return None if channels is None else channels.split(",")


def _run_object(run: RunKept) -> dict[str, Any]:
    past = run.past
    return {
        "run": past.run,
        "run_id": run.run_id,
        "command": past.command,
        "started_at": past.started_at,
        "finished_at": past.finished_at,
        "exit_code": past.exit_code,
        **_rules(run),
    }


def _rules(run: RunKept) -> dict[str, Any]:
    return {name: value for name, value in run._asdict().items() if name not in ("past", "run_id")}


# For a spreadsheet.

COLUMNS: Final = (
    "what", "at", "contact_id", "matter_id", "closed_on", "from", "to", "reason", "cause", "answer",
    "batch", "channels", "hashes", "run", "command", "version", "rule", "opt_out_field",
    "opt_in_field", "text_field", "opt_in_untouched", "run_id", "noticed_at", "claimed_at",
    "claimed_in_run", "updated_at", "etag", "in_doubt", "resent", "approval", "tries",
    "told_in_run", "destination",
)  # fmt: skip


def rows_of(person: Person) -> Iterator[dict[str, Any]]:
    """Yield a row for each closing as it stands and for each of its changes, then for the rest.

    With a change comes by what its run decided.
    """
    dossier = person.dossier
    runs = {run.past.run: run for run in dossier.runs}
    for kept in dossier.closings:
        yield _closing_row(person, kept)
        for step in kept.story.steps:
            yield _named(kept) | _step_row(step, runs.get(step.run))
        if kept.story.objected_at is not None:
            what = {"what": "opted_out_after_sending", "at": kept.story.objected_at}
            yield _named(kept) | what | {"told_in_run": kept.told_in_run}
    if dossier.no is not None:
        no = {"at": dossier.no.read_at, "hashes": dossier.no.hashes}
        yield {"what": "opt_out_read", "contact_id": dossier.contact_id, **no}
    for key in dossier.stopped:
        yield {"what": "stopped_by_this_contact", **key._asdict()}


def _closing_row(person: Person, kept: ClosingKept) -> dict[str, Any]:
    closing = kept.story.closing
    read = {"at": closing.read_at, "run": closing.read_in_run, "to": closing.state}
    shown = {name: value for name, value in _closing(kept).items() if name in COLUMNS}
    destination = person.host or person.profile
    channels = {"channels": closing.channels}
    return {"what": "closing", **shown, **read, **channels, "destination": destination}


def _named(kept: ClosingKept) -> dict[str, Any]:
    closing = kept.story.closing
    return {**closing.key._asdict(), "contact_id": closing.contact_id}


def _step_row(step: Step, run: RunKept | None) -> dict[str, Any]:
    by = {} if run is None else {"run_id": run.run_id, **_rules(run)}
    return {"what": "change", **answer.step_object(step), **by}


def _csv_lines(person: Person) -> Iterator[str]:
    yield rows.spelled(COLUMNS)
    for row in rows_of(person):
        yield rows.spelled([_cell(row.get(name)) for name in COLUMNS])


def _cell(value: Any) -> str:
    """Return the text of a cell; a moment is in UTC, as in `--json`."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
