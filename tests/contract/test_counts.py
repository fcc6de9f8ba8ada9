"""What a run costs, counted: requests, batches, statements and transactions, for so many closings.

No clock: a step that began to work through the ledger, the range or the batch once more for each
closing would change a count here.
"""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from factories import make_closing, make_policy
from ledgers import put
from runs import Runs
from watched import connection_of, watch

from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import Store
from clio_broadly_sync.store.queue import CHUNK

PAGE, IDS, BATCH = 200, 100, 50
ANY_RUN = {"transactions": 8, "statements": 23}
"""What a run takes that hands anybody over, be it one client or a million. 3 of the statements make
the tables that hold the order of sending."""
BEGINS = ("BEGIN", "PRAGMA synchronous")
"""How each transaction begins."""
UNLIMITED = make_policy(max_new=10**6)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    """Runs that come after the first; what they tell SQLite is counted."""
    watch(monkeypatch)
    with Store.open(tmp_path / "state" / "state.db") as store:
        runs = Runs(store)
        runs.sync()
        yield runs


@contextmanager
def counted(store: Store) -> Iterator[Counter[str]]:
    """Count the statements, however many rows each has, and the transactions that they are in."""
    connection = connection_of(store)
    commits, statements = connection.commits, len(connection.statements)
    counts: Counter[str] = Counter()
    yield counts
    executed = [sql for sql, _ in connection.statements[statements:]]
    counts["statements"] = sum(not sql.startswith(BEGINS) for sql in executed)
    counts["transactions"] = connection.commits - commits


def sync(runs: Runs) -> Counter[str]:
    with counted(runs.store) as counts:
        runs.sync(UNLIMITED)
    return counts


@pytest.mark.parametrize(("closings", "each"), [(1, 1), (200, 1), (201, 1), (1000, 1), (1000, 4)])
def test_requests_and_batches(runs: Runs, closings: int, each: int) -> None:
    """A page of matters for each 200, one request for each 100 clients, one for the checkboxes;
    and only the last batch is not full."""
    clients = math.ceil(closings / each)
    for client in range(clients):
        first = client * each + 1
        runs.close(*range(first, first + each), client_id=10**6 + client)
    runs.sync(UNLIMITED)
    assert Counter(runs.clio.requests) == {
        "page": math.ceil(closings / PAGE),
        "contacts": math.ceil(clients / IDS),
        "custom_fields": 1,
    }
    assert Counter(runs.states.values())[State.SENT] == clients
    assert {len(post) for post in runs.broadly.posts[:-1]} <= {BATCH}
    assert len(runs.broadly.posts) == math.ceil(clients / BATCH)


@pytest.mark.parametrize("closings", [400, 2000])
def test_statements_and_transactions(runs: Runs, closings: int) -> None:
    """So many for a page, for a batch, and for a chunk of those that are due; none for a closing.

    A page: known (1 statement), record (1 for each 50). A batch: the claim (3 to look people up,
    2 to write) and its settlement (1 to write, 2 to be patient). Each time that something is
    written, 1 sees that no other run has begun; the list of changes costs none. A reading of
    contacts: noes are noted (1), and those of others looked up (1).
    """
    runs.close(*range(1, closings + 1))
    counts = sync(runs)
    pages, batches, chunks = closings // PAGE, closings // BATCH, closings // CHUNK
    readings = closings // IDS
    assert counts == {
        "transactions": ANY_RUN["transactions"] + 2 * (pages + batches + readings) + chunks,
        "statements": ANY_RUN["statements"] + 6 * pages + 10 * batches + 3 * readings + chunks,
    }


def test_idle_run_costs_next_to_nothing(runs: Runs) -> None:
    """Its number and what was left, the page that was read, what is due, the watermark."""
    assert sync(runs) == {"transactions": 4, "statements": 8}


def test_idle_run_does_the_same_beside_any_ledger(runs: Runs) -> None:
    """How many closings there are already is nothing to it."""
    before = sync(runs)
    put(runs.store, *(make_closing(n, contact_id=n, state=State.SENT) for n in range(1, 1001)))
    assert sync(runs) == before
    assert (runs.clio.requests, runs.broadly.posts) == (["page"], [])


def test_page_that_is_known_is_only_looked_up(runs: Runs) -> None:
    """What the overlap reads again is one statement for a page, and nothing is written."""
    idle = sync(runs)
    runs.close(*range(1, 401))
    sync(runs)
    again = sync(runs)
    assert runs.clio.requests == ["page"] * 2
    assert again["statements"] - idle["statements"] == 2 - 1


def test_batch_of_any_size_is_two_transactions(runs: Runs) -> None:
    """Claimed before the POST, settled after it."""
    runs.close(*range(1, 501))
    with counted(runs.store) as counts:
        runs.sync(UNLIMITED, batch_size=500)
    assert [len(post) for post in runs.broadly.posts] == [500]
    assert counts["transactions"] == ANY_RUN["transactions"] + 2 * 3 + 2 + 1 + 2 * 5
