"""The sentences of `explain`: one for every state and reason, for people who are no engineers."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from factories import NOW, TODAY, make_closing, make_policy

from clio_broadly_sync.cli import output
from clio_broadly_sync.cli.explain import answer as explanation
from clio_broadly_sync.cli.explain import sentences
from clio_broadly_sync.cli.explain.sentences import Given
from clio_broadly_sync.domain import reasons
from clio_broadly_sync.domain.model import Command, Key, SyncRule
from clio_broadly_sync.domain.reasons import Reason, State
from clio_broadly_sync.store.history import Step, Story

ZONE = ZoneInfo("America/Los_Angeles")
READ = "20 Nov 2026, 10:00"
"""`NOW` in the firm's zone."""
LATER = NOW + timedelta(hours=1)
CHANGED = "20 Nov 2026, 11:00"
OPENINGS = (
    "Handed over to Broadly", "Not handed over", "Perhaps handed over", "On its way to Broadly",
    "Not asked",
)  # fmt: skip
BACKFILL = "clio-broadly-sync backfill --from 2026-11-18 --to 2026-11-18"
SKIPS = (
    Reason.NOT_CLOSED, Reason.NO_CLIENT, Reason.NO_CLOSE_DATE, Reason.CLOSED_BEFORE_START,
    Reason.CLOSED_TOO_LONG_AGO, Reason.NOT_OPTED_IN, Reason.OPTED_OUT, Reason.COMPANY,
    Reason.NO_CHANNEL, Reason.ASKED_RECENTLY, Reason.SUPPRESSED, Reason.DROPPED,
)  # fmt: skip


def given(**policy: Any) -> Given:
    return Given(make_policy(**policy), "BroadlyOptOut", "SendBroadlyThankYou", ZONE, TODAY)


def story(state: State, reason: Reason | None = None, **more: Any) -> Story:
    answer = more.pop("answer", None)
    closing = make_closing(77, state=state, reason=reason, **more)
    return Story(closing, (Step(LATER, 3, "sync", None, state, reason, None, answer),))


def said(state: State, reason: Reason | None = None, **more: Any) -> str:
    return sentences.sentence(story(state, reason, **more), given())


@pytest.mark.parametrize("marked", [False, True])
@pytest.mark.parametrize("command", Command)
@pytest.mark.parametrize("reason", [None, *Reason])
@pytest.mark.parametrize("state", State)
def test_one_sentence_for_everything(
    state: State, reason: Reason | None, command: Command, marked: bool
) -> None:
    """It begins with what became of the client, ends once, and leaves nothing to fill in."""
    for resent in (False, True):
        told = story(state, reason, command=command, in_doubt=marked, resent=resent)
        text = sentences.sentence(told, given())
        assert text.startswith(OPENINGS)
        assert re.search(r"[{}\n]|None|Reason|State|\.\.|\. [A-Z]", text) is None
        assert text.endswith(".")
        assert len(text) < 260
        helps = sentences.helps(told, given())
        assert helps is None or re.fullmatch(r"[A-Z][^{}\n]+\.", helps)


def test_every_reason_is_in_the_table() -> None:
    """A new one needs its words, and so does a new state."""
    assert reasons.WHY.keys() == set(Reason)
    assert explanation.STATES.keys() == set(State)


@pytest.mark.parametrize("reason", SKIPS)
def test_sentences_of_the_reasons_differ(reason: Reason) -> None:
    """Each says something of its own."""
    others = {said(State.SKIPPED, other) for other in SKIPS if other is not reason}
    assert said(State.SKIPPED, reason) not in others


SKIPPED = {
    Reason.NOT_CLOSED: f"Clio did not show the matter as closed on {CHANGED}",
    Reason.NO_CLIENT: f"the matter had no client when read on {READ}.",
    Reason.NO_CLOSE_DATE: f"closed without a close date when read on {READ}.",
    Reason.CLOSED_BEFORE_START: "it closed on 18 Nov 2026, before the start day",
    Reason.CLOSED_TOO_LONG_AGO: "longer ago than SYNC_MAX_AGE_DAYS allows (30 days).",
    Reason.NOT_OPTED_IN: f"matter's SendBroadlyThankYou box was not checked when read on {READ}.",
    Reason.OPTED_OUT: f"the contact's BroadlyOptOut box was checked when read on {READ}.",
    Reason.COMPANY: "the client is a company, and SYNC_COMPANIES leaves companies out.",
    Reason.NO_CHANNEL: "no e-mail address or phone number that can be used",
    Reason.ASKED_RECENTLY: "SYNC_REASK_DAYS is 180",
    Reason.DROPPED: f"a person took it out of the outbox on {CHANGED}.",
    Reason.CONTACT_HIDDEN: f"asked on {READ}, and by then it was too old (SYNC_MAX_AGE_DAYS).",
    Reason.UNREADABLE_FIELD: f"could not be read on {READ}, and by then it was too old",
}


