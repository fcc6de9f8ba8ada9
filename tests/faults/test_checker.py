"""Every line of the checker can fail: an honest history is falsified in one place, and the
checker says what is wrong with it."""

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import books
import checker
import pytest
from circumstances import Hours
from drill import Drill, MakeDrill
from planting import opened, sql
from rig import Exchange, Webhook

from clio_broadly_sync.domain.reasons import OF_STATE
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.sandbox import Request

Falsify = Callable[[Drill], object]
Show = Callable[[dict[str, Any]], object]
CONTACTS, MATTERS = "/api/v4/contacts.json", "/api/v4/matters.json"
TICKED = {"custom_field": {"id": 302}, "field_name": "x", "field_type": "checkbox", "value": True}


@pytest.fixture
def drill(make_drill: MakeDrill) -> Iterator[Drill]:
    """Two clients were handed over (matters 5001 and 5002), one had opted out (5003)."""
    with make_drill() as drill:
        drill.closings(2)
        drill.closing(opt_out=True)
        drill.later(minutes=1)
        assert drill.sync().code == 0
        yield drill


# What Clio showed


def _seen(path: str, edit: Callable[[Exchange], Exchange | None]) -> Falsify:
    """Falsify the readings on this path; None strikes them out."""

    def falsify(drill: Drill) -> None:
        edited = [edit(e) if e.path == path else e for e in drill.clio.history]
        drill.clio.history[:] = [exchange for exchange in edited if exchange]

    return falsify


def _shown(path: str, **values: Any) -> Falsify:
    """Let Clio have shown these values on every record."""

    def edit(exchange: Exchange) -> Exchange:
        page = json.loads(exchange.answer or b"")
        for row in page["data"]:
            row.update(values)
        return replace(exchange, answer=json.dumps(page).encode())

    return _seen(path, edit)


def _nothing_shown(exchange: Exchange) -> Exchange:
    page = {"data": [], "meta": {"paging": {}}}
    ids = "&".join(f"ids[]={id_}" for id_ in (1001, 1002, 5001, 5002))
    request = replace(exchange.request, raw_query=ids)
    return replace(exchange, request=request, answer=json.dumps(page).encode())


def _earlier(exchange: Exchange) -> Exchange:
    at = exchange.at - checker.FRESH
    return replace(exchange, request=replace(exchange.request, at=at))


def _without_boxes(exchange: Exchange) -> Exchange:
    query = exchange.request.raw_query.replace("custom_field_ids", "other_ids")
    return replace(exchange, request=replace(exchange.request, raw_query=query))


def _card_of_the_first(**address: Callable[[str], str]) -> Falsify:
    """Let the one who had opted out have had this of the first client, as Clio writes it."""

    def edit(exchange: Exchange) -> Exchange:
        page = json.loads(exchange.answer or b"")
        first, *_, no = page["data"]
        no.update({key: write(first[key]) for key, write in address.items()})
        return replace(exchange, answer=json.dumps(page).encode())

    return _seen(CONTACTS, edit)


def _spelt(phone: str) -> str:
    return ".".join(char for char in phone if char.isdigit())


