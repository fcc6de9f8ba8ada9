"""Which boxes let a client be asked, and by what: the box for texts, and boxes nobody touched."""

from datetime import timedelta
from typing import Any

import pytest
from ends import OPT_IN, OPT_OUT, TEXTS
from factories import TODAY, make_policy
from runs import WANTED, Runs

from clio_broadly_sync.domain.consent import Channels, Untouched
from clio_broadly_sync.domain.errors import ConfigError
from clio_broadly_sync.domain.model import Box, FieldIds, Outcome
from clio_broadly_sync.domain.reasons import NO_TEXTS, UNTOUCHED, Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import Store

SKIPPED, SENT = State.SKIPPED, State.SENT
PHONE = "+14155550123"
ASKS = make_policy(text_box=True)
WITH_TEXTS = WANTED._replace(text_name=TEXTS.name)
SILENCE = make_policy(untouched=Untouched.SEND)
NOT_CHECKED = [Box.UNCHECKED, Box.UNTOUCHED, Box.UNREADABLE]


@pytest.fixture
def texting(runs: Runs) -> Runs:
    """A state that was made with the box for texts."""
    runs.clio.boxes = [OPT_OUT, OPT_IN, TEXTS]
    known = runs.store.pins()
    assert known is not None
    runs.store.pin(known._replace(fields=FieldIds(OPT_OUT.id, OPT_IN.id, TEXTS.id)))
    return runs


def closed(runs: Runs, id_: int, texts: Box, **changes: Any) -> None:
    """Close a matter of a client who has a phone, too, and whose box for texts is so."""
    runs.close(id_)
    runs.client(1000 + id_, **{"phone": PHONE, "texts": texts} | changes)


def sent(runs: Runs) -> list[tuple[str | None, str | None]]:
    return [(request.email, request.phone) for post in runs.broadly.posts for request in post]


# The box for texts.


@pytest.mark.parametrize("texts", Box)
def test_phone_leaves_only_where_the_box_is_checked(texting: Runs, texts: Box) -> None:
    """The client goes by e-mail in any case."""
    closed(texting, 1, texts)
    texting.sync(ASKS, wanted=WITH_TEXTS)
    checked = texts is Box.CHECKED
    assert sent(texting) == [("client1001@example.com", PHONE if checked else None)]
    assert texting.row(1).channels is (Channels.BOTH if checked else Channels.EMAIL)


@pytest.mark.parametrize("texts", Box)
def test_phone_alone(texting: Runs, texts: Box) -> None:
    """Where it may not leave, the client cannot be asked; the cause tells why."""
    closed(texting, 1, texts, email=None)
    texting.sync(ASKS, wanted=WITH_TEXTS)
    row = texting.row(1)
    if texts is Box.CHECKED:
        assert (row.state, row.channels, sent(texting)) == (SENT, Channels.PHONE, [(None, PHONE)])
    else:
        assert (row.state, row.reason, row.cause) == (SKIPPED, Reason.NO_CHANNEL, NO_TEXTS)
        assert sent(texting) == []


@pytest.mark.parametrize(
    ("contact", "fields", "cause"),
    [
        ({"email": None, "unusable": {"email"}}, "email phone", "no_texts"),
        ({"email": None, "phone": None, "unusable": {"phone"}}, "phone", "unusable_address"),
        ({"email": None, "phone": None}, "email phone", None),
        ({}, "phone", "no_texts"),
        ({"email": None}, "email", "not_in_fields"),
    ],
    ids=str,
)
def test_cause_of_no_channel(
    texting: Runs, contact: dict[str, Any], fields: str, cause: str | None
) -> None:
    """The box is the cause where only it keeps back a number that may be sent otherwise."""
    closed(texting, 1, Box.UNTOUCHED, **contact)
    policy = ASKS._replace(fields=frozenset(fields.split()))
    texting.sync(policy, wanted=WITH_TEXTS)
    assert (texting.row(1).reason, texting.row(1).cause) == (Reason.NO_CHANNEL, cause)


@pytest.mark.parametrize("texts", Box)
def test_without_the_setting_the_phone_leaves(runs: Runs, texts: Box) -> None:
    closed(runs, 1, texts)
    runs.sync()
    assert sent(runs) == [("client1001@example.com", PHONE)]


