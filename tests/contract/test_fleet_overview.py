"""How the firms of a fleet stand: who is late, silent or failing, and where something waits."""

from contextlib import closing
from datetime import timedelta

import pytest
from databases import Database, connected, firm_place
from factories import start
from whole import make as make_whole

from clio_broadly_sync.domain.errors import StorageError
from clio_broadly_sync.store.firms import PAUSED, Firms
from clio_broadly_sync.store.fleet_overview import WORKS_AS, FleetOverview, Standing
from clio_broadly_sync.store.postgresql import READER, Session

SIX_HOURS = timedelta(hours=6)
LEASE = timedelta(seconds=90)
_SURGE = "UPDATE closings SET approval = 1 WHERE firm = %s AND state = 'pending'"


def set_all(database: Database, values: str, where: str = "true") -> None:
    database.read().execute(f"UPDATE firms SET {values} WHERE {where}".encode())  # noqa: S608


def read(session: Session) -> Standing:
    return FleetOverview(session).read(SIX_HOURS)


def names(session: Session) -> tuple[list[str], list[str]]:
    """Return who is late and who is silent."""
    found = read(session)
    return [firm.name for firm in found.late], [firm.name for firm in found.silent]


def test_new_fleet_stands_well(session: Session) -> None:
    found = read(session)
    assert found.firms == {"active": 3, "paused": 0, "removed": 0}
    assert not any(found[2:-3]), "something is told"
    assert (found.restored_at, found.paused_after_restore, found.workers) == (None, 0, [])


@pytest.mark.parametrize(
    ("late", "period", "overdue"),
    [
        (False, "15 minutes", "14 minutes"),
        (True, "15 minutes", "16 minutes"),
        (False, "1 day", "59 minutes"),
        (True, "1 day", "61 minutes"),
    ],
)
def test_late_is_a_period_or_an_hour_after_it_was_due(
    database: Database, session: Session, late: bool, period: str, overdue: str
) -> None:
    due = f"period = '{period}', next_at = now() - INTERVAL '{overdue}'"
    set_all(database, due, "name = 'firm-2'")
    assert names(session) == (["firm-2"] if late else [], [])


@pytest.mark.parametrize(
    ("silent", "period", "good", "since"),
    [
        (False, "15 minutes", "NULL", "5 hours"),
        (True, "15 minutes", "NULL", "7 hours"),
        (False, "15 minutes", "now() - INTERVAL '5 hours'", "9 days"),
        (True, "15 minutes", "now() - INTERVAL '7 hours'", "9 days"),
        (False, "15 minutes", "now() - INTERVAL '7 days'", "5 hours"),
        (False, "1 day", "now() - INTERVAL '47 hours'", "9 days"),
        (True, "1 day", "now() - INTERVAL '49 hours'", "9 days"),
    ],
    ids=["new", "never", "well", "long ago", "resumed", "once a day", "missed a day"],
)
def test_silent_is_without_a_good_run_for_hours(
    database: Database, session: Session, silent: bool, period: str, good: str, since: str
) -> None:
    """Of one that was resumed the hours count from then on."""
    state_at = f"state_at = now() - INTERVAL '{since}'"
    set_all(database, f"period = '{period}', good_at = {good}, {state_at}", "name = 'firm-3'")
    assert names(session) == ([], ["firm-3"] if silent else [])


def test_failing_is_told_by_its_last_exit_code(session: Session) -> None:
    """Since its first failure, until a run ends well."""
    firms = Firms(session)
    for code in (69, 77):
        firms.end(2, code, ["No."])
    (failing,) = read(session).failing
    (_, firm, _) = firms.all()
    assert (failing.name, failing.exit_code, failing.since) == ("firm-2", 77, firm.failing_since)
    firms.end(2, 65, [])
    assert read(session).failing == []


def test_what_waits_is_counted_by_firm(database: Database, session: Session, address: str) -> None:
    """Not what is on its way, or goes by itself."""
    for number in (1, 2):
        make_whole(firm_place(address, number))
    with firm_place(address, 3).open() as store:
        start(store)
    found = read(session)
    assert (found.held, found.rejected) == ({"firm-1": 1, "firm-2": 1},) * 2
    assert found.awaiting == {}
    database.read().execute(_SURGE, (2,))
    (waiting,) = database.read().execute(
        "SELECT count(*) FROM closings WHERE firm = 2 AND state = 'pending'"
    )
    assert read(session).awaiting == {"firm-2": waiting[0]}


@pytest.mark.parametrize("state", ["paused", "removed"])
def test_who_is_not_active_counts_for_nothing(
    database: Database, session: Session, address: str, state: str
) -> None:
    make_whole(firm_place(address, 1))
    database.read().execute(_SURGE, (1,))
    bad = "good_at = NULL, state_at = now() - INTERVAL '9 days', next_at = state_at"
    set_all(database, f"{bad}, failing_since = now(), last_exit = 77, worker = 'a'")
    set_all(database, f"state = '{state}'")
    found = read(session)
    assert found.firms == {"active": 0, "paused": 0, "removed": 0} | {state: 3}
    assert not any(found[2:])


def test_workers_and_what_they_have_at_work(session: Session, address: str) -> None:
    """One that is gone is told as long as it seems to have a firm at work."""
    firms = Firms(session)
    for firm, worker in ((1, "b"), (2, "b"), (3, "gone")):
        assert firms.begin(firm, worker) is not None
    with (
        closing(connected(address, name=f"{WORKS_AS}a")),
        closing(connected(address, name=f"{WORKS_AS}b")),
    ):
        found = read(session)
    assert [(w.name, w.host, w.connected, w.firms) for w in found.workers] == [
        ("a", None, True, 0),
        ("b", None, True, 2),
        ("gone", None, False, 1),
    ]
    since = [worker.since for worker in found.workers]
    assert since[2] is None
    assert all(at is not None and at <= found.now for at in since[:2])


def test_restored_database_is_told_before_a_worker_has_noted_it(
    database: Database, session: Session
) -> None:
    database.read().execute("UPDATE fleet SET mark = 'another'")
    found = read(session)
    assert (found.restored_at, found.paused_after_restore) == (found.now, 3)
    Firms(session).check_mark()
    assert [firm.state for firm in Firms(session).all()] == [PAUSED] * 3
    assert read(session).paused_after_restore == 3


def test_it_only_reads(session: Session, address: str) -> None:
    """And sees nothing that is sealed; the session's own role is as before."""
    read(session)
    Firms(session).resume([1])
    with closing(connected(address, READER)) as reader:
        for statement in ("SELECT secrets FROM firms", "UPDATE firms SET state = 'paused'"):
            with pytest.raises(StorageError), reader.transaction():
                reader.execute(statement)