@pytest.mark.parametrize("reason", SKIPPED)
def test_skipped(reason: Reason) -> None:
    text = said(State.SKIPPED, reason)
    assert text.startswith("Not handed over: ")
    assert SKIPPED[reason] in text


def test_the_sentence_of_the_issue() -> None:
    """Word for word, but for the time."""
    assert said(State.SKIPPED, Reason.OPTED_OUT) == (
        "Not handed over: the contact's BroadlyOptOut box was checked when read on "
        "20 Nov 2026, 10:00."
    )


def test_suppressed_reached_broadly() -> None:
    """Broadly had the client, and did not ask; its code is named."""
    text = said(State.SKIPPED, Reason.SUPPRESSED, answer="unsubscribed")
    assert text.startswith(f"Not asked: Broadly said on {CHANGED} that this client does not want")
    assert "(its code: unsubscribed)" in text


ASKED = Reason.ASKED_RECENTLY
WAITING = {
    None: "nothing speaks against it, and the next `sync` reads it again",
    Reason.SETTLING: "it rests until 20 Nov 2026, 10:00",
    Reason.SURGE: "a person's yes, because more matters closed than SYNC_MAX_NEW (50)",
    Reason.UNAVAILABLE: f"the try on {CHANGED} broke off before Broadly had it",
    Reason.RETRY: "which was done in 4 of 10 runs",
    Reason.CONTACT_HIDDEN: f"Clio hid the contact from this sign-in when asked on {READ}.",
    Reason.UNREADABLE_FIELD: f"could not be read on {READ}.",
}


@pytest.mark.parametrize("reason", WAITING)
def test_pending(reason: Reason | None) -> None:
    text = said(State.PENDING, reason, tries=4)
    assert text.startswith("Not handed over yet: ")
    assert WAITING[reason] in text


def test_rests_until_the_settle_time_is_over() -> None:
    told = story(State.PENDING, Reason.SETTLING)
    assert "until 21 Nov 2026, 10:00" in sentences.sentence(told, given(settle_hours=24))


def test_pending_in_doubt() -> None:
    """What the next run does depends on whether Broadly knows what it has taken."""
    told = story(State.PENDING, Reason.UNKNOWN_OUTCOME, in_doubt=True, tries=2)
    assert "asks again" in sentences.sentence(told, given(dedupes=True))
    assert "2 of 10" in sentences.sentence(told, given(dedupes=True))
    assert "for a person to decide" in sentences.sentence(told, given(dedupes=False))


def test_resent_by_a_person() -> None:
    """It says so, whether or not the client may have been asked."""
    for reason, opening in ((None, "Not handed over yet"), (Reason.UNKNOWN_OUTCOME, "Perhaps")):
        text = said(State.PENDING, reason, resent=True, in_doubt=reason is not None)
        assert text.startswith(opening)
        assert f"a person sent it again on {CHANGED}" in text


def test_backfill_that_was_interrupted() -> None:
    """It belongs to nobody but that backfill."""
    told = story(State.PENDING, command=Command.BACKFILL)
    assert "`backfill` that it belongs to" in sentences.sentence(told, given())
    helps = sentences.helps(told, given()) or ""
    assert BACKFILL in helps
    assert "outbox drop 77" in helps


def test_sent() -> None:
    claimed = {"claimed_at": NOW}
    assert said(State.SENT, **claimed) == f"Handed over to Broadly on {READ}: it took the client."
    assert said(State.SENT, answer="duplicate", **claimed) == (
        f"Handed over to Broadly: it said on {CHANGED} that it had this closing already."
    )
    assert said(State.SENDING, **claimed).startswith(f"On its way to Broadly since {READ}:")


def test_dead() -> None:
    """Rejected, with Broadly's code; or given up."""
    assert said(State.DEAD, answer="invalid_email") == (
        f"Not handed over: Broadly rejected it on {CHANGED} (its code: invalid_email)."
    )
    assert "put it off in 10 runs" in said(State.DEAD, Reason.RETRY)
    assert "outbox resend 77" in (sentences.helps(story(State.DEAD), given()) or "")


def test_held() -> None:
    """Lost; and lost, and then opted out."""
    lost = said(State.HELD, Reason.UNKNOWN_OUTCOME, in_doubt=True)
    assert lost.startswith("Perhaps handed over: Broadly's answer was lost")
    out = said(State.HELD, Reason.OPTED_OUT, in_doubt=True)
    assert "because the contact's BroadlyOptOut box was checked" in out
    for reason in (Reason.UNKNOWN_OUTCOME, Reason.OPTED_OUT):
        helps = sentences.helps(story(State.HELD, reason, in_doubt=True), given()) or ""
        assert "outbox drop 77" in helps
        assert "outbox resend 77" in helps


