"""The judge, which checks by the promises what the servers recorded and what is on the disk.

The promises are those of the design, by number. The checker believes nothing that the program says
of itself, and shares no code with it. Each `check_…` is about one promise, and raises
AssertionError with one sentence that says what was broken. Call `check` after any run, finished or
killed.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import books
from books import Books, Row
from circumstances import Circumstances, Hours
from readings import CHECKED, UNCHECKED, Noes, Reading, Readings, addresses
from rig import Exchange, Webhook
from world import Ran, World, customers, matter_of

from clio_broadly_sync.sandbox import Accepted
from clio_broadly_sync.sandbox.broadly import Item
from clio_broadly_sync.sandbox.firm import TEXTS

FRESH = timedelta(minutes=15)
"""How old a reading may be when it is sent."""
STEP = timedelta(minutes=5)
"""At such steps it is looked whether the sending hours were open."""
CORRECTED = timedelta(days=30)
"""How long another close date of the same matter counts as a correction, not as a new closing."""
OBJECTS = timedelta(days=30)
"""How long after a client was sent it is noticed that they have opted out since."""
YOUNG = timedelta(days=28)
"""What closed within this time is young enough to be looked at daily, whatever the clocks say."""
PAUSE = timedelta(hours=1)
"""How long nothing is sent after a POST that ended in doubt, where Broadly does not dedupe."""
IN_DOUBT = {None, 408, 425, 500, 502, 504}
"""Statuses (None: no answer) that do not say what became of a POST."""
STORAGE = 74
STATES = {"pending", "sending", "sent", "skipped", "held", "dead"}
SKIPPED_FOR = {
    "not_closed", "no_client", "no_close_date", "closed_before_start", "closed_too_long_ago",
    "not_opted_in", "opted_out", "company", "no_channel", "asked_recently", "suppressed",
    "dropped", "contact_hidden", "unreadable_field",
}  # fmt: skip
FINAL = {"suppressed", "dropped"}
"""With these a row is skipped even where its client may have been asked."""
WAITS_FOR = {
    "settling", "surge", "unavailable", "retry", "unknown_outcome", "contact_hidden",
    "unreadable_field", "no_close_date", None,
}  # fmt: skip


def check(world: World, told: Circumstances) -> None:
    """Check all that has happened in a world so far, the worst first."""
    noes = known_noes(world, told)
    check_every_post_was_read_for(world, told, noes)
    check_nobody_is_asked_twice(world, told)
    check_nobody_dropped_is_asked(world, told)
    check_pause_after_a_doubt(world, told)
    check_hours(world, told)
    check_each_event(world)
    check_nothing_leaks(world)
    if world.state.exists():
        found = books.read(world.state)
        check_ledger(found)
        check_ledger_against_broadly(world, found, told)
        check_nobody_is_lost(world, found, told)
        check_objections(world, found, told, noes)


def check_rest(world: World) -> None:
    """Check that nothing is under way any more, after enough runs without faults."""
    for row in books.read(world.state).rows:
        assert row.state not in ("pending", "sending"), f"{row} is not at rest"


def check_idle(world: World, again: Callable[[], Ran]) -> None:
    """Check that another run, which `again` makes, does nothing (promise 7)."""
    before, posts = books.read(world.state), len(world.broadly.posts)
    ran = again()
    after = books.read(world.state)
    assert ran.code == 0, f"the second run ended with {ran.code}"
    assert len(world.broadly.posts) == posts, "the second run sent something"
    assert after.rows == before.rows, "the second run changed the ledger"


def check_who_was_put_right(world: World) -> None:
    """Check, after a daily look without faults, that who was skipped still is what he is called.

    That is for young closings: without the thank-you box, opted out, or stopped by another card.
    """
    found = books.read(world.state)
    oldest = max(str(world.day(YOUNG.days)), found.facts.get("start_day", ""))
    for row in found.rows:
        if row.state == "skipped" and row.closed_on >= oldest:
            check_skipped_rightly(world, row)


def check_skipped_rightly(world: World, row: Row) -> None:
    """Check that the box for which a closing was skipped says so still, where Clio shows it."""
    matter = next((m for m in world.firm.matters.walk() if m.id == row.matter), None)
    closed_on = matter and matter.closed and date.fromordinal(matter.closed).isoformat()
    if matter is None or matter.status != "Closed" or closed_on != row.closed_on:
        return
    if row.reason == "not_opted_in":
        assert not is_ticked(world, matter), f"{row} was looked at, and its box is checked"
    if row.reason == "opted_out":
        other = (row.cause or "").removeprefix("contact:")
        who = int(other) if other else matter.client_id
        contact = next((c for c in world.firm.contacts.walk() if c.id == who), None)
        rightly = contact is None or is_ticked(world, contact)
        assert rightly, f"{row} was looked at, and the box of contact {who} is not checked"


def is_ticked(world: World, record: Any) -> bool:
    """Tell whether the box of a record of the firm is checked, but for that which allows texts."""
    texts = world.firm.fields[TEXTS].id
    return any(box in CHECKED for id_, box in record.boxes.items() if id_ != texts)


def check_nothing_written(before: Books, after: Books) -> None:
    """Check that a run which was overtaken, or met half a restore, has written nothing more."""
    assert after.rows == before.rows, "the ledger was changed by a run that may not write"
    assert after.changes == before.changes, "changes were added by a run that may not write"
    assert after.facts == before.facts, "facts were changed by a run that may not write"


def check_half_a_restore(code: int, *, wrote: bool, is_mixture: bool) -> None:
    """Check how a run ended that met the state's file of a copy beside changes of another age.

    A state that there never was is refused (74). And what is refused is left as it is.
    """
    assert code == STORAGE or not is_mixture, f"a mixture of two states was taken for one: {code}"
    assert code != STORAGE or not wrote, "half a restore was refused and written to all the same"


def known_noes(world: World, told: Circumstances) -> Noes:
    """Return the contacts that said no, as the program knew it."""
    asked = [*world.clio.history]
    if world.settings.get("BROADLY_PROFILE") != "csv":  # else a person posts, and not the program
        asked += world.broadly.history
    readings = Readings(world.clio.history, world.firm.fields[TEXTS].id)
    return Noes(readings, told, asked)


def check_every_post_was_read_for(world: World, told: Circumstances, noes: Noes) -> None:
    """Check promise 1: who is in a POST was read just before, and nothing spoke against it."""
    readings = Readings(world.clio.history, world.firm.fields[TEXTS].id)
    rule, silence = world.settings["SYNC_RULE"], world.settings.get("SYNC_OPT_IN_UNTOUCHED")
    for number, post in enumerate(world.broadly.posts):
        standing = noes.before(post.number)
        for item in customers(post.body):
            check_other_cards(standing, item)
            check_contact(readings, contact_of(item), post, boxed=rule != "opt-in")
            if world.settings.get("SYNC_TEXT_FIELD") and item.get("phone"):
                check_texts(readings, contact_of(item), post)
            overruled = told.is_overruled(item["transactionId"], number)
            check_matter(readings, matter_of(item), post, dated=not overruled)
            if rule != "opt-out" and not overruled:
                check_opted_in(readings, matter_of(item), post, silence=silence == "send")


def check_contact(readings: Readings, contact: int, post: Exchange, *, boxed: bool) -> None:
    """Check that the client was shown just before the POST, and had not opted out.

    `boxed` says whether the opt-out must have been asked for.
    """
    who = f"contact {contact}"
    reading = just_read(readings.last("contact", contact, post), post, who)
    assert reading.shown, f"{who} was sent although hidden at the last reading"
    assert not reading.shown.get("redacted"), f"{who} was sent although redacted"
    assert reading.boxed or not boxed, f"{who} was sent, and the opt-out was not asked for"
    assert all(box in UNCHECKED for box in reading.boxes), f"{who} was sent although opted out"


def check_other_cards(noes: Mapping[int, Reading], item: Item) -> None:
    """Check that nobody else said no who has the client's e-mail address or phone number.

    `noes` are the last readings of the contacts that the program knew to say no.
    """
    own = addresses(item.get("email"), item.get("phone"))
    for contact, reading in noes.items():
        shown = reading.shown or {}
        theirs = addresses(shown.get("primary_email_address"), shown.get("primary_phone_number"))
        is_own = contact == contact_of(item)
        who = f"contact {contact_of(item)}"
        assert is_own or not own & theirs, f"{who} was sent although contact {contact} said no"


def check_texts(readings: Readings, contact: int, post: Exchange) -> None:
    """Check that the box of a client whose phone number was sent allowed text messages."""
    reading = readings.last("contact", contact, post)
    allowed = reading and reading.texts and all(box in CHECKED for box in reading.texts)
    assert allowed, f"contact {contact} was sent with a phone number, and may not be texted"


def check_opted_in(readings: Readings, matter: int, post: Exchange, *, silence: bool) -> None:
    """Check that the matter's thank-you box was checked, or untouched where `silence` is a yes."""
    reading = readings.last("matter", matter, post)
    assert reading, f"matter {matter} was sent and never read"
    ticked = reading.boxed and reading.boxes and all(box in CHECKED for box in reading.boxes)
    untouched = silence and reading.boxed and all(box is None for box in reading.boxes)
    assert ticked or untouched, f"matter {matter} was sent without the thank-you box"


