"""What a run does when Broadly is away, busy or gives no answer, or when time runs out."""

from datetime import timedelta
from typing import Any

import pytest
from factories import NOW, make_policy
from runs import Runs

from clio_broadly_sync.domain.errors import (
    ConfigError,
    DeniedError,
    StoppedError,
    StorageError,
    SyncError,
    UnavailableError,
    because,
)
from clio_broadly_sync.domain.model import Box, Outcome
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store.ledger import Ledger

PENDING, SENDING, SENT, DEAD, HELD = (
    State.PENDING,
    State.SENDING,
    State.SENT,
    State.DEAD,
    State.HELD,
)
DEDUPES = make_policy(dedupes=True)
AWAY = UnavailableError("Broadly is out of reach.")
LOST = UnavailableError("No answer came.", outcome_unknown=True)


def busy(seconds: float) -> UnavailableError:
    return UnavailableError("Broadly is busy.", retry_after=seconds)


def fails(runs: Runs, error: type[SyncError], **changes: object) -> None:
    with pytest.raises(error) as caught:
        runs.sync(**changes)  # type: ignore[arg-type]
    assert type(caught.value) is error


# What was claimed and did not arrive is given back.


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AWAY, Reason.UNAVAILABLE),
        (DeniedError("The key was refused."), Reason.UNAVAILABLE),
        (ConfigError("The address is wrong."), Reason.UNAVAILABLE),
        (StoppedError(15), None),
    ],
)
def test_what_did_not_arrive_waits(runs: Runs, error: SyncError, reason: Reason | None) -> None:
    """Of a batch that broke off, what was answered is settled; the rest waits for the next run,
    which is no try of it."""
    runs.close(*range(1, 6))
    runs.broadly.at_once = 1
    runs.broadly.answers = [Outcome.ACCEPTED, error]
    fails(runs, type(error), batch_size=3)
    assert runs.broadly.matters == [[1], [2]]
    assert runs.states == {1: SENT, 2: PENDING, 3: PENDING, 4: PENDING, 5: PENDING}
    assert [runs.row(n).reason for n in (2, 3, 4)] == [reason, reason, None]
    assert runs.row(2).tries == 0
    assert runs.context is not None
    assert (runs.context.report.to_send, runs.context.report.sent) == (1, 1)


@pytest.mark.parametrize("dedupes", [False, True])
def test_what_could_not_be_settled_is_in_doubt(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, dedupes: bool
) -> None:
    """Broadly has accepted it, and the ledger could not say so for a moment: it is not given back
    as if it had never arrived."""
    settle, moments = Ledger.settle, iter([StorageError("The disk had a bad moment.")])

    def settled(ledger: Ledger, *arguments: Any) -> Any:
        for error in moments:
            raise error
        return settle(ledger, *arguments)

    runs.close(1, 2)
    monkeypatch.setattr(Ledger, "settle", settled)
    fails(runs, StorageError)
    assert runs.states == {1: SENDING, 2: SENDING}
    runs.sync(make_policy(dedupes=dedupes))
    assert all(runs.row(n).in_doubt for n in (1, 2))
    assert runs.broadly.matters == ([[1, 2]] if dedupes else [])


def test_refusals_are_settled_when_the_run_breaks_off(runs: Runs) -> None:
    """They were answered, although nothing had been accepted yet."""
    runs.close(1, 2)
    runs.broadly.answers = [Outcome.REFUSED, AWAY]
    fails(runs, UnavailableError, batch_size=1)
    assert runs.states == {1: DEAD, 2: PENDING}


def test_refusals_before_a_wait_count_after_it(runs: Runs) -> None:
    """Two refused, then busy, then one more refused: the contract is at fault; nobody is dead."""
    runs.close(1, 2, 3)
    runs.broadly.answers = [Outcome.REFUSED, Outcome.REFUSED, busy(20 * 60), Outcome.REFUSED]
    fails(runs, ConfigError, batch_size=1)
    assert runs.broadly.matters == [[1], [2], [3], [3]]
    assert runs.states == {1: PENDING, 2: PENDING, 3: PENDING}


