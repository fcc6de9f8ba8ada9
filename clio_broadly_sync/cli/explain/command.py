"""`explain`: asks the ledger, and Clio for what the ledger does not know.

It only reads. The parts of the answer are in `cli/explain/answer.py`, its sentences in
`cli/explain/sentences.py`, and what Clio shows now in `cli/explain/preview.py`.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Final, NamedTuple

import click

from clio_broadly_sync.cli import app, objections
from clio_broadly_sync.cli.explain import find, now, related, sentences
from clio_broadly_sync.cli.explain.answer import Explanation, Names, Told, lines_of, object_of
from clio_broadly_sync.cli.explain.now import Now, Seen
from clio_broadly_sync.cli.explain.preview import Preview
from clio_broadly_sync.cli.explain.related import Causes
from clio_broadly_sync.cli.options import ClioId, Options, id_in, of_a_firm
from clio_broadly_sync.cli.output import folded
from clio_broadly_sync.domain import rules
from clio_broadly_sync.domain.errors import StoppedError, StorageError, SyncError
from clio_broadly_sync.domain.model import Closing, Key, Matter
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Store
from clio_broadly_sync.store.history import Story
from clio_broadly_sync.transport.signals import Stop

LONGEST_NUMBER = 255
"""No longer text than this is taken as a display number."""
UNKNOWN: Final = "Nothing is recorded of it, and Clio was not asked (--offline)."
NO_MATTER: Final = (
    "Clio shows no such matter: it was deleted, or is hidden from this sign-in; and nothing "
    "is recorded of it."
)
NO_NUMBER: Final = (
    "Clio shows no matter with this display number: give all of it, or the number in the address "
    "of the matter's page in Clio, by which it is recorded."
)


class Question(NamedTuple):
    """What was asked: about a matter, or about a contact."""

    matter_id: int | None
    """The id that `number` may be; None where it cannot be one."""
    number: str
    """What was typed: the matter's id, its display number, or its address."""
    contact_id: int | None
    """The contact's id; None where a matter is meant."""
    offline: bool
    """Whether only the ledger is to be asked, and not Clio."""


