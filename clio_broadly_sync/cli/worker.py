"""`fleet worker`: the runs of many firms, in threads of one process."""

import gc
import logging
import os
from contextlib import closing
from datetime import timedelta
from functools import partial
from signal import SIGTERM
from threading import Timer
from typing import Final

from clio_broadly_sync import pipeline
from clio_broadly_sync.cli import logs, output, progress, report_words
from clio_broadly_sync.cli.clients import Clients  # noqa: F401  (loaded before the first run)
from clio_broadly_sync.cli.hearers import Hearers
from clio_broadly_sync.cli.one_firm import FirmSettings, Fleet
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.cli.runner import Order, Runner
from clio_broadly_sync.domain.errors import (
    BUG,
    BusyError,
    HungError,
    StoppedError,
    StorageError,
    SyncError,
    is_failure,
    words_of,
)
from clio_broadly_sync.domain.model import Command, Profile
from clio_broadly_sync.fleet import watch
from clio_broadly_sync.fleet.engine import VERSION, Engine
from clio_broadly_sync.pipeline.report import Report
from clio_broadly_sync.store import due, postgresql_schema
from clio_broadly_sync.store.firms import Firm, Firms, check_durable
from clio_broadly_sync.store.fleet_overview import WORKS_AS
from clio_broadly_sync.store.postgresql import WORKER, Session, parameters
from clio_broadly_sync.store.sessions import Lent, Pool
from clio_broadly_sync.transport.clock import Clock
from clio_broadly_sync.transport.signals import Stop, ThreadStop

log = logging.getLogger(__name__)

SESSIONS_FOR_A_SLOT: Final = 3
"""A run holds its firm with one session, and may renew its sign-in with two more."""
GRACE_SECONDS: Final = 30.0
"""So long a worker that ends waits for its runs, which are asked to stop."""
LONGEST_HOST: Final = 28
"""A session's name has 63 letters, and must not lose the end of the worker's."""
NEVER: Final = timedelta(0)
"""A session of the engine waits for jobs, so that the server must not end it."""


