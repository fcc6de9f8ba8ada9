"""The checker is not blind: it finds each classic mistake, and lets our program pass.

A scenario drives the firm into the corner where one mistake shows. `altered/variants.py` holds
the wrong programs.
"""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from zoneinfo import ZoneInfo

import checker
import pytest
from drill import DONE, Drill, MakeDrill
from rig import faults
from world import on_post

from clio_broadly_sync.sandbox import Box, Request
from clio_broadly_sync.sandbox.firm import THANK_YOU

Scenario = Callable[[Drill], None]


def _closed_while_paging(drill: Drill) -> None:
    """An early matter is closed when its page is over, and then a late one, which is shown."""
    early = drill.firm.add_matter(drill.firm.add_contact(), thank_you=True)
    drill.closings(3)
    late = drill.firm.add_matter(drill.firm.add_contact(), thank_you=True)

    def act() -> None:
        for matter in (early, late):
            drill.later(seconds=5)
            drill.firm.close(matter)
        drill.later(seconds=5)

    _at_page_two(drill, act)
    _runs_well(drill)


def _edited_while_paging(drill: Drill) -> None:
    """A matter of the first page is reopened, so that all that follow move up by one."""
    matters = []
    for _ in range(4):
        matters += drill.closings(1)
        drill.later(seconds=5)
    _at_page_two(drill, lambda: drill.firm.reopen(matters[0]))
    _runs_well(drill)


def _shown_late(drill: Drill) -> None:
    """Clio shows a closing some seconds later than it says that it was."""
    _runs_well(drill)
    drill.firm.clock.advance(timedelta(seconds=-30))
    drill.closings(1)
    drill.firm.clock.advance(timedelta(minutes=5))
    _runs_well(drill)


def _killed_before_a_post(drill: Drill) -> None:
    """The run is killed when it is about to send, and not taken up again."""
    drill.closings(1)
    assert drill.kill("POST /v1/customers/batch: unsent", "sync")


def _answer_lost(drill: Drill) -> None:
    """Broadly accepts, and the answer is lost."""
    drill.closings(2)
    drill.broadly.faults.add(faults.lose_answer())
    drill.sync()
    drill.later(hours=2)
    drill.sync()


def _sent(drill: Drill) -> None:
    drill.closings(2)
    _runs_well(drill)


def _opted_out_while_waiting(drill: Drill) -> None:
    """Broadly is busy, and before the next run the client opts out."""
    contact = drill.closing().contact
    drill.busy()
    assert drill.sync().code == 69
    drill.later(minutes=20)
    drill.firm.set_opt_out(contact)
    _runs_well(drill)


def _overtaken(drill: Drill) -> None:
    """The lock file is removed, and another run puts off the clients whom this one has just read.

    Had it sent them, the tables themselves would let nobody claim them again.
    """
    drill.closings(2)

    def before(request: Request) -> None:
        if "contacts" in request.path and drill.lock.exists():
            drill.clio.before = None
            drill.lock.unlink()
            drill.busy()
            drill.beside("sync")

    drill.clio.before = before
    drill.sync()


def _suspended(drill: Drill) -> None:
    """The machine sleeps between two POSTs, and the clients of the second one opt out."""
    others = [drill.closing() for _ in range(3)][1:]

    def sleep() -> None:
        drill.sleep(timedelta(hours=8), clock_is_set=True)
        for other in others:
            drill.firm.set_opt_out(other.contact)

    drill.broadly.after = on_post(sleep)
    drill.settings["BROADLY_BATCH_SIZE"] = "1"
    _runs_well(drill)


def _no_on_another_card(drill: Drill) -> None:
    """A client is there twice, and the box is checked on one of the cards."""
    contact = drill.closing(opt_out=True).contact
    drill.closing(phone=drill.firm.contacts.get(contact).phone)
    _runs_well(drill)


def _half_restored(drill: Drill) -> None:
    """The state's file of a copy is put beside the changes of a run that was killed later."""
    copy = drill.folder / "copy"
    shutil.copytree(drill.state.parent, copy)
    drill.closings(40)  # more than fit into one page, so that not all pages change each time
    _runs_well(drill)
    drill.later(minutes=1)
    drill.closings(2)
    assert drill.kill("POST /v1/customers/batch: unsent", "sync")
    whole = shutil.copytree(drill.state.parent, drill.folder / "whole")
    half = drill.put_half_back(copy)
    assert half is None, "it is no mixture"
    drill.run_on_half(half)
    shutil.rmtree(drill.state.parent)
    shutil.copytree(whole, drill.state.parent)


def _killed_with_a_file(point: str) -> Scenario:
    """Return a scenario in which a run is killed at this point, and another file is written."""

    def scenario(drill: Drill) -> None:
        drill.write_files()
        drill.settings["FILES"] = "yes"
        drill.closings(2)
        assert drill.kill(point, *drill.export())
        drill.later(minutes=20)
        ran = drill.run(*drill.export())
        assert ran.code in DONE, ran.err

    return scenario


def _suspended_before_a_file(drill: Drill) -> None:
    """The machine sleeps when the last clients are read, and the first one opts out meanwhile."""
    drill.write_files()
    drill.settings["SYNC_MAX_NEW"] = "1000"
    contact = drill.closing().contact
    drill.closings(120)
    seen: list[Request] = []

    def sleep(request: Request, *response: object) -> None:
        seen.extend([request] * ("contacts" in request.path))
        if len(seen) == 2:
            drill.clio.after = None
            drill.sleep(timedelta(hours=8), clock_is_set=True)
            drill.firm.set_opt_out(contact)

    drill.clio.after = sleep
    ran = drill.run(*drill.export())
    assert ran.code in DONE, ran.err


