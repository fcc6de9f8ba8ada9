"""What a run costs, counted: requests, batches, statements and transactions, for so many closings.

No clock: a step that began to work through the ledger, the range or the batch once more for each
closing would change a count here.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from factories import ALL_FIELDS, NOW, TODAY, make_closing, make_contact, make_matter, make_policy
from watched import connection_of, watch

from clio_broadly_sync import pipeline
from clio_broadly_sync.job import Job
from clio_broadly_sync.model import (
    Account,
    Contact,
    CustomField,
    FieldIds,
    Key,
    Matter,
    Outcome,
    Page,
    Receipt,
    ReviewRequest,
    State,
    SyncRule,
)
from clio_broadly_sync.pins import Wanted
from clio_broadly_sync.report import Report
from clio_broadly_sync.store import Store
from clio_broadly_sync.store.lineup import CHUNK

PAGE, IDS, BATCH = 200, 100, 50
ANY_RUN = {"transactions": 11, "statements": 13}
"""What a run takes that hands anybody over, be it one client or a million."""
BOX = CustomField(11, "BroadlyOptOut", "Contact", "checkbox", False)


class Source:
    """A Clio with so many closed matters; `each` closings of a client in a row."""

    def __init__(self, closings: int, each: int = 1) -> None:
        self.closings = closings
        self.each = each
        self.requests: Counter[str] = Counter()

    def now(self) -> datetime:
        return NOW

    def asked_at(self) -> datetime:
        return NOW

    def account(self) -> Account:
        return Account(1, "UTC")

    def custom_fields(self, *, all_of_them: bool = False) -> Sequence[CustomField]:
        self.requests["custom_fields"] += 1
        return [BOX]

    def closed_since(self, since: datetime, fields: FieldIds) -> Iterator[Page]:
        for first in range(1, self.closings + 2, PAGE):
            if first > 1 and first > self.closings:
                return
            self.requests["matters"] += 1
            last = min(first + PAGE, self.closings + 1)
            matters = [make_matter(n, client_id=self.client(n)) for n in range(first, last)]
            yield Page(matters, len(matters), NOW)

    def closed_between(self, first: date, last: date, fields: FieldIds) -> Iterator[Page]:
        return self.closed_since(NOW, fields)

    def matters(self, ids: Iterable[int], fields: FieldIds) -> dict[int, Matter]:
        self.requests["again"] += 1
        return {id_: make_matter(id_, client_id=self.client(id_)) for id_ in ids}

    def contacts(self, ids: Iterable[int], fields: FieldIds) -> dict[int, Contact]:
        wanted = list(ids)
        assert len(wanted) <= IDS
        self.requests["contacts"] += 1
        return {id_: make_contact(id_, email=f"a{id_}@b.org", phone=None) for id_ in wanted}

    def client(self, matter: int) -> int:
        return 10**6 + (matter - 1) // self.each


class Sink:
    """A Broadly that accepts everybody."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def send(
        self, batch: Sequence[ReviewRequest], seconds_left: Callable[[], float]
    ) -> Iterator[list[Receipt]]:
        self.batches.append(len(batch))
        yield [Receipt(request.key, Outcome.ACCEPTED) for request in batch]

    def kept_back(self) -> Collection[Key]:
        return ()

    def finish(self) -> list[Receipt]:
        return []


class Silent:
    def read(self, matters: int) -> None: ...

    def sending(self, closings: int) -> None: ...

    def settled(self, closings: int) -> None: ...


