"""Wrong programs, each with one of the mistakes that the design avoids.

A checker that lets one of them pass proves nothing about our program.
"""

import os
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from clio_broadly_sync.clio import records
from clio_broadly_sync.clio.api import Api
from clio_broadly_sync.clio.source import Clio
from clio_broadly_sync.domain import lifecycle, rules
from clio_broadly_sync.domain.errors import UnavailableError
from clio_broadly_sync.domain.exports import Fate
from clio_broadly_sync.domain.model import (
    Box,
    Candidate,
    Closing,
    Contact,
    FieldIds,
    Outcome,
    Page,
    Receipt,
)
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.pipeline import daily_look, run
from clio_broadly_sync.pipeline.context import RunContext
from clio_broadly_sync.pipeline.push import Push
from clio_broadly_sync.sinks.csv_file import CsvFile
from clio_broadly_sync.sinks.webhook import Webhook
from clio_broadly_sync.store import Store, database, leftovers
from clio_broadly_sync.store.exports import Exports
from clio_broadly_sync.store.noes import Noes
from clio_broadly_sync.store.objections import Objections
from clio_broadly_sync.store.writer import Writer
from clio_broadly_sync.transport.clock import Clock


def watermark_of_edits() -> None:
    """Let the watermark be the latest `updated_at` that was seen."""

    pull, move = run.pull, Store.move_watermark
    edits: list[datetime] = []

    def pulled(context: RunContext, pages: Iterable[Page], **options: Any) -> None:
        read = list(pages)
        edits.extend(m.updated_at for page in read for m in page.matters if m.updated_at)
        pull(context, read, **options)

    run.pull = pulled
    Store.move_watermark = lambda self, to: move(  # type: ignore[method-assign]
        self, max([self.watermark or to, *edits])
    )


def offset_paging() -> None:
    """Let pages be counted in rows, instead of by the id at which the last page ended."""
    get = Api._get

    def by_offset(self: Api, url: str, params: Any) -> Any:
        if params and url.endswith("matters.json"):
            params = [p for p in params if p[0] != "order"] + [("order", "updated_at(asc)")]
        return get(self, url, params)

    Api._get = by_offset  # type: ignore[method-assign]


def no_overlap() -> None:
    """Let a walk begin exactly where the last one ended."""

    def walk_from(watermark: datetime, first_run: datetime, overlap: timedelta) -> datetime:
        return max(watermark, first_run - timedelta(seconds=1))

    rules.scan_from = walk_from


def settle_first() -> None:
    """Let the receipt be written before anything is sent to Broadly."""

    def send(self: Push, batch: Sequence[Candidate]) -> bool:
        self._settle([Receipt(c.request.key, Outcome.ACCEPTED) for c in batch])
        context = self._context
        for _ in context.sink.send([c.request for c in batch], context.seconds_left):
            pass
        return False

    Push._send = send  # type: ignore[method-assign]


def send_again() -> None:
    """Let what is in doubt be sent again, although Broadly may then ask twice."""

    def unknown(closing: Closing, *, dedupes: bool) -> lifecycle.Change:
        return lifecycle.Change(State.PENDING, Reason.UNKNOWN_OUTCOME, in_doubt=True, tried=True)

    def recovered(closing: Closing, dedupes: bool) -> Closing:
        return closing._replace(state=State.PENDING, reason=Reason.UNKNOWN_OUTCOME, in_doubt=True)

    lifecycle.change_in_doubt, lifecycle.recovered = unknown, recovered


def contacts_kept() -> None:
    """Let a contact be read when its matter is noticed, and never again."""
    file = Path(os.environ["POINTS"]).parent.with_suffix(".contacts")
    read = Clio.contacts

    def contacts(self: Clio, ids: Iterable[int], fields: FieldIds) -> dict[int, Contact]:
        kept = pickle.loads(file.read_bytes()) if file.exists() else {}  # noqa: S301  (our own)
        kept |= read(self, set(ids) - kept.keys(), fields)
        file.write_bytes(pickle.dumps(kept))
        return kept

    Clio.contacts = contacts  # type: ignore[method-assign]