def _may_not_be_texted(drill: Drill) -> None:
    """A phone number is there, and its box is not checked."""
    _accept(drill, SYNC_TEXT_FIELD="MayBeTexted")
    drill.closing(texts=False)
    drill.closing(texts=True)
    _runs_well(drill)


def _silence(drill: Drill) -> None:
    """Silence is a yes, and what is withheld is none."""
    _accept(drill, SYNC_OPT_IN_UNTOUCHED="send")
    drill.closing(thank_you=Box.UNTOUCHED)
    withheld = drill.closing(thank_you=Box.UNREADABLE).matter
    _runs_well(drill)
    drill.firm.set_thank_you(withheld, False)
    drill.later(hours=21)


def _without_a_date(drill: Drill) -> None:
    """It is typed in the end."""
    matter = drill.closing(None).matter
    _runs_well(drill)
    drill.firm.set_close_date(matter, drill.day())
    drill.later(minutes=15)


def _accept(drill: Drill, **settings: str) -> None:
    drill.settings.update(settings)
    assert drill.run("check", "--accept").code == 0


def _put_right(drill: Drill) -> None:
    """A box is ticked after its matter was skipped, and Clio does not tell of it."""
    matter = drill.closing(thank_you=False).matter
    _runs_well(drill)
    drill.firm.set_box("matter", matter, True, THANK_YOU, touch=False)
    drill.later(hours=21)
    _runs_well(drill)
    checker.check_who_was_put_right(drill)


def _opted_out_after_sending(drill: Drill) -> None:
    contact = drill.closing().contact
    _runs_well(drill)
    drill.firm.set_opt_out(contact)
    drill.later(hours=21)
    _runs_well(drill)


def _outside_of_the_hours(drill: Drill) -> None:
    """A matter is closed three hours before the sending hours begin."""
    three = timedelta(hours=3)
    zone = ZoneInfo(drill.firm.account.time_zone)
    begin = (drill.firm.clock.now() + three).astimezone(zone).hour
    drill.set_hours("mon-sun", f"{begin}-{begin + 1}")
    drill.closings(1)
    _runs_well(drill)
    drill.later(seconds=three.total_seconds())


CORNERS: dict[str, tuple[Scenario, str]] = {
    "watermark_of_edits": (_closed_while_paging, "the watermark passed matter 5001 by"),
    "offset_paging": (_edited_while_paging, "the watermark passed matter 5003 by"),
    "no_overlap": (_shown_late, "the watermark passed matter 5001 by"),
    "settle_first": (_killed_before_a_post, "was never accepted"),
    "send_again": (_answer_lost, "was asked twice"),
    "contacts_kept": (_opted_out_while_waiting, "after the last reading"),
    "no_fence": (_overtaken, "has a gap in its changes"),
    "monotonic_only": (_suspended, "contact 1002 was sent 8:00:.* after the last reading"),
    "file_never_made": (_killed_with_a_file("link: done"), "was asked twice"),
    "file_always_made": (_killed_with_a_file("link: undone"), "was never accepted"),
    "file_kept_for_a_day": (_suspended_before_a_file, "after the last reading"),
    "no_look": (_half_restored, "half a restore was refused and written to all the same"),
    "texts_ignored": (_may_not_be_texted, "contact 1001 was sent with a phone number"),
    "silence_of_any_kind": (_silence, "matter 5002 was sent without the thank-you box"),
    "no_date_needed": (_without_a_date, "matter 5001 was sent without a close date"),
    "at_any_hour": (_outside_of_the_hours, "a POST came at .* outside of the sending hours"),
    "noes_forgotten": (_no_on_another_card, "1002 was sent although contact 1001 said no"),
    "never_looks": (_put_right, "was looked at, and its box is checked"),
    "objections_forgotten": (_opted_out_after_sending, "has opted out since, and nobody is told"),
    "unsigned": (_sent, "a POST was not signed as it must be"),
    "event_repeated": (_answer_lost, "was asked twice"),
}
AT_A_WEBHOOK = ("unsigned", "event_repeated")
"""In these corners an automation stands in Broadly's place."""


@pytest.mark.parametrize("variant", CORNERS)
def test_the_mistake_is_found(make_drill: MakeDrill, variant: str) -> None:
    scenario, sentence = CORNERS[variant]
    with _corner(make_drill, variant) as drill:
        drill.variant = variant
        with pytest.raises(AssertionError, match=sentence):
            scenario(drill)


@pytest.mark.parametrize("variant", CORNERS)
def test_our_program_passes(make_drill: MakeDrill, variant: str) -> None:
    scenario, _ = CORNERS[variant]
    with _corner(make_drill, variant) as drill:
        scenario(drill)
        drill.rest("sync")


def _corner(make_drill: MakeDrill, variant: str) -> AbstractContextManager[Drill]:
    return make_drill(profile="webhook" if variant in AT_A_WEBHOOK else "batch")


def _at_page_two(drill: Drill, act: Callable[[], None]) -> None:
    """Let pages hold two matters, and let this happen when the second page is asked for."""
    drill.clio.cap_pages("matter", 2)
    once = on_post(act)

    def before(request: Request) -> None:
        if request.first("page_token"):
            once(request)

    drill.clio.before = before


def _runs_well(drill: Drill) -> None:
    ran = drill.sync()
    assert ran.code in DONE, ran.err
