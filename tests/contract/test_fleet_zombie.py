"""A run that goes on although it has lost its firm: it asks nobody twice, and it writes nothing.

Its POST is on its way when its session ends, another worker takes over and comes to its end, and
only then does the POST arrive. And the same where the lock does not lock, as behind a pooler.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from agency import Agency, logged
from databases import Database
from rig import Sandbox

from clio_broadly_sync.cli.worker import Worker
from clio_broadly_sync.sandbox import Firm, Request
from clio_broadly_sync.store import firms

MATTERS: Final = 10
BATCH: Final = 4
_LOCK: Final = "pg_try_advisory_lock(CAST(:kind AS INT), CAST(:firm AS INT))"


class Story(NamedTuple):
    """What came of two runs of a firm, of which the second began while a POST of the first was on
    its way."""

    agency: Agency
    sandbox: Sandbox
    said: str
    """What the worker of the first logged."""

    @property
    def asked(self) -> list[str]:
        return [accepted.transaction_id for accepted in self.sandbox.broadly.accepted]

    @property
    def states(self) -> list[str]:
        return sorted(state for state, _ in self.agency.closings("acme").values())


Tell = Callable[..., Story]


@pytest.fixture
def agency(database: Database) -> Iterator[Agency]:
    with closing(Agency(database.emptied())) as made:
        yield made


@pytest.fixture(params=[True, False], ids=["dedupes", "does not dedupe"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    firm = Firm(contacts=0, matters=0)
    with Sandbox(firm, dedupes=request.param) as running:
        yield running


@pytest.fixture
def workers(agency: Agency) -> Iterator[list[Worker]]:
    made = [Worker(agency.fleet(), 1), Worker(agency.fleet(), 1)]
    yield made
    for worker in made:
        worker._pool.close()


@pytest.fixture
def tell(
    agency: Agency,
    sandbox: Sandbox,
    workers: list[Worker],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Tell]:
    """Return what tells such a story; `lose` is what happens before the second run begins."""
    monkeypatch.chdir(tmp_path)
    with logged(monkeypatch) as said:
        yield _telling(agency, sandbox, workers, said)


def _telling(
    agency: Agency, sandbox: Sandbox, workers: list[Worker], said: Callable[[], str]
) -> Tell:

    def story(lose: Callable[[], object]) -> Story:
        first, second = workers
        number = agency.add("acme", sandbox.settings(BROADLY_BATCH_SIZE=str(BATCH)))
        first.run_firm(number)
        for _ in range(MATTERS):
            matter = sandbox.firm.add_matter(sandbox.firm.add_contact(), thank_you=True)
            sandbox.firm.close(matter)
        on_its_way: list[Request] = []

        def take_over(request: Request) -> None:
            if not on_its_way:
                on_its_way.append(request)
                lose()
                second.run_firm(number)

        sandbox.broadly.before = take_over
        first.run_firm(number)
        assert on_its_way
        assert sandbox.broadly.errors == []
        return Story(agency, sandbox, said())

    return story


def check(story: Story, first: int | None) -> None:
    """Nobody was asked twice, nobody is lost, and what the second run noted stands.

    `first` is the exit code that the list of runs has of the first.
    """
    assert len({*story.asked}) == len(story.asked) == MATTERS
    found = story.agency.firm("acme")
    assert (found.worker, found.failures) == (None, 0)
    if story.sandbox.broadly.dedupes:
        assert story.states == ["sent"] * MATTERS
        assert found.last_exit == 0
    else:
        assert story.states == ["held"] * BATCH + ["sent"] * (MATTERS - BATCH)
        assert found.last_exit == 65
    runs = story.agency.admin.execute("SELECT run, exit_code FROM runs ORDER BY run").fetchall()
    assert runs == [(1, 0), (2, first), (3, found.last_exit)]


def test_zombie(tell: Tell, database: Database) -> None:
    """Its session has ended, and its lock with it: whatever it still does reaches no row."""
    story = tell(lose=database.cut)
    check(story, None)
    assert "firm acme: state or file not usable (74): The database could not be used" in story.said


def test_lock_that_does_not_lock(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of the run is looked at in each transaction: the earlier one stops with 75."""
    assert _LOCK in firms._BEGIN
    monkeypatch.setattr(firms, "_BEGIN", firms._BEGIN.replace(_LOCK, ":kind > 0"))
    story = tell(lose=lambda: None)
    check(story, 75)
    assert "firm acme: another run at work (75): Another run has begun on this state" in story.said
    assert "Does a pooler before" in story.said


def test_lock_that_locks(tell: Tell) -> None:
    """The second one finds the firm held, and leaves everything to the first."""
    story = tell(lose=lambda: None)
    assert len({*story.asked}) == len(story.asked) == MATTERS
    assert story.states == ["sent"] * MATTERS
    assert (story.agency.firm("acme").last_exit, story.said) == (0, "")