def test_dropped_after_a_lost_answer() -> None:
    """The client may have been asked all the same."""
    assert said(State.SKIPPED, Reason.DROPPED, in_doubt=True).startswith("Perhaps handed over")


def test_fields_have_the_names_of_the_settings() -> None:
    named = Given(make_policy(), "No {thanks}", "Ask", ZONE, TODAY)
    assert "No {thanks} box" in sentences.sentence(story(State.SKIPPED, Reason.OPTED_OUT), named)
    assert "Ask box" in sentences.sentence(story(State.SKIPPED, Reason.NOT_OPTED_IN), named)


def test_what_helps() -> None:
    """`backfill` for the very day; a surge has two ways on; what was a decision has none."""
    assert BACKFILL in (sentences.helps(story(State.SKIPPED, Reason.NO_CHANNEL), given()) or "")
    surge = sentences.helps(story(State.PENDING, Reason.SURGE), given()) or ""
    assert "sync --yes" in surge
    assert "outbox drop 77" in surge
    for told in (
        story(State.SENT),
        story(State.PENDING),
        story(State.SKIPPED, Reason.ASKED_RECENTLY),
    ):
        assert sentences.helps(told, given()) is None


ANEW = (Reason.NOT_CLOSED, Reason.NO_CLIENT, Reason.NOT_OPTED_IN)
LATE: dict[str, dict[str, Any]] = {
    "before the start day": {"start_day": date(2026, 11, 19)},
    "before the first run": {"start_day": None},
    "too old by now": {"max_age_days": 1},
}


@pytest.mark.parametrize("reason", ANEW)
def test_sync_decides_anew(reason: Reason) -> None:
    """From the start day on, and up to the very last day of SYNC_MAX_AGE_DAYS."""
    for policy in ({"start_day": date(2026, 11, 18)}, {"max_age_days": 2}):
        helps = sentences.helps(story(State.SKIPPED, reason), given(**policy)) or ""
        assert "the next `sync`" in helps
        assert "backfill" not in helps


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("reason", ANEW)
def test_sync_would_pass_it_over_for_its_date(reason: Reason, late: str) -> None:
    """What is put right in Clio is then left to `backfill`, and `sync` is not promised."""
    helps = sentences.helps(story(State.SKIPPED, reason), given(**LATE[late])) or ""
    assert f"`{BACKFILL}`." in helps
    assert "`sync` then" not in helps


def test_close_date_that_is_still_to_be_typed() -> None:
    """It may be one that `sync` passes over."""
    told = story(State.SKIPPED, Reason.NO_CLOSE_DATE, key=Key(77, None))
    helps = sentences.helps(told, given()) or ""
    assert "the next `sync` then looks at it anew" in helps
    assert "before 1 Nov 2026 or more than 30 days ago" in helps
    assert "backfill --from DATE --to DATE" in helps
    first = sentences.helps(told, given(start_day=None)) or ""
    assert first == (
        "Type the date in Clio; then: `clio-broadly-sync backfill --from DATE --to DATE`."
    )


def test_decided_under_a_rule_that_asked_for_the_box() -> None:
    """`sync` does not decide it anew, and the box says nothing now."""
    told = story(State.SKIPPED, Reason.NOT_OPTED_IN, rule=SyncRule.OPT_IN)
    helps = sentences.helps(told, given(rule=SyncRule.OPT_OUT)) or ""
    assert helps == f"It was decided under SYNC_RULE=opt-in; to decide it anew: `{BACKFILL}`."


@pytest.mark.parametrize("reason", ANEW)
def test_decided_under_another_rule(reason: Reason) -> None:
    """What is put right in Clio is left to `backfill`, however recent it is."""
    told = story(State.SKIPPED, reason, rule=SyncRule.OPT_IN)
    helps = sentences.helps(told, given(rule=SyncRule.BOTH)) or ""
    assert helps == sentences.helps(story(State.SKIPPED, reason), given(start_day=None))
    assert f"`{BACKFILL}`." in helps


def test_times() -> None:
    """In the firm's zone, with English months; lengths in a unit of which there are two."""
    assert output.moment(datetime(2026, 3, 1, 7, 5, tzinfo=UTC), ZONE) == "28 Feb 2026, 23:05"
    assert output.day(date(2026, 1, 9)) == "9 Jan 2026"
    assert output.day(None) == "no date"
    lengths = {0: "0 seconds", 1: "1 second", 119: "119 seconds", 120: "2 minutes"}
    lengths |= {7199: "119 minutes", 7200: "2 hours", 172_800: "2 days", -5: "0 seconds"}
    for seconds, words in lengths.items():
        assert output.length(timedelta(seconds=seconds)) == words