class Worker:
    """A process that does the runs of firms, `slots` of them at a time."""

    def __init__(self, fleet: Fleet, slots: int) -> None:
        self._fleet = fleet
        self._slots = slots
        self._name = f"{os.uname().nodename[:LONGEST_HOST]} {os.getpid()}"
        """By which the database knows the worker, in its session and in the rows of its firms."""
        self._pool = Pool(fleet.address, SESSIONS_FOR_A_SLOT * slots + 2)
        self._chores_stop = ThreadStop()
        self._stops: set[Stop] = {self._chores_stop}
        """What stops each run that is at work, of which one firm may have two for a moment; and
        what is done for all firms."""
        self._asked: int | None = None
        """The signal by which every run is asked to stop, once the worker ends."""
        self._own: Session | None = None
        """The session over which firms are handed over; None until the next one is begun."""

    def work(self, stop: Stop) -> int:
        """Work until a signal asks to stop; return the exit code.

        It may have come before the engine hears of signals, to `stop`. Where a run does not end
        within `GRACE_SECONDS`, the process ends all the same: what it was doing is put in order by
        the firm's next run, as after a kill. Raise ConfigError where the database is not one to
        work with, StorageError where it is away.
        """
        try:
            self._own = self._begun()
            gc.freeze()  # what has been loaded by now stays
            gc.enable()
            logs.begun(f"Working, with {output.count(self._slots, 'slot')}.")
            signal_number = self._engine().work(stop.check)
        except StoppedError as stopped:
            return stopped.exit_code
        finally:
            self._end_session()
            self._pool.close()
        if signal_number is None:
            raise StorageError(ENDED)
        return 128 + signal_number

    def _engine(self) -> Engine:
        address, settings = self._fleet.address, {"search_path": due.SCHEMA, "role": WORKER}
        return Engine(
            parameters(address, "clio-broadly-sync engine", idle=NEVER, settings=settings),
            self._slots,
            run_firm=self.run_firm,
            dispatch=self.dispatch,
            ask=self._ask,
            chores={"* * * * *": self._do_chores},
        )

    def dispatch(self) -> None:
        """Hand over the firms that are due; where the database is away, the next call tries again.

        The session is the fleet's own, and a new one after a failure.
        """
        try:
            self._own = self._own or self._begun()
            due.hand_over(self._own, self._slots, self._fleet.settings.lease)
        except SyncError as error:
            log.error("%s", error)
            self._end_session()

    def run_firm(self, number: int) -> None:
        """Do a run of a firm, note how it ended, and tell whoever is to hear of it.

        Where the database is lost meanwhile, the firm is due again after its lease.
        """
        stop = ThreadStop()
        self._stops.add(stop)
        if self._asked is not None:  # while this run was on its way
            stop.ask(self._asked)
        said_of = logs.about.set("")
        try:
            with closing(self._pool.borrow()) as session:
                firms = Firms(session)
                with session.transaction():
                    session.give_to(number, f"{output.PROGRAM} {number} sync")
                    firm = firms.begin(number, self._name)
                if firm is not None:
                    logs.about.set(f"firm {firm.name}: ")
                    code, said = self._sync(firm, session, stop)
                    with session.transaction():
                        firms.end(number, code, said)
                        session.take_back()
        except SyncError as error:
            log.error("%s", error)
            self._pool.check()
        finally:
            logs.about.reset(said_of)
            self._stops.remove(stop)

    def _sync(self, firm: Firm, session: Lent, stop: Stop) -> tuple[int, list[str]]:
        """Do the run; return its exit code, and what there is to say of it."""
        hearers, hangs = Hearers(None, Options(firm=firm.name)), False
        try:
            settings = self._fleet.settings_of(firm, self._pool)
            hearers = Hearers(settings, Options(firm=firm.name))
            hearers.started()
            code, said = _run(settings, session, stop, hearers)
        except SyncError as error:
            code, said = error.exit_code, str(error).splitlines()
            hangs = isinstance(error, HungError)
        except Exception as bug:  # noqa: BLE001  (one firm's bug must not end the others' runs)
            code, said = BUG, output.bug_lines(bug)
        said = [output.with_firm(line, firm.name) for line in said]
        hearers.ended(code, said, hangs=hangs)
        if is_failure(code) or code == BusyError.exit_code:  # it held the firm, and lost it
            log.error("%s (%d): %s", words_of(code), code, " ".join(said))
        return code, said

    def _do_chores(self) -> None:
        """Do what one of all workers does now and then, if it is our turn."""
        settings = self._fleet.settings
        try:
            with closing(self._fleet.connect()) as session:
                watch.watch(session, settings)
                watch.sweep(session, settings, self._chores_stop)
        except StoppedError:
            pass
        except SyncError as error:
            log.error("%s", error)

    def _ask(self, signal_number: int | None) -> None:
        """Ask every run to stop, by a signal or because the engine has ended (None)."""
        if self._asked is None:
            code = StorageError.exit_code if signal_number is None else 128 + signal_number
            given_up = Timer(GRACE_SECONDS, _give_up, [code])
            given_up.daemon = True
            given_up.start()
        self._asked = signal_number or SIGTERM
        for stop in [*self._stops]:
            stop.ask(self._asked)

    def _begun(self) -> Session:
        """Begin a session of the fleet's own, and see that the server is one to work with."""
        session = self._fleet.connect(name=f"{WORKS_AS}{self._name}")
        try:
            check_durable(session)
            postgresql_schema.check(session)
            due.check_queue(session, VERSION)
            if Firms(session).check_mark():
                log.error("%s", RESTORED)
        except BaseException:
            session.close()
            raise
        return session

    def _end_session(self) -> None:
        if self._own is not None:
            self._own.close()
            self._own = None


def _give_up(code: int) -> None:
    """End the process although runs are at work, which no thread can be made to end."""
    log.error("%s", GAVE_UP)
    os._exit(code)


def _run(
    settings: FirmSettings, session: Lent, stop: Stop, hearers: Hearers
) -> tuple[int, list[str]]:
    """Do a run of a firm that a session holds; return its exit code, and what there is to say."""
    report, command = Report(), Command.SYNC
    to_file = settings.broadly_profile is Profile.CSV
    given = report_words.Given(command, dry_run=False, to_file=to_file)
    given = given._replace(opt_in=settings.sync_opt_in_field)
    runner = Runner(
        Order(command), settings, stop, clock=Clock(), report=report, shows=progress.Logged()
    )
    session.stay(timedelta(minutes=settings.sync_run_minutes))
    with settings.place.held_by(session), settings.place.open() as store, closing(runner):
        code, failure, _ = runner.run(store, partial(pipeline.sync, approve=False))
        hearers.look(settings, store)
    said = report_words.error_lines(failure, command)
    return code, [*said, *report_words.results(report, code, given)]


ENDED: Final = (
    "The worker has lost its engine, as it does when the database is away or starts anew: "
    "start it again once the database is there."
)
GAVE_UP: Final = (
    "A run did not end in time, so the worker ends without it; the next run of that firm puts in "
    "order what it was doing."
)
RESTORED: Final = (
    "The database was restored, or another server has taken its place, so that it may have "
    "forgotten who was asked: all firms are paused. See what the ledgers lack, then resume them "
    "with `clio-broadly-sync firms resume --all`."
)
