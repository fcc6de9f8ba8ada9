"""All that a state holds about one client, and nothing about another."""

from datetime import timedelta

from factories import CLOSED_ON, NOW, PINS, make_closing, make_contact
from ledgers import hand_over, next_run, put, row
from planting import connection_of

from clio_broadly_sync import __version__
from clio_broadly_sync.domain.model import Box, Key, Outcome
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import Store
from clio_broadly_sync.store.dossier import No

LATER = NOW + timedelta(hours=1)
"""Matter 77's client is contact 1201, unless a test says another one."""
CLIENT, OTHER = 1201, 1202


def test_nothing_is_stored_about_a_stranger(store: Store) -> None:
    put(store, make_closing(77, contact_id=CLIENT))
    found = store.dossiers.of(OTHER)
    assert found.is_empty
    assert (found.contact_id, found.closings, found.runs) == (OTHER, [], [])
    assert (found.no, found.stopped) == (None, [])


def test_closings_come_with_changes_hashes_and_runs(store: Store) -> None:
    """The last noticed first; and of each run, by what it decided."""
    store.pin(PINS)
    put(store, make_closing(76, contact_id=OTHER), make_closing(77, contact_id=CLIENT))
    next_run(store)
    late = make_closing(78, contact_id=CLIENT, noticed_at=LATER, state=State.SKIPPED,
                        reason=Reason.NOT_OPTED_IN, read_in_run=2)  # fmt: skip
    put(store, late, at=LATER)
    next_run(store)
    next_run(store)
    hand_over(store, row(store, 77), Outcome.ACCEPTED, at=LATER)
    found = store.dossiers.of(CLIENT)
    assert not found.is_empty
    assert [kept.story.closing.key.matter_id for kept in found.closings] == [78, 77]
    assert [kept.hashes for kept in found.closings] == [0, 2]
    assert [[step.state for step in kept.story.steps] for kept in found.closings] == [
        [State.SKIPPED],
        [State.PENDING, State.SENDING, State.SENT],
    ]
    assert [run.past.run for run in found.runs] == [1, 2, 4]
    first, second, _ = found.runs
    assert (first.run_id, first.past.command, first.version) == ("r1", "sync", __version__)
    assert (second.rule, second.opt_out_field, second.opt_in_field) == ("both", 11, 22)


def test_run_that_read_last_takes_part(store: Store) -> None:
    """It looked at the closing again, and changed nothing."""
    put(store, make_closing(77, contact_id=CLIENT))
    next_run(store)
    old = row(store)
    store.ledger.record([(old, old._replace(read_in_run=2))], LATER)
    assert [run.past.run for run in store.dossiers.of(CLIENT).runs] == [1, 2]


def test_closing_that_has_another_client_by_now(store: Store) -> None:
    """It was claimed for this one, so it is theirs, too; but not after a change without a claim."""
    put(store, *(make_closing(n, contact_id=CLIENT) for n in (77, 78)))
    hand_over(store, row(store, 77), Outcome.ACCEPTED)
    connection_of(store).execute("UPDATE closings SET contact_id = ?", (OTHER,))
    (kept,) = store.dossiers.of(CLIENT).closings
    assert (kept.story.closing.key.matter_id, kept.story.closing.contact_id) == (77, OTHER)
    assert len(store.dossiers.of(OTHER).closings) == 2


def test_objection_and_no(store: Store) -> None:
    """Both are told: the box that was checked, and that it was after the client was sent."""
    put(store, make_closing(77, contact_id=CLIENT))
    hand_over(store, row(store), Outcome.ACCEPTED)
    says_no = make_contact(CLIENT, opted_out=Box.CHECKED)
    store.ledger.noes.note([CLIENT], {CLIENT: says_no}, LATER)
    (kept,) = store.dossiers.of(CLIENT).closings
    assert (kept.story.objected_at, kept.told_in_run) == (LATER, None)
    store.ledger.objections.tell()
    found = store.dossiers.of(CLIENT)
    assert found.closings[0].told_in_run == 1
    assert found.no == No(LATER, 2)


def test_no_without_a_closing(store: Store) -> None:
    """The contact's box was read for another closing's sake; it is stored all the same."""
    store.ledger.noes.note([OTHER], {OTHER: make_contact(OTHER, opted_out=Box.CHECKED)}, NOW)
    found = store.dossiers.of(OTHER)
    assert not found.is_empty
    assert (found.closings, found.no) == ([], No(NOW, 2))


def test_whom_the_no_has_stopped(store: Store) -> None:
    """Other contacts' closings name this one, by its whole id, even when decided anew since."""
    stopped = make_closing(77, contact_id=OTHER, state=State.SKIPPED, reason=Reason.OPTED_OUT,
                           cause=f"contact:{CLIENT}")  # fmt: skip
    put(store, stopped, stopped._replace(key=Key(78, CLOSED_ON), cause=f"contact:{CLIENT}0"))
    found = store.dossiers.of(CLIENT)
    assert not found.is_empty
    assert found.stopped == [Key(77, CLOSED_ON)]
    old = row(store, 77)
    store.ledger.record([(old, old._replace(cause=None))], LATER)
    assert store.dossiers.of(CLIENT).stopped == [Key(77, CLOSED_ON)]
