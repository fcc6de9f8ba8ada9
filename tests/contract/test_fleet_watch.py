"""What one worker does for all firms: the alarm about silent ones, and the sweep."""

import logging
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from databases import KEY, Database
from pinged import Pinged

from clio_broadly_sync.domain.credentials import Secret
from clio_broadly_sync.domain.errors import StoppedError
from clio_broadly_sync.fleet.watch import RESTORED, sweep, watch
from clio_broadly_sync.settings.fleet import FleetSettings
from clio_broadly_sync.store import postgresql
from clio_broadly_sync.store.firms import Firms
from clio_broadly_sync.store.postgresql import WORKER, Session
from clio_broadly_sync.transport.signals import Stop

DAY = timedelta(days=1)
_RUNS = """
    INSERT INTO runs (firm, run, run_id, command, started_at, finished_at, exit_code)
    SELECT firm, n, 'r', 'sync', n, n, 0 FROM firms, generate_series(1, 30) AS n
"""


@pytest.fixture
def pinged() -> Iterator[Pinged]:
    with Pinged() as running:
        yield running


@pytest.fixture
def session(address: str) -> Iterator[Session]:
    with closing(connected(address)) as session:
        yield session


@pytest.fixture
def settings(pinged: Pinged, address: str) -> FleetSettings:
    return FleetSettings(
        fleet_database=Secret(address), fleet_keys=(Secret(KEY),), fleet_ping_url=pinged.address
    )


def connected(address: str) -> Session:
    return postgresql.connect(address, "clio-broadly-sync worker a", idle=DAY, role=WORKER)


def silence(database: Database, firms: int) -> None:
    """Let there be so many firms, none of which has had a good run for days."""
    add = """
        TRUNCATE firms RESTART IDENTITY;
        INSERT INTO firms (name, settings, secrets, state_at)
        SELECT 'firm-' || lpad(n::text, 3, '0'), '{{}}', '', now() - INTERVAL '2 days'
        FROM generate_series(1, {}) AS n
    """
    database.read().execute(add.format(firms).encode())


# The alarm.


def test_one_of_several_workers_tells_the_monitor(
    database: Database, session: Session, settings: FleetSettings, pinged: Pinged
) -> None:
    """Every five minutes, whoever asks first."""
    with closing(connected(database.address)) as beside:
        for asking in (session, beside, session):
            watch(asking, settings)
        assert pinged.told == [("", "")]
        database.read().execute("UPDATE fleet SET watched_at = now() - INTERVAL '5 minutes'")
        for asking in (beside, session):
            watch(asking, settings)
    assert pinged.told == [("", "")] * 2


def test_silent_firms_raise_the_alarm(
    database: Database,
    session: Session,
    settings: FleetSettings,
    pinged: Pinged,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With the names of the first ones, all of which fit; the log has one line."""
    silence(database, 25)
    with caplog.at_level(logging.WARNING, "clio_broadly_sync"):
        watch(session, settings)
    ((path, text),) = pinged.told
    first, *named, last = text.splitlines()
    assert (path, first) == ("/69", "Firms without a good run for 6 hours: 25.")
    assert named == [f"firm-{number:03}" for number in range(1, 19)]
    assert last == "… and 7 more"
    assert [record.getMessage() for record in caplog.records] == [first]


def test_few_silent_firms_are_all_named(
    database: Database, session: Session, settings: FleetSettings, pinged: Pinged
) -> None:
    """After the hours that are set."""
    silence(database, 2)
    watch(session, replace(settings, fleet_silent_hours=47))
    ((path, text),) = pinged.told
    assert (path, text.splitlines()[1:]) == ("/69", ["firm-001", "firm-002"])


def test_failing_firm_raises_no_alarm_until_it_is_silent(
    session: Session, settings: FleetSettings, pinged: Pinged
) -> None:
    Firms(session).end(1, 77, ["The token was revoked."])
    watch(session, settings)
    assert pinged.told == [("", "")]


def test_restored_database_raises_the_alarm(
    database: Database, session: Session, settings: FleetSettings, pinged: Pinged
) -> None:
    """Although nobody is active any more, and so nobody is silent."""
    database.read().execute("UPDATE fleet SET mark = 'another'")
    assert Firms(session).check_mark()
    watch(session, settings)
    assert pinged.told == [("/65", RESTORED)]


def test_without_a_monitor_the_log_is_told_all_the_same(
    database: Database,
    session: Session,
    settings: FleetSettings,
    pinged: Pinged,
    caplog: pytest.LogCaptureFixture,
) -> None:
    silence(database, 1)
    with caplog.at_level(logging.WARNING, "clio_broadly_sync"):
        watch(session, replace(settings, fleet_ping_url=None))
    assert len(caplog.records) == 1
    assert pinged.told == []


# The sweep.


def left(database: Database) -> list[int]:
    counted = "SELECT count(*) FROM runs GROUP BY firm ORDER BY firm"
    return [number for (number,) in database.read().execute(counted)]


def test_sweep_comes_once_a_day(
    database: Database,
    session: Session,
    settings: FleetSettings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Over all firms, and says how many rows went."""
    database.read().execute(_RUNS)
    with caplog.at_level(logging.INFO, "clio_broadly_sync"):
        sweep(session, settings, Stop())
    assert left(database) == [21] * 3
    assert [record.getMessage() for record in caplog.records] == ["rows of idle runs swept: 27"]
    database.read().execute("TRUNCATE runs;" + _RUNS)
    sweep(session, settings, Stop())
    assert left(database) == [30] * 3
    database.read().execute("UPDATE fleet SET swept_at = now() - INTERVAL '1 day'")
    sweep(session, settings, Stop())
    assert left(database) == [21] * 3


def test_signal_ends_the_sweep_between_two_firms(
    database: Database, session: Session, settings: FleetSettings
) -> None:
    database.read().execute(_RUNS)
    stop = Stop()
    stop.ask(signal.SIGTERM)
    with pytest.raises(StoppedError):
        sweep(session, settings, stop)
    assert left(database) == [21, 30, 30]


def test_sweep_keeps_as_many_days_as_are_set(
    database: Database, session: Session, settings: FleetSettings
) -> None:
    database.read().execute(_RUNS)
    sweep(session, replace(settings, fleet_keep_idle_runs_days=36500), Stop())
    assert left(database) == [30] * 3