@click.command()
@click.argument("matter", required=False, metavar="[ID]")
@click.option(
    "--contact",
    type=ClioId("contact"),
    metavar="ID",
    help="All closed matters of this contact, instead of one matter.",
)
@click.option(
    "--find",
    "by_name",
    is_flag=True,
    help="Ask for a client's name, and list who has it in Clio, with their matters.",
)
@click.option(
    "--offline", is_flag=True, help="Look at what is recorded here only, and do not ask Clio."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, without names.")
@of_a_firm
def explain(
    options: Options,
    matter: str | None,
    contact: int | None,
    by_name: bool,
    offline: bool,
    as_json: bool,
) -> None:
    """Say why the client of a matter was sent to Broadly, or not.

    ID is the matter's id (the number in its address in Clio), that address, or its display
    number. Says it in one sentence, and then how it came to that. Changes nothing.

    Example: clio-broadly-sync explain 1234567890
    """
    if by_name:
        find.check_usage(alone=matter is None and contact is None and not (offline or as_json))
        app.carry_out(partial(find.find, options), str, lambda lines, call: iter(()), as_json=False)
    if (matter is None) == (contact is None):
        raise click.UsageError("Name one matter, or one contact with --contact, or use --find.")
    number = (matter or "").strip()
    if matter is not None and not _is_number(number):
        raise click.UsageError("ID is a matter's id or its display number, as Clio shows it.")
    if offline and contact is None and id_in(number, "matter") is None:
        raise click.UsageError(
            "A matter is recorded by its id only: give that, or leave out --offline."
        )
    question = Question(id_in(number, "matter"), number, contact, offline)
    app.carry_out(partial(_find, options, question), _text, object_of, as_json=as_json)


def _is_number(text: str) -> bool:
    return bool(text) and text.isprintable() and len(text) <= LONGEST_NUMBER


def _find(options: Options, question: Question, call: app.Call) -> Iterator[Explanation]:
    settings = app.settings_of(options)
    with app.opened(settings, writes=False) as store:
        explaining = _Explaining(settings, store, question, call.stop)
        answer = explaining.answer()
        yield answer if call.as_json else explaining.named(answer)
        explaining.check_asked()


def _text(answer: Explanation) -> str:
    return folded("\n".join(lines_of(answer)))


class _Explaining:
    """One call of `explain`: a question, and where its answer comes from."""

    def __init__(self, settings: Settings, store: Store, question: Question, stop: Stop) -> None:
        self._history = store.history
        self._question = question
        self._now = app.our_clock()
        self._given = sentences.given(settings, store, self._now)
        self._preview = Preview(settings, store, self._given, stop)
        self._now_in_clio = Now(settings, store, self._given, self._preview)
        self._failure: SyncError | None = None
        """Why Clio could not be asked how it is now."""
        self._same_contact = cache(lambda id_: Causes.of_person(self._history.of_contact(id_)))
        self._same_address: dict[int | None, Causes] = {}

    def answer(self) -> Explanation:
        """Return the answer; ask the ledger, and Clio only where the ledger does not know."""
        asked = self._question
        if asked.contact_id is not None:
            return self._of_contact(asked.contact_id)
        if asked.matter_id is not None and (told := self._known(asked.matter_id)):
            return Explanation(told, asked.matter_id, None, known=True)
        if asked.offline:
            return Explanation([Told(UNKNOWN)], asked.matter_id, None, known=False)
        return self._of_matter_in_clio()

    def named(self, answer: Explanation) -> Explanation:
        """Return the answer as a person reads it: with the zone, and with names on a terminal."""
        names = self._names(answer) if self._shows_names(answer) else Names()
        return answer._replace(names=names, zone=self._given.zone, opt_in=self._given.opt_in)

    def check_asked(self) -> None:
        """Raise the SyncError because of which Clio could not be asked how it is now."""
        if self._failure is not None:
            raise self._failure

    def _of_matter_in_clio(self) -> Explanation:
        asked = self._question
        found = self._preview.find(asked.matter_id, asked.number)
        if not found:
            says = NO_NUMBER if asked.matter_id is None else NO_MATTER
            return Explanation([Told(says)], asked.matter_id, None, known=False)
        if len(found) > 1:
            ids = ", ".join(str(one.matter.id) for one in found)
            several = f"Several matters have this display number; ask with the id instead: {ids}."
            return Explanation([Told(several)], None, None, known=False)
        matter = found[0].matter
        if told := self._known(matter.id):
            return Explanation(told, matter.id, None, known=True)
        return Explanation([self._foreseen(matter)], matter.id, None, known=False)

    def _foreseen(self, matter: Matter) -> Told:
        """Return the answer about a matter that the ledger does not know."""
        told = self._preview.of_matter(matter)
        if told.story is None or told.story.closing.reason is not Reason.ASKED_RECENTLY:
            return told
        return replace(told, more=(*told.more, self._whose(told.story)))

    def _of_contact(self, contact_id: int) -> Explanation:
        of_matters = self._history.of_matters_of(contact_id)
        own = [story for story in of_matters if story.closing.contact_id == contact_id]
        if own:
            return Explanation(self._told(own, of_matters), None, contact_id, known=True)
        new = Told(UNKNOWN) if self._question.offline else self._preview.of_contact(contact_id)
        return Explanation([new], None, contact_id, known=False)

    def _known(self, matter_id: int) -> list[Told]:
        stories = self._history.of_matter(matter_id)
        return self._told(stories, stories)

    def _told(self, stories: Sequence[Story], of_matters: Sequence[Story]) -> list[Told]:
        """Tell each story; `of_matters` are all the stories of their matters."""
        same_matter = Causes.by_matter(of_matters)
        seen = self._see(stories, of_matters)
        return [
            self._tell(one, same_matter[one.closing.key.matter_id], seen.get(one.closing.key))
            for one in stories
        ]

    def _see(self, stories: Sequence[Story], of_matters: Sequence[Story]) -> dict[Key, Seen]:
        """Return how closings that wait or were sent stand in Clio now, as far as it can be asked.

        Only a signal raises, or the state: StoppedError, StorageError.
        """
        if self._question.offline or not now.concerns(stories):
            return {}
        try:
            return self._now_in_clio.see(stories, (one.closing.key for one in of_matters))
        except (StoppedError, StorageError):
            raise
        except SyncError as error:
            self._failure = error
        asked = [story for story in stories if now.concerns([story])]
        return {story.closing.key: Seen(now.NOT_ASKED) for story in asked}

    def _tell(self, story: Story, same_matter: Causes, seen: Seen | None) -> Told:
        given = self._given
        closing = rules.as_told(story.closing, given.policy, self._now, given.zone)
        story = story._replace(closing=closing)
        says, helps = sentences.sentence(story, given), sentences.helps(story, given)
        more = [] if helps is None else [helps]
        if story.objected_at is not None:
            more.append(objections.sentence(story.objected_at, self._given.zone))
        if story.closing.reason is Reason.ASKED_RECENTLY:
            former = related.of_matter(story, same_matter)
            if former is not None:
                says = related.sentence(story.closing, former, self._given.zone)
            more.append(related.CORRECTED if former is not None else self._whose(story))
        if seen is None:
            return Told(says, tuple(more), story)
        if seen.says is not None:
            more.append(seen.says)
        return Told(says, tuple(more), story, seen.decision, seen.opted_out)

    def _whose(self, story: Story) -> str:
        """Say with which closing the person was asked before."""
        contact_id = story.closing.contact_id
        before = self._same_contact(contact_id or 0).last_before(story)
        if before is None:
            if contact_id not in self._same_address:
                same = self._with_same_address(story.closing)
                self._same_address[contact_id] = Causes.of_person(same)
            before = self._same_address[contact_id].last_before(story)
        return related.whose(story.closing, before, self._given.zone)

    def _with_same_address(self, closing: Closing) -> list[Story]:
        """Return the closings that were sent to the same e-mail address or phone number.

        The ledger does not hold these, so Clio is asked for them. Return none where it cannot be,
        because the answer is useful without them, too.
        """
        if self._question.offline:
            return []
        try:
            contact = self._preview.contact(closing.contact_id or 0)
        except StoppedError:
            raise
        except SyncError:
            return []
        return [] if contact is None else self._history.of_person(contact)

    def _shows_names(self, answer: Explanation) -> bool:
        is_somebody = answer.matter_id is not None or answer.contact_id is not None
        can_ask = not self._question.offline and self._failure is None
        return sys.stdout.isatty() and can_ask and is_somebody

    def _names(self, answer: Explanation) -> Names:
        """Ask Clio for the names; the answer is useful without them, so a failure raises nothing.

        Only a signal does: it raises StoppedError.
        """
        of_closings = [told.story.closing.contact_id for told in answer.told if told.story]
        ids = {id_ for id_ in (answer.contact_id, *of_closings) if id_ is not None}
        number = None
        try:
            if answer.matter_id is not None:
                number = self._preview.number(answer.matter_id)
            names = {id_: self._preview.name(id_) for id_ in ids}
        except StoppedError:
            raise
        except SyncError as error:
            return Names(missing=str(error))
        return Names(number, names)
