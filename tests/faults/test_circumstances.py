"""What a person did, or a clock, excuses so much and no more: beyond it the checker finds what is
wrong, as ever."""

import shutil
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta

import checker
import pytest
from circumstances import Circumstances, Dropped
from drill import DONE, Drill, MakeDrill
from mishaps import UNAVAILABLE
from planting import opened
from rig import faults

from clio_broadly_sync.sandbox import Request


@pytest.fixture
def drill(make_drill: MakeDrill) -> Iterator[Drill]:
    """One client was handed over (matter 5001)."""
    with make_drill() as drill:
        drill.closings(1)
        drill.later(minutes=1)
        assert drill.sync().code == 0
        yield drill


def _again(drill: Drill, *, days: float = 0, date: str | None = None) -> None:
    """Let Broadly have accepted the first once more, for another close date where one is given."""
    first = drill.broadly.accepted[0]
    at = drill.firm.clock.now() + timedelta(days=days)
    name = first.transaction_id.rpartition(":")[0] + f":{date}" if date else first.transaction_id
    item = {**first.item, "transactionId": name}
    drill.broadly.accepted.append(replace(first, at=at, item=item))


def _put_back(drill: Drill, then: Circumstances, *, copied: int) -> None:
    accepted = [one.transaction_id for one in drill.broadly.accepted]
    drill.circumstances.note_put_back(then, copied, accepted)


def _asked_twice(drill: Drill) -> None:
    with pytest.raises(AssertionError, match=r"closing clio:matter:5001:.* was asked twice"):
        checker.check_nobody_is_asked_twice(drill, drill.circumstances)


def _not_asked_twice(drill: Drill) -> None:
    checker.check_nobody_is_asked_twice(drill, drill.circumstances)


def test_what_was_resent_may_be_accepted_once_more(drill: Drill) -> None:
    name = drill.broadly.accepted[0].transaction_id
    _again(drill)
    _asked_twice(drill)
    drill.circumstances.resent.add((name, 1))
    _not_asked_twice(drill)
    _again(drill)
    _asked_twice(drill)


def test_what_was_resent_when_nobody_had_it_may_be_accepted_once(drill: Drill) -> None:
    drill.circumstances.resent.add((drill.broadly.accepted[0].transaction_id, 0))
    _again(drill)
    _asked_twice(drill)


def test_resending_overrules_the_box_from_then_on(drill: Drill) -> None:
    name = drill.broadly.accepted[0].transaction_id
    for exchange in [e for e in drill.clio.history if e.path == "/api/v4/matters.json"]:
        page = exchange.answer.replace(b'"value":true', b'"value":false')
        drill.clio.history[drill.clio.history.index(exchange)] = replace(exchange, answer=page)
    drill.circumstances.note_resent(name, accepted=0, posts=1)
    noes = checker.known_noes(drill, drill.circumstances)
    with pytest.raises(AssertionError, match="matter 5001 was sent without the thank-you box"):
        checker.check_every_post_was_read_for(drill, drill.circumstances, noes)
    drill.circumstances.overruled[name] = 0
    checker.check_every_post_was_read_for(drill, drill.circumstances, noes)


def test_resending_excuses_no_other_closing_of_the_matter(drill: Drill) -> None:
    drill.circumstances.resent.add((drill.broadly.accepted[0].transaction_id, 1))
    _again(drill, days=1, date="2026-01-01")
    with pytest.raises(AssertionError, match="was asked twice"):
        checker.check_nobody_is_asked_twice(drill, drill.circumstances)


@pytest.mark.parametrize(("date", "days"), [(None, 400), ("2026-01-01", 29)])
def test_what_was_dropped_may_not_be_sent(drill: Drill, date: str | None, days: int) -> None:
    name, now = drill.broadly.accepted[0].transaction_id, drill.firm.clock.now()
    drill.circumstances.dropped.append(Dropped(name, 1, now))
    checker.check_nobody_dropped_is_asked(drill, drill.circumstances)
    _again(drill, days=days, date=date)
    with pytest.raises(AssertionError, match=r"5001:.* was sent although dropped"):
        checker.check_nobody_dropped_is_asked(drill, drill.circumstances)


def test_another_close_date_may_be_sent_a_month_after_dropping(drill: Drill) -> None:
    name, now = drill.broadly.accepted[0].transaction_id, drill.firm.clock.now()
    drill.circumstances.dropped.append(Dropped(name, 1, now))
    _again(drill, days=31, date="2026-01-01")
    checker.check_nobody_dropped_is_asked(drill, drill.circumstances)