def check_matter(readings: Readings, matter: int, post: Exchange, *, dated: bool) -> None:
    """Check that the matter was shown just before the POST, and was closed.

    `dated` says whether it must have had a close date.
    """
    what = f"matter {matter}"
    reading = just_read(readings.last("matter", matter, post), post, what)
    assert reading.shown, f"{what} was sent although gone at the last reading"
    assert reading.shown["status"] == "Closed", f"{what} was sent although reopened"
    has_date = reading.shown["close_date"] or not dated
    assert has_date, f"{what} was sent without a close date"


def just_read(reading: Reading | None, post: Exchange, what: str) -> Reading:
    """Return the reading; fail where there is none, or where it was too old at the POST."""
    assert reading, f"{what} was sent and never read"
    age = post.at - reading.at
    assert age <= FRESH, f"{what} was sent {age} after the last reading"
    return reading


def check_nobody_is_asked_twice(world: World, told: Circumstances) -> None:
    """Check promise 2: no closing is accepted twice, and nobody is asked twice too soon.

    That means no person within SYNC_REASK_DAYS, and no matter within 30 days.
    """
    window = timedelta(days=float(world.settings.get("SYNC_REASK_DAYS", "180")))
    accepted = world.broadly.accepted
    spans = [spans_of(one, window) for one in accepted]
    for number, one in enumerate(accepted):
        earlier = told.remembered(number)
        times = sum(accepted[n].transaction_id == one.transaction_id for n in range(number))
        resent = (one.transaction_id, times) in told.resent
        for before in earlier:
            if resent and accepted[before].transaction_id == one.transaction_id:
                continue
            since = one.at - accepted[before].at
            for who, span in spans[number].items():
                long_ago = who not in spans[before] or since >= span - told.spread
                assert long_ago, f"{who} was asked twice, {since} apart"


