"""After a push that ended in doubt: nobody for a while, then one client alone.

Only where the receiver does not dedupe. What is sent goes through the sink of a real run where the
answers on the wire are what a test is about.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import requests
import responses
from ends import OPT_IN
from factories import NOW, TODAY, for_backfill, make_policy
from runs import Runs

from clio_broadly_sync.domain.errors import (
    Cause,
    DeniedError,
    StorageError,
    SyncError,
    UnavailableError,
)
from clio_broadly_sync.domain.model import Approval, Box, Outcome
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.rules import Doubts
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.pipeline.context import Lot
from clio_broadly_sync.sinks.batches import RefusalGuard
from clio_broadly_sync.sinks.broadly import Broadly
from clio_broadly_sync.sinks.dry_run import DryRun
from clio_broadly_sync.store import Store
from clio_broadly_sync.store.ledger import Ledger
from clio_broadly_sync.transport.client import Transport
from clio_broadly_sync.transport.signals import Stop

PENDING, SENDING, SENT, HELD = State.PENDING, State.SENDING, State.SENT, State.HELD
ACCEPTED, UNKNOWN = Outcome.ACCEPTED, Outcome.UNKNOWN
LOST = UnavailableError("No answer came.", outcome_unknown=True)
DEDUPES = make_policy(dedupes=True)
QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)


@pytest.fixture
def paused(runs: Runs) -> Runs:
    """A quarter of an hour after a push of two clients ended in doubt; three others wait."""
    runs.close(*range(1, 6))
    runs.broadly.answers = [LOST]
    runs.sync(batch_size=2)
    runs.clock.tick(minutes=15)
    return runs


def is_paused(runs: Runs, *, until: str, **changes: Any) -> None:
    """Check that a sync sends nobody and says until when."""
    with pytest.raises(UnavailableError, match=f"until 20 Nov 2026, {until} UTC") as caught:
        runs.sync(**changes)
    assert caught.value.cause == Cause.PAUSE
    assert runs.broadly.posts == []


def held(runs: Runs) -> list[int]:
    return [matter for matter, state in runs.states.items() if state is HELD]


# A day, run by run, with what may come over the wire.


def _results(edit: Callable[[list[dict[str, Any]]], Any]) -> Callable[[Any], Any]:
    """Return an answer whose results, one for each item, are edited first."""

    def answer(request: Any) -> Any:
        numbers = range(len(json.loads(request.body)["customers"]))
        found = edit([{"index": number, "status": "accepted"} for number in numbers])
        return 200, {}, json.dumps({"results": found})

    return answer


def _answer(status: int, body: str = "", **headers: str) -> Callable[[Any], Any]:
    return lambda request: (status, headers, body)


def _raise(error: Exception) -> Callable[[Any], Any]:
    return lambda request: error


IN_DOUBT: dict[str, Callable[[Any], Any]] = {
    "500": _answer(500),
    "502 in HTML": _answer(502, "<html>"),
    "503 without a time": _answer(503),
    "408": _answer(408),
    "425": _answer(425),
    "409 to the end": _answer(409),
    "timeout": _raise(requests.ReadTimeout("nothing came")),
    "cut": _raise(requests.exceptions.ChunkedEncodingError("cut")),
    "html 200": _answer(200, "<html><body>It works!</body></html>"),
    "empty 200": _answer(200),
    "202 with half a JSON": _answer(202, '{"results": [{"index": 0, "sta'),
    "error in a 200": _answer(200, '{"error": {"code": "oops"}}'),
    "no results": _results(lambda results: []),
    "item without a result": _results(lambda results: results[1:]),
    "unknown word": _results(lambda results: [results[0] | {"status": "queued"}, *results[1:]]),
    "another's index": _results(lambda results: [results[0] | {"index": 99}, *results[1:]]),
}

EVERY_QUARTER = {"503 without a time", "item without a result"}
"""With these, a day has its 96 runs; with the others one an hour, because each takes its time."""


def _sink() -> RefusalGuard:
    """Return the sink of a real run, whose waits take no time."""
    transport = Transport("Broadly", patience=lambda: 0.0, stop=Stop(), sleep=lambda seconds: None)
    return RefusalGuard(Broadly(transport, "https://broadly.test/batch", {}, dedupes=False))


@pytest.mark.parametrize("name", IN_DOUBT)
def test_day_of_an_outage_holds_one_batch_and_a_few_clients(runs: Runs, name: str) -> None:
    """Of its runs five send: after one, two, four and eight hours more, one client each."""
    runs.close(*range(1, 13))
    tries: list[timedelta] = []
    with responses.RequestsMock() as wire:
        wire.add_callback("POST", "https://broadly.test/batch", IN_DOUBT[name])
        apart = QUARTER if name in EVERY_QUARTER else HOUR
        for number in range(timedelta(days=1) // apart):
            runs.clock.now = NOW + number * apart
            calls = len(wire.calls)
            try:
                runs.sync(sink=_sink(), batch_size=5)
            except UnavailableError:
                assert len(wire.calls) == calls
                continue
            tries.append(number * apart)
    assert tries == [n * HOUR for n in (0, 1, 3, 7, 15)]
    assert len(held(runs)) in (1 + 4, 5 + 4)
    assert all(runs.row(n).reason is Reason.UNAVAILABLE for n in (10, 11, 12))


def test_pause_grows_up_to_a_day(runs: Runs) -> None:
    """And no further, however long the receiver stays out of order."""
    runs.close(*range(1, 10))
    runs.broadly.answers = [LOST] * 9
    pauses, last = [], NOW
    while runs.broadly.answers:
        left = len(runs.broadly.answers)
        try:
            runs.sync(batch_size=1)
        except UnavailableError:
            assert len(runs.broadly.answers) == left
        else:
            pauses.append((runs.clock.now - last) // HOUR)
            last = runs.clock.now
        runs.clock.tick(hours=1)
    assert pauses == [0, 1, 2, 4, 8, 16, 24, 24, 24]
    assert len(held(runs)) == 9


# After the pause, one client alone.


@pytest.mark.parametrize("outcome", [ACCEPTED, Outcome.DUPLICATE])
def test_one_that_is_accepted_ends_it(paused: Runs, outcome: Outcome) -> None:
    """The same run goes on with whole batches, and the next doubt begins with an hour again."""
    is_paused(paused, until="19:00")
    paused.clock.tick(minutes=45)
    paused.broadly.answers = [outcome]
    paused.sync(batch_size=2)
    assert paused.broadly.matters == [[3], [4, 5]]
    assert paused.store.doubts is None
    paused.close(6, 7)
    paused.broadly.answers = [LOST]
    paused.sync(batch_size=2)
    assert paused.broadly.matters == [[6, 7]]
    assert paused.store.doubts == Doubts(1, NOW + HOUR)


def test_one_that_is_lost_doubles_it(paused: Runs) -> None:
    paused.clock.tick(minutes=45)
    paused.broadly.answers = [LOST]
    paused.sync()
    assert paused.broadly.matters == [[3]]
    assert held(paused) == [1, 2, 3]
    paused.clock.tick(minutes=119)
    is_paused(paused, until="21:00")


@pytest.mark.parametrize(
    "outcome", [Outcome.REJECTED, Outcome.REFUSED, Outcome.SUPPRESSED, Outcome.RETRY]
)
def test_one_that_is_neither_accepted_nor_lost(paused: Runs, outcome: Outcome) -> None:
    """A receiver may look at an item in one place and take it in another that is out of order: the
    next goes alone as well, without another pause."""
    paused.clock.tick(minutes=45)
    paused.broadly.answers = [outcome, outcome]
    paused.close(6, 7)
    paused.sync()
    assert paused.broadly.matters == [[3], [4], [5], [6, 7]]
    assert paused.store.doubts is None


@pytest.mark.parametrize(
    "error",
    [
        UnavailableError("Broadly is out of reach."),
        UnavailableError("Broadly is busy.", retry_after=7200.0),
        DeniedError("The key was refused."),
    ],
)
def test_one_that_was_not_taken_goes_with_the_next_run(paused: Runs, error: SyncError) -> None:
    """Alone again, and at once: nobody is in doubt."""
    paused.clock.tick(minutes=45)
    paused.broadly.answers = [error]
    with pytest.raises(type(error)):
        paused.sync()
    assert paused.row(3).state is PENDING
    paused.sync()
    assert paused.broadly.matters == [[3], [4, 5]]


def test_client_with_several_closings_is_one_request(paused: Runs) -> None:
    """The others are not sent with it, and not after it either where it is in doubt."""
    paused.close(3, 4, 5, client_id=2000)
    paused.clock.tick(minutes=45)
    paused.broadly.answers = [LOST]
    paused.sync()
    assert paused.broadly.matters == [[3]]
    assert paused.states == {1: HELD, 2: HELD, 3: HELD, 4: PENDING, 5: PENDING}


def test_client_who_may_not_be_sent_is_not_the_one(paused: Runs) -> None:
    """The next who may be sent is."""
    paused.client(1003, opted_out=Box.CHECKED)
    paused.clock.tick(minutes=45)
    paused.broadly.answers = [LOST]
    paused.sync()
    assert paused.broadly.matters == [[4]]


@pytest.mark.parametrize(("limit", "sent"), [(0, []), (1, [[3]]), (2, [[3], [4]])])
def test_limit_counts_with_the_one(paused: Runs, limit: int, sent: list[list[int]]) -> None:
    paused.clock.tick(minutes=45)
    paused.sync(limit=limit)
    assert paused.broadly.matters == sent


# What counts as a doubt about the receiver.


def test_kill_is_no_doubt(runs: Runs) -> None:
    """What is found sending is held; but the receiver may be in the best of health."""
    runs.close(1, 2, 3)

    def killed() -> None:
        raise RuntimeError

    runs.broadly.meanwhile("post", killed)
    with pytest.raises(RuntimeError):
        runs.sync(batch_size=2)
    assert runs.states == {1: SENDING, 2: SENDING, 3: PENDING}
    runs.close(4)
    runs.sync(batch_size=2)
    assert runs.broadly.matters == [[3, 4]]
    assert held(runs) == [1, 2]


@pytest.mark.parametrize("lost", [[UNKNOWN], [UNKNOWN, ACCEPTED]])
def test_killed_between_the_doubt_and_its_settling(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, lost: list[Outcome]
) -> None:
    """The pause is there all the same."""
    runs.close(1, 2, 3)
    runs.broadly.answers = [lost]
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "settle", _breaks)
        with pytest.raises(StorageError):
            runs.sync(batch_size=len(lost))
    is_paused(runs, until="19:00")
    assert held(runs) == [n + 1 for n in range(len(lost))]


def test_killed_between_the_settling_and_the_end(
    paused: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more client goes alone, and then the rest."""
    paused.clock.tick(minutes=45)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "end_doubts", _breaks)
        with pytest.raises(StorageError):
            paused.sync()
    assert paused.row(3).state is SENT
    paused.close(6)
    paused.sync()
    assert paused.broadly.matters == [[4], [5, 6]]


