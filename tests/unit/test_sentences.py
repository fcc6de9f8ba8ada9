"""The sentences of `explain`: one for every state and reason, for people who are no engineers."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from factories import NOW, TODAY, make_closing, make_policy
from golden_files import Golden

from clio_broadly_sync.cli import output
from clio_broadly_sync.cli.explain import answer as explanation
from clio_broadly_sync.cli.explain import sentences
from clio_broadly_sync.cli.explain.sentences import Given
from clio_broadly_sync.domain.consent import Channels, Untouched
from clio_broadly_sync.domain.model import Command, Key, SyncRule
from clio_broadly_sync.domain.reasons import NO_TEXTS, NOT_IN_FIELDS, UNTOUCHED, UNUSABLE, Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store.history import Step, Story

ZONE = ZoneInfo("America/Los_Angeles")
LATER = NOW + timedelta(hours=1)
OPENINGS = (
    "Sent to Broadly", "Not sent", "Perhaps sent", "On its way to Broadly", "Rejected by Broadly",
    "Not asked",
)  # fmt: skip
ALONE = "clio-broadly-sync sync --matter 77"
ANEW = (Reason.NOT_CLOSED, Reason.NO_CLIENT, Reason.NOT_OPTED_IN)
LATE: dict[str, dict[str, Any]] = {
    "before the start day": {"start_day": date(2026, 11, 19)},
    "before the first run": {"start_day": None},
    "too old by now": {"max_age_days": 1},
}


def given(**policy: Any) -> Given:
    boxes = "BroadlyOptOut", "SendBroadlyThankYou"
    return Given(make_policy(**policy), *boxes, ZONE, TODAY, LATER)


def story(state: State, reason: Reason | None = None, **more: Any) -> Story:
    answer = more.pop("answer", None)
    sent = {"claimed_at": LATER} if state in (State.SENDING, State.SENT) else {}
    closing = make_closing(77, state=state, reason=reason, **sent | more)
    return Story(closing, (Step(LATER, 3, "sync", None, state, reason, None, answer),))


def waited(told: Story) -> Story:
    """Let it have waited for its reason before."""
    before = Step(NOW, 2, "sync", None, State.PENDING, told.closing.reason, None, None)
    return told._replace(steps=(before, *told.steps))


@pytest.mark.parametrize(
    ("closing", "says"),
    [
        ({"state": State.SENT, "channels": Channels.BOTH}, "sent: e-mail and phone"),
        ({"state": State.SENT, "channels": Channels.EMAIL}, "sent: e-mail"),
        ({"state": State.SENT, "channels": Channels.PHONE}, "sent: phone"),
        ({"state": State.SENT}, None),
        ({"state": State.HELD, "channels": Channels.EMAIL}, "perhaps sent: e-mail"),
        ({"in_doubt": True, "channels": Channels.PHONE}, "perhaps sent: phone"),
        ({"state": State.SENDING, "channels": Channels.BOTH}, None),
        ({"state": State.DEAD, "channels": Channels.BOTH}, None),
        ({"claimed_at": NOW, "channels": Channels.EMAIL}, None),
    ],
    ids=str,
)
def test_what_of_a_client_was_sent(closing: dict[str, Any], says: str | None) -> None:
    """Nothing is said of what never arrived, and of what no version has noted."""
    assert sentences.channels(make_closing(77, **closing)) == says


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


def grouped(state: State, say: Callable[[Story, Given], str | None]) -> str:
    """Return each text about closings in this state, below the reasons that it is for."""
    found: dict[str | None, list[str]] = {}
    for reason in (None, *Reason):
        text = say(story(state, reason, tries=4), given())
        found.setdefault(text, []).append(str(reason or "no reason"))
    return "\n".join(
        f"{'any reason' if len(found) == 1 else ', '.join(names)}\n  {text or '(nothing)'}"
        for text, names in found.items()
    )


def test_every_state_and_reason(golden: Golden) -> None:
    """The sentence of each, and what helps; the word for each state."""
    golden(
        "explain_every_reason",
        "\n\n".join(
            f"== {state}: {explanation.STATES[state]} ==\n\n"
            f"{grouped(state, sentences.sentence)}\n\n"
            f"-- what helps --\n{grouped(state, sentences.helps)}\n"
            for state in State
        ),
    )


PENDING, SKIPPED = State.PENDING, State.SKIPPED
IN_DOUBT: dict[str, Any] = {"reason": Reason.UNKNOWN_OUTCOME, "in_doubt": True, "tries": 2}
BESIDE_A_SYNC = replace(given(), at_work="sync")
BESIDE_A_BACKFILL = replace(given(), at_work="backfill")
RENAMED = Given(make_policy(), "No {thanks}", "Ask", ZONE, TODAY, LATER)
SPECIAL: dict[str, tuple[Story, Given]] = {
    "waits, of a backfill": (story(PENDING, command=Command.BACKFILL), given()),
    "waits, of a backfill, while one is at work": (
        story(PENDING, command=Command.BACKFILL), BESIDE_A_BACKFILL
    ),
    "waits, of a backfill, while a sync is at work": (
        story(PENDING, command=Command.BACKFILL), BESIDE_A_SYNC
    ),
    "waits, of a sync, while a backfill is at work": (story(PENDING), BESIDE_A_BACKFILL),
    "waits, resent": (story(PENDING, resent=True), given()),
    "settles for a day": (story(PENDING, Reason.SETTLING), given(settle_hours=24)),
    "waits, in a pause of Broadly's": (
        story(PENDING, Reason.UNAVAILABLE, cause="pause"), given()
    ),
    "in doubt, Broadly dedupes": (story(PENDING, **IN_DOUBT), given(dedupes=True)),
    "in doubt, Broadly does not": (story(PENDING, **IN_DOUBT), given(dedupes=False)),
    "in doubt, resent": (story(PENDING, **IN_DOUBT, resent=True), given()),
    "in doubt, dropped": (story(SKIPPED, Reason.DROPPED, in_doubt=True), given()),
    "sent, claimed before": (story(State.SENT, claimed_at=NOW), given()),
    "sent, and Broadly had it": (story(State.SENT, answer="duplicate"), given()),
    "on its way": (story(State.SENDING, claimed_at=NOW), BESIDE_A_SYNC),
    "on its way when a run was cut short": (story(State.SENDING, claimed_at=NOW), given()),
    "rejected with a code": (story(State.DEAD, answer="invalid_email"), given()),
    "suppressed with a code": (story(SKIPPED, Reason.SUPPRESSED, answer="stopped"), given()),
    "opted out by another contact": (
        story(SKIPPED, Reason.OPTED_OUT, cause="contact:1207"), given()
    ),
    "in doubt, then opted out by another contact": (
        story(State.HELD, Reason.OPTED_OUT, cause="contact:1207", in_doubt=True), given()
    ),
    "opted out by another contact, then dropped": (
        story(SKIPPED, Reason.DROPPED, cause="contact:1207"), given()
    ),
    **{
        f"no channel, {cause}{in_doubt}": (
            story(state, Reason.NO_CHANNEL, cause=cause, in_doubt=bool(in_doubt)),
            replace(given(text_box=True), text="MayBeTexted"),
        )
        for cause in (UNUSABLE, NOT_IN_FIELDS, NO_TEXTS)
        for state, in_doubt in ((SKIPPED, ""), (State.HELD, ", in doubt"))
    },
    "no channel, unusable_address, then resent": (
        story(PENDING, **IN_DOUBT, resent=True, cause=UNUSABLE), given()
    ),
    "no channel, unusable_address, then dropped": (
        story(SKIPPED, Reason.DROPPED, cause=UNUSABLE), given()
    ),
    "no channel, for a cause of a later version": (
        story(SKIPPED, Reason.NO_CHANNEL, cause="something_new"), given()
    ),
    "opted out by a field of another name": (story(SKIPPED, Reason.OPTED_OUT), RENAMED),
    "not opted in by a field of another name": (story(SKIPPED, Reason.NOT_OPTED_IN), RENAMED),
    "no texts any more, once SYNC_TEXT_FIELD is not set": (
        story(SKIPPED, Reason.NO_CHANNEL, cause=NO_TEXTS), given(text_box=False)
    ),
    "never touched": (story(SKIPPED, Reason.NOT_OPTED_IN, cause=UNTOUCHED), given()),
    "never touched, too old by now": (
        story(SKIPPED, Reason.NOT_OPTED_IN, cause=UNTOUCHED), given(max_age_days=1)
    ),
    "never touched, in doubt": (
        story(State.HELD, Reason.NOT_OPTED_IN, cause=UNTOUCHED, in_doubt=True), given()
    ),
    "never touched, which counts as checked by now": (
        story(SKIPPED, Reason.NOT_OPTED_IN, cause=UNTOUCHED), given(untouched=Untouched.SEND)
    ),
    "not opted in, before SYNC_OPT_IN_UNTOUCHED was changed": (
        story(SKIPPED, Reason.NOT_OPTED_IN), given(since_run=2)
    ),
    "no date": (story(SKIPPED, Reason.NO_CLOSE_DATE, key=Key(77, None)), given()),
    "no date, waits": (story(PENDING, Reason.NO_CLOSE_DATE, key=Key(77, None)), given()),
    "no date, until it was too old": (
        waited(story(SKIPPED, Reason.NO_CLOSE_DATE, key=Key(77, None))), given()
    ),
    "no date, before the first run": (
        story(SKIPPED, Reason.NO_CLOSE_DATE, key=Key(77, None)), given(start_day=None)
    ),
    "not opted in, under a rule that no longer asks for the box": (
        story(SKIPPED, Reason.NOT_OPTED_IN, rule=SyncRule.OPT_IN), given(rule=SyncRule.OPT_OUT)
    ),
    **{
        f"{reason}, {late}": (story(SKIPPED, reason), given(**policy))
        for reason in ANEW
        for late, policy in LATE.items()
    },
}  # fmt: skip


def test_closings_that_are_told_otherwise(golden: Golden) -> None:
    """The sentence, and below it what helps, for what is not said of every closing."""
    golden(
        "explain_special_closings",
        "\n".join(
            f"{name}\n  {sentences.sentence(*told)}\n  {sentences.helps(*told) or '(nothing)'}"
            for name, told in SPECIAL.items()
        ),
    )


@pytest.mark.parametrize("reason", ANEW)
def test_sync_decides_anew(reason: Reason) -> None:
    """From the start day on, and up to the very last day of SYNC_MAX_AGE_DAYS."""
    for policy in ({"start_day": date(2026, 11, 18)}, {"max_age_days": 2}):
        helps = sentences.helps(story(State.SKIPPED, reason), given(**policy)) or ""
        assert "the next `sync`" in helps or "`sync` looks at it anew within a day" in helps
        assert ALONE not in helps


@pytest.mark.parametrize("reason", ANEW)
def test_decided_under_another_rule(reason: Reason) -> None:
    """What is put right in Clio is left to a person, however recent it is."""
    told = story(State.SKIPPED, reason, rule=SyncRule.OPT_IN)
    helps = sentences.helps(told, given(rule=SyncRule.BOTH)) or ""
    assert helps == sentences.helps(story(State.SKIPPED, reason), given(start_day=None))
    assert f"`{ALONE}`." in helps


def test_times() -> None:
    """In the firm's zone, with English months; lengths in a unit of which there are two."""
    assert output.moment(datetime(2026, 3, 1, 7, 5, tzinfo=UTC), ZONE) == "28 Feb 2026, 23:05 PST"
    assert output.day(date(2026, 1, 9)) == "9 Jan 2026"
    assert output.day(None) == "no date"
    lengths = {0: "0 seconds", 1: "1 second", 119: "119 seconds", 120: "2 minutes"}
    lengths |= {7199: "119 minutes", 7200: "2 hours", 172_800: "2 days", -5: "0 seconds"}
    for seconds, words in lengths.items():
        assert output.length(timedelta(seconds=seconds)) == words
