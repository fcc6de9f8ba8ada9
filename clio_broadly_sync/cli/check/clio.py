"""What `check` finds at Clio, and whether all of it is what the state was made with.

At Clio these are the clock, the sign-in, what the sign-in may read, both custom fields, and the
values of their boxes. What a field must be like is in `domain/checkboxes.py`, and what is pinned in
`pipeline/pins.py`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from clio_broadly_sync.cli import app, findings, output
from clio_broadly_sync.cli.check.here import Known
from clio_broadly_sync.cli.findings import Finding
from clio_broadly_sync.clio.records import Sample
from clio_broadly_sync.domain import checkboxes
from clio_broadly_sync.domain.account import Account
from clio_broadly_sync.domain.checkboxes import OPT_OUT, TEXT, Checkbox
from clio_broadly_sync.domain.consent import Untouched
from clio_broadly_sync.domain.errors import (
    ATTENTION,
    ClockError,
    ConfigError,
    DeniedError,
    StoppedError,
    StorageError,
    SyncError,
    shown,
)
from clio_broadly_sync.domain.model import Box, CustomField, FieldIds, Pins
from clio_broadly_sync.pipeline import pins
from clio_broadly_sync.settings import Settings

if TYPE_CHECKING:
    from clio_broadly_sync.cli.clients import Clients

T = TypeVar("T")
SKEW: Final = timedelta(minutes=5)
"""A difference between the clocks that is longer than this gets a warning."""
FORBIDDEN: Final = 403
NO_IDS: Final = FieldIds(None, None)
FEWEST: Final = 5
"""Of fewer records it is not worth saying that nobody has touched their box."""
_TICK: Final = (
    "tick {permission} (Read) among the permissions of the app in Clio's developer portal (or sign "
    "in as a Clio user who has the right), and sign in again: a permission that is added later "
    "needs a new sign-in."
)
_NOT_TOLD: Final = (
    "`sync` goes on with this sign-in, whose account was checked before; a new or renewed one "
    "is refused: give the app the Users permission, so that Clio says whose account it opens."
)


@dataclass(frozen=True, slots=True)
class Answers:
    """What Clio answered to each question, or the error with which the question ended."""

    account: Account | SyncError
    """Who is signed in, which is asked first."""
    ahead: timedelta | None
    """How far Clio's clock is ahead of this machine's; None where Clio told no time."""
    definitions: list[CustomField] | SyncError
    """The definitions of all custom fields."""
    matters: Sample | SyncError
    contacts: Sample | SyncError
    """The clients of the sampled matters, without the hidden ones; any contacts where there are no
    such clients."""
    ids: FieldIds
    """The ids of the checkboxes whose values were read."""

    @property
    def is_cut_short(self) -> bool:
        """Whether nothing was asked after the first question, because that had no answer."""
        return _ends_it(self.account)


def ask(settings: Settings, clients: "Clients", known: Known | None) -> Answers:
    """Ask Clio everything, in a handful of requests; ask nothing more where the first one fails.

    `known` is what the state says, None where it cannot be used. Only a signal raises an error,
    which is StoppedError; every other one is an answer.
    """
    source = clients.source()
    account = _tried(source.account)
    if isinstance(account, SyncError) and _ends_it(account):
        return Answers(account, None, account, account, account, NO_IDS)
    definitions = _tried(lambda: source.custom_fields(all_of_them=True))
    told = isinstance(account, Account) or not isinstance(definitions, SyncError)
    ahead = source.now() - app.our_clock() if told else None
    ids = _ids(settings, definitions, known)
    matters = _tried(lambda: source.sample_matters(ids.opt_in))
    ids_of_clients = matters.clients if isinstance(matters, Sample) else ()
    contacts = _tried(lambda: source.sample_contacts(ids_of_clients, ids.opt_out, ids.text))
    return Answers(account, ahead, definitions, matters, contacts, ids)


def clock(answers: Answers) -> Iterator[Finding]:
    """Yield whether this machine's clock and Clio's fit."""
    about, ahead = "clock", answers.ahead
    if isinstance(answers.account, ClockError):
        yield from findings.failures(about, answers.account)
    elif ahead is None:
        yield findings.untested(about, "Clio told no time.")
    elif abs(ahead) > SKEW:
        side = "behind" if ahead > timedelta(0) else "ahead of"
        yield findings.warning(
            about,
            f"This machine's clock is {output.length(abs(ahead))} {side} Clio's: set it right. "
            "From 48 hours on, no run does anything.",
        )
    else:
        yield findings.ok(about, "This machine's clock and Clio's agree.")


def sign_in(
    settings: Settings, answers: Answers, known: Known | None, ends_at: str | None
) -> Iterator[Finding]:
    """Yield who is signed in and for how long, and a warning where Clio does not tell the zone.

    `ends_at` is when the access token ends, in words; None where that is not known.
    """
    about, account = "sign-in", answers.account
    if isinstance(account, ClockError):
        yield findings.untested(about, "the clocks come first.")
    elif isinstance(account, StorageError) and known is None:
        yield findings.untested(about, "the state, which holds it, comes first.")
    elif isinstance(account, DeniedError) and account.status == FORBIDDEN:
        tick = _TICK.format(permission="Users")
        yield findings.warning(
            about, f"Clio does not say who is signed in, so the account is not checked: {tick}"
        )
    elif isinstance(account, SyncError):
        yield from findings.failures(about, account)
    else:
        given = settings.clio_access_token is not None
        how = "with CLIO_ACCESS_TOKEN" if given else "by `login`"
        until = f"; the access token ends on {ends_at}" if ends_at else ""
        user, firm = (shown(name or "(no name)") for name in (account.user, account.firm))
        yield findings.ok(about, f"Signed in to Clio {how}, as {user} of {firm}{until}.")
        if account.id is None:
            yield findings.warning(about, "Clio does not name the account, so it is not checked.")
    yield from _zone(settings, account)


def readings(answers: Answers) -> Iterator[Finding]:
    """Yield whether the sign-in may read what a run reads."""
    if answers.is_cut_short:
        yield findings.untested(
            "Clio", "what this sign-in may read, the custom fields and their boxes."
        )
        return
    for what, permission, answer in (
        ("matters", "Matters", answers.matters),
        ("contacts", "Contacts", answers.contacts),
        ("custom fields", "Custom fields", answers.definitions),
    ):
        yield from _reading(what, permission, answer)
    if isinstance(answers.matters, Sample) and isinstance(answers.contacts, Sample):
        yield from _hidden(answers.matters, answers.contacts)


def custom_fields(settings: Settings, answers: Answers, known: Known | None) -> Iterator[Finding]:
    """Yield whether the custom field of each checkbox that the rule reads is as it should be."""
    if answers.is_cut_short:
        return
    if isinstance(answers.definitions, SyncError):
        yield findings.untested("custom field", "Clio did not show the custom fields.")
        return
    pinned = known.pins.fields if known is not None and known.pins is not None else None
    for box in app.wanted(settings).boxes():
        yield from _custom_field(box, answers.definitions, pinned)


def boxes(settings: Settings, answers: Answers) -> Iterator[Finding]:
    """Yield whether the value of each box can be read on matters and contacts that there are."""
    if answers.is_cut_short:
        return
    for box in app.wanted(settings).boxes():
        sample = answers.matters if box.parent == "matter" else answers.contacts
        if (field_id := answers.ids[box.place]) is not None:
            yield _box(box, sample, field_id)
            yield from _never_touched(settings, box, sample, field_id)
        elif box.needed:
            yield findings.untested("box", f"{box}, because of its custom field.")


def pinned(
    settings: Settings, answers: Answers, known: Known | None, is_seen: Callable[[], bool]
) -> Iterator[Finding]:
    """Yield whether host, account, address and rule are those that the state was made with.

    Whether a field is the pinned one is said with the custom fields. `is_seen` returns whether the
    account of this sign-in was checked before, in which case a run does not ask Clio for it.
    """
    about = "pins"
    if known is None:
        yield findings.untested(about, "the state comes first.")
        return
    if known.pins is None:
        yield findings.ok(
            about, "The first `sync` notes account, address, rule and fields; none is noted yet."
        )
        return
    yield from _held_against(known.pins, settings, answers, is_seen)


def _held_against(
    made_with: Pins, settings: Settings, answers: Answers, is_seen: Callable[[], bool]
) -> Iterator[Finding]:
    about, account = "pins", answers.account
    wrong = [_tried(lambda: pins.check_settings(made_with, app.wanted(settings)))]
    told = account if isinstance(account, Account) else Account(None, None)
    is_pinned = made_with.account is not None and not answers.is_cut_short
    if is_pinned and told.id is None and is_seen():
        yield findings.warning(about, _NOT_TOLD)
    elif is_pinned:
        wrong.append(_tried(lambda: pins.check_account(made_with, told)))
    errors = [error for error in wrong if error is not None]
    for error in errors:
        yield from findings.failures(about, error)
    if not errors:
        account_too = is_pinned and told.id is not None
        fields = " and fields" if _has_the_same(made_with.fields, settings, answers) else ""
        which = f"{'account' if account_too else 'Clio host'}, address{',' if fields else ' and'}"
        yield findings.ok(about, f"The same {which} rule{fields} as last time.")


def _has_the_same(fields: FieldIds, settings: Settings, answers: Answers) -> bool:
    found, boxes = answers.definitions, app.wanted(settings).boxes()
    return not isinstance(found, SyncError) and not any(b.is_wrong(found, fields) for b in boxes)


def _tried(call: Callable[[], T]) -> T | SyncError:
    """Return what the call returns, or the SyncError that it raises; StoppedError is raised on."""
    try:
        return call()
    except StoppedError:
        raise
    except SyncError as error:
        return error


def _ends_it(account: Account | SyncError) -> bool:
    """Tell whether nothing more is to be asked after this answer to the first question.

    Where Clio only forbids that question, it may answer the others; after any other error it will
    not.
    """
    forbidden = isinstance(account, DeniedError) and account.status == FORBIDDEN
    return isinstance(account, SyncError) and not forbidden


def _ids(
    settings: Settings, definitions: list[CustomField] | SyncError, known: Known | None
) -> FieldIds:
    """Return the ids of the boxes' definitions; the pinned ones where Clio does not show them."""
    if not isinstance(definitions, SyncError):
        return checkboxes.ids(app.wanted(settings).boxes(), definitions)
    return known.pins.fields if known is not None and known.pins is not None else NO_IDS