WITHHELD = [TICKED | {"field_name": None, "value": None}]
READ_OTHERWISE: dict[str, Falsify] = {
    "contact 1001 was sent and never read": _seen(CONTACTS, lambda exchange: None),
    "contact 1001 was sent 0:15:00.* after the last reading": _seen(CONTACTS, _earlier),
    "contact 1001 was sent although hidden": _seen(CONTACTS, _nothing_shown),
    "contact 1001 was sent although redacted": _shown(CONTACTS, redacted=True),
    "1001 was sent, and the opt-out was not asked for": _seen(CONTACTS, _without_boxes),
    "contact 1001 was sent although opted out": _shown(CONTACTS, custom_field_values=[TICKED]),
    "1001 was sent although opted out": _shown(CONTACTS, custom_field_values=WITHHELD),
    "01 was sent although opted out": _shown(CONTACTS, custom_field_values=None),
    "contact 1001 was sent although contact 1003 said no": _card_of_the_first(
        primary_email_address=str.upper
    ),
    "1001 was sent although contact 1003 said no": _card_of_the_first(primary_phone_number=_spelt),
    "matter 5001 was sent and never read": _seen(MATTERS, lambda exchange: None),
    "matter 5001 was sent 0:15:00.* after the last reading": _seen(MATTERS, _earlier),
    "matter 5001 was sent although gone": _seen(MATTERS, _nothing_shown),
    "matter 5001 was sent although reopened": _shown(MATTERS, status="Open"),
    "matter 5001 was sent without a close date": _shown(MATTERS, close_date=None),
    "contact 1001 was sent with a phone number, and may not be texted": lambda drill: (
        drill.settings.update(SYNC_TEXT_FIELD="MayBeTexted")
    ),
    "matter 5001 was sent without the thank-you box": _shown(MATTERS, custom_field_values=[]),
    "5001 was sent without the thank-you box": _seen(MATTERS, _without_boxes),
    "01 was sent without the thank-you box": _shown(MATTERS, custom_field_values=WITHHELD),
}


# What Broadly took


def _accepted_as_well(days: float = 0, **changes: Any) -> Falsify:
    """Let Broadly have accepted the first client once more, with these changes."""

    def falsify(drill: Drill) -> None:
        first = drill.broadly.accepted[0]
        item = {**first.item, **changes}
        drill.broadly.accepted.append(replace(first, item=item, at=first.at + timedelta(days=days)))

    return falsify


def _again_by(channel: str, other: Callable[[str], str] = str) -> Falsify:
    """Let somebody else be accepted whose e-mail or phone is the first client's."""

    def falsify(drill: Drill) -> None:
        kept = {"phone": "", "email": "", channel: other(drill.broadly.accepted[0].item[channel])}
        strange = {"transactionId": "clio:matter:7:2026-01-01", "externalId": "clio:contact:7"}
        _accepted_as_well(**kept, **strange)(drill)

    return falsify


OTHER = {"transactionId": "clio:matter:7:2026-01-01", "email": "", "phone": ""}
CORRECTED = {"transactionId": "clio:matter:5001:2026-01-01", "externalId": "clio:contact:7"}
TAKEN_OTHERWISE: dict[str, Falsify] = {
    "closing clio:matter:5001:.* was asked twice": _accepted_as_well(days=400),
    "contact 1001 was asked twice": _accepted_as_well(**OTHER, days=179),
    "e-mail .* was asked twice": _again_by("email", str.upper),
    "phone .* was asked twice": _again_by("phone"),
    "matter 5001 was asked twice": _accepted_as_well(**CORRECTED, email="", phone="", days=29),
    "clio:matter:7:2026-01-01 was accepted and is in no ledger": _accepted_as_well(
        **OTHER, days=181
    ),
    "never accepted": lambda drill: drill.broadly.accepted.clear(),
}


def _sent_soon_after_a_doubt(drill: Drill) -> None:
    """Let the answer to the first POST be lost, and let another one come ten minutes later."""
    history, post = drill.broadly.history, drill.broadly.posts[0]
    later = replace(post.request, at=post.at + timedelta(minutes=10))
    history[history.index(post)] = replace(post, status=None, fault="lost")
    history.append(replace(post, request=later))


def _closed_for_the_day(drill: Drill) -> None:
    """Let the sending hours have ended half an hour before the first POST, and begin long after."""
    zone = ZoneInfo(drill.firm.account.time_zone)
    ended = (drill.broadly.posts[0].at - timedelta(minutes=80)).astimezone(zone)
    day = frozenset({ended.weekday()})
    drill.circumstances.hours.append(Hours(0, day, ended.hour, 1))


TAKEN_OTHERWISE["a POST came 0:10:00 after one"] = _sent_soon_after_a_doubt
TAKEN_OTHERWISE["outside of the sending hours"] = _closed_for_the_day


# What the state holds


