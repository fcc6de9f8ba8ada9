"""How the rows are found: by an index each time, never through the whole ledger."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from factories import (
    CLOSED_ON,
    NOW,
    make_candidate,
    make_closing,
    make_contact,
    make_due,
    make_policy,
)
from ledgers import claim, next_run, put, recover, release, row, settle
from planting import connection_of, untriggered
from watched import IN_POSTGRESQL, ON_A_FILE, plans, plans_of_a_firm

from clio_broadly_sync.domain import lifecycle
from clio_broadly_sync.domain.model import Approval, Box, Closing, Command, Outcome
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import Selection, Store
from clio_broadly_sync.store.outbox import OUTBOX
from clio_broadly_sync.store.queue import CHUNK
from clio_broadly_sync.store.tables import CLOSINGS, INDEXES

SETTLED = 400
NO = Box.CHECKED
WAITS, IN_DOUBT = SETTLED + 1, SETTLED + 2
"""Two matters that wait; of one it is not known whether it was sent."""
DEAD, SENDING = SETTLED + 10, SETTLED + 11
PARTIAL = {index.name for index in INDEXES if index.condition}
LARGE = ("closings", "people", "changes")
OF_A_RUN = ("known", "recover", "claim", "settle", "count due", "line up", "note noes")
_COPIED = ", ".join(c.name for c in CLOSINGS.columns if c.name not in ("number", "matter_id"))
_MANY = f"""
    INSERT INTO closings (matter_id, {_COPIED})
    SELECT more, {_COPIED} FROM closings, generate_series(10000, 15000) AS more WHERE matter_id = 1
"""  # noqa: S608  (names of columns)
_THEIR_PEOPLE = """
    INSERT INTO people (firm, identity, closing, claimed_at)
    SELECT firm, matter_id * 7919, number, claimed_at FROM closings WHERE matter_id >= 10000
"""
_AS_NEW = f"VACUUM (FULL, ANALYZE) {', '.join(LARGE)}"
ROW, KEY = "INTEGER", "sqlite_autoindex_closings_1"
"""How SQLite calls a search by a closing's number, and one by matter and close date."""


@pytest.fixture(params=[False, True], ids=["without statistics", "with statistics"])
def ledger(request: pytest.FixtureRequest, store: Store) -> Store:
    """A ledger of mostly settled closings, a few of each kind that waits."""
    fill(store, SETTLED)
    if request.param:
        connection_of(store).execute("ANALYZE")
    return store


def fill(store: Store, settled: int) -> None:
    put(store, *(make_closing(n, contact_id=n, state=State.SENT) for n in range(1, settled)))
    old = CLOSED_ON - timedelta(days=100)
    put(store, *(make_closing(n, old, state=State.SKIPPED) for n in range(1000, 1000 + settled)))
    waiting = (make_closing(n, contact_id=n, in_doubt=n == IN_DOUBT) for n in range(WAITS, DEAD))
    put(store, *waiting, make_closing(DEAD, state=State.DEAD))
    next_run(store)
    put(store, make_closing(SENDING))
    claim(store, [make_candidate(make_closing(SENDING))])


def approve(closing: Closing) -> Closing:
    return closing._replace(approval=Approval.GIVEN)


def chosen(store: Store, *states: State, **others: object) -> object:
    return list(store.outbox.listed(Selection(frozenset(states), **others)))  # type: ignore[arg-type]


def lined_up(store: Store) -> object:
    store.ledger.line_up(make_due(), approved_only=False)
    return list(store.ledger.lined_up())