def test_retry_is_for_a_later_run(runs: Runs) -> None:
    """Broadly put it off: it is not tried again in this run, and the run counts as a try."""
    runs.close(1, 2)
    runs.broadly.answers = [[Outcome.RETRY, Outcome.ACCEPTED]]
    context = runs.sync()
    row = runs.row(1)
    assert (row.state, row.reason, row.tries) == (PENDING, Reason.RETRY, 1)
    assert not context.report.attention
    runs.sync()
    assert runs.states == {1: SENT, 2: SENT}


# No answer.


@pytest.mark.parametrize("lost", [LOST, Outcome.UNKNOWN])
def test_lost_answer_ends_the_push(runs: Runs, lost: UnavailableError | Outcome) -> None:
    """Where the receiver does not dedupe, no further POST begins: one incident holds one POST.
    It is for a person to look at; the run itself has not failed."""
    runs.close(*range(1, 6))
    runs.broadly.at_once = 2
    runs.broadly.answers = [lost]
    context = runs.sync(batch_size=4)
    assert runs.broadly.matters == [[1, 2]]
    assert runs.states == {1: HELD, 2: HELD, 3: PENDING, 4: PENDING, 5: PENDING}
    assert [runs.row(n).reason for n in (1, 3, 5)] == [Reason.UNKNOWN_OUTCOME, None, None]
    assert (context.report.held, context.report.attention, context.report.in_doubt) == (2, True, 0)
    assert context.report.to_send == 2


def test_lost_answer_for_one_item_ends_the_push_too(runs: Runs) -> None:
    """The other results of that POST count."""
    runs.close(1, 2, 3)
    runs.broadly.answers = [[Outcome.UNKNOWN, Outcome.ACCEPTED]]
    runs.sync(batch_size=2)
    assert runs.states == {1: HELD, 2: SENT, 3: PENDING}


def test_item_without_a_result_is_tried_in_the_next_run_where_that_is_safe(runs: Runs) -> None:
    """The push goes on; in the end the run says that it was not all well."""
    runs.close(1, 2, 3)
    runs.broadly.answers = [[Outcome.UNKNOWN, Outcome.ACCEPTED]]
    with pytest.raises(UnavailableError, match="for 1 client;"):
        runs.sync(DEDUPES, batch_size=2)
    assert runs.broadly.matters == [[1, 2], [3]]
    assert runs.states == {1: PENDING, 2: SENT, 3: SENT}
    assert (runs.row(1).in_doubt, runs.row(1).reason) == (True, Reason.UNKNOWN_OUTCOME)
    runs.sync(DEDUPES)
    assert runs.broadly.matters == [[1]]
    assert runs.states[1] is SENT


def test_lost_answer_ends_the_run_where_repeats_are_safe(runs: Runs) -> None:
    """It was repeated as often as makes sense; waiting would not help now."""
    runs.close(1, 2)
    lost = UnavailableError("No answer came.", outcome_unknown=True, retry_after=1.0)
    runs.broadly.answers = [lost]
    fails(runs, UnavailableError, policy=DEDUPES, batch_size=1)
    assert runs.waits == []
    assert (runs.row(1).in_doubt, runs.states) == (True, {1: PENDING, 2: PENDING})


def test_doubt_of_an_earlier_run_outlives_an_outage(runs: Runs) -> None:
    """Given back, it is as unknown as before."""
    runs.close(1)
    runs.broadly.answers = [LOST, AWAY]
    fails(runs, UnavailableError, policy=DEDUPES)
    fails(runs, UnavailableError, policy=DEDUPES)
    row = runs.row(1)
    assert (row.state, row.in_doubt, row.reason) == (PENDING, True, Reason.UNKNOWN_OUTCOME)


# Busy.


def test_sync_does_not_wait_for_what_was_waited_for_already(runs: Runs) -> None:
    """A pause that the readings would have outlasted was the transport's to make."""
    runs.close(1)
    runs.broadly.answers = [busy(900)]
    fails(runs, UnavailableError)
    assert (runs.waits, runs.row(1).reason) == ([], Reason.UNAVAILABLE)


