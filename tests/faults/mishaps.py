"""What may go wrong in one run: at a server, beside the run, or by what the firm does meanwhile.

Each mishap is armed before the run, for one request to one of the servers: the one with a given
number, of which the first is 0. It also says with which exit codes the run may then end, other than
those for a good end.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import books
import checker
from books import Books
from drill import Drill
from rig import Rigged, faults
from rig.faults import Fault
from surroundings import BUSY_SECONDS

from clio_broadly_sync.sandbox import Request

FOR_EVER = None
OPT_OUTS = 3
"""So many clients opt out while the machine sleeps."""
CHANNELS = ("email", "phone")
GIVE_UP = {"SECONDS_FOR_AN_ANSWER": "0.3"}
"""The limit with which a run gives up soon."""
USAGE, UNAVAILABLE, STORAGE, BUSY, DENIED, CONFIG = 2, 69, 74, 75, 77, 78


class Mishap(NamedTuple):
    """One thing that may go wrong."""

    arm: Callable[[Drill, int], Callable[[], object] | None]
    """Prepares it for the request with a number; returns what to call when the run has ended."""
    codes: tuple[int, ...] = ()
    """The exit codes with which the run may end, other than those for a good end."""


def _at_clio(fault: Fault, *codes: int, times: int | None = 1) -> Mishap:
    def arm(drill: Drill, number: int) -> None:
        drill.clio.faults.add(fault, times=times, skip=number)

    return Mishap(arm, codes)


def _at_broadly(fault: Fault, *codes: int, times: int | None = 1) -> Mishap:
    def arm(drill: Drill, number: int) -> None:
        drill.broadly.faults.add(fault, times=times, skip=number % 3)

    return Mishap(arm, codes)


def _of_a_client(status: str, *codes: int) -> Mishap:
    """Let Broadly answer this for the next client whom it would accept.

    "retry" and "refuse" do not say what became of an earlier try whose answer was lost.
    """

    def arm(drill: Drill, number: int) -> None:
        drill.broadly.rule(status, times=1)

    return Mishap(arm, codes)


def _late(server_of: Callable[[Drill], Rigged]) -> Mishap:
    """Let the server do its work only after the run has given up."""

    def arm(drill: Drill, number: int) -> Callable[[], object]:
        ended, done = threading.Event(), threading.Event()

        def play(turn: faults.Turn) -> faults.Delivery:
            ended.wait(BUSY_SECONDS)
            try:
                return faults.Delivery(turn.process(turn.request))
            finally:
                done.set()

        rule = server_of(drill).faults.add(Fault("late", play), skip=number % 4)
        drill.limits |= GIVE_UP

        def end() -> None:
            ended.set()
            assert not rule.hits or done.wait(BUSY_SECONDS)

        return end

    return Mishap(arm, (UNAVAILABLE,))


def _dripping(pause: float) -> Fault:
    return faults.drip(pause, 256)


def _meanwhile(act: Callable[[Drill, int], object], *codes: int, hook: str = "before") -> Mishap:
    """Let this happen while the request with the given number waits for its answer.

    The `hook` of the server says whether that is before it has acted, or after.
    """

    def arm(drill: Drill, number: int) -> None:
        seen: list[Request] = []

        def at(request: Request, *response: object) -> None:
            seen.append(request)
            if len(seen) == number + 1:
                act(drill, number)

        for server in (drill.clio, drill.broadly):
            setattr(server, hook, at)

    return Mishap(arm, codes)


def _opt_out(drill: Drill, number: int) -> None:
    drill.firm.set_opt_out(a_client(drill, number))


def _hide(drill: Drill, number: int) -> None:
    drill.firm.hide_contact(a_client(drill, number))


def _of_a_matter(act: str, *values: Any, codes: Sequence[int] = ()) -> Mishap:
    """Let the firm do this to a matter while a request waits for its answer."""

    def change(drill: Drill, number: int) -> None:
        getattr(drill.firm, act)(a_matter(drill, number), *values)

    return _meanwhile(change, *codes)


def _shift_pages(drill: Drill, number: int) -> None:
    """Let rows leave and enter every page, those already read and those still to be read."""
    drill.closing()
    early, late = a_matter(drill, -1), a_matter(drill, 0)
    drill.firm.close(early, drill.day(number))
    drill.later(seconds=5)
    drill.firm.reopen(a_matter(drill, number), keep_close_date=True)
    drill.firm.edit(late)
    drill.later(seconds=5)


def _newest_opt_out(drill: Drill) -> None:
    for client in range(OPT_OUTS):
        _opt_out(drill, client)


def _suspended(time: timedelta, *, clock_is_set: bool = True) -> Mishap:
    """Let the machine sleep when a server has answered, and the newest clients opt out meanwhile.

    A server that has a request does not sleep, and so it acts at once.
    """

    def sleep(drill: Drill, number: int) -> None:
        drill.sleep(time, clock_is_set=clock_is_set)
        _newest_opt_out(drill)

    return _meanwhile(sleep, hook="after")


def _say_no_elsewhere(drill: Drill, number: int) -> None:
    """Let a client be there a second time, with the box checked, and close a matter of it."""
    contact = drill.firm.contacts.get(a_client(drill, number))
    channel = CHANNELS[number % len(CHANNELS)]
    drill.closing(opt_out=True, **{channel: getattr(contact, channel)})


def _run_beside(*arguments: str) -> Mishap:
    def run(drill: Drill, number: int) -> None:
        ran = drill.beside(*arguments)
        assert ran.code == BUSY, f"the run beside ended with {ran.code}: {ran.err}"

    return _meanwhile(run)


def _overtake(*arguments: str, hook: str = "before") -> Mishap:
    """Remove the lock file and run this beside; after that, the overtaken run may write nothing.

    Where a server has acted already (`hook`), what it has shown is no longer true.
    """

    def arm(drill: Drill, number: int) -> Callable[[], object]:
        left: list[Books] = []

        def run(drill: Drill, number: int) -> None:
            if hook == "after":
                _newest_opt_out(drill)
            drill.unlock()
            drill.beside(*arguments)
            left.append(books.read(drill.state))

        _meanwhile(run, hook=hook).arm(drill, number)
        return lambda: [checker.check_nothing_written(one, books.read(drill.state)) for one in left]

    return Mishap(arm, (BUSY,))


@contextmanager
def armed(drill: Drill, name: str, number: int) -> Iterator[Mishap]:
    """Let this go wrong with what is run inside, at the request with this number."""
    mishap, limits = (MISHAPS | OF_A_FIRM)[name], dict(drill.limits)
    end = mishap.arm(drill, number)
    try:
        yield mishap
    finally:
        if end:
            end()
    for server in (drill.clio, drill.broadly):
        server.faults.clear()
        server.before = server.after = None
    drill.broadly.clear_rules()
    drill.limits = limits


def a_client(drill: Drill, number: int) -> int:
    """Return the id of one of the clients, of which 0 is the newest; add one if there is none."""
    found = [contact.id for contact in drill.firm.contacts.walk()]
    return found[-1 - number % len(found)] if found else drill.firm.add_contact()


def a_matter(drill: Drill, number: int) -> int:
    """Return the id of one of the matters, of which 0 is the newest; add one if there is none."""
    found = drill.firm.matter_ids()
    return found[-1 - number % len(found)] if found else drill.closing().matter


_BACKFILL = ("backfill", "--from", "2000-01-01", "--to", "2100-01-01", "--yes")
FORBIDDEN = {"error": {"type": "ForbiddenError", "message": "User is forbidden"}}
_SOON, _IN_HOURS = {"Retry-After": "1"}, {"Retry-After": "7200"}
MISHAPS: dict[str, Mishap] = {
    "Clio is busy once": _at_clio(faults.answer(429, headers=_SOON)),
    "Clio is busy for ever": _at_clio(
        faults.answer(429, headers=_SOON), UNAVAILABLE, times=FOR_EVER
    ),
    "Clio is busy for hours": _at_clio(faults.answer(429, headers=_IN_HOURS), UNAVAILABLE),
    "Clio fails": _at_clio(faults.answer(502), times=2),
    "Clio is away": _at_clio(faults.drop(reset=True), UNAVAILABLE, times=FOR_EVER),
    "Clio's answer is cut": _at_clio(faults.cut_body()),
    "Clio's answer is cut, and seems whole": _at_clio(
        faults.cut_body(0.7, framing="close"), UNAVAILABLE
    ),
    "Clio's answer is garbled": _at_clio(faults.garble(), UNAVAILABLE, times=FOR_EVER),
    "Clio gives no date": _at_clio(faults.headers(Date=None), UNAVAILABLE),
    "Clio refuses the token": _at_clio(faults.answer(401), DENIED),
    "Clio forbids it": _at_clio(faults.answer(403, FORBIDDEN), DENIED),
    "Clio is slow": _at_clio(_dripping(0.002)),
    "Clio is late": _late(lambda drill: drill.clio),
    "Broadly is busy once": _at_broadly(faults.answer(429, headers=_SOON)),
    "Broadly is busy for hours": _at_broadly(
        faults.answer(503, headers=_IN_HOURS), UNAVAILABLE, times=FOR_EVER
    ),
    "Broadly is away": _at_broadly(faults.drop(), UNAVAILABLE, times=FOR_EVER),
    "Broadly fails": _at_broadly(faults.answer(500), UNAVAILABLE, times=3),
    "Broadly accepts and fails": _at_broadly(faults.answer(502, process=True), UNAVAILABLE),
    "Broadly's answer is lost": _at_broadly(faults.lose_answer(), UNAVAILABLE),
    "Broadly's answer is lost for ever": _at_broadly(
        faults.lose_answer(reset=True), UNAVAILABLE, times=FOR_EVER
    ),
    "Broadly's answer is cut": _at_broadly(faults.cut_body(), UNAVAILABLE),
    "Broadly's answer is cut, and seems whole": _at_broadly(
        faults.cut_body(0.6, framing="close"), UNAVAILABLE
    ),
    "Broadly's answer is garbled": _at_broadly(faults.garble(), UNAVAILABLE, times=FOR_EVER),
    "Broadly refuses the key": _at_broadly(faults.answer(401), DENIED),
    "Broadly is slow": _at_broadly(_dripping(0.002)),
    "Broadly is late": _late(lambda drill: drill.broadly),
    "Broadly rejects a client": _of_a_client("rejected"),
    "Broadly wants a client later": _of_a_client("retry", UNAVAILABLE),
    "Broadly suppresses a client": _of_a_client("suppressed"),
    "Broadly refuses for a client": _of_a_client("refuse", UNAVAILABLE),
    "a client opts out": _meanwhile(_opt_out),
    "a client says no on another card": _meanwhile(_say_no_elsewhere),
    "a client is hidden": _meanwhile(_hide),
    "a matter is reopened": _of_a_matter("reopen"),
    "a matter is closed": _of_a_matter("close", "today"),
    "a matter is edited": _of_a_matter("edit"),
    "a matter is deleted": _of_a_matter("delete_matter", codes=[USAGE]),  # it may be the one named
    "pages move": _meanwhile(_shift_pages),
    "the machine is suspended for half an hour": _suspended(timedelta(minutes=30)),
    "the machine is suspended, and its clock not set": _suspended(
        timedelta(hours=8), clock_is_set=False
    ),
    "the machine is suspended for days": _suspended(timedelta(hours=100)),
    "a sync is started beside it": _run_beside("sync"),
    "a backfill is started beside it": _run_beside(*_BACKFILL),
    "a sync overtakes it": _overtake("sync"),
    "a sync overtakes it and reads otherwise": _overtake("sync", hook="after"),
    "a backfill overtakes it": _overtake(*_BACKFILL),
    "a person drops all beside it": _run_beside("outbox", "drop", "--all", "--yes"),
}
CUT = "its sessions are cut"
OF_A_FIRM: dict[str, Mishap] = {
    CUT: _meanwhile(lambda drill, number: drill.cut(), STORAGE),
    f"{CUT} when it is answered": _meanwhile(
        lambda drill, number: drill.cut(), STORAGE, hook="after"
    ),
}
"""What may go wrong where the state is a firm in PostgreSQL."""