def test_box_that_was_not_read_keeps_the_phone_here(runs: Runs) -> None:
    """However that may come to be: what nobody asked Clio for is no yes."""
    closed(runs, 1, Box.CHECKED)
    runs.sync(ASKS)
    assert sent(runs) == [("client1001@example.com", None)]


@pytest.mark.parametrize("texts", NOT_CHECKED)
def test_same_person_is_known_by_the_phone_that_stays(texting: Runs, texts: Box) -> None:
    """Asked by e-mail, they are not asked again on another card, whatever its box says."""
    closed(texting, 1, texts)
    texting.sync(ASKS, wanted=WITH_TEXTS)
    closed(texting, 2, Box.CHECKED)
    texting.sync(ASKS, wanted=WITH_TEXTS)
    assert (texting.row(2).state, texting.row(2).reason) == (SKIPPED, Reason.ASKED_RECENTLY)


def test_two_of_one_phone_at_once(texting: Runs) -> None:
    """Neither phone is sent, and still only one of them goes."""
    closed(texting, 1, Box.UNCHECKED)
    closed(texting, 2, Box.UNTOUCHED)
    texting.sync(ASKS, wanted=WITH_TEXTS)
    assert texting.states == {1: SENT, 2: SKIPPED}


def test_same_person_by_what_broadly_fields_leaves_out(runs: Runs) -> None:
    closed(runs, 1, Box.UNTOUCHED)
    closed(runs, 2, Box.UNTOUCHED)
    runs.sync(make_policy(fields=frozenset({"email"})))
    assert runs.states == {1: SENT, 2: SKIPPED}


@pytest.mark.parametrize("texts", NOT_CHECKED)
def test_no_is_known_by_the_phone_that_stays(texting: Runs, texts: Box) -> None:
    closed(texting, 1, texts, opted_out=Box.CHECKED)
    closed(texting, 2, texts)
    texting.sync(ASKS, wanted=WITH_TEXTS)
    assert (texting.row(2).reason, texting.row(2).cause) == (Reason.OPTED_OUT, "contact:1001")


def test_box_that_was_unchecked_while_it_waited(texting: Runs) -> None:
    """What counts is the last reading; and what was sent is that of the last claim."""
    policy = ASKS._replace(dedupes=True)
    closed(texting, 1, Box.CHECKED)
    texting.broadly.answers = [Outcome.UNKNOWN]
    with pytest.raises(Exception, match="no result that can be read"):
        texting.sync(policy, wanted=WITH_TEXTS)
    assert texting.row(1).channels is Channels.BOTH
    texting.clock.tick(minutes=16)
    texting.client(1001, phone=PHONE, texts=Box.UNCHECKED)
    texting.sync(policy, wanted=WITH_TEXTS)
    assert sent(texting) == [("client1001@example.com", None)]
    assert texting.row(1).channels is Channels.EMAIL


def test_first_run_pins_the_box(new: Runs) -> None:
    new.clio.boxes = [OPT_OUT, OPT_IN, TEXTS]
    new.sync(ASKS, wanted=WITH_TEXTS)
    pins = new.store.pins()
    assert pins is not None
    assert pins.fields == FieldIds(OPT_OUT.id, OPT_IN.id, TEXTS.id)


@pytest.mark.parametrize(
    ("wanted", "policy"),
    [
        (WITH_TEXTS, ASKS),
        (WANTED._replace(untouched=Untouched.SEND), SILENCE),
    ],
    ids=["SYNC_TEXT_FIELD", "SYNC_OPT_IN_UNTOUCHED"],
)
def test_nothing_is_done_under_settings_of_another_state(
    runs: Runs, wanted: Any, policy: Any
) -> None:
    """A state of before has none of both: whatever is set now, a person accepts first."""
    runs.clio.boxes = [OPT_OUT, OPT_IN, TEXTS]
    closed(runs, 1, Box.CHECKED)
    for run in (runs.sync, runs.backfill):
        with pytest.raises(ConfigError, match="check --accept"):
            run(policy, wanted=wanted)
    assert (runs.states, runs.broadly.posts) == ({}, [])


# Boxes that nobody touched.