def job(store: Store, source: Source, sink: Sink) -> Job:
    made = Job(
        source=source,
        sink=sink,
        store=store,
        policy=make_policy(rule=SyncRule.OPT_OUT, max_new=10**6, fields=ALL_FIELDS),
        wanted=Wanted("https://clio.test", "https://b.test", SyncRule.OPT_OUT, BOX.name, "-"),
        token=lambda: "token",
        zone=UTC,
        overlap=timedelta(hours=1),
        batch_size=BATCH,
        limit=None,
        close_dates=(TODAY, TODAY),
        seconds_left=lambda: math.inf,
        wait=lambda seconds: None,
        our_clock=lambda: NOW,
        progress=Silent(),
        report=Report(),
    )
    made.run = store.begin_run("sync", "r", NOW)
    return made


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A state after its first run."""
    watch(monkeypatch)
    with Store.open(tmp_path / "state" / "state.db") as opened:
        pipeline.sync(job(opened, Source(0), Sink()), approve=False)
        yield opened


@contextmanager
def counted(store: Store) -> Iterator[Counter[str]]:
    """Count the statements, however many rows each has, and the transactions that they are in."""
    connection = connection_of(store)
    commits, statements = connection.commits, len(connection.statements)
    counts: Counter[str] = Counter()
    yield counts
    executed = [sql for sql, _ in connection.statements[statements:]]
    counts["statements"] = sum(not sql.startswith("BEGIN") for sql in executed)
    counts["transactions"] = connection.commits - commits


def run(store: Store, source: Source) -> tuple[Sink, Counter[str]]:
    sink = Sink()
    work = job(store, source, sink)
    with counted(store) as counts:
        pipeline.sync(work, approve=False)
    return sink, counts


def rows(store: Store, state: State) -> int:
    return sum(
        closing.state is state
        for several in store.ledger.known(range(1, 3000)).values()
        for closing in several
    )


@pytest.mark.parametrize(("closings", "each"), [(1, 1), (200, 1), (201, 1), (1000, 1), (1000, 4)])
def test_requests_and_batches(store: Store, closings: int, each: int) -> None:
    """A page of matters for each 200, one request for each 100 clients, one for the checkboxes;
    and only the last batch is not full."""
    source = Source(closings, each)
    sink, _ = run(store, source)
    clients = math.ceil(closings / each)
    assert source.requests == {
        "matters": math.ceil(closings / PAGE),
        "contacts": math.ceil(clients / IDS),
        "custom_fields": 1,
    }
    assert sum(sink.batches) == clients == rows(store, State.SENT)
    assert len(sink.batches) == math.ceil(clients / BATCH)


@pytest.mark.parametrize("closings", [400, 2000])
def test_statements_and_transactions(store: Store, closings: int) -> None:
    """So many for a page, for a batch, and for a chunk of those that are due; none for a closing.

    A page: known (1 statement), record (2). A batch: the claim (2 to look people up, 3 to write)
    and its settlement (1 to find it, 2 to write).
    """
    _, counts = run(store, Source(closings))
    pages, batches, chunks = closings // PAGE, closings // BATCH, closings // CHUNK
    assert counts == {
        "transactions": ANY_RUN["transactions"] + 2 * pages + 2 * batches + chunks,
        "statements": ANY_RUN["statements"] + 3 * pages + 8 * batches + chunks,
    }


def test_idle_run_costs_next_to_nothing(store: Store) -> None:
    """Recovery, the page that was read, whether anything is due, and the watermark."""
    _, counts = run(store, Source(0))
    assert counts == {"transactions": 4, "statements": 5}


def test_idle_run_does_the_same_beside_any_ledger(store: Store) -> None:
    """How many closings there are already is nothing to it."""
    source = Source(0)
    _, before = run(store, source)
    settled = [make_closing(n, contact_id=n, state=State.SENT) for n in range(1, 1001)]
    store.ledger.record([(None, closing) for closing in settled], NOW)
    source.requests.clear()
    sink, after = run(store, source)
    assert (source.requests, sink.batches) == ({"matters": 1}, [])
    assert after == before


def test_page_that_is_known_is_only_looked_up(store: Store) -> None:
    """What the overlap reads again is one statement for a page, and nothing is written."""
    run(store, Source(400))
    _, idle = run(store, Source(0))
    source = Source(400)
    _, again = run(store, source)
    assert source.requests == {"matters": 2}
    assert again["statements"] - idle["statements"] == 2 - 1


def test_batch_of_any_size_is_two_transactions(store: Store) -> None:
    """Claimed before the POST, settled after it."""
    source, sink = Source(500), Sink()
    work = job(store, source, sink)
    work.batch_size = 500
    with counted(store) as counts:
        pipeline.sync(work, approve=False)
    assert sink.batches == [500]
    assert counts["transactions"] == ANY_RUN["transactions"] + 2 * 3 + 2 + 1