def _zone(settings: Settings, account: Account | SyncError) -> Iterator[Finding]:
    told = account if isinstance(account, Account) else Account(None, None)
    if settings.clio_time_zone is None and told.time_zone is None and not _ends_it(account):
        yield findings.warning("time zone", pins.no_zone(told.named_zone))


def _reading(what: str, permission: str, answer: Sequence[object] | SyncError) -> Iterator[Finding]:
    if isinstance(answer, DeniedError) and answer.status == FORBIDDEN:
        tick = _TICK.format(permission=permission)
        yield findings.failed(
            what, f"Clio forbids this sign-in to read {what}: {tick}", DeniedError.exit_code
        )
    elif isinstance(answer, SyncError):
        yield from findings.failures(what, answer)
    else:
        yield findings.ok(what, "They can be read.")


def _hidden(matters: Sample, contacts: Sample) -> Iterator[Finding]:
    hidden = matters.clients - contacts.records
    if hidden:
        yield findings.warning(
            "contacts",
            f"Of {len(matters.clients)} clients looked at, Clio hides {len(hidden)} from this "
            "sign-in; such a client would wait. Give its Clio user access to all contacts.",
        )


def _custom_field(
    box: Checkbox, definitions: list[CustomField], pinned: FieldIds | None
) -> Iterator[Finding]:
    about, found = "custom field", box.found_in(definitions)
    if box.is_wrong(definitions, pinned):
        yield findings.failed(about, box.problem(definitions, pinned), ConfigError.exit_code)
    elif not found and (question := box.did_you_mean(definitions)):
        yield findings.warning(about, f"Clio has no checkbox named {box}.{question}")
    elif not found:
        yield findings.ok(
            about, f"Clio has no checkbox named {box}, which the rule can do without."
        )
    elif cautions := list(box.cautions(found[0])):
        for caution in cautions:
            yield findings.warning(about, caution)
    else:
        shown_to_all = ", shown by default" if found[0].displayed else ""
        yield findings.ok(about, f"Clio has the checkbox {box}{shown_to_all}.")