def test_untouched_box_is_told_from_an_unchecked_one(runs: Runs) -> None:
    runs.close(1, opted_in=Box.UNTOUCHED)
    runs.close(2, opted_in=Box.UNCHECKED)
    context = runs.sync()
    assert context.report.skipped == {"not_opted_in": 2}
    assert [(runs.row(n).reason, runs.row(n).cause) for n in (1, 2)] == [
        (Reason.NOT_OPTED_IN, UNTOUCHED),
        (Reason.NOT_OPTED_IN, None),
    ]
    assert runs.store.overview.untouched() == 1


def test_cause_goes_with_what_it_was_the_cause_of(runs: Runs) -> None:
    """Touched, unchecked again, and then checked: each is told as it is."""
    runs.close(1, opted_in=Box.UNTOUCHED)
    runs.sync()
    for box, cause in ((Box.UNCHECKED, None), (Box.UNTOUCHED, UNTOUCHED), (Box.CHECKED, None)):
        runs.clock.tick(minutes=15)
        runs.edit(1, opted_in=box)
        runs.sync()
        assert runs.row(1).cause == cause
    assert (runs.row(1).state, runs.store.overview.untouched()) == (SENT, 0)


def test_silence_that_counts_as_a_yes(runs: Runs) -> None:
    """Untouched goes; unchecked, unreadable and opted out do not."""
    known = runs.store.pins()
    assert known is not None
    runs.store.pin(known._replace(untouched=Untouched.SEND))
    for matter, box in enumerate(Box, 1):
        runs.close(matter, opted_in=box)
    runs.close(9, opted_in=Box.UNTOUCHED)
    runs.client(1009, opted_out=Box.CHECKED)
    runs.sync(SILENCE, wanted=WANTED._replace(untouched=Untouched.SEND))
    went = {matter for matter, state in runs.states.items() if state is SENT}
    boxes = dict(enumerate(Box, 1))
    assert {boxes[matter] for matter in went} == {Box.CHECKED, Box.UNTOUCHED}
    assert runs.row(9).reason is Reason.OPTED_OUT


def test_untouched_opt_out_is_no_no(runs: Runs) -> None:
    """Nor does it keep alive the no of another card that was taken back."""
    runs.close(1, 2)
    runs.client(1001, email="one@example.com", opted_out=Box.CHECKED)
    runs.sync()
    runs.clock.tick(hours=21)
    runs.client(1001, email="one@example.com", opted_out=Box.UNTOUCHED)
    runs.close(3)
    runs.client(1003, email="one@example.com", opted_out=Box.UNTOUCHED)
    runs.sync()
    assert runs.states == {1: SKIPPED, 2: SENT, 3: SENT}


# What was decided by other rules.


def since_now(store: Store) -> int:
    """Let the rules of now count from the next run on, as `check --accept` does."""
    known, since = store.pins(), store.next_run()
    assert known is not None
    store.pin(known, since_run=str(since), start_day=str(TODAY - timedelta(days=20)))
    return since


def test_what_was_skipped_by_other_rules_only_a_backfill_decides_anew(runs: Runs) -> None:
    """An edit in Clio does not let it go, be it the very box."""
    runs.close(1, 2, opted_in=Box.UNTOUCHED)
    runs.sync()
    policy = make_policy(since_run=since_now(runs.store))
    assert runs.store.since_run == policy.since_run
    runs.clock.tick(minutes=15)
    runs.edit(1, opted_in=Box.CHECKED)
    runs.close(3, opted_in=Box.UNTOUCHED)
    runs.sync(policy)
    assert runs.states == {1: SKIPPED, 2: SKIPPED, 3: SKIPPED}
    runs.clock.tick(minutes=15)
    runs.edit(3, opted_in=Box.CHECKED)
    runs.sync(policy)
    assert runs.states == {1: SKIPPED, 2: SKIPPED, 3: SENT}
    runs.backfill()
    assert runs.states == {1: SENT, 2: SKIPPED, 3: SENT}


def test_what_waits_is_decided_by_the_rules_of_now(runs: Runs) -> None:
    runs.close(1)
    runs.sync(limit=0)
    policy = make_policy(since_run=since_now(runs.store))
    runs.clock.tick(minutes=16)
    runs.sync(policy)
    assert runs.states == {1: SENT}