def test_what_an_old_copy_forgot_may_be_accepted_once_more(drill: Drill) -> None:
    _put_back(drill, Circumstances(), copied=0)
    _again(drill)
    _not_asked_twice(drill)
    _again(drill)
    _asked_twice(drill)


def test_what_an_old_copy_knows_may_not_be_accepted_again(drill: Drill) -> None:
    _put_back(drill, Circumstances(), copied=1)
    _again(drill)
    _asked_twice(drill)


def test_before_an_old_copy_is_put_back_it_excuses_nothing(drill: Drill) -> None:
    _again(drill)
    _put_back(drill, Circumstances(), copied=0)
    _asked_twice(drill)


def test_an_old_copy_that_is_put_back_forgets_what_people_did(drill: Drill) -> None:
    then = deepcopy(drill.circumstances)
    drill.circumstances.resent.add((drill.broadly.accepted[0].transaction_id, 1))
    _put_back(drill, then, copied=1)
    _again(drill)
    _asked_twice(drill)


def test_what_waits_to_be_sent_again_in_an_old_copy_may_go_once_more(drill: Drill) -> None:
    """It was resent before the copy was made, and accepted after that; more often is too often."""
    drill.circumstances.resent.add((drill.broadly.accepted[0].transaction_id, 1))
    then = deepcopy(drill.circumstances)
    _again(drill)
    _put_back(drill, then, copied=1)
    _again(drill)
    _not_asked_twice(drill)
    _again(drill)
    _asked_twice(drill)


def test_an_old_copy_that_is_put_back_undoes_nothing(drill: Drill) -> None:
    """What was resent, and accepted again, was so before; but a third time is one too many."""
    then = deepcopy(drill.circumstances)
    drill.circumstances.resent.add((drill.broadly.accepted[0].transaction_id, 1))
    _again(drill)
    _put_back(drill, then, copied=1)
    _not_asked_twice(drill)
    _again(drill)
    _asked_twice(drill)


def test_an_old_copy_may_lack_what_it_forgot_and_nothing_else(
    drill: Drill, first_state: str
) -> None:
    """The ledger of the first day knows of nobody."""
    shutil.rmtree(drill.state.parent)
    shutil.copytree(first_state, drill.state.parent)
    with pytest.raises(AssertionError, match=r"5001:.* was accepted and is in no ledger"):
        checker.check(drill, drill.circumstances)
    _put_back(drill, Circumstances(), copied=0)
    checker.check(drill, drill.circumstances)


def _read_dry(drill: Drill) -> None:
    drill.sync("--dry-run")


def _read_and_killed(drill: Drill) -> None:
    assert drill.kill("GET /api/v4/contacts.json: answered", "sync")


def _answered_so_that_nobody_can_read_it(drill: Drill, *, skip: int = 0) -> None:
    """Let Clio name a wrong packing for what it says of contacts, after so many answers."""
    packed = faults.headers(Content_Encoding="gzip")
    drill.clio.faults.add(packed, when=faults.on("contacts"), times=None, skip=skip)
    drill.limits["NO_WAITS"] = "yes"


def _tried_in_vain(drill: Drill) -> None:
    _answered_so_that_nobody_can_read_it(drill)
    assert drill.sync().code == UNAVAILABLE
    drill.clio.faults.clear()


def _read_and_hidden(drill: Drill) -> None:
    drill.sync()
    drill.firm.hide_contact(NO)


def _read_otherwise_later(box: object) -> Callable[[Drill], None]:
    """Return what reads the no, and then once more when the box is like this."""

    def read(drill: Drill) -> None:
        drill.sync()
        drill.firm.set_opt_out(NO, box)
        drill.matter(NO)
        drill.later(minutes=1)
        drill.sync()

    return read


def _read_and_put_back(drill: Drill) -> None:
    then, copy = deepcopy(drill.circumstances), drill.folder / "copy"
    shutil.copytree(drill.state.parent, copy)
    drill.sync()
    drill.put_back(copy, then, len(drill.broadly.accepted))


NO = 1002
READ = {
    _read_dry: False, Drill.sync: True, _read_and_killed: False, _tried_in_vain: False,
    _read_and_hidden: True, _read_otherwise_later(False): False,
    _read_otherwise_later("maybe"): True, _read_and_put_back: False,
}  # fmt: skip
"""How a no was read, and whether the program has to know of it afterwards."""