def _box(box: Checkbox, sample: Sample | SyncError, field_id: int) -> Finding:
    about, what = "box", f"{box.parent}s"
    if isinstance(sample, SyncError):
        return findings.untested(about, f"{box}, because Clio did not show {what}.")
    if not sample.records:
        return findings.untested(about, f"{box}: there is no {box.parent} to try it on.")
    if sample.withheld:
        tick = _TICK.format(permission="Custom fields")
        return findings.failed(
            about,
            f"Clio withholds the value of {box} from this sign-in: {tick}",
            DeniedError.exit_code,
        )
    if unreadable := sample.with_box(field_id, Box.UNREADABLE):
        ids = ", ".join(map(str, unreadable))
        waits = "its phone number is not sent" if box.place == TEXT else "its client waits"
        return findings.failed(
            about,
            f"The value of {box} cannot be read, and {waits}: open {box.parent} {ids} in "
            "Clio, set the box anew and save.",
            ATTENTION,
        )
    records = what if len(sample.records) > 1 else box.parent
    return findings.ok(
        about, f"The value of {box} can be read; tried on {len(sample.records)} {records}."
    )


def _never_touched(
    settings: Settings, box: Checkbox, sample: Sample | SyncError, field_id: int
) -> Iterator[Finding]:
    """Yield that nobody has touched most of these boxes, where that keeps a client from Broadly.

    Of an opt-out it is the rule, and nothing to be said.
    """
    if isinstance(sample, SyncError) or sample.withheld or len(sample.records) < FEWEST:
        return
    never, of = len(sample.with_box(field_id, Box.UNTOUCHED)), len(sample.records)
    if 2 * never <= of or box.place == OPT_OUT:
        return
    if box.place == TEXT:
        yield findings.warning(
            "box",
            f"Of the last {of} clients, {box.name} was never touched on {never}: their phone "
            "numbers are not sent. Check it on each contact that agrees to be texted.",
        )
    elif settings.sync_opt_in_untouched is Untouched.SEND:
        yield findings.ok(
            "box",
            f"Of the last {of} closed matters, {box.name} was never touched on {never}; that "
            "counts as a yes (SYNC_OPT_IN_UNTOUCHED).",
        )
    else:
        yield findings.warning(
            "box",
            f"Of the last {of} closed matters, {box.name} was never touched on {never}: nobody is "
            "asked for those. Check it on the matters, or in the matter template; “Default” in "
            "Clio checks nothing.",
        )