def _state(statement: str, *values: object) -> Falsify:
    def falsify(drill: Drill) -> None:
        with opened(drill.state) as database:
            database.execute(statement, values)

    return falsify


def _row(matter: int, state: str, reason: str | None, *, in_doubt: bool = False) -> Falsify:
    """Write these into a row, and into its last change as well."""

    def falsify(drill: Drill) -> None:
        _state(
            "UPDATE closings SET state = ?, reason = ?, in_doubt = ? WHERE matter_id = ?",
            state, reason, in_doubt, matter,
        )(drill)  # fmt: skip
        _state(
            "UPDATE changes SET to_state = ?, reason = ? WHERE (run, position) IN"
            " (SELECT run, changes.position FROM changes JOIN closings ON closing = number"
            " WHERE matter_id = ? ORDER BY run DESC, changes.position DESC LIMIT 1)",
            state, reason, matter,
        )(drill)  # fmt: skip

    return falsify


def _gone(matter: int) -> Falsify:
    """Take a closing out of the ledger without a trace."""

    def falsify(drill: Drill) -> None:
        drill.lose(matter)

    return falsify


def _without_an_index(drill: Drill) -> None:
    """Take the index away, and leave its page."""
    sql(
        drill.state,
        "PRAGMA writable_schema = ON",
        "DELETE FROM sqlite_master WHERE name = 'closings_dead'",
    )


def _closed_later(drill: Drill) -> None:
    drill.later(minutes=1)
    drill.closings(1)
    drill.later(minutes=1)
    _watermark(drill.firm.clock.now().isoformat())(drill)


def _watermark(moment: str) -> Falsify:
    return _state("UPDATE facts SET value = ? WHERE name = 'watermark'", moment)


HELD_OTHERWISE: dict[str, Falsify] = {
    "the state is broken: .*Page": _without_an_index,
    "the state is broken: .*of no closing": _state("DELETE FROM closings WHERE matter_id = 5003"),
    "matter 5003 has a gap in its changes": _state(
        "UPDATE changes SET from_state = 'held' WHERE closing IN"
        " (SELECT number FROM closings WHERE matter_id = 5003)"
    ),
    "is not what its last change says": _state(
        "UPDATE closings SET reason = 'no_channel' WHERE matter_id = 5003"
    ),
    "is in no known state": _row(5003, "lost", "opted_out"),
    "has a reason that says nothing": _row(5003, "skipped", None),
    r"matter 5003 \(skipped, settling\) has a reason that": _row(5003, "skipped", "settling"),
    r"matter 5003 \(sent, None\) was never accepted": _row(5003, "sent", None),
    "matter 5001 .* was accepted, and may be asked again": _row(5001, "pending", None),
    r"matter 5001 \(skipped, asked.*\) was accepted": _row(
        5001, "skipped", "asked_recently", in_doubt=True
    ),
    r"matter 5001 \(skipped, suppressed\) was accepted": _row(5001, "skipped", "suppressed"),
    r"matter 5001 \(dead, None\) was accepted": _row(5001, "dead", None),
    "the watermark passed matter 5003 by": _gone(5003),
    "the watermark passed matter 5004 by": _closed_later,
    "the watermark went back": _watermark("2026-01-01T00:00:00+00:00"),
}


# What may be seen


def _note(words: Callable[[Drill], str]) -> Falsify:
    """Leave a file in the state's folder."""

    def falsify(drill: Drill) -> None:
        file = drill.state.with_name("note")
        file.touch(mode=0o600)
        file.write_text(words(drill))

    return falsify


def _told(server: str, words: Callable[[Drill], str]) -> Falsify:
    """Let a server have been told something."""

    def falsify(drill: Drill) -> None:
        history = drill.clio.history if server == "clio" else drill.broadly.history
        request = replace(history[0].request, raw_query=words(drill))
        history.append(replace(history[0], request=request, status=404))

    return falsify