WORK: dict[str, tuple[Callable[[Store], object], set[str]]] = {
    "known": (lambda store: row(store, 1), {KEY}),
    "recover": (recover, {"closings_sending", "closings_in_doubt", ROW}),
    "release": (release, {"closings_sending", ROW}),
    "claim": (lambda store: claim(store, [make_candidate(make_closing(WAITS))]), {KEY, ROW}),
    "settle": (lambda store: settle(store, Outcome.ACCEPTED, SENDING), {KEY, ROW}),
    "count due": (lambda store: store.ledger.count_due(make_due()), {"closings_pending"}),
    "count awaiting": (lambda store: store.ledger.count_awaiting(make_due()), {"closings_pending"}),
    "count pending": (lambda store: store.ledger.count_pending(make_due()), {"closings_pending"}),
    "counts of a surge": (
        lambda store: store.ledger.counts_of_surge(make_due(), NOW),
        {"closings_pending", "closings_by_claim"},
    ),
    "line up": (
        lambda store: store.ledger.line_up(make_due(), approved_only=False),
        {"closings_pending"},
    ),
    "line up what is approved": (
        lambda store: store.ledger.line_up(make_due(), approved_only=True),
        {"closings_pending"},
    ),
    "line up for a backfill": (
        lambda store: store.ledger.line_up(
            make_due(command=Command.BACKFILL, faults_until=None, first=NOW.date()),
            approved_only=False,
        ),
        {"closings_pending"},
    ),
    "lined up": (lined_up, {"closings_pending", ROW}),
    "line up what waits for a yes": (
        lambda store: store.ledger.line_up_awaiting(make_due()),
        {"closings_pending"},
    ),
    "line up one matter": (
        lambda store: store.ledger.line_up(make_due(matter_id=WAITS), approved_only=False),
        {KEY},
    ),
    "count what waits of one matter": (
        lambda store: store.ledger.count_pending(make_due(matter_id=WAITS)),
        {KEY},
    ),
    "approve": (
        lambda store: store.ledger.set_approval(make_due(), Approval.GIVEN, approve, NOW),
        {"closings_pending", ROW},
    ),
    "a matter": (lambda store: store.history.of_matter(WAITS), {KEY}),
    "a person": (
        lambda store: store.history.of_person(make_contact()),
        {ROW},
    ),
    "asked": (lambda store: store.history.asked(make_candidate(make_closing(WAITS))), {KEY, ROW}),
    "waiting": (lambda store: store.overview.waiting(None, NOW), {"closings_pending"}),
    "oldest for a file": (lambda store: store.overview.oldest_for_export(), {"closings_pending"}),
    "sending": (lambda store: store.overview.sending(), {"closings_sending"}),
    "held": (lambda store: store.overview.held(), {"closings_in_doubt"}),
    "dead": (lambda store: store.overview.dead(), {"closings_dead"}),
    "hand-overs": (lambda store: store.overview.handed_over([NOW, NOW]), {"closings_by_claim"}),
    "untouched": (lambda store: store.overview.untouched(), {"closings_by_cause"}),
    "stopped by": (lambda store: store.overview.stopped_by(), {"closings_by_cause"}),
    "look at the skipped": (
        lambda store: store.daily_look.skipped(make_policy(), NOW.date(), after=0),
        {"closings_skipped"},
    ),
    "look at the sent": (
        lambda store: store.daily_look.sent(NOW, after=0),
        {"closings_by_claim"},
    ),
    "note noes": (
        lambda store: store.ledger.noes.note([1], {1: make_contact(1, opted_out=NO)}, NOW),
        {ROW},
    ),
    "objections": (lambda store: store.ledger.objections.listed(NOW), {ROW}),
    "figures of a surge": (
        lambda store: store.outbox.surge_figures(make_due()),
        {"closings_pending"},
    ),
    "under way": (lambda store: store.outbox.count_sending(), {"closings_sending"}),
    "the dead": (lambda store: chosen(store, State.DEAD), {"closings_dead"}),
    "the held": (lambda store: chosen(store, State.HELD), {"closings_in_doubt"}),
    "by matter": (lambda store: chosen(store, *OUTBOX, matters=(1, 2)), {KEY}),
}


@ON_A_FILE
@pytest.mark.parametrize("work", WORK)
def test_rows_are_found_by_an_index(ledger: Store, work: str) -> None:
    """Each statement uses the index that is meant for it, and more of it than the firm."""
    do, indexes = WORK[work]
    steps = plans(ledger, lambda: do(ledger))
    found = re.findall(r"SEARCH closings USING (?:COVERING )?(?:INDEX )?(\w+)", steps)
    assert set(found) == indexes
    assert not re.search(r"SCAN (closings|people|changes|noes)", steps)
    assert not re.search(r"SEARCH (closings|people|changes|noes) .*\(firm=\?\)", steps)


@IN_POSTGRESQL
@pytest.mark.parametrize("work", OF_A_RUN)
def test_rows_of_a_firm_are_found_by_an_index(store: Store, work: str) -> None:
    """What every run asks, beside 5,000 closings that were sent.

    Going through so few of them would not cost much more, so that is forbidden where there is an
    index; and the tables are as new, for indexes that earlier tests have blown up are avoided.
    """
    fill(store, 3)
    with untriggered(connection_of(store)) as session:
        for statement in (_MANY, _THEIR_PEOPLE, _AS_NEW, "SET enable_seqscan = off"):
            session.execute(statement)
    for step in plans_of_a_firm(store, lambda: WORK[work][0](store)):
        if step.get("Relation Name", "closings") not in LARGE:
            continue  # the order of sending is read as a whole
        assert step["Node Type"] != "Seq Scan", step
        if step.get("Index Name", "closings_pending") not in PARTIAL:
            assert not re.fullmatch(r"|\(firm = [^()]*\)", step.get("Index Cond", "")), step


@ON_A_FILE
def test_approval_goes_on_from_where_it_was(ledger: Store) -> None:
    """The second chunk of a surge is not looked for from the start."""
    steps = plans(
        ledger, lambda: ledger.ledger.set_approval(make_due(), Approval.GIVEN, approve, NOW)
    )
    assert "(noticed_at,matter_id,closed_on)>(?,?,?)" in steps


@ON_A_FILE
def test_chunks_of_a_change_go_on_from_where_it_was(store: Store) -> None:
    """The ledger is gone through once, however many rows are changed."""
    put(store, *(make_closing(n) for n in range(1, 3 * CHUNK)))
    steps = plans(store, lambda: store.outbox.change(Selection(), lifecycle.dropped, NOW))
    found = re.findall(r"(?:SCAN|SEARCH) closings.*", steps)
    assert len([step for step in found if "(rowid=?)" not in step]) == 1
