"""The sweep of the list of runs: what goes, and that all else is said as before."""

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from databases import Database, firm_place
from factories import PINS, START, make_closing
from ledgers import put

from clio_broadly_sync.report import runs as report
from clio_broadly_sync.report.calendar import day_of
from clio_broadly_sync.report.figures import Day, Period
from clio_broadly_sync.store import Store, postgresql
from clio_broadly_sync.store.firm import FirmPlace
from clio_broadly_sync.store.postgresql import WORKER, Session
from clio_broadly_sync.store.sweep import Sweep

DAY = timedelta(days=1)
KEEP = timedelta(days=30)
TODAY = datetime.combine(datetime.now(UTC).date(), time(), UTC)
"""The sweep goes by the server's clock, so a test cannot choose the day."""
LONG_AGO = TODAY - 40 * DAY
ZONES = ("America/Los_Angeles", "UTC", "Asia/Kathmandu", "Pacific/Kiritimati", "Pacific/Pago_Pago")
IDLE, NEWER = ("sync", 0), 20
"""A `sync` that ended well, and how many newer runs there must be before one goes."""
Run = tuple[datetime, str, int | None]

_ADD: Final = """
    INSERT INTO runs (firm, run, run_id, command, started_at, finished_at, exit_code, failure)
    VALUES (%s, %s, 'r', %s, %s, %s, %s, %s)
"""
_COUNT: Final = """
    INSERT INTO facts (firm, name, value) VALUES (%s, 'run', %s)
    ON CONFLICT (firm, name) DO UPDATE SET value = excluded.value
"""


@pytest.fixture
def firm(database: Database) -> FirmPlace:
    return firm_place(database.emptied())


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    with closing(postgresql.connect(database.address, "sweep", idle=DAY, role=WORKER)) as session:
        yield session


def ran(database: Database, runs: list[Run], firm: int = 1) -> None:
    """Let these be a firm's runs, numbered from 1, followed by enough of today."""
    every = [*runs, *((TODAY, *IDLE) for _ in range(NEWER))]
    with database.read().cursor() as cursor:
        cursor.executemany(_ADD, [_row(firm, n, *run) for n, run in enumerate(every, 1)])
        cursor.execute(_COUNT, (firm, str(len(every))))


def _row(firm: int, number: int, at: datetime, command: str, code: int | None) -> tuple[Any, ...]:
    seconds = int(at.timestamp())
    failure = "Clio could not be reached." if code == 69 else None
    return firm, number, command, seconds, None if code is None else seconds + 9, code, failure


def left(database: Database, firm: int = 1) -> list[int]:
    """Return the numbers of the runs that are left, without those of today."""
    older = "SELECT run FROM runs WHERE firm = %s AND started_at < %s ORDER BY run"
    found = database.read().execute(older, (firm, int(TODAY.timestamp())))
    return [run for (run,) in found]


def hours(*at: int) -> list[datetime]:
    return [LONG_AGO + timedelta(hours=hour) for hour in at]


# What goes.


def test_of_a_day_the_first_and_the_last_idle_run_stay(
    database: Database, firm: FirmPlace, session: Session
) -> None:
    """Of each outcome; and it is told how many went."""
    runs = [(at, *IDLE) for at in hours(0, 1, 2, 23, 24, 25)]
    ran(database, [*runs, *((at, "sync", 65) for at in hours(25, 26, 27))])
    assert Sweep(session).firm(1, KEEP) == 3
    assert left(database) == [1, 4, 5, 6, 7, 9]
    assert Sweep(session).firm(1, KEEP) == 0


@pytest.mark.parametrize(
    ("kept", "command", "code"),
    [
        (False, "sync", 0),
        (True, "sync", 69),
        (True, "sync", 143),
        (True, "sync", None),
        (True, "backfill", 0),
        (True, "outbox resend", 0),
    ],
)
def test_what_failed_or_was_a_persons_stays(
    database: Database,
    firm: FirmPlace,
    session: Session,
    kept: bool,
    command: str,
    code: int | None,
) -> None:
    ran(database, [(at, command, code) for at in hours(0, 1, 2)])
    Sweep(session).firm(1, KEEP)
    assert left(database) == ([1, 2, 3] if kept else [1, 3])


def test_what_is_young_stays(database: Database, firm: FirmPlace, session: Session) -> None:
    ran(database, [(at + 11 * DAY, *IDLE) for at in hours(0, 1, 2)])
    assert Sweep(session).firm(1, KEEP) == 0
    assert Sweep(session).firm(1, KEEP - 3 * DAY) == 1


def test_the_last_runs_stay(database: Database, firm: FirmPlace, session: Session) -> None:
    """However long ago: `status` lists them."""
    ran(database, [(at, *IDLE) for at in hours(0, 1, 2, 3)])
    database.read().execute("DELETE FROM runs WHERE run > 22")
    assert Sweep(session).firm(1, KEEP) == 1
    assert left(database) == [1, 3, 4]