SEEN_OTHERWISE: dict[str, Falsify] = {
    "note holds what is personal": _note(lambda drill: f"for {drill.firm.name_of(1001)}"),
    "note holds what is personal or secret": _note(lambda drill: drill.broadly.key),
    "others may look into": lambda drill: drill.state.parent.chmod(0o755),
    "others may read state.db": lambda drill: drill.state.chmod(0o640),
    "Broadly got Clio's token": _told("broadly", lambda drill: drill.clio.token),
    "Clio got Broadly's key": _told("clio", lambda drill: drill.broadly.key),
}
FALSE = READ_OTHERWISE | TAKEN_OTHERWISE | HELD_OTHERWISE | SEEN_OTHERWISE


@pytest.mark.parametrize("sentence", FALSE)
def test_what_is_false_is_found(drill: Drill, sentence: str) -> None:
    drill.judge()
    FALSE[sentence](drill)
    with pytest.raises(AssertionError, match=sentence):
        drill.judge()


@pytest.mark.parametrize("state", State)
def test_reasons_are_those_of_the_program(state: State) -> None:
    """The checker has its own lists."""
    row = books.Row(77, "2026-11-18", 1201, state.value, None, 0)
    assert checker.reasons_of(row) == OF_STATE[state]


@pytest.mark.parametrize(
    ("state", "reason"),
    [("pending", "unknown_outcome"), ("dead", None), ("skipped", "suppressed")],
)
def test_what_is_in_doubt_counts_as_asked(drill: Drill, state: str, reason: str | None) -> None:
    """Its answer was lost once; what Broadly says of a later attempt does not undo that."""
    _row(5001, state, reason, in_doubt=True)(drill)
    drill.judge()


def test_what_a_backfill_passed_by_is_found(drill: Drill) -> None:
    """What closed in its range is in the ledger, whatever the watermark says."""
    matter = drill.closing(drill.day(3)).matter
    drill.later(seconds=2)
    assert drill.backfill(drill.day(5), drill.day(1), "--yes").code == 0
    _gone(matter)(drill)
    drill.broadly.accepted.pop()
    with pytest.raises(AssertionError, match=f"a backfill passed matter {matter} by"):
        drill.judge()


def _looked_at(drill: Drill) -> None:
    """Let the first client opt out, unticked boxes be ticked, and a day's look notice all of it."""
    drill.firm.set_opt_out(1001)
    drill.later(hours=21)
    assert drill.sync().code == 65


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("DELETE FROM objections", "5001 .* has opted out since, and nobody is told"),
        (
            "UPDATE objections SET closing = (SELECT number FROM closings WHERE matter_id = 5003)",
            "matter 5003 objects and was never sent",
        ),
        ("UPDATE objections SET closing = 99", "the state is broken: .*objections"),
    ],
)
def test_who_opted_out_and_is_not_told_is_found(
    drill: Drill, statement: str, sentence: str
) -> None:
    _looked_at(drill)
    _state(statement)(drill)
    with pytest.raises(AssertionError, match=sentence):
        drill.judge()


@pytest.mark.parametrize("card", ["own", "other", "matter"])
def test_who_was_put_right_and_left_is_found(drill: Drill, card: str) -> None:
    """Of each kind of box; what Clio does not show, or is closed no more, is none."""
    unticked = drill.closing(thank_you=False).matter
    other = drill.closing(email=drill.firm.contacts.get(1003).email).matter
    assert drill.sync().code == 0
    checker.check_who_was_put_right(drill)
    left = {"own": 5003, "other": other, "matter": unticked}[card]
    if card == "matter":
        drill.firm.set_thank_you(unticked)
    else:
        drill.firm.set_opt_out(1003, False)
    with pytest.raises(AssertionError, match=r"was looked at, and (its|the) box"):
        checker.check_who_was_put_right(drill)
    for matter in {5003, other, left}:
        drill.firm.reopen(matter)
    checker.check_who_was_put_right(drill)


def test_what_is_not_at_rest_is_found(drill: Drill) -> None:
    drill.closings(1)
    drill.busy()
    assert drill.sync().code == 69
    with pytest.raises(AssertionError, match="is not at rest"):
        checker.check_rest(drill)