def no_fence() -> None:
    """Let a run go on writing although another one has begun since."""

    @contextmanager
    def transaction(
        self: Writer, connection: Connection, *, lasting: bool = True
    ) -> Iterator[Connection]:
        with database.transaction(connection, lasting=lasting):
            yield connection

    Writer.transaction = transaction  # type: ignore[method-assign]


def monotonic_only() -> None:
    """Let ages be counted by the one clock that stands still while the machine sleeps."""
    Clock.__init__.__defaults__ = (time.monotonic, ())  # type: ignore[misc]
    Clock.hear = lambda self, date, asked_at: None  # type: ignore[method-assign]


def noes_forgotten() -> None:
    """Let a no count for the card that it is on, and for no other card of the same person."""
    Noes.note = lambda self, ids, contacts, at: None  # type: ignore[method-assign]


def texts_ignored() -> None:
    """Let the phone number leave, whatever its box says."""
    rules.may_leave = lambda field, contact, policy: field in policy.fields


def silence_of_any_kind() -> None:
    """Let a box that may not be read be taken for one that nobody touched."""
    read = records.box

    def box(*of: Any) -> Box:
        found = read(*of)
        return Box.UNTOUCHED if found is Box.UNREADABLE else found

    records.box = box  # type: ignore[attr-defined]


def no_date_needed() -> None:
    """Let a matter go that was closed without a close date."""
    rules.BY_MATTER = tuple(rule for rule in rules.BY_MATTER if rule is not rules.no_close_date)


def at_any_hour() -> None:
    """Let the sending hours never end."""
    rules.kept_back = lambda policy, now, zone: None


def no_look() -> None:
    """Let a run take whatever lies beside the state for its latest changes."""
    leftovers.look_beside = lambda path, mark="": None


def file_never_made() -> None:
    """Let everybody be given back whom a killed run had claimed for a file."""
    Exports.fate = lambda self: Fate.NOT_MADE  # type: ignore[method-assign]


def file_always_made() -> None:
    """Let everybody count as sent whom a killed run had claimed for a file."""
    Exports.fate = lambda self: Fate.MADE  # type: ignore[method-assign]


def file_kept_for_a_day() -> None:
    """Let a file be made however long ago its clients were read."""
    CsvFile._check_age = lambda self: None  # type: ignore[method-assign]


def never_looks() -> None:
    """Let nobody who was skipped or sent be looked at daily."""
    daily_look.is_due = lambda context: False


def objections_forgotten() -> None:
    """Let nobody hear of a client who opts out after being sent."""
    Objections.record = lambda self, connection, identities, at: None  # type: ignore[method-assign]


def unsigned() -> None:
    """Let a POST to a webhook go without its signature."""
    begin = Webhook.__init__

    def beginning(self: Webhook, *arguments: Any, **named: Any) -> None:
        begin(self, *arguments, **named | {"secret": None})

    Webhook.__init__ = beginning  # type: ignore[method-assign]


def event_repeated() -> None:
    """Let a POST to a webhook be repeated whatever became of it."""
    deliver = Webhook._deliver

    def again(self: Webhook, *arguments: Any) -> Receipt:
        try:
            return deliver(self, *arguments)
        except UnavailableError:
            return deliver(self, *arguments)

    Webhook._deliver = again  # type: ignore[method-assign]


NAMED: dict[str, Callable[[], None]] = {
    variant.__name__: variant
    for variant in (
        watermark_of_edits, offset_paging, no_overlap, settle_first, send_again, contacts_kept,
        no_fence, monotonic_only, noes_forgotten, no_look, file_never_made, file_always_made,
        file_kept_for_a_day, texts_ignored, silence_of_any_kind, no_date_needed, never_looks,
        objections_forgotten, at_any_hour, unsigned, event_repeated,
    )
}  # fmt: skip