_CHANGED: Final = {
    "read": "UPDATE closings SET read_in_run = 2",
    "changed": "UPDATE closings SET changed_in_run = 2",
    "claimed": "UPDATE closings SET claimed_in_run = 2, claimed_at = 0",
    "a change": "UPDATE changes SET run = 2",
    "told": "INSERT INTO objections (firm, closing, read_at, told_in_run) VALUES (1, 1, 0, 2)",
}


@pytest.mark.parametrize("what", _CHANGED)
def test_what_anything_refers_to_stays(
    database: Database, firm: FirmPlace, session: Session, what: str
) -> None:
    with firm.open() as store:
        store.begin_run("sync", "r", TODAY)
        store.pin(PINS, **START)
        put(store, make_closing())
    database.read().execute("DELETE FROM runs")
    ran(database, [(at, *IDLE) for at in hours(0, 1, 2, 3)])
    database.read().execute(_CHANGED[what])
    assert Sweep(session).firm(1, KEEP) == 1
    assert left(database) == [1, 2, 4]


def test_each_firm_is_swept_by_itself(
    database: Database, firm: FirmPlace, session: Session
) -> None:
    """The rows of others are left alone, and those of all go in as many transactions."""
    for number in (1, 2):
        ran(database, [(at, *IDLE) for at in hours(0, 1, 2)], number)
    assert Sweep(session).firm(1, KEEP) == 1
    assert [left(database, number) for number in (1, 2)] == [[1, 3], [1, 2, 3]]
    assert [*Sweep(session).all(KEEP)] == [0, 1, 0]


def test_run_at_work_waits_for_nothing(
    database: Database, firm: FirmPlace, session: Session
) -> None:
    """Nor does the sweep wait for a run that is in the middle of something."""
    ran(database, [(at, *IDLE) for at in hours(0, 1, 2)])
    with firm.locked("sync"), closing(firm.session()) as own, own.transaction():
        own.execute("UPDATE facts SET value = '24' WHERE firm = 1 AND name = 'run'")
        session.execute("SET lock_timeout = '1s'")
        assert Sweep(session).firm(1, KEEP) == 1


# What is said as before.


@pytest.fixture
def history(database: Database, firm: FirmPlace) -> FirmPlace:
    """A firm with closings and with runs of each kind at random moments of two months."""
    chance = random.Random(16)  # noqa: S311
    moments = sorted(TODAY - DAY - chance.random() * 60 * DAY for _ in range(500))
    with firm.open() as store:
        store.begin_run("sync", "r", moments[0])
        store.pin(PINS, **START | {"first_run": moments[0].isoformat()})
        put(store, make_closing())
        store.finish_run(0, moments[0])
    database.read().execute("DELETE FROM runs")
    kinds = [IDLE] * 9 + [("sync", 65), ("sync", 69), ("sync", None), ("outbox resend", 0)]
    ran(database, [(at, *chance.choice(kinds)) for at in moments])
    return firm


Said = Callable[[Store], object]


def _days(store: Store) -> object:
    """What a report says of each day, in several zones, but for the number of runs."""
    return [[day._replace(runs=0) for day in _by_day(store, ZoneInfo(zone))] for zone in ZONES]


def _by_day(store: Store, zone: ZoneInfo) -> list[Day]:
    period = Period(day_of(TODAY - 65 * DAY, zone), day_of(TODAY, zone))
    return [*report.by_day(store, period, zone, TODAY, at_work=None)]


@pytest.mark.parametrize(
    "said",
    [
        _days,
        lambda store: (store.overview.last_runs(5), store.overview.last_sync()),
        lambda store: store.history.of_matter(77),
        lambda store: store.dossiers.of(store.history.of_matter(77)[0].closing.contact_id or 0),
        lambda store: store.flaws(None),
        lambda store: store.next_run(),
    ],
    ids=["report", "status", "explain", "person", "verify", "next run"],
)
def test_all_else_is_said_as_before(history: FirmPlace, session: Session, said: Said) -> None:
    with history.snapshot() as store:
        before = said(store)
    assert Sweep(session).firm(1, KEEP) > 50
    with history.snapshot() as store:
        assert said(store) == before


def test_verify_knows_the_sweep_and_misses_what_went_otherwise(
    database: Database, history: FirmPlace, session: Session
) -> None:
    swept = Sweep(session).firm(1, KEEP)
    with history.open() as store:
        assert store.integrity.flaws(None) == []
        assert store.integrity.sizes()[2] == 500 + NEWER - swept
    gone = "DELETE FROM runs WHERE run = (SELECT min(run) FROM runs WHERE run > 100)"
    database.read().execute(gone)
    with history.open() as store:
        assert "runs" in {flaw.name for flaw in store.integrity.flaws(None)}


def test_sweep_beside_a_look_is_no_flaw(history: FirmPlace, session: Session) -> None:
    """A state that was opened before it finds nothing missing after it."""
    with history.open() as store:
        assert Sweep(session).firm(1, KEEP) > 0
        assert store.flaws(None) == []
