"""More closings than a firm has in a day: a person looks first, and says yes."""

from collections.abc import Callable
from datetime import UTC, timedelta

import pytest
from factories import NOW, for_backfill, make_policy
from runs import Runs

from clio_broadly_sync.domain.hours import SendingHours
from clio_broadly_sync.domain.model import Approval, Box
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.pipeline import run
from clio_broadly_sync.pipeline.context import Lot

PENDING, SENT = State.PENDING, State.SENT
AT_MOST_TWO = make_policy(max_new=2)


def test_so_many_as_are_allowed_go(runs: Runs) -> None:
    """Up to SYNC_MAX_NEW is an ordinary day."""
    runs.close(1, 2)
    context = runs.sync(AT_MOST_TWO)
    assert runs.states == {1: SENT, 2: SENT}
    assert (context.report.surge, context.report.attention) == (0, False)


def test_more_than_that_wait_all_together(runs: Runs) -> None:
    """Nobody goes, and each of them says why it waits."""
    runs.close(1, 2, 3)
    context = runs.sync(AT_MOST_TWO)
    assert runs.broadly.posts == []
    assert {runs.row(n).reason for n in (1, 2, 3)} == {Reason.SURGE}
    assert (context.report.surge, context.report.attention) == (3, True)


def test_those_of_the_last_day_count_too(runs: Runs) -> None:
    """A surge does not get through by coming in small portions."""
    runs.close(1, 2)
    runs.sync(AT_MOST_TWO)
    runs.clock.tick(hours=23)
    runs.close(3)
    assert runs.sync(AT_MOST_TWO).report.surge == 1
    assert runs.states[3] is PENDING