def test_what_is_not_idle_is_found(drill: Drill) -> None:
    drill.closings(1)
    with pytest.raises(AssertionError, match="the second run sent something"):
        checker.check_idle(drill, drill.sync)
    drill.closing(thank_you=False)
    with pytest.raises(AssertionError, match="the second run changed the ledger"):
        checker.check_idle(drill, drill.sync)
    with pytest.raises(AssertionError, match="the second run ended with 78"):
        checker.check_idle(drill, lambda: drill.sync(SYNC_RULE="opt-in"))


# What a webhook's address got


def _first_event(**changes: Any) -> Falsify:
    """Let the first POST have been another one, signed as it must be."""

    def falsify(drill: Drill) -> None:
        event = drill.broadly.posts[0].request
        id_ = changes.pop("webhook_id", event.headers["webhook-id"])
        body = json.dumps(event.json() | changes).encode()
        assert isinstance(drill.broadly, Webhook)
        signed = drill.broadly.signature_of(id_, "0", body)
        headers = {"webhook-id": id_, "webhook-timestamp": "0", "webhook-signature": signed}
        _replace_first(drill, replace(event, headers=headers, body=body))

    return falsify


def _replace_first(drill: Drill, request: Request) -> None:
    drill.broadly.history[0] = replace(drill.broadly.history[0], request=request)


def _touched(drill: Drill) -> None:
    event = drill.broadly.posts[0].request
    _replace_first(drill, replace(event, body=event.body.replace(b"@", b"@x")))


EVENTS: dict[str, Falsify] = {
    "a GET went to the webhook": lambda drill: _replace_first(
        drill, replace(drill.broadly.history[0].request, method="GET")
    ),
    "a POST was not signed as it must be": _touched,
    "a repeat cannot be told": _first_event(webhook_id="clio:matter:1:2026-11-20"),
    "a client was called a made-up one": _first_event(test=True),
}


@pytest.mark.parametrize("sentence", EVENTS)
def test_wrong_event_is_found(make_drill: MakeDrill, sentence: str) -> None:
    with make_drill(profile="webhook") as drill:
        drill.closings(2)
        assert drill.sync().code == 0
        EVENTS[sentence](drill)
        with pytest.raises(AssertionError, match=sentence):
            checker.check_each_event(drill)


NEVER_WRITTEN: dict[str, Falsify] = {
    "the ledger was changed": _row(5003, "skipped", "no_channel"),
    "changes were added": _state(
        "UPDATE changes SET reason = 'company' WHERE closing ="
        " (SELECT number FROM closings WHERE matter_id = 5003)"
    ),
    "facts were changed": _watermark("2026-01-01T00:00:00+00:00"),
}


@pytest.mark.parametrize("sentence", NEVER_WRITTEN)
def test_what_was_written_all_the_same_is_found(drill: Drill, sentence: str) -> None:
    """By a run that was overtaken, for example."""
    before = books.read(drill.state)
    checker.check_nothing_written(before, books.read(drill.state))
    NEVER_WRITTEN[sentence](drill)
    with pytest.raises(AssertionError, match=sentence):
        checker.check_nothing_written(before, books.read(drill.state))


@pytest.mark.parametrize(
    ("code", "wrote", "is_mixture", "sentence"),
    [
        (0, True, True, "a mixture of two states was taken for one: 0"),
        (69, False, True, "a mixture of two states was taken for one: 69"),
        (74, True, True, "was refused and written to all the same"),
        (74, True, False, "was refused and written to all the same"),
        (74, False, True, None),
        (74, False, False, None),
        (0, True, False, None),
    ],
)
def test_half_a_restore_is_judged(
    code: int, wrote: bool, is_mixture: bool, sentence: str | None
) -> None:
    found = pytest.raises(AssertionError, match=sentence) if sentence else nullcontext()
    with found:
        checker.check_half_a_restore(code, wrote=wrote, is_mixture=is_mixture)
