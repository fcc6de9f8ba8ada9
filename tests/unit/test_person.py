"""What `report --person` says of closings of every kind, and of runs of earlier versions."""

from datetime import timedelta
from typing import Any

import pytest
from factories import CLOSED_ON, NOW, TODAY, make_closing, make_policy

from clio_broadly_sync.cli.explain.sentences import Given
from clio_broadly_sync.cli.report.person import COLUMNS, Person, lines_of, rows_of
from clio_broadly_sync.domain.consent import Channels
from clio_broadly_sync.domain.model import Approval, Key, Profile
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store.dossier import ClosingKept, Dossier, No, RunKept
from clio_broadly_sync.store.history import Step, Story
from clio_broadly_sync.store.overview import PastRun

GIVEN = Given(make_policy(), "No thanks", "Ask", None, TODAY, NOW)
RUN = RunKept(
    PastRun(1, "sync", NOW, NOW, 0), "r1", "1.4.0", "both", 11, 22, None, opt_in_untouched="skip"
)
LATER = NOW + timedelta(days=1)


def kept(**changes: Any) -> ClosingKept:
    closing = make_closing(**changes)
    step = Step(NOW, 1, "sync", None, State.PENDING, None, None, None)
    return ClosingKept(Story(closing, (step,)), 0, None)


def person(*closings: ClosingKept, **changes: Any) -> Person:
    dossier = Dossier(1201, closings, None, (), [RUN] if closings else ())
    dossier = dossier._replace(**{k: v for k, v in changes.items() if k in Dossier._fields})
    found = Person(dossier, GIVEN, Profile.BATCH, "https://b.test", {11: "No thanks"}, NOW)
    return found._replace(**{k: v for k, v in changes.items() if k in Person._fields})


def said(*closings: ClosingKept, **changes: Any) -> str:
    return "\n".join(lines_of(person(*closings, **changes)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"in_doubt": True}, "Noted: once it was not known what became of it"),
        ({"resent": True}, "Noted: a person sent it again"),
        ({"approval": Approval.WANTED, "reason": Reason.SURGE}, "Noted: it wants a person's yes"),
        ({"approval": Approval.GIVEN, "tries": 1},
         "Noted: a person approved it, 1 run has tried in vain"),
        ({"tries": 2}, "Noted: 2 runs have tried in vain"),
        ({"closed_on": None}, "Matter 77, no close date"),
        ({"state": State.SENT, "channels": Channels.EMAIL}, "; sent: e-mail"),
        ({"updated_at": NOW}, "(run 1), as edited "),
    ],
)  # fmt: skip
def test_what_is_noted(changes: dict[str, Any], words: str) -> None:
    assert words in said(kept(**changes))


def test_nothing_is_noted() -> None:
    """Of a closing that waits, and to which nothing ever happened."""
    text = said(kept())
    for word in ("Noted", "Last tried", "Opted out", "keyed hashes\n", "edited"):
        assert word not in text


def test_state_is_that_of_this_moment() -> None:
    """What waits for a file is said to, although that is not noted."""
    given = Given(make_policy(profile=Profile.CSV), "No thanks", "Ask", None, TODAY, NOW)
    told = "\n".join(lines_of(person(kept(), given=given)))
    assert told.splitlines()[3] != said(kept()).splitlines()[3]


def test_objection_that_was_not_told_yet() -> None:
    sent = kept(state=State.SENT)
    story = sent.story._replace(objected_at=LATER)
    text = said(sent._replace(story=story, hashes=1))
    assert "Opted out after it was sent: noticed " in text
    assert "told by" not in text
    assert "Of the person: 1 keyed hash\n" in text


def test_runs_tell_by_what_they_decided() -> None:
    """A field that still has a name is named; of an earlier version's run nothing was noted."""
    old = RUN._replace(version=None, rule=None)
    none = RUN._replace(opt_out_field=None, opt_in_field=None, opt_in_untouched=None)
    text = said(kept(), runs=[RUN, old, none])
    assert "version 1.4.0, rule both, fields No thanks (11), 22; untouched box: skip" in text
    assert "run 1 (sync): version, rule and fields were not noted yet" in text
    assert "rule both, fields not noted\n" in text


def test_no_alone() -> None:
    text = said(no=No(NOW, 2), stopped=[Key(78, CLOSED_ON), Key(79, None)])
    assert "No thanks was checked when it was last read, " in text
    assert "\n  matter 79, no close date\n" in text
    assert "The runs" not in text


@pytest.mark.parametrize(
    ("profile", "host", "words"),
    [
        (Profile.BATCH, "https://b.test", "\nSent to: batch, https://b.test\n"),
        (Profile.CSV, None, "\nSent to: csv\n"),
    ],
)
def test_destination(profile: Profile, host: str | None, words: str) -> None:
    assert words in said(kept(), profile=profile, host=host)


def test_before_the_first_run_there_is_no_destination() -> None:
    assert "Sent to" not in said(profile=None, host=None)
    assert "Sent to" not in said(kept(), profile=None, host=None)


def test_rows_have_no_other_columns() -> None:
    """Nothing that a row holds is lost, but what is in the columns of another row."""
    sent = kept(state=State.SENT)
    objected = sent._replace(story=sent.story._replace(objected_at=LATER))
    found = [*rows_of(person(objected, no=No(NOW, 1), stopped=[Key(78, None)], runs=[]))]
    assert [row["what"] for row in found] == [
        "closing", "change", "opted_out_after_sending", "opt_out_read", "stopped_by_this_contact",
    ]  # fmt: skip
    assert set().union(*found) <= {*COLUMNS}