def spans_of(accepted: Accepted, window: timedelta) -> dict[str, timedelta]:
    """Return what Broadly asked with this item, each with how long it may not be asked again."""
    spans = {f"closing {accepted.transaction_id}": timedelta.max}
    spans |= {f"matter {matter_of(accepted.item)}": CORRECTED}
    return spans | dict.fromkeys(persons_of(accepted.item), window)


def check_nobody_dropped_is_asked(world: World, told: Circumstances) -> None:
    """Check that what a person dropped is never sent.

    Within 30 days, its matter is not sent with another close date, either.
    """
    for number, one in enumerate(world.broadly.accepted):
        for dropped in told.droppings_before(number):
            same = one.transaction_id == dropped.transaction_id
            if one.at - dropped.at < CORRECTED - told.spread:
                same = one.transaction_id.rpartition(":")[0] == dropped.matter
            assert not same, f"{one.transaction_id} was sent although dropped"


def check_pause_after_a_doubt(world: World, told: Circumstances) -> None:
    """Check that no POST comes within an hour of one that ended in doubt by a fault of Broadly's.

    Where the program was killed, there was no such fault.
    """
    if world.broadly.dedupes:
        return
    for before, after in pairwise(world.broadly.posts[told.posts_forgotten :]):
        apart = after.at - before.at
        lost = before.fault and (before.status in IN_DOUBT or not before.whole)
        long_ago = apart >= PAUSE - told.spread
        assert long_ago or not lost, f"a POST came {apart} after one that ended in doubt"


