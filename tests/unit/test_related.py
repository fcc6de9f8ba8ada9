"""Which hand-over kept a closing back, by the ledger alone, and how `explain` says it."""

from datetime import UTC, date, timedelta
from typing import Any

import pytest
from factories import NOW, make_closing
from golden_files import Golden

from clio_broadly_sync.cli.explain import related
from clio_broadly_sync.cli.explain.related import Causes
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store.history import Step, Story

FORMER_DATE = date(2026, 11, 10)
DROPPED = Reason.DROPPED


def changed(at: timedelta, state: State, reason: Reason | None = None) -> Step:
    return Step(NOW + at, 1, "sync", None, state, reason, None, None)


def passed_over(**more: Any) -> Story:
    """Return the closing under its new date, whose turn came at NOW."""
    known = {"state": State.SKIPPED, "reason": Reason.ASKED_RECENTLY} | more
    closing = make_closing(77, **known)
    return Story(closing, (changed(timedelta(0), closing.state, closing.reason),))


def former(ago: timedelta, state: State = State.SENT, on: date = FORMER_DATE, **more: Any) -> Story:
    """Return the closing of the same matter under its former date, claimed some time ago."""
    closing = make_closing(77, on, state=state, **more)
    steps = [changed(-ago, State.SENDING), changed(-ago, state, closing.reason)]
    return Story(closing, tuple(steps))


@pytest.mark.parametrize(
    ("ago", "counts"),
    [
        (timedelta(0), True),
        (timedelta(days=30) - timedelta(seconds=1), True),
        (timedelta(days=30), False),
        (-timedelta(seconds=1), False),
    ],
)
def test_same_matter_counts_for_thirty_days(ago: timedelta, counts: bool) -> None:
    """As in the rule; and what was handed over after the turn was not its cause."""
    before = former(ago, on=date(2026, 1, 2))
    found = related.of_matter(passed_over(), Causes([before]))
    assert (found is not None) is counts


def test_date_close_by_counts_for_good() -> None:
    assert related.of_matter(passed_over(), Causes([former(timedelta(days=400))])) is not None


def test_closing_is_not_its_own_cause() -> None:
    """A marked one was claimed once itself."""
    own = passed_over(state=State.HELD, in_doubt=True)
    own = Story(own.closing, (changed(-timedelta(days=1), State.SENDING), *own.steps))
    assert related.of_matter(own, Causes([own])) is None
    assert Causes.of_person([own]).last_before(own) is None


@pytest.mark.parametrize("state", [State.DEAD, State.PENDING, State.SKIPPED])
def test_what_never_reached_the_client_is_no_cause(state: State) -> None:
    """Rejected, given back, or passed over after a claim."""
    others = [former(timedelta(days=1), state)]
    assert related.of_matter(passed_over(), Causes(others)) is None
    assert Causes.of_person(others).last_before(passed_over()) is None


def test_dropped_one_keeps_its_matter_but_not_its_contact() -> None:
    """It never was handed over; but a corrected date does not bring it back."""
    others = [former(timedelta(days=1), State.SKIPPED, reason=DROPPED)]
    assert related.of_matter(passed_over(), Causes(others)) is not None
    assert Causes.of_person(others).last_before(passed_over()) is None


def test_last_one_of_several_is_named() -> None:
    """Of a contact with many matters, the one that was handed over last."""
    others = [
        Story(make_closing(matter, state=State.SENT), former(timedelta(days=ago)).steps)
        for matter, ago in ((1, 20), (2, 10), (3, 15))
    ]
    found = Causes.of_person(others).last_before(passed_over())
    assert found is not None
    assert found.closing.key.matter_id == 2


def test_foreseen_one_comes_after_everything() -> None:
    """Whatever this machine's clock says: the ledger's times are those of Clio."""
    foreseen = Story(passed_over().closing, ())
    assert Causes.of_person([former(-timedelta(hours=1))]).last_before(foreseen) is not None


BEFORE = {
    "handed over": make_closing(77, FORMER_DATE, state=State.SENT),
    "its answer lost": make_closing(77, FORMER_DATE, state=State.HELD, in_doubt=True),
    "dropped": make_closing(77, FORMER_DATE, state=State.SKIPPED, reason=DROPPED),
    "dropped, without a date": make_closing(77, None, state=State.SKIPPED, reason=DROPPED),
    "its answer lost, and dropped two days later": make_closing(
        77, FORMER_DATE, state=State.SKIPPED, reason=DROPPED,
        in_doubt=True, claimed_at=NOW - timedelta(days=2),
    ),
}  # fmt: skip


def test_what_came_before_is_told(golden: Golden) -> None:
    """First what became of the matter under its former date, for a closing that was passed over,
    and for one whose own answer was lost; then whose hand-over it was."""
    over, lost = (passed_over(**more).closing for more in ({}, {"state": State.HELD}))
    other = over._replace(contact_id=5)
    said = [f"not known\n  {related.whose(over, None, UTC)}"]
    for name, closing in BEFORE.items():
        found = related.Related(NOW, closing)
        of_matter = [related.sentence(own, found, UTC) for own in (over, lost)]
        is_asked = closing.state is not State.SKIPPED
        of_person = [related.whose(own, found, UTC) for own in (over, other) if is_asked]
        said.append("\n  ".join([name, *of_matter, *of_person]))
    golden("explain_what_came_before", "\n".join(said))
