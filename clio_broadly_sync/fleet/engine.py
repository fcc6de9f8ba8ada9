"""The engine of a worker: Procrastinate fetches a firm at a time, and a thread does its run.

Source: Procrastinate's documentation. Jobs of a worker that was killed stay in the queue as being
done; nothing waits for them, and they are thrown away after a minute.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

import procrastinate
import psycopg
from procrastinate.jobs import Status
from procrastinate.schema import SchemaManager
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from clio_broadly_sync.store.due import QUEUE, TASK

log = logging.getLogger(__name__)


class _Errors(logging.Handler):
    """Says the errors of the engine and of its libraries by this program's log, a line each.

    What PostgreSQL says may hold values of rows, so no exception is printed. Nor is a mere warning,
    such as each try to reach a server that is away: whoever needed it says so.
    """

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0] if record.exc_info else None
        cause = "" if kind is None else f" ({kind.__name__})"
        log.error("The engine met a failure%s; a worker that ends is to be started again.", cause)


VERSION: Final = procrastinate.__version__
DISPATCH_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 10.0
"""So long the engine waits for a session; then it ends, and with it the worker."""
_STALLED_SECONDS: Final = 60.0
_CHORES: Final = "chores"


def schema() -> str:
    """Return the statements that make the engine's tables."""
    return SchemaManager.get_schema()


class Engine:
    """Runs the firms of the queue in so many threads, until SIGTERM or SIGINT comes.

    `run_firm` does the run of a firm, by its number, and `dispatch`, each second, hands over who is
    due: both see to their own errors. `ask` asks the runs at work to stop, by a signal's number, or
    by None where the engine has ended by itself. Each of the `chores`, by the cron line that says
    when, is done by one of all workers.
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        slots: int,
        *,
        run_firm: Callable[[int], object],
        dispatch: Callable[[], object],
        ask: Callable[[int | None], object],
        chores: Mapping[str, Callable[[], object]],
    ) -> None:
        self._slots = slots
        self._run_firm = run_firm
        self._dispatch = dispatch
        self._ask = ask
        self._asked: int | None = None
        self._fetching: asyncio.Task[None] | None = None
        for name in ("procrastinate", "psycopg", "asyncio"):
            own = logging.getLogger(name)
            own.handlers, own.propagate = [_Errors(logging.ERROR)], False
        self._runs = ThreadPoolExecutor(slots, "run")
        self._others = ThreadPoolExecutor(2, "fleet")
        connector = procrastinate.PsycopgConnector(
            pool_factory=_pool, kwargs={**connection}, configure=_configure, min_size=1, max_size=4
        )
        self._app = procrastinate.App(connector=connector)
        self._app.task(name=TASK, queue=QUEUE)(self._sync_firm)
        for cron, chore in chores.items():
            self._every(cron, self._as_task(chore))
        self._every("* * * * *", self._forget_stalled)

    def work(self, check: Callable[[], object]) -> int | None:
        """Work until a signal comes, and return its number when no run is at work any more.

        Return None where the engine ended by itself, as it does where the database stays away.
        `check` raises where a signal has come before the engine hears of them.
        """
        try:
            asyncio.run(self._work(check))
        finally:
            self._others.shutdown()  # firms may be being handed over
        return self._asked

    async def _work(self, check: Callable[[], object]) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop, number)
        check()
        try:
            with suppress(procrastinate.exceptions.ConnectorException, psycopg.Error):
                async with self._app.open_async():
                    await self._fetch()
        finally:
            if self._asked is None:
                self._ask(None)
            await self._in_thread(self._others, self._runs.shutdown)

    async def _fetch(self) -> None:
        """Fetch jobs until a signal comes, or the engine ends by itself; wait for no run."""
        if self._asked is not None:  # while the sessions were opened, which cannot be cancelled
            return
        fetching = self._fetching = asyncio.create_task(
            self._app.run_worker_async(
                queues=[QUEUE, _CHORES],
                concurrency=self._slots,
                install_signal_handlers=False,
                shutdown_graceful_timeout=0,
                delete_jobs="always",
            )
        )
        dispatching = asyncio.create_task(self._dispatch_forever())
        dispatching.add_done_callback(lambda over: fetching.cancel())  # a bug would else go unseen
        try:
            with suppress(asyncio.CancelledError):
                await fetching
        finally:
            dispatching.cancel()

    def _stop(self, number: int) -> None:
        self._asked = self._asked or number
        self._ask(number)
        if self._fetching is not None:
            self._fetching.cancel()

    async def _dispatch_forever(self) -> None:
        while True:
            await self._in_thread(self._others, self._dispatch)
            await asyncio.sleep(DISPATCH_SECONDS)

    async def _sync_firm(self, firm: int) -> None:
        await self._in_thread(self._runs, lambda: self._run_firm(firm))

    async def _in_thread(self, threads: ThreadPoolExecutor, do: Callable[[], object]) -> None:
        await asyncio.get_running_loop().run_in_executor(threads, do)

    def _as_task(self, chore: Callable[[], object]) -> Any:
        async def task(timestamp: int) -> None:
            await self._in_thread(self._others, chore)

        task.__name__ = getattr(chore, "__name__", "chore")
        return task

    async def _forget_stalled(self, timestamp: int) -> None:
        jobs = self._app.job_manager
        for job in await jobs.get_stalled_jobs(seconds_since_heartbeat=_STALLED_SECONDS):
            with suppress(procrastinate.exceptions.ConnectorException):  # another one was quicker
                await jobs.finish_job(job, Status.FAILED, delete_job=True)

    def _every(self, cron: str, do: Any) -> None:
        task = self._app.task(name=do.__name__.strip("_"), queue=_CHORES)(do)
        self._app.periodic(cron=cron)(task)


async def _configure(connection: "AsyncConnection[Any]") -> None:
    await connection.set_autocommit(True)


def _pool(**given: Any) -> AsyncConnectionPool[Any]:
    """Return the engine's pool, which does not look before each statement whether a session stands.

    That took as many transactions again as all that the engine does. A session that was lost costs
    one statement an error, and the engine repeats it or ends, and the worker is started anew.
    """
    return AsyncConnectionPool(**{**given, "check": None, "timeout": _PATIENCE_SECONDS})