def check_hours(world: World, told: Circumstances) -> None:
    """Check that no POST comes outside of the sending hours, but for what was claimed before.

    A file knows no hours.
    """
    if world.settings.get("BROADLY_PROFILE") == "csv":
        return
    zone = ZoneInfo(world.firm.account.time_zone)
    for number, post in enumerate(world.broadly.posts):
        since = [hours for hours in told.hours if hours.posts <= number]
        # What is claimed may be sent as long as it is fresh, and by any of the clocks.
        first, last = post.at + told.earliest - FRESH, post.at + told.latest
        moments = [first + n * STEP for n in range((last - first) // STEP + 1)]
        is_open = not since or any(is_within(since[-1], m.astimezone(zone)) for m in moments)
        assert is_open, f"a POST came at {post.at.astimezone(zone)}, outside of the sending hours"


def is_within(hours: Hours, shown: datetime) -> bool:
    """Tell whether a clock on the wall shows a time in these hours, or in those of last night."""
    clock = shown.replace(tzinfo=None)
    for evening in (clock, clock - timedelta(days=1)):
        begin = evening.replace(hour=hours.begin, minute=0, second=0, microsecond=0)
        begun = begin <= clock < begin + timedelta(hours=hours.length)
        if begun and evening.weekday() in hours.days:
            return True
    return False


def check_each_event(world: World) -> None:
    """Check that a webhook's address got nothing but signed POSTs, each of a client of the firm.

    Such a receiver knows a repeat by its id.
    """
    if not isinstance(world.broadly, Webhook):
        return
    for exchange in world.broadly.history:
        assert exchange.method == "POST", f"a {exchange.method} went to the webhook"
        assert world.broadly.holds(exchange.request), "a POST was not signed as it must be"
        (item,) = customers(exchange.body)
        assert exchange.headers["webhook-id"] == item["transactionId"], "a repeat cannot be told"
        assert item["test"] is False, "a client was called a made-up one"


def check_nobody_is_lost(world: World, found: Books, told: Circumstances) -> None:
    """Check promises 3 and 4: no closing is missing in the ledger.

    It must be there if it was closed before the watermark, or lies in the range of a backfill that
    ended well.
    """
    recorded = {(row.matter, row.closed_on) for row in found.rows}
    for matter, closed_on, updated in closed_matters(world):
        if is_before_watermark(found, updated, told.ahead):
            assert (matter, closed_on) in recorded, f"the watermark passed matter {matter} by"
        for walked in told.backfills:
            if str(walked.first) <= closed_on <= str(walked.last) and updated < walked.at:
                assert (matter, closed_on) in recorded, f"a backfill passed matter {matter} by"


def is_before_watermark(found: Books, updated: datetime, ahead: timedelta) -> bool:
    """Tell whether an edit at this moment lies between the first run and the watermark.

    The watermark may be too late by `ahead`.
    """
    if "watermark" not in found.facts:
        return False
    first_run, watermark = (found.facts[name] for name in ("first_run", "watermark"))
    return datetime.fromisoformat(first_run) <= updated < datetime.fromisoformat(watermark) - ahead


def check_objections(world: World, found: Books, told: Circumstances, noes: Noes) -> None:
    """Check that a client who was sent, and was read with the box checked after that, is listed.

    Their own card counts, as it was last read; and nobody is listed who was never sent.
    """
    standing = noes.before(sys.maxsize)
    sent = {(row.matter, row.closed_on): row for row in found.rows if row.state == "sent"}
    for matter, closed_on in found.objections:
        assert (matter, closed_on) in sent, f"matter {matter} objects and was never sent"
    accepted = {one.transaction_id: one.at for one in world.broadly.accepted}
    for key, row in sent.items():
        reading, at = standing.get(row.contact or 0), accepted[row.transaction_id]
        if reading and told.spread < reading.at - at < OBJECTS - told.spread:
            assert key in found.objections, f"{row} has opted out since, and nobody is told"


def closed_matters(world: World) -> Iterator[tuple[int, str, datetime]]:
    """Yield id, close date (empty: none) and last edit (aware UTC) of all that are closed now."""
    with world.firm.lock:
        for row in world.firm.matters.walk():
            if row.status == "Closed":
                closed_on = date.fromordinal(row.closed).isoformat() if row.closed else ""
                yield row.id, closed_on, datetime.fromtimestamp(row.updated, UTC)


def check_ledger(found: Books) -> None:
    """Check the ledger by itself: it is sound, and every row is what its changes explain."""
    assert not found.problems, f"the state is broken: {found.problems}"
    states: dict[tuple[int, str], tuple[str, str | None]] = {}
    for change in found.changes:
        key = change.matter, change.closed_on
        before = states.get(key, (None, None))[0]
        assert change.from_state == before, f"matter {change.matter} has a gap in its changes"
        states[key] = change.to_state, change.reason
    for row in found.rows:
        assert row.state in STATES, f"{row} is in no known state"
        assert row.reason in reasons_of(row), f"{row} has a reason that says nothing"
        last = states.get((row.matter, row.closed_on))
        assert last == (row.state, row.reason), f"{row} is not what its last change says"


def reasons_of(row: Row) -> set[str | None]:
    """Return the reasons that a row in this state may have."""
    known: dict[str, set[str | None]] = {"skipped": {*SKIPPED_FOR}, "pending": WAITS_FOR}
    known |= {"held": {"unknown_outcome", *SKIPPED_FOR} - FINAL, "dead": {"retry", None}}
    return known.get(row.state, {None})


def check_ledger_against_broadly(world: World, found: Books, told: Circumstances) -> None:
    """Check that what is `sent` was accepted, and that what was accepted counts as asked."""
    accepted = [one.transaction_id for one in world.broadly.accepted]
    rows = {row.transaction_id: row for row in found.rows}
    for row in found.rows:
        if row.state == "sent":
            assert row.transaction_id in accepted, f"{row} was never accepted"
    for transaction_id in {accepted[number] for number in told.remembered(len(accepted))}:
        assert transaction_id in rows, f"{transaction_id} was accepted and is in no ledger"
        row = rows[transaction_id]
        known = row.state in ("sent", "held", "sending") or row.reason == "dropped"
        assert known or is_in_doubt(row), f"{row} was accepted, and may be asked again"


def is_in_doubt(row: Row) -> bool:
    """Tell whether a row counts as asked because it is in doubt.

    That holds where it is tried again, or was resent and then got another result.
    """
    return bool(row.in_doubt) and (row.state in ("pending", "dead") or row.reason == "suppressed")


def check_nothing_leaks(world: World) -> None:
    """Check promises 5 and 6: no person and no secret is where it may not be.

    Nothing of the kind is on the disk, and each secret goes only to its own server.
    """
    for file in files_of(world.state.parent):
        assert not world.leaked(file), f"{file.name} holds what is personal or secret"
    if world.private and world.state.parent.exists():
        assert mode_of(world.state.parent) == 0o700, "others may look into the state's folder"
        for file in files_of(world.state.parent):
            assert mode_of(file) == 0o600, f"others may read {file.name}"
    for exchange in world.broadly.history:
        assert world.clio.token not in all_of(exchange), "Broadly got Clio's token"
    for exchange in world.clio.history:
        assert world.broadly.key not in all_of(exchange), "Clio got Broadly's key"


def all_of(exchange: Exchange) -> str:
    """Return the whole request as text to search in."""
    return f"{exchange.request.target} {exchange.headers} {exchange.body!r}"


def contact_of(item: Item) -> int:
    return int(item["externalId"].removeprefix("clio:contact:"))


def persons_of(item: Item) -> list[str]:
    """Return the contact, e-mail and phone of an item, in words; what is missing is left out."""
    persons = [f"contact {contact_of(item)}", f"e-mail {item.get('email', '').casefold()}"]
    return [p for p in (*persons, f"phone {item.get('phone', '')}") if not p.endswith(" ")]


def files_of(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777