def test_silence_is_remembered_before_the_watermark_moves(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a run that breaks off there would leave no sign of it to the next."""
    runs.close(1, 2)
    runs.sync(limit=0)
    runs.clock.tick(hours=80)
    with monkeypatch.context() as patched:
        patched.setattr(run, "push", _killed)
        with pytest.raises(KeyboardInterrupt):
            runs.sync()
    runs.clock.tick(minutes=15)
    assert runs.sync().report.surge == 2
    assert runs.states == {1: PENDING, 2: PENDING}


def _killed(*arguments: object, **options: object) -> None:
    raise KeyboardInterrupt


def test_surge_stays_one_until_somebody_approves(runs: Runs) -> None:
    """Each run says so again, although what came later would not be too many."""
    runs.close(1, 2, 3)
    runs.sync(AT_MOST_TWO)
    runs.clock.tick(days=1)
    runs.close(4)
    context = runs.sync(make_policy(max_new=50))
    assert runs.broadly.posts == []
    assert (context.report.surge, context.report.attention) == (4, True)


def test_a_single_one_that_waits_keeps_the_others_waiting(runs: Runs) -> None:
    """A person has not looked yet."""
    runs.clock.tick(hours=73)
    runs.close(1)
    runs.sync()
    runs.clock.tick(hours=1)
    runs.close(2)
    assert runs.sync().report.surge == 2
    assert runs.broadly.posts == []


def test_approved_ones_go_and_later_ones_are_counted_anew(runs: Runs) -> None:
    """The yes is for those that were due; and they do not count as unapproved afterwards."""
    runs.close(1, 2, 3)
    runs.sync(AT_MOST_TWO)
    context = runs.sync(AT_MOST_TWO, approve=True)
    assert runs.states == {1: SENT, 2: SENT, 3: SENT}
    assert (context.report.surge, context.report.attention) == (0, False)
    assert runs.row(1).approval is Approval.GIVEN
    runs.close(4)
    runs.sync(AT_MOST_TWO)
    assert runs.states[4] is SENT


def test_approved_ones_that_could_not_go_need_no_second_yes(runs: Runs) -> None:
    """The rest of what was approved goes in a later run, beside a new surge that waits."""
    runs.close(1, 2, 3)
    runs.sync(AT_MOST_TWO, approve=True, limit=1)
    assert (runs.row(2).state, runs.row(2).reason) == (PENDING, None)
    runs.close(4, 5, 6)
    context = runs.sync(AT_MOST_TWO)
    assert runs.broadly.matters == [[2, 3]]
    assert context.report.surge == 3


def test_approved_ones_in_doubt_go_in_the_same_run(runs: Runs) -> None:
    """A yes writes on them, and does not put them off thereby; without one they ask each time."""
    policy = make_policy(max_new=0, dedupes=True)
    runs.waiting(1, 2, in_doubt=True, reason=Reason.UNKNOWN_OUTCOME)
    runs.close(1, 2)
    for _ in range(2):
        assert runs.sync(policy).report.surge == 2
        assert {runs.row(n).reason for n in (1, 2)} == {Reason.UNKNOWN_OUTCOME}
    runs.sync(policy, approve=True)
    assert runs.broadly.matters == [[1, 2]]


def test_nobody_approves_what_is_settling(runs: Runs) -> None:
    """It is not due, so it is judged when it is."""
    policy = make_policy(max_new=2, settle_hours=24)
    runs.close(1, 2, 3)
    context = runs.sync(policy, approve=True)
    assert runs.row(1).approval is Approval.NONE
    assert context.report.surge == 0
    runs.clock.tick(hours=24)
    assert runs.sync(policy).report.surge == 3


def test_backfill_is_no_surge(runs: Runs) -> None:
    """A person has said how much it may be."""
    runs.close(1, 2, 3)
    context = runs.backfill(for_backfill(max_new=2))
    assert set(runs.states.values()) == {SENT}
    assert (context.report.surge, context.report.attention) == (0, False)


def test_backfill_does_not_make_a_surge_of_a_days_closings(runs: Runs) -> None:
    """What a backfill hands over is not counted among those of `sync`."""
    runs.close(1, 2, 3)
    runs.backfill(for_backfill(max_new=2))
    runs.close(4)
    runs.sync(AT_MOST_TWO)
    assert runs.states[4] is SENT


# Clients that were hidden or unreadable, and are to be read again.


@pytest.fixture
def hidden(runs: Runs) -> Runs:
    """A day after four clients were hidden; now Clio shows them."""
    runs.close(1, 2, 3, 4)
    shown = dict(runs.clio.people)
    runs.clio.people.clear()
    runs.sync()
    runs.clio.people |= shown
    runs.clock.tick(hours=20)
    return runs


def test_clients_that_stay_hidden_are_no_surge(hidden: Runs) -> None:
    """They cannot go, however many they are."""
    hidden.clio.people.clear()
    context = hidden.sync(AT_MOST_TWO)
    assert {hidden.row(n).reason for n in (1, 2, 3, 4)} == {Reason.CONTACT_HIDDEN}
    assert (context.report.surge, context.report.attention) == (0, False)


TURNED_UP: dict[str, tuple[list[int], bool, set[int], Reason]] = {
    "nobody is new": ([], False, {1, 2}, Reason.SURGE),
    "one is new, who comes first": ([9], False, {9, 1}, Reason.SURGE),
    "as many are new as may be": ([8, 9], False, {8, 9}, Reason.SURGE),
    "the new ones are a surge": ([7, 8, 9], False, set(), Reason.CONTACT_HIDDEN),
    "a person has looked": ([], True, {1, 2, 3, 4}, Reason.SURGE),
}
"""Who is new beside four that turn up, whether that is approved; who goes, why the four wait."""


@pytest.mark.parametrize(("others", "approve", "sent", "why"), TURNED_UP.values(), ids=TURNED_UP)
def test_clients_that_turn_up_go_as_far_as_the_day_allows(
    hidden: Runs, others: list[int], approve: bool, sent: set[int], why: Reason
) -> None:
    """Those who are new come first; where nobody of the four could go, none is looked for."""
    hidden.close(*others)
    context = hidden.sync(AT_MOST_TWO, approve=approve)
    assert {n for n, state in hidden.states.items() if state is SENT} == sent
    waiting = {1, 2, 3, 4} - sent
    assert {hidden.row(n).reason for n in waiting} <= {why}
    surge = len(others) if why is Reason.CONTACT_HIDDEN else len(waiting)
    assert (context.report.surge, context.report.attention) == (surge, surge > 0)


def test_clients_that_turn_up_are_counted_beside_those_of_the_last_day(runs: Runs) -> None:
    """Like any other that may go."""
    runs.close(1, 2, 3, 9)
    shown = dict(runs.clio.people)
    runs.clio.people = {1009: shown[1009]}
    runs.sync()
    runs.clio.people = shown
    runs.clock.tick(hours=20)
    runs.sync(AT_MOST_TWO)
    assert runs.states == {9: SENT, 1: SENT, 2: PENDING, 3: PENDING}


def test_client_that_turns_up_and_opted_out_takes_nobodys_place(hidden: Runs) -> None:
    """Only who may go is counted."""
    hidden.client(1001, opted_out=Box.CHECKED)
    hidden.sync(AT_MOST_TWO)
    assert hidden.states == {1: State.SKIPPED, 2: SENT, 3: SENT, 4: PENDING}


def test_closing_noticed_after_a_long_silence_waits_also_where_it_was_hidden(runs: Runs) -> None:
    """What the stale run did not see is asked about when it is seen."""
    runs.clock.tick(hours=73)
    runs.close(1)
    client = runs.clio.people.pop(1001)
    runs.sync()
    runs.clio.people[1001] = client
    runs.clock.tick(hours=20)
    context = runs.sync()
    assert (runs.row(1).reason, runs.row(1).approval) == (Reason.SURGE, Approval.WANTED)
    assert context.report.attention


# A person who is asked in the same run.


def yes(asked: list[Lot]) -> Callable[[Lot], bool]:
    """Return what says yes, and notes about what it was asked."""
    return lambda lot: not asked.append(lot)


def never(lot: Lot) -> bool:
    raise AssertionError("asked in vain")


def test_yes_lets_them_go_in_the_same_run(runs: Runs) -> None:
    """As `--yes` would; the question names closings and clients, in the order of sending."""
    runs.close(1, 2, 3)
    runs.close(4, client_id=1001)
    seen: list[tuple[int, int, list[int]]] = []

    def asks(lot: Lot) -> bool:
        seen.append((lot.closings, lot.clients, [c.key.matter_id for c in lot.in_order]))
        return True

    context = runs.sync(AT_MOST_TWO, asks=asks)
    assert seen == [(4, 3, [1, 4, 2, 3])]
    assert (context.report.sent, context.report.surge, context.report.attention) == (3, 0, False)
    assert runs.row(2).approval is Approval.GIVEN


def test_no_leaves_them_waiting(runs: Runs) -> None:
    """As without a terminal."""
    runs.close(1, 2, 3)
    context = runs.sync(AT_MOST_TWO, asks=lambda lot: False)
    assert (context.report.surge, context.report.attention) == (3, True)
    assert runs.broadly.posts == []


def test_after_a_silence_a_person_is_asked_too(runs: Runs) -> None:
    runs.clock.tick(hours=73)
    runs.close(1)
    asked: list[Lot] = []
    assert runs.sync(asks=yes(asked)).report.sent == 1
    assert len(asked) == 1


def test_what_comes_while_nobody_answers_is_not_in_the_yes(runs: Runs) -> None:
    """It was none of those that were named."""
    policy = make_policy(max_new=2, settle_hours=1)
    runs.close(1, 2, 3)
    runs.sync(policy)
    runs.clock.tick(minutes=55)
    runs.close(4)
    runs.sync(policy)
    runs.clock.tick(minutes=5)

    def asks(lot: Lot) -> bool:
        runs.clock.tick(minutes=56)
        return True

    runs.sync(policy, asks=asks)
    assert runs.states == {1: SENT, 2: SENT, 3: SENT, 4: PENDING}


def test_all_is_read_again_after_a_long_question(runs: Runs) -> None:
    """What was read before it is too old to be sent; who opted out meanwhile is not sent."""
    runs.close(1, 2, 3)

    def asks(lot: Lot) -> bool:
        runs.clock.tick(minutes=16)
        runs.client(1002, opted_out=Box.CHECKED)
        runs.edit(3, closed=False)
        return True

    runs.sync(AT_MOST_TWO, asks=asks)
    assert runs.states == {1: SENT, 2: State.SKIPPED, 3: State.SKIPPED}


def test_hours_that_end_during_the_question_keep_them_back(runs: Runs) -> None:
    """The yes stands, and they wait for the sending hours."""
    until = (NOW + timedelta(hours=1)).hour
    hours = SendingHours(days=frozenset(range(7)), begin=until - 2, end=until)
    runs.close(1, 2, 3)

    def asks(lot: Lot) -> bool:
        runs.clock.tick(hours=2)
        return True

    context = runs.sync(make_policy(max_new=2, hours=hours), asks=asks, given_zone=UTC)
    assert (runs.broadly.posts, context.report.surge) == ([], 0)
    assert context.report.kept_back is Reason.OUTSIDE_HOURS


def test_nobody_is_asked_where_nobody_may_go(runs: Runs) -> None:
    """Outside of the sending hours, during a pause, and with --limit 0."""
    runs.close(1, 2, 3)
    hours = SendingHours(days=frozenset({0}))
    runs.sync(make_policy(max_new=2, hours=hours), asks=never)
    runs.sync(AT_MOST_TWO, asks=never, limit=0)
    runs.store.note_doubt(runs.clock.now)
    assert runs.sync(AT_MOST_TWO, asks=never).report.surge == 3


def test_yes_is_not_for_more_than_the_limit(runs: Runs) -> None:
    """Asked whether at most so many are to go, nobody has agreed to the rest."""
    runs.close(1, 2, 3)
    runs.close(4, client_id=1001)
    asked: list[Lot] = []
    context = runs.sync(AT_MOST_TWO, asks=yes(asked), limit=1)
    assert runs.broadly.matters == [[1]]
    assert (context.report.surge, context.report.attention) == (2, True)
    assert {runs.row(n).reason for n in (2, 3)} == {Reason.SURGE}
    assert runs.sync(AT_MOST_TWO).report.sent == 0


def test_yes_is_not_for_clients_that_turn_up(hidden: Runs) -> None:
    """They were not named, so of them no more go than without the yes."""
    hidden.close(7, 8, 9)
    seen: list[list[int]] = []

    def asks(lot: Lot) -> bool:
        return not seen.append([c.key.matter_id for c in lot.in_order])

    context = hidden.sync(AT_MOST_TWO, asks=asks)
    assert seen == [[7, 8, 9]]
    assert {n for n, state in hidden.states.items() if state is SENT} == {7, 8, 9, 1, 2}
    assert {hidden.row(n).reason for n in (3, 4)} == {Reason.SURGE}
    assert (context.report.surge, context.report.attention) == (2, True)


def test_yes_after_a_silence_is_not_for_clients_that_turn_up(hidden: Runs) -> None:
    """Without a yes none of them goes, be they never so few."""
    hidden.clock.tick(hours=73)
    hidden.close(9)
    context = hidden.sync(asks=yes([]))
    assert {n for n, state in hidden.states.items() if state is SENT} == {9}
    assert context.report.surge == 4