def _breaks(*arguments: Any, **named: Any) -> None:
    raise StorageError("The disk had a bad moment.")


def test_no_pause_where_the_receiver_dedupes(runs: Runs) -> None:
    """A try of what may have arrived asks nobody twice there."""
    runs.close(1, 2)
    runs.broadly.answers = [LOST]
    with pytest.raises(UnavailableError, match="No answer"):
        runs.sync(DEDUPES)
    assert runs.store.doubts is None
    runs.sync(DEDUPES)
    assert runs.broadly.matters == [[1, 2]]


def test_pause_is_over_where_the_receiver_dedupes_by_now(paused: Runs) -> None:
    """And one that is accepted ends it for good."""
    paused.sync(DEDUPES)
    assert paused.broadly.matters == [[3, 4, 5]]
    paused.close(6, 7)
    paused.sync()
    assert paused.broadly.matters == [[6, 7]]


@pytest.mark.parametrize(("hours", "sent"), [(0.5, []), (1, []), (1.1, [[11], [12, 13]])])
def test_doubt_that_lies_ahead(paused: Runs, hours: float, sent: list[list[int]]) -> None:
    """By more than an hour, it was noted by a wrong clock: nobody waits for that moment, and then,
    too, one goes alone."""
    paused.close(11, 12, 13)
    paused.waiting(11, 12, 13)
    paused.clock.now = NOW - timedelta(hours=hours)
    if sent:
        paused.sync()
    else:
        is_paused(paused, until="19:00")
    assert paused.broadly.matters == sent


