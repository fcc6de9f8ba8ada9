"""Runs of the pipeline, one after the other, between two ends in memory, over a real state."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from ends import OPT_IN, OPT_OUT, Broadly, Clio, Clock, Watcher
from factories import (
    DESTINATION,
    NOW,
    TODAY,
    for_backfill,
    make_closing,
    make_contact,
    make_matter,
    make_policy,
)
from ledgers import put

from clio_broadly_sync import pipeline
from clio_broadly_sync.domain.model import Closing, Policy, SyncRule
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.pipeline.context import Lot, RunContext
from clio_broadly_sync.pipeline.pins import Fields, Wanted
from clio_broadly_sync.pipeline.report import Report
from clio_broadly_sync.sinks.batches import RefusalGuard
from clio_broadly_sync.store import Store

WANTED = Wanted("https://clio.test", DESTINATION, SyncRule.BOTH, OPT_OUT.name, OPT_IN.name)
YESTERDAY = NOW - timedelta(days=1)


class Runs:
    """A firm that closes matters, and what runs make of that.

    What a test is about, it changes in `clio`, `broadly` and `clock`. What it gives `sync` and
    `backfill` by name is changed in their RunContext; `wanted`, in its definitions.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = Clock()
        self.clio = Clio(self.clock)
        self.broadly = Broadly(self.clock)
        self.progress = Watcher()
        self.ends_at: datetime | None = None
        """When the time of a run is over; None means never."""
        self.waits: list[float] = []
        """How many seconds each wait of a run lasted."""
        self.context: RunContext | None = None
        """The context of the last run."""

    # The firm

    def close(self, *ids: int, **changes: Any) -> None:
        """Close matters just now, each with a client of its own unless `changes` says otherwise."""
        for id_ in ids:
            given: dict[str, Any] = {
                "client_id": 1000 + id_,
                "updated_at": self.clock.now,
            } | changes
            self.clio.records[id_] = make_matter(id_, **given)
            self.client(given["client_id"])

    def edit(self, id_: int, **changes: Any) -> None:
        """Edit a matter just now, so that its etag changes, too."""
        edited: dict[str, Any] = {
            "etag": f"of {self.clock.now}",
            "updated_at": self.clock.now,
        } | changes
        self.clio.records[id_] = self.clio.records[id_]._replace(**edited)

    def client(self, id_: int, **changes: Any) -> None:
        """Let this client exist, with only an e-mail address unless `changes` says otherwise."""
        given = {"email": f"client{id_}@example.com", "phone": None} | changes
        self.clio.people[id_] = make_contact(id_, **given)

    def waiting(self, *ids: int, **changes: Any) -> None:
        """Let closings of these matters wait in the ledger, as a run of yesterday left them."""
        for id_ in ids:
            given: dict[str, Any] = {"contact_id": 1000 + id_, "etag": "after"}
            given |= {"noticed_at": YESTERDAY, "read_at": YESTERDAY}
            put(self.store, make_closing(id_, **given | changes), at=YESTERDAY)

    # The program

    def sync(
        self,
        policy: Policy | None = None,
        *,
        approve: bool = False,
        at_once: bool = False,
        **changes: Any,
    ) -> RunContext:
        """Run a sync; return its context, which holds the report."""
        context = self._begin(policy or make_policy(), changes)
        pipeline.sync(context, approve=approve, at_once=at_once)
        return context

    def backfill(
        self,
        policy: Policy | None = None,
        *,
        confirm: Callable[[Lot], bool] = lambda lot: True,
        **changes: Any,
    ) -> RunContext:
        """Run a backfill of the last 30 days; return its context, which holds the report.

        `confirm` is asked whether what was found may be sent.
        """
        context = self._begin(policy or for_backfill(), changes)
        pipeline.backfill(context, confirm)
        return context

    def sync_matter(
        self,
        matter: int,
        policy: Policy | None = None,
        *,
        confirm: Callable[[Lot], bool] = lambda lot: True,
        **changes: Any,
    ) -> RunContext:
        """Run a sync for this one matter; return its context, which holds the report."""
        context = self._begin(policy or for_backfill(), changes | {"matter_id": matter})
        pipeline.sync_matter(context, confirm)
        return context

    # What came of it

    def row(self, matter: int) -> Closing:
        """Return the closing of this matter, which must be its only one in the ledger."""
        (closing,) = self.store.ledger.known([matter])[matter]
        return closing

    @property
    def states(self) -> dict[int, State]:
        """Return the state of each matter's closing, by matter id; of several, that of the last."""
        known = sorted(self.store.ledger.known(range(1, 5000)).items())
        return {id_: closing.state for id_, several in known for closing in several}

    def _begin(self, policy: Policy, changes: dict[str, Any]) -> RunContext:
        self.clio.begin()
        self.broadly.begin()
        self.progress.told.clear()
        definitions = Fields(self.clio, changes.pop("wanted", WANTED))
        self.context = self._context(policy, definitions)._replace(**changes)
        self.store.begin_run(policy.command, "r", self.clock.now)
        return self.context

    def _context(self, policy: Policy, definitions: Fields) -> RunContext:
        return RunContext(
            source=self.clio,
            sink=RefusalGuard(self.broadly),
            store=self.store,
            policy=policy,
            definitions=definitions,
            token=lambda: "token",
            given_zone=UTC,
            overlap=timedelta(hours=1),
            read_at_once=100,
            batch_size=50,
            limit=None,
            close_dates=(TODAY - timedelta(days=30), TODAY),
            seconds_left=self._seconds_left,
            wait=self._wait,
            our_clock=lambda: self.clock.now,
            progress=self.progress,
            report=Report(),
        )

    def _seconds_left(self) -> float:
        return math.inf if self.ends_at is None else (self.ends_at - self.clock.now).total_seconds()

    def _wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.tick(seconds=seconds)
