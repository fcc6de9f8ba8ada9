"""What would become of a matter or contact that the ledger does not know, and why it has not yet.

It asks Clio and the rules as `sync` does, and records nothing.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final

from clio_broadly_sync.cli import app, names, output
from clio_broadly_sync.cli.explain import sentences
from clio_broadly_sync.cli.explain.answer import Told
from clio_broadly_sync.cli.explain.sentences import Given
from clio_broadly_sync.clio.records import Numbered
from clio_broadly_sync.domain import lifecycle, rules
from clio_broadly_sync.domain.lifecycle import Moment
from clio_broadly_sync.domain.model import (
    Candidate,
    Closing,
    Contact,
    FieldIds,
    Matter,
    Policy,
    Verdict,
)
from clio_broadly_sync.domain.reasons import FAULTS
from clio_broadly_sync.domain.requests import request_for
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.pipeline import pins
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Store
from clio_broadly_sync.store.history import Story
from clio_broadly_sync.transport.signals import Stop

if TYPE_CHECKING:
    from clio_broadly_sync.clio.source import Clio

_NO_BOX: Final = FieldIds(None, None)
_NO_CONTACT: Final = "Clio shows no such contact: it was deleted, or is hidden from this sign-in."
_NOTHING_AGAINST: Final = "Not sent yet: nothing speaks against it"


class Preview:
    """What Clio shows now, decided on as the next `sync` would do it.

    Every method may raise any SyncError.
    """

    def __init__(self, settings: Settings, store: Store, given: Given, stop: Stop) -> None:
        self._settings = settings
        self._store = store
        self._given = given
        self._stop = stop

    def find(self, matter_id: int | None, number: str) -> list[Numbered]:
        """Return the matter of that id; where there is none, those of that display number."""
        found = None
        if matter_id is not None:
            found = self._source.find_matter(matter_id, self._fields)
        return [found] if found is not None else self._source.find_by_number(number, self._fields)

    def number(self, matter_id: int) -> str | None:
        """Return the matter's display number, for a terminal only; None where Clio shows none."""
        found = self._source.find_matter(matter_id, _NO_BOX)
        return None if found is None else found.number

    def name(self, contact_id: int) -> str | None:
        """Return the contact's name, for a terminal only; None where Clio shows none."""
        return self._source.names_of([contact_id]).get(contact_id)

    @property
    def reads_opt_outs(self) -> bool:
        """Whether the opt-outs of contacts are read."""
        return self._fields.opt_out is not None

    def matters(self, ids: Iterable[int]) -> dict[int, Matter]:
        """Return those of these matters that Clio shows now, by id; ask for at most 100."""
        return self._source.matters(ids, self._fields)

    def contacts(self, ids: Iterable[int]) -> dict[int, Contact]:
        """Return those of these contacts that Clio shows now, by id; ask for at most 100."""
        return self._source.contacts(ids, self._fields)

    def contact(self, contact_id: int) -> Contact | None:
        """Return the contact as Clio shows it now; None where it hides it."""
        return self.contacts([contact_id]).get(contact_id)

    def judged(
        self, closing: Closing, contact: Contact | None, policy: Policy, at: Moment
    ) -> Closing:
        """Return what becomes of a closing by its contact, and then by who was asked before.

        `contact` is None where Clio hides it.
        """
        decision = rules.by_contact(contact, policy)
        if contact is None or decision.verdict is not Verdict.SEND:
            return lifecycle.not_sent(closing, decision)
        request = request_for(closing, contact, policy, at.today)
        asked = self._store.history.asked(Candidate(closing, contact, request, at.now))
        return lifecycle.asked_before(closing, asked, policy, at.now) or closing

    def of_contact(self, contact_id: int) -> Told:
        """Return the answer about a contact without a closing: what speaks against it now."""
        contact = self.contact(contact_id)
        if contact is None:
            return Told(_NO_CONTACT)
        decision = rules.by_contact(contact, self._given.policy)
        says = "Not sent: no closed matter of this contact has come up so far."
        if decision.reason is None:
            return Told(says, ("Nothing on the contact speaks against it, should a matter close.",))
        now = app.our_clock()
        why = sentences.of_contact(decision.reason, decision.cause, now, self._given)
        return Told(says, (f"Nor would it be now, should a matter close: {why}.",))

    def of_matter(self, matter: Matter) -> Told:
        """Return the answer about a matter that the ledger does not know.

        It says how the matter would be decided now, and why no `sync` has noticed it.
        """
        closing = self._decided(matter)
        story = Story(closing, ())
        if not matter.closed:
            once = "Once it is closed in Clio, the next `sync` notices it."
            return Told("Not sent: the matter is not closed in Clio.", (once,), story)
        comes, why = self._why_not_yet(matter)
        if closing.state is State.SKIPPED or closing.reason in FAULTS:
            helps = sentences.helps(story, self._given, is_noticed=comes)
            says = sentences.sentence(story, self._given)
        elif comes:
            says, helps = _NOTHING_AGAINST + ", and the next `sync` notices it.", None
        else:
            says = _NOTHING_AGAINST + ", but no `sync` has noticed it."
            helps = sentences.unnoticed(closing, self._given)
        return Told(says, (why, helps) if helps else (why,), story)

    def _decided(self, matter: Matter) -> Closing:
        """Return the closing as the rules decide on it, which the ledger then does not have.

        The rules come in their order: by the matter, by the contact, and by who was asked before.
        """
        policy, now = self._given.policy, app.our_clock()
        given = self._given
        # As the next run would, which decides by the rules of now.
        at = Moment(run=policy.since_run, now=now, today=given.today, zone=given.zone)
        pair = lifecycle.noticed(matter, (), policy, at)
        assert pair is not None  # noqa: S101  (what is not known yet is always noticed)
        closing = pair[1]
        if closing.state is not State.PENDING or closing.reason in FAULTS:
            return closing
        return self.judged(closing, self.contact(closing.contact_id or 0), policy, at)

    def _why_not_yet(self, matter: Matter) -> tuple[bool, str]:
        """Return whether the next `sync` notices the matter, and a sentence why none has yet."""
        first_run, watermark = self._store.first_run, self._store.watermark
        if first_run is None or watermark is None:
            return False, (
                "No `sync` has run yet: the first one notes where to start, and sends nobody."
            )
        if matter.updated_at is None:
            return True, "It is not recorded here yet."
        edited = f"It is not recorded here: it was edited last on {self._on(matter.updated_at)}"
        overlap = timedelta(minutes=self._settings.sync_overlap_minutes)
        if matter.updated_at > rules.scan_from(watermark, first_run, overlap):
            return True, f"{edited}, and the last `sync` looked on {self._on(watermark)}."
        if matter.updated_at < first_run:
            return False, f"{edited}, before the first `sync` ({self._on(first_run)})."
        return False, (
            f"{edited}, and no `sync` since then has seen it; perhaps it was hidden from this "
            "sign-in."
        )

    def _on(self, at: datetime) -> str:
        return output.moment(at, self._given.zone)

    @cached_property
    def _fields(self) -> FieldIds:
        """The ids of the checkboxes, as `sync` would read them.

        Raise ConfigError where they, or a pin, would stop `sync`.
        """
        wanted, known = app.wanted(self._settings), self._store.pins()
        if known is not None:
            pins.check_settings(known, wanted)
        return pins.Fields(self._source, wanted).read(None if known is None else known.fields)

    @cached_property
    def _source(self) -> "Clio":
        return names.clio_of(self._settings, self._store, self._stop)