# What a paused run does.


def test_what_is_due_waits_and_is_written_once(paused: Runs) -> None:
    """The 96 runs of a day do not write the same rows again; a new closing is noted as well."""
    is_paused(paused, until="19:00")
    assert [paused.row(n).reason for n in (3, 4, 5)] == [Reason.UNAVAILABLE] * 3
    assert paused.row(3).cause == Cause.PAUSE
    before = paused.store.integrity.sizes()[1]
    paused.clock.tick(minutes=15)
    paused.close(6)
    is_paused(paused, until="19:00")
    assert paused.row(6).reason is Reason.UNAVAILABLE
    assert paused.store.integrity.sizes()[1] == before + 2
    assert paused.store.watermark == paused.clock.now


def test_many_are_noted_in_pieces(paused: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clio_broadly_sync.pipeline.run.LOOK_AHEAD", 2)
    is_paused(paused, until="19:00")
    assert [paused.row(n).reason for n in (3, 4, 5)] == [Reason.UNAVAILABLE] * 3


def test_other_reasons_to_wait_stay(paused: Runs) -> None:
    """What Broadly put off, what a person resent or has to approve, what cannot be read, what is
    in doubt, and what broke off for another cause."""
    others = {
        11: {"reason": Reason.RETRY, "tries": 1},
        12: {"reason": None, "resent": True},
        13: {"reason": Reason.CONTACT_HIDDEN},
        14: {"reason": Reason.UNAVAILABLE, "cause": "not_reached"},
        15: {"reason": Reason.UNKNOWN_OUTCOME, "resent": True},
    }
    for matter, changes in others.items():
        paused.waiting(matter, **changes)
    paused.waiting(16, reason=Reason.SETTLING)
    is_paused(paused, until="19:00")
    for matter, changes in others.items():
        assert (paused.row(matter).reason, paused.row(matter).cause) == (
            changes["reason"],
            changes.get("cause"),
        )
    assert (paused.row(16).reason, paused.row(16).cause) == (Reason.UNAVAILABLE, Cause.PAUSE)


def test_what_is_not_due_is_no_reason_to_fail(runs: Runs) -> None:
    """A run with nothing to send ends well, and so does one that may send nobody."""
    runs.close(1)
    runs.broadly.answers = [LOST]
    runs.sync()
    runs.clock.tick(minutes=15)
    runs.sync()
    runs.close(2)
    runs.sync(make_policy(settle_hours=24))
    assert runs.row(2).reason is Reason.SETTLING
    runs.sync(limit=0)
    assert runs.row(2).reason is Reason.SETTLING


def test_surge_still_asks(paused: Runs) -> None:
    """Where nobody is approved there is nobody whom the pause keeps back."""
    context = paused.sync(make_policy(max_new=2))
    assert (context.report.surge, context.report.attention) == (3, True)
    paused.waiting(11, approval=Approval.GIVEN)
    is_paused(paused, until="19:00", policy=make_policy(max_new=2))
    assert paused.context is not None
    assert paused.context.report.surge == 3


def test_fields_are_still_held_against_the_pins(paused: Runs) -> None:
    """A renamed field is told at once, and not only after the pause."""
    paused.clio.boxes = [OPT_IN]
    paused.close(6)
    with pytest.raises(SyncError, match="BroadlyOptOut"):
        paused.sync()


def test_person_may_try_at_once(paused: Runs) -> None:
    """One client, and if that is lost again, the next pause is as long as after any other."""
    paused.broadly.answers = [LOST]
    paused.sync(at_once=True)
    assert paused.broadly.matters == [[3]]
    is_paused(paused, until="20:15")
    paused.sync(at_once=True)
    assert paused.broadly.matters == [[4], [5]]


def test_dry_run_says_the_same_and_asks_nobody(paused: Runs) -> None:
    """While the pause lasts it fails as the real run does; then it takes for granted that the one
    who goes alone is accepted."""
    sink = DryRun()
    is_paused(paused, until="19:00", sink=sink)
    paused.clock.tick(minutes=45)
    paused.sync(sink=sink)
    assert {paused.row(n).batch for n in (4, 5)} == {2}
    assert paused.row(3).batch == 1


def test_backfill_heeds_it_before_it_asks(paused: Runs) -> None:
    """It goes to the same receiver; a person who has to wait is not asked whether it may go."""

    def never(lot: Lot) -> bool:
        raise AssertionError("it asked")

    paused.close(11, closed_on=TODAY - timedelta(days=20))
    with pytest.raises(UnavailableError, match="until 20 Nov 2026, 19:00 UTC"):
        paused.backfill(confirm=never)
    assert paused.row(11).reason is Reason.UNAVAILABLE
    paused.clock.tick(minutes=45)
    paused.close(12, closed_on=TODAY - timedelta(days=20))
    paused.backfill(for_backfill())
    assert paused.broadly.matters == [[11], [12]]
    assert paused.store.doubts is None


def test_doubt_of_a_backfill_pauses_sync(runs: Runs) -> None:
    runs.close(11, closed_on=TODAY - timedelta(days=20))
    runs.broadly.answers = [LOST]
    runs.backfill()
    runs.close(1)
    is_paused(runs, until="19:00")