@pytest.mark.parametrize("read", READ)
def test_only_a_no_that_was_written_down_counts_for_another_card(
    drill: Drill, read: Callable[[Drill], object]
) -> None:
    """The program that forgets every no is right only where there is none to remember."""
    drill.variant, drill.settings["SYNC_REASK_DAYS"] = "noes_forgotten", "0"
    assert drill.closing(opt_out=True).contact == NO
    drill.later(minutes=1)
    read(drill)
    drill.firm.reopen(drill.firm.matter_ids()[-1])  # so that the card is not read again
    matter = drill.closing(email=drill.firm.contacts.get(NO).email).matter
    drill.later(minutes=1)
    if not READ[read]:
        assert drill.sync().code == 0
        assert drill.asked[-1] == matter
        return
    with pytest.raises(AssertionError, match=r"1003 was sent although contact 1002 said no"):
        drill.sync()


@pytest.fixture
def filed(make_drill: MakeDrill) -> Iterator[Drill]:
    """One client was in a file and has opted out since, which the next daily look will read."""
    with make_drill(profile="csv") as drill:
        drill.write_files()
        drill.settings["SYNC_REASK_DAYS"] = "0"
        contact = drill.closing().contact
        _file(drill)
        drill.firm.set_opt_out(contact)
        yield drill


def _file(drill: Drill, *codes: int) -> None:
    drill.later(hours=30)
    ran = drill.run(*drill.export())
    assert ran.code in (codes or DONE), ran.err


def _close_for_the_same_person(drill: Drill) -> int:
    return drill.closing(email=drill.firm.contacts.get(1001).email).matter


def test_a_no_counts_for_no_file_that_was_there_when_it_was_read(filed: Drill) -> None:
    matter = _close_for_the_same_person(filed)
    _file(filed)
    assert filed.asked[-1] == matter
    _close_for_the_same_person(filed)
    with opened(filed.state) as state:  # or the no would keep them out of the next file
        state.execute("DELETE FROM noes")
    with pytest.raises(AssertionError, match=r"1003 was sent although contact 1001 said no"):
        _file(filed)


def test_a_file_does_not_say_that_what_was_read_after_it_was_written_down(filed: Drill) -> None:
    filed.closing()
    _answered_so_that_nobody_can_read_it(filed, skip=1)
    _file(filed, UNAVAILABLE)
    filed.clio.faults.clear()
    matter = _close_for_the_same_person(filed)
    _file(filed)
    assert filed.asked[1:] == [matter - 1, matter]


def test_a_file_counts_from_the_moment_at_which_it_was_there(filed: Drill) -> None:
    """The machine sleeps in the daily look, when the file is there and nobody has imported it."""
    filed.closing()
    asked: list[Request] = []

    def sleep(request: Request, *response: object) -> None:
        asked.extend([request] * ("contacts" in request.path))
        if len(asked) == 2:
            filed.clio.after = None
            filed.sleep(timedelta(hours=100), clock_is_set=True)

    filed.clio.after = sleep
    _file(filed)
    assert filed.broadly.accepted[-1].at == filed.broadly.posts[-1].at == asked[1].at


def test_files_are_imported_in_the_order_in_which_they_were_made(filed: Drill) -> None:
    filed.limits["SMALL_FILES"] = "4"
    matters = filed.closings(6)
    _file(filed)
    assert filed.asked[1:] == matters
    assert [len(several) for several in filed.posts] == [1, 4, 2]


@pytest.mark.parametrize(("hours", "found"), [(3, True), (1, False)])
def test_clocks_that_differ_end_a_window_early_by_as_much(
    drill: Drill, hours: int, found: bool
) -> None:
    drill.circumstances.note_clocks(clio=timedelta(hours=1), machine=timedelta(hours=-1))
    _again(drill, days=180 - hours / 24, date="2026-01-01")
    if not found:
        _not_asked_twice(drill)
        return
    with pytest.raises(AssertionError, match="was asked twice"):
        _not_asked_twice(drill)


@pytest.mark.parametrize(("seconds", "found"), [(70, True), (50, False)])
def test_a_clock_ahead_lets_the_watermark_pass_by_as_much(
    drill: Drill, seconds: int, found: bool
) -> None:
    """A matter that is closed just now is not lost yet, where `Date` may be a minute ahead."""
    drill.later(minutes=2)
    drill.firm.clock.freeze(drill.firm.clock.now().replace(microsecond=0))
    drill.circumstances.note_clocks(clio=timedelta(minutes=1), machine=timedelta(0))
    drill.closings(1)
    watermark = drill.firm.clock.now() + timedelta(seconds=seconds)
    found_books = checker.books.read(drill.state)
    found_books.facts["watermark"] = watermark.isoformat()
    if not found:
        checker.check_nobody_is_lost(drill, found_books, drill.circumstances)
        return
    with pytest.raises(AssertionError, match="the watermark passed matter 5002 by"):
        checker.check_nobody_is_lost(drill, found_books, drill.circumstances)