def test_sync_waits_longer_than_its_readings_last_and_reads_again(runs: Runs) -> None:
    """If its own time allows; what was claimed waits meanwhile, and says for what."""
    runs.close(1)
    runs.ends_at = NOW + timedelta(seconds=1000)
    runs.broadly.answers = [busy(901)]
    meanwhile: list[tuple[State, Reason | None]] = []

    def wait(seconds: float) -> None:
        meanwhile.append((runs.row(1).state, runs.row(1).reason))
        runs.clock.tick(seconds=seconds)

    context = runs.sync(wait=wait)
    assert meanwhile == [(PENDING, Reason.UNAVAILABLE)]
    assert runs.clio.requests.count("matters") == 1
    assert (runs.states, context.report.to_send, context.report.sent) == ({1: SENT}, 1, 1)


@pytest.mark.parametrize(("seconds", "waits"), [(1000, [1000]), (1001, [])])
def test_sync_does_not_wait_past_its_own_time(
    runs: Runs, seconds: float, waits: list[float]
) -> None:
    """A pause that would outlast the run is the next run's."""
    runs.close(1)
    runs.ends_at = NOW + timedelta(seconds=1000)
    runs.broadly.answers = [busy(seconds)] * 2
    if waits:
        runs.sync()
    else:
        fails(runs, UnavailableError)
    assert (runs.waits, runs.states) == (waits, {1: PENDING})


def test_backfill_waits_for_a_busy_receiver(runs: Runs) -> None:
    """It has time; a pause of any length is waited for and the batch goes then."""
    runs.close(1, 2)
    runs.broadly.answers = [busy(1), busy(2)]
    runs.backfill()
    assert runs.waits == [1, 2]
    assert runs.states == {1: SENT, 2: SENT}


def test_backfill_does_not_wait_longer_than_an_hour(runs: Runs) -> None:
    """For a receiver that takes nobody in all that time."""
    runs.close(1)
    runs.broadly.answers = [busy(1800)] * 3
    with pytest.raises(UnavailableError):
        runs.backfill()
    assert runs.waits == [1800, 1800]
    assert runs.row(1).reason is Reason.UNAVAILABLE


def test_wait_beyond_the_calendar_is_too_long(runs: Runs) -> None:
    """Such as the milliseconds since 1970, where seconds from now were meant."""
    runs.close(1)
    runs.broadly.answers = [busy(1_764_000_000_000)]
    with pytest.raises(UnavailableError):
        runs.backfill()
    assert (runs.waits, runs.states) == ([], {1: PENDING})


def test_hour_begins_anew_when_somebody_was_taken(runs: Runs) -> None:
    """A slow receiver is not one that is away."""
    runs.close(1, 2)
    runs.broadly.answers = [busy(1800), busy(1800), Outcome.ACCEPTED, busy(3600)]
    runs.backfill(batch_size=1)
    assert runs.waits == [1800, 1800, 3600]
    assert runs.states == {1: SENT, 2: SENT}


# Too late.


def test_batch_that_took_too_long_is_read_again(runs: Runs) -> None:
    """What its later POSTs would carry is older than 15 minutes by then."""
    runs.close(1, 2, 3)
    runs.broadly.at_once = 1
    runs.broadly.meanwhile("post", runs.clock.after(minutes=16))
    context = runs.sync()
    assert runs.broadly.matters == [[1], [2], [3]]
    assert runs.clio.asked_by_id == [[1001, 1002, 1003], [2, 3], [1002, 1003]]
    assert (context.report.to_send, context.report.sent) == (3, 3)


SLEEPS = [{"minutes": 2}, {"minutes": 30}, {"hours": 8}, {"hours": 100}]


@pytest.mark.parametrize("slept", SLEEPS, ids=str)
def test_backfill_on_a_machine_that_slept_reads_again(runs: Runs, slept: dict[str, float]) -> None:
    """Between two POSTs, however short: whoever opted out meanwhile is not sent."""
    runs.close(1, 2, 3)
    runs.broadly.at_once = 1

    def opt_out() -> None:
        runs.clock.sleeping(**slept)()
        runs.client(1002, opted_out=Box.CHECKED)

    runs.broadly.meanwhile("post", opt_out)
    runs.backfill()
    assert runs.broadly.matters == [[1], [3]]
    assert (runs.row(2).state, runs.row(2).reason) == (State.SKIPPED, Reason.OPTED_OUT)


@pytest.mark.parametrize("kind", ["custom_fields", "matters", "contacts"])
def test_machine_that_slept_while_it_read(runs: Runs, kind: str) -> None:
    """What an answer says that was asked for before the sleep is old."""
    runs.close(1)
    runs.waiting(1)
    runs.clio.meanwhile(kind, runs.clock.sleeping(minutes=2))
    runs.sync()
    assert runs.clio.requests.count(kind) == 2
    assert runs.broadly.matters == [[1]]


def test_batch_that_outlasts_the_run_waits(runs: Runs) -> None:
    """Without a reason, for the run was just over; that is no failure."""
    runs.close(1, 2)
    runs.broadly.at_once = 1
    runs.ends_at = NOW + timedelta(minutes=5)
    runs.broadly.meanwhile("post", runs.clock.after(minutes=5))
    context = runs.sync()
    assert runs.states == {1: SENT, 2: PENDING}
    assert (runs.row(2).reason, context.report.to_send, context.report.attention) == (
        None,
        1,
        False,
    )


def test_readings_that_grow_old_at_once_end_the_run(runs: Runs) -> None:
    """The third time in a row that nothing could be handed over."""
    runs.close(1)
    runs.clio.meanwhile("contacts", *[runs.clock.after(minutes=16)] * 9)
    with pytest.raises(UnavailableError, match="grows old"):
        runs.sync()
    assert runs.clio.requests.count("contacts") == 3
    assert (runs.states, runs.row(1).reason) == ({1: PENDING}, None)


def test_slow_ends_are_no_trouble_while_somebody_gets_further(runs: Runs) -> None:
    """Two walks for nothing, one that hands over, and so on to the end."""
    runs.close(1, 2, 3)
    slow = runs.clock.after(minutes=16)
    runs.clio.meanwhile("contacts", *[slow, slow, lambda: None] * 3)
    runs.broadly.meanwhile("post", *[slow] * 3)
    runs.sync(batch_size=1)
    assert runs.states == {1: SENT, 2: SENT, 3: SENT}


def test_client_who_need_not_be_asked_is_a_step_further_too(runs: Runs) -> None:
    """Walks that hand over one and skip another are none for nothing."""
    for first in range(1, 10, 2):
        runs.close(first, first + 1, client_id=1000 + first)
    runs.broadly.meanwhile("post", *[runs.clock.after(minutes=16)] * 5)
    runs.sync(batch_size=1)
    assert runs.broadly.matters == [[1], [3], [5], [7], [9]]
    assert PENDING not in runs.states.values()


def test_receipts_are_dated_when_they_came(runs: Runs) -> None:
    """Not when the batch was claimed."""
    runs.close(1)
    runs.broadly.meanwhile("post", runs.clock.after(minutes=3))
    runs.sync()
    (story,) = runs.store.history.of_matter(1)
    assert [(step.state, step.at - NOW) for step in story.steps[-2:]] == [
        (SENDING, timedelta(0)),
        (SENT, timedelta(minutes=3)),
    ]


# What became of a try is kept with the change.


def test_cause_of_a_doubt_is_kept(runs: Runs) -> None:
    """With the closing, through the runs that read it again, and with the change for good."""
    runs.close(1)
    lost = UnavailableError("No answer came.", outcome_unknown=True)
    runs.broadly.answers.append(because("http_503", lost))
    with pytest.raises(UnavailableError):
        runs.sync(DEDUPES)
    assert (runs.row(1).reason, runs.row(1).cause) == (Reason.UNKNOWN_OUTCOME, "http_503")
    runs.sync(DEDUPES)
    (story,) = runs.store.history.of_matter(1)
    assert [step.cause for step in story.steps if step.cause] == ["http_503"]
    assert runs.row(1).cause is None


def test_cause_of_a_try_that_broke_off_is_kept(runs: Runs) -> None:
    runs.close(1)
    runs.broadly.answers.append(because("not_reached", UnavailableError("Nobody is there.")))
    fails(runs, UnavailableError)
    assert (runs.row(1).reason, runs.row(1).cause) == (Reason.UNAVAILABLE, "not_reached")
