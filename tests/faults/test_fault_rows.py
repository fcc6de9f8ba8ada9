"""The faults that the plan numbers, a test for each row: what is done, how often, and what holds.

Those from 26 on are not here: they are about a second kind of store, a long soak and figures of
the code. After each run the checker judges.
"""

import os
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import books
import pytest
import signing
from drill import DONE, Drill, MakeDrill, told
from histories import play
from rig import at_request, faults
from surroundings import BUSY_SECONDS

from clio_broadly_sync.sandbox import Request
from clio_broadly_sync.transport.rate_limit import RateLimit

UNAVAILABLE, STORAGE, BUSY, DENIED, CONFIG = 69, 74, 75, 77, 78
TOKEN = "/oauth/token"
VERSION_1 = Path(__file__).parents[1] / "contract" / "state_version_1.sql"
FOR_EVER = None


@pytest.fixture
def drill(make_drill: MakeDrill) -> Iterator[Drill]:
    """A firm a minute after its first sync, and a program that waits for nothing."""
    with make_drill() as drill:
        drill.limits["NO_WAITS"] = "yes"
        yield drill


def chance(seed_of: int) -> Random:
    return Random(seed_of)  # noqa: S311  (trials, no secret)


def _watermark(drill: Drill) -> str:
    with closing(sqlite3.connect(drill.state)) as database:
        query = "SELECT value FROM facts WHERE name = 'watermark'"
        (found,) = database.execute(query).fetchone()
    return str(found)


def _states(drill: Drill) -> dict[int, str]:
    return {row.matter: row.state for row in drill.rows()}


# Killed and stopped


@pytest.mark.parametrize("dedupes", [True, False])
def test_row_01_killed_at_every_point(make_drill: MakeDrill, dedupes: bool) -> None:
    """Every point of four kinds of run: `test_crash_points`. Here those of a run with nothing to
    do, and around one POST."""
    for number in range(1, 100):
        with make_drill(dedupes=dedupes) as drill, told(f"killed at {number}"):
            if not drill.kill(number, "sync"):
                break
            drill.closings(1)
            drill.rest("sync")
            assert len(drill.asked) == 1
    for point in ("unsent", "unread", "answered"):
        with make_drill(dedupes=dedupes) as drill, told(point):
            drill.closings(1)
            assert drill.kill(f"POST /v1/customers/batch: {point}", "sync")
            drill.rest("sync")


def test_row_02_killed_again_while_recovering(make_drill: MakeDrill) -> None:
    """A sample of all pairs: `test_crash_points`. Here each point of the recovery of one kill."""
    for number in range(1, 100):
        with make_drill(dedupes=True) as drill, told(f"killed at {number}"):
            matters = drill.closings(2)
            assert drill.kill("POST /v1/customers/batch: unread", "sync")
            killed = drill.kill(number, "sync")
            drill.rest("sync")
            assert sorted(drill.asked) == matters
        if not killed:
            break


@pytest.mark.parametrize("dedupes", [True, False])
def test_row_03_killed_at_any_moment(make_drill: MakeDrill, dedupes: bool) -> None:
    """25 times each, at a moment that chance names."""
    moments = chance(3)
    with make_drill(dedupes=dedupes) as drill:
        for _ in range(25):
            drill.closings(2)
            with drill.start(["sync"], {}) as child:
                if not _has_ended(child, moments.uniform(0, 0.15)):
                    child.kill()
            drill.judge()
            assert drill.sync().code in DONE
        drill.rest("sync")


@pytest.mark.parametrize(
    ("number", "code", "every"), [("SIGTERM", 143, 1), ("SIGINT", 130, 2), ("SIGHUP", -1, 4)]
)
def test_row_04_signalled_at_every_point(drill: Drill, number: str, code: int, every: int) -> None:
    """What was under way is finished first and said, and the lock is gone. A hang-up is no order
    to stop: it is as good, or as bad, as a kill."""
    drill.dedupes()
    drill.limits["KILL_BY"] = number
    for point in range(1, 100, every):
        drill.closings(2)
        drill.kill_at = point
        ran = drill.sync()
        drill.kill_at = ""
        assert ran.code in (code, *DONE), f"at {point}: {ran.code}, {ran.err}"
        if ran.code in DONE:
            break
        assert drill.sync().code in DONE, "the next run finds it locked"
    assert point > 20
    drill.rest("sync")


# What comes over the wire


LOST = {
    "closed": faults.lose_answer(),
    "reset": faults.lose_answer(reset=True),
    "502": faults.answer(502, process=True),
    "cut": faults.cut_body(),
}


@pytest.mark.parametrize("dedupes", [True, False])
def test_row_05_answer_lost(make_drill: MakeDrill, dedupes: bool) -> None:
    """Four ways, in batches of 1, 2 and 50. The fifth, an answer that comes too late, is a mishap
    of the histories."""
    for way, fault in LOST.items():
        for size in (1, 2, 50):
            with make_drill(dedupes=dedupes) as drill, told(f"{way}, batches of {size}"):
                drill.limits["NO_WAITS"] = "yes"
                drill.settings["BROADLY_BATCH_SIZE"] = str(size)
                matters = drill.closings(4)
                drill.broadly.faults.add(fault)
                drill.sync()
                held = [m for m, state in _states(drill).items() if state == "held"]
                assert len(held) == (0 if dedupes else min(size, 4))
                drill.later(minutes=61)
                drill.rest("sync")
                assert sorted(drill.asked) == matters


@pytest.mark.parametrize("trial", range(5))
def test_row_06_input_that_comes_twice(drill: Drill, trial: int) -> None:
    """A matter twice on a page, on two pages, and again in each of the next runs."""

    def twice(page: Any) -> Any:
        rows = (page["data"] * 2)[: 200 - trial]
        return page | {"data": chance(trial).sample(rows, len(rows))}

    drill.clio.cap_pages("matter", 2 + trial)
    matters = drill.closings(6)
    lists = faults.on("/matters.json")
    drill.clio.faults.add(faults.change_json(twice), when=lists, times=FOR_EVER)
    for _ in range(4):
        assert drill.sync().code == 0
    assert sorted(drill.asked) == matters


RETRY_AFTER: list[dict[str, str]] = [{}, {"Retry-After": "1", "retry-after": "120"}] + [
    {"Retry-After": value}
    for value in (
        "0", "1", "120", "99999", "Wed, 21 Oct 2015 07:28:00 GMT",
        "Fri, 31 Dec 2100 23:59:59 GMT", "-5", "1.5", "soon",
    )
]  # fmt: skip


@pytest.mark.parametrize("server", ["clio", "broadly"])
def test_row_07_too_many_requests(drill: Drill, server: str) -> None:
    """11 kinds of `Retry-After`, once, five times, for ever. A run that cannot go on ends with 69
    in its time, and the next one completes."""
    peer = getattr(drill, server)
    for headers in RETRY_AFTER:
        for times in (1, 5, FOR_EVER):
            drill.later(hours=2)
            (matter,) = drill.closings(1)
            before = _watermark(drill)
            peer.faults.add(faults.answer(429, headers=headers), times=times)
            with told(f"{headers}, {times} times"):
                ran = drill.sync("--json")
                assert ran.code in ((0, UNAVAILABLE) if times else (UNAVAILABLE,))
                assert ran.json["seconds"] < 11 * 60
                if ran.code and server == "clio":
                    assert _watermark(drill) == before
                peer.faults.clear()
                drill.later(minutes=1)
                assert drill.sync().code == 0
                assert drill.asked[-1] == matter


def test_row_08_rate_limit_is_never_run_into() -> None:
    """10,000 matters at 50 requests a minute: `test_long_backfill_never_meets_a_429`, by a clock
    of its own. Here the pace alone, for 300 requests."""
    now, left, window = [0.0], 50, 0
    limit = RateLimit(lambda: now[0])
    for _ in range(300):
        now[0] += limit.seconds() + 0.1
        left, window = (left, window) if now[0] // 60 == window else (50, int(now[0] // 60))
        limit.count_request()
        left -= 1
        assert left >= 0
        date = datetime.fromtimestamp(int(now[0]), UTC)
        reset = str((window + 1) * 60)
        limit.note_answer({"X-RateLimit-Remaining": str(left), "X-RateLimit-Reset": reset}, date)
    assert now[0] < 7 * 60


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_row_09_answer_cut_anywhere(drill: Drill, framing: str) -> None:
    """100 cuts for each way to frame a body, five in a run, which then ends with 69."""
    drill.closings(4)
    before = _watermark(drill)
    for cuts in range(20):
        for cut in range(5):
            keep = (cuts * 5 + cut) / 100
            drill.clio.faults.add(faults.cut_body(keep, framing=framing))
        with told(f"from {cuts * 5} % on"):
            assert drill.sync().code == UNAVAILABLE
        assert _watermark(drill) == before
    drill.rest("sync")
    assert len(drill.asked) == 4


def _nested(depth: int) -> bytes:
    return b'{"data":' + b"[" * depth + b"]" * depth + b"}"


BODIES: dict[str, bytes] = {
    "empty": b"", "a page for people": b"<html><body>Sorry!</body></html>", "null": b"null",
    "an array": b"[]", "a number": b"7", "a word": b'"data"', "true": b"true",
    "not a number": b'{"data": NaN}', "infinite": b'{"data": [{"id": Infinity}]}',
    "no rows": b"{}", "rows that are null": b'{"data": null}', "rows as an object": b'{"data": {}}',
    "a row that is null": b'{"data": [null]}', "a row that is a number": b'{"data": [7]}',
    "two of a key": b'{"data": [], "data": [{"id": 1}]}', "nested": _nested(100_000),
    "open": b'{"data": [', "more behind it": b'{"data": []} {"data": []}',
    "NUL": b'{"data"\x00: []}',
    "half a character": b'{"data": "\xff"}', "UTF-16": '{"data": {}}'.encode("utf-16"),
    "meta that is a list": b'{"data": [], "meta": []}',
    "paging that is a word": b'{"data": [], "meta": {"paging": "next"}}',
    "a next page that is a number": b'{"data": [], "meta": {"paging": {"next": 7}}}',
    "single quotes": b"{'data': []}",
}  # fmt: skip


def test_row_09_answer_that_is_wrong(drill: Drill) -> None:
    """25 bodies with status 200, from either side. Clio's are no answer; after Broadly's nobody
    knows, and nobody is sent again."""
    assert len(BODIES) == 25
    drill.clio.faults.add(faults.headers(Content_Encoding="gzip"), times=5)
    assert drill.sync().code == UNAVAILABLE
    for name, body in BODIES.items():
        with told(name):
            drill.closings(1)
            before = _watermark(drill)
            drill.clio.faults.add(faults.garble(body), times=5)
            assert drill.sync().code == UNAVAILABLE
            assert _watermark(drill) == before
            drill.clio.faults.clear()
            drill.broadly.faults.add(faults.garble(body))
            drill.later(hours=25)  # no pause is longer than a day
            assert drill.sync().code == 65
    drill.rest("sync")
    assert set(_states(drill).values()) == {"held"}
    assert len(drill.asked) == len(BODIES)


# The disk


@pytest.mark.parametrize("share", range(2))
def test_row_10_full_disk(drill: Drill, share: int) -> None:
    """40 sizes that no file may outgrow: all or nothing, 74, and the next run completes. (A file
    system that is full gives SQLite the same error; to mount one takes more than a user may.)"""
    drill.dedupes()
    drill.settings["SYNC_MAX_NEW"] = "1000"
    codes = set()
    for room in range(share, 40, 2):
        drill.later(hours=2)
        drill.forget()
        drill.closings(10)
        size = drill.state.stat().st_size
        drill.limits["FILE_BYTES"] = str(max(8192, size - 40_960 + room * 4096))
        ran = drill.sync()
        codes.add(ran.code)
        assert ran.code in (0, STORAGE), f"{room}: {ran.err}"
        del drill.limits["FILE_BYTES"]
        assert drill.sync().code == 0
    assert codes == {0, STORAGE}
    drill.rest("sync")


def _folder(state: Path) -> None:
    state.unlink()
    state.mkdir()


DISORDER: dict[str, Callable[[Path], object]] = {
    "others may read it": lambda state: state.chmod(0o644),
    "others may write to the folder": lambda state: state.parent.chmod(0o777),
    "it is a folder": _folder,
    "it belongs to another": lambda state: os.chown(state, 65534, -1),
    "it may not be written": lambda state: state.parent.chmod(0o500),
}


@pytest.mark.parametrize("disorder", DISORDER)
def test_row_11_state_that_is_not_in_order(drill: Drill, disorder: str) -> None:
    """74, a line that helps, and nobody is asked anything. Root may write anywhere, and nobody
    else may give a file away. (A link is followed where the settings are read: `test_e2e_state`.)
    """
    root = os.geteuid() == 0
    if (disorder == "it may not be written") == root and disorder[:4] in ("it m", "it b"):
        pytest.skip("of root" if root else "of others than root")
    if disorder == "it belongs to another" and not root:
        pytest.skip("only root may give a file away")
    drill.closings(1)
    drill.forget()
    drill.private = False
    DISORDER[disorder](drill.state)
    ran = drill.finish(drill.start(["sync", "--json"], {}))
    drill.state.parent.chmod(0o700)
    assert (ran.code, ran.err.count("\n")) == (STORAGE, 1)
    assert not drill.clio.history


# Side by side


@pytest.mark.parametrize("runs", [2, 3, 4])
def test_row_12_runs_that_overlap(drill: Drill, runs: int) -> None:
    """Seven times each: one works, the others end with 75 before it does."""
    for _ in range(7):
        (matter,) = drill.closings(1)
        others = threading.Event()
        drill.clio.before = at_request(1, partial(others.wait, 10))
        children = [drill.start(["sync"], {}) for _ in range(runs)]
        while sum(_has_ended(child, 0.02) for child in children) < runs - 1:
            pass
        others.set()
        codes = [drill.finish(child).code for child in children]
        assert sorted(codes) == [0] + [BUSY] * (runs - 1)
        drill.judge()
        assert drill.asked[-1] == matter


def _has_ended(child: Any, seconds: float) -> bool:
    with suppress(subprocess.TimeoutExpired):
        child.wait(seconds)
    return child.returncode is not None


@pytest.mark.parametrize("number", range(1, 5))
def test_row_13_stopped_and_waking_up(drill: Drill, number: int) -> None:
    """A lease and its fencing belong to a store with a server, which this program does not have.
    Its lock is the machine's: who is stopped holds it, and goes on where he was."""
    children: list[Any] = []
    started = threading.Event()

    def stop() -> None:
        assert started.wait(BUSY_SECONDS)
        os.kill(children[0].pid, signal.SIGSTOP)
        assert drill.finish(drill.start(["sync"], {})).code == BUSY
        os.kill(children[0].pid, signal.SIGCONT)

    matters = drill.closings(2)
    drill.clio.before = drill.broadly.before = at_request(number, stop)
    children.append(drill.start(["sync"], {}))
    started.set()
    assert drill.finish(children[0]).code == 0
    drill.rest("sync")
    assert drill.asked == matters


# The sign-in


@pytest.fixture
def signed_in(drill: Drill) -> Drill:
    signing.keep_sign_in(drill)
    return drill


def _is_token(request: Request) -> bool:
    return TOKEN in request.path


WITHDRAWN = faults.answer(401, {"error": "invalid_token"})
RENEWED: dict[str, tuple[faults.Fault | None, int]] = {
    "renewed": (None, 0),
    "refused": (faults.answer(400, {"error": "invalid_grant"}), DENIED),
    "failing": (faults.answer(500), UNAVAILABLE),
    "silent": (faults.drop(), UNAVAILABLE),
}


@pytest.mark.parametrize("answer", RENEWED)
def test_row_14_token_withdrawn_in_a_run(signed_in: Drill, answer: str) -> None:
    """At each of its calls: renewed and tried once more, or a sentence, the watermark unmoved."""
    drill, (fault, code) = signed_in, RENEWED[answer]
    api = faults.on("/api/")
    for number in range(50):
        drill.later(minutes=1)
        (matter,) = drill.closings(1)
        before = _watermark(drill)
        rule = drill.clio.faults.add(WITHDRAWN, when=api, skip=number)
        if fault:
            drill.clio.faults.add(fault, when=_is_token, times=FOR_EVER)
        drill.forget()
        ran = drill.sync()
        drill.clio.faults.clear()
        if not rule.hits:
            break
        assert ran.code == code, f"call {number}: {ran.code}, {ran.err}"
        assert drill.paths.count(TOKEN) == 1 or code == UNAVAILABLE
        assert _watermark(drill) == before or code == 0 or drill.posts or "contacts" in drill.paths
        assert drill.sync().code == 0
        assert drill.asked[-1] == matter
    assert number >= 3


@pytest.mark.parametrize("rotating", [False, True])
def test_row_15_killed_while_renewing(make_drill: MakeDrill, rotating: bool) -> None:
    """At each point from before the POST until the new token was used. Where the server takes the
    old token again, the next run renews; where not, it may say so: never a silent loop. It is lost
    while the answer is unread, read, and not yet committed."""
    codes = []
    for number in range(1, 100):
        with make_drill() as drill, told(f"killed at {number}"):
            signing.keep_sign_in(drill)
            drill.clio.oauth.rotating = rotating
            matter = drill.closing().matter
            drill.clio.oauth.expire()
            if not drill.kill(number, "sync") or drill.paths.count("contacts"):
                break
            ran = drill.sync()
            assert ran.code in ((0, 65, DENIED) if rotating else DONE)
            assert "clio-broadly-sync login" in ran.err or ran.code != DENIED
            assert drill.paths.count(TOKEN) <= 2
            signing.keep_sign_in(drill)
            drill.rest("sync")
            assert drill.asked == [matter]
            codes.append(ran.code)
    assert codes.count(DENIED) == (3 if rotating else 0)


def test_row_16_two_renew_at_once(signed_in: Drill) -> None:
    """Ten times: dry runs take no lock, so both may find the token at its end; one POST."""
    signed_in.clio.oauth.rotating = True
    for _ in range(10):
        signed_in.forget()
        signed_in.clio.oauth.expire()
        children = [signed_in.start(["sync", "--dry-run"], {}) for _ in range(2)]
        assert [signed_in.finish(child).code for child in children] == [0, 0]
        assert signed_in.paths.count(TOKEN) == 1


# Clocks


@pytest.mark.parametrize("seconds", [-26 * 3600, -300, -1, 1, 300, 26 * 3600])
def test_row_17_machine_with_a_wrong_clock(drill: Drill, seconds: int) -> None:
    """Clio's clock is what counts. Not in this program's plan: it warns of nothing before 48
    hours, for no promise depends on it."""
    drill.ahead = timedelta(seconds=seconds)
    matters = []
    for _ in range(3):
        matters += drill.closings(1)
        drill.later(minutes=20)
        assert drill.sync().code == 0
    drill.ahead = timedelta(0)
    matters += drill.closings(1)
    drill.later(minutes=1)
    drill.rest("sync")
    assert drill.asked == matters


@pytest.mark.parametrize("step", [-3600, -60, 0, 60])
def test_row_17_clock_that_steps_or_stands_in_a_run(drill: Drill, step: int) -> None:
    """Clio's, at each request: a run counts on from the first answer. (0: it stands still.)"""
    if not step:
        drill.firm.clock.freeze()
    matters = []
    for number in range(1, 5):
        matters += drill.closings(1)
        move = partial(drill.firm.clock.advance, timedelta(seconds=step))
        drill.clio.before = at_request(number, move)
        assert drill.sync().code == 0
        drill.clio.before = None
        drill.later(hours=2)
        assert drill.sync().code == 0
    drill.rest("sync")
    assert drill.asked == matters


ZONES = [
    "America/New_York", "America/Los_Angeles", "America/Phoenix", "Pacific/Honolulu",
    "America/Toronto", "Europe/London", "Europe/Dublin", "Australia/Sydney",
    "Australia/Lord_Howe", "Australia/Adelaide", "Pacific/Kiritimati", "Pacific/Pago_Pago",
]  # fmt: skip


def _instants(zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """Yield 20 moments: around the next two changes of the clock, around midnight, and on rare
    days. Where the clock never changes, 12."""
    hours = (after + timedelta(hours=n) for n in range(24 * 366))
    changes = [h for h in hours if h.astimezone(zone).dst() != _dst(zone, h - timedelta(hours=1))]
    edges = [timedelta(seconds=s) for s in (-1800, -1, 1, 1800)]
    yield from (change + edge for change in changes[:2] for edge in edges)
    days = [date(2026, 12, 31), date(2027, 12, 31), date(2028, 2, 29)]
    midnights = [datetime(d.year, d.month, d.day, tzinfo=zone).astimezone(UTC) for d in days]
    seconds = [timedelta(seconds=s) for s in (-1, 1, 43_200, 86_399)]
    yield from (midnight + second for midnight in midnights for second in seconds)


def _dst(zone: ZoneInfo, at: datetime) -> timedelta | None:
    return at.astimezone(zone).dst()


@pytest.mark.parametrize("name", ZONES)
def test_row_18_day_is_that_of_the_firms_zone(drill: Drill, name: str) -> None:
    """20 moments in each of 12 zones. A close date in the future is taken as today, so the date
    that Broadly gets is the firm's; and what is kept is UTC."""
    zone = drill.settings["CLIO_TIME_ZONE"] = drill.firm.account.time_zone = name
    now = drill.firm.clock.now().replace(minute=0, second=0, microsecond=0)
    for instant in sorted(_instants(ZoneInfo(zone), now)):
        drill.later(seconds=(instant - drill.firm.clock.now()).total_seconds())
        if instant < now:
            continue
        drill.forget()
        drill.closing(date(2100, 1, 1))
        assert drill.sync("--yes").code == 0
        day = instant.astimezone(ZoneInfo(zone)).date()
        assert drill.broadly.accepted[-1].item["transactionDate"] == str(day), str(instant)
        assert datetime.fromisoformat(_watermark(drill)).utcoffset() == timedelta(0)


# What people do


DATES: dict[str, tuple[Callable[[Drill], int], str | None]] = {
    "today": (lambda d: d.closing().matter, None),
    "back-dated": (lambda d: d.closing(d.day(10)).matter, None),
    "on the start day": (lambda d: d.closing(d.day(20)).matter, None),
    "before the start day": (lambda d: d.closing(d.day(21)).matter, "closed_before_start"),
    "long ago": (lambda d: d.closing(d.day(400)).matter, "closed_before_start"),
    "tomorrow": (lambda d: d.closing(d.day(-1)).matter, None),
    "in a year": (lambda d: d.closing(d.day(-365)).matter, None),
    "without a date": (lambda d: d.closing(None).matter, "no_close_date"),
    "corrected": (lambda d: _then(d, "set_close_date", d.day(2)), None),
    "reopened": (lambda d: _then(d, "reopen"), "nowhere"),
    "reopened and closed again": (lambda d: _then(d, "reopen", then="close"), None),
    "suspended and closed again": (lambda d: _then(d, "suspend", then="close"), None),
}


def _then(drill: Drill, act: str, *values: Any, then: str = "") -> int:
    matter = drill.closing().matter
    getattr(drill.firm, act)(matter, *values)
    if then:
        getattr(drill.firm, then)(matter)
    return matter


@pytest.mark.parametrize("trial", range(5))
def test_row_19_close_dates(drill: Drill, trial: int) -> None:
    """12 cases in an order that chance names, edited or closed anew between runs: each once."""
    drill.later(days=20)
    assert drill.sync().code == 0
    order = chance(trial).sample(sorted(DATES), len(DATES))
    matters = {name: DATES[name][0](drill) for name in order}
    drill.later(minutes=1)
    flips = chance(trial).sample(sorted(matters.values()), 4)
    drill.clio.before = at_request(2, partial(drill.firm.edit, flips[0]))
    assert drill.sync().code == 65
    found = {row.matter: row.reason for row in drill.rows()}
    for name, matter in matters.items():
        assert found.get(matter, "nowhere") == DATES[name][1], name
    for matter in flips:
        drill.firm.reopen(matter)
        drill.firm.close(matter, drill.day(trial))
        drill.later(minutes=1)
        assert drill.sync().code == 0
    drill.firm.set_close_date(matters["without a date"], drill.day())
    drill.later(minutes=1)
    drill.rest("sync")


@pytest.mark.parametrize("trial", range(10))
def test_row_20_pages_that_move(drill: Drill, trial: int) -> None:
    """Five times each: up to 50 rows are edited, closed and reopened between any two pages.
    `test_blindness` shows that paging by offset would be found out."""
    moves = chance(trial)
    drill.clio.cap_pages("matter", 3)
    drill.settings["SYNC_MAX_NEW"] = "1000"
    for _ in range(5):
        drill.closings(6)

        def move(request: Request) -> None:
            for _ in range(moves.choice([0, 2, 10, 50]) if request.first("page_token") else 0):
                matter = moves.choice(drill.firm.matter_ids())
                act = moves.choice([drill.firm.edit, drill.firm.close, drill.firm.reopen])
                act(matter)

        drill.clio.before = move
        assert drill.sync().code in DONE
        drill.clio.before = None
        drill.later(minutes=10)
    drill.rest("sync")
    closed = drill.firm.matter_ids("Closed")
    assert set(closed) <= set(_states(drill))


@pytest.mark.parametrize("trial", range(5))
def test_row_21_rows_that_show_late(drill: Drill, trial: int) -> None:
    """Ten times each: Clio shows a closing up to 300 s after it says that it was."""
    late = chance(trial)
    drill.later(minutes=6)
    drill.settings["SYNC_MAX_NEW"] = "1000"
    for _ in range(10):
        lag = timedelta(seconds=late.uniform(0, 300))
        drill.firm.clock.advance(-lag)
        drill.closings(2)
        drill.firm.clock.advance(lag)
        assert drill.sync().code == 0
        drill.later(seconds=late.uniform(1, 600))
    drill.rest("sync")
    assert sorted(drill.asked) == drill.firm.matter_ids()


FLIPS: dict[str, tuple[str, str, bool]] = {
    "before the list": ("before", "/matters.json", False),
    "after the list": ("sent", "/matters.json", False),
    "before the contact is read": ("before", "/contacts.json", False),
    "after the contact was read": ("sent", "/contacts.json", True),
    "when the POST is on its way": ("before", "/customers/batch", True),
}


@pytest.mark.parametrize("dedupes", [True, False])
@pytest.mark.parametrize("moment", FLIPS)
def test_row_22_opted_out_meanwhile(make_drill: MakeDrill, moment: str, dedupes: bool) -> None:
    """In time, and nobody asks; or seconds too late, and it was read just before. Between
    attempts and between runs it is read anew."""
    hook, path, asked = FLIPS[moment]
    with make_drill(dedupes=dedupes) as drill:
        drill.limits["NO_WAITS"] = "yes"
        first, contact = drill.closing()
        flip = at_request(1, partial(drill.firm.set_opt_out, contact), path)
        setattr(drill.broadly if "batch" in path else drill.clio, hook, flip)
        assert drill.sync().code == 0
        assert drill.asked == [first] * asked
        drill.clio.before = drill.clio.sent = drill.broadly.before = None
        second, contact = drill.closing()
        drill.busy()
        drill.broadly.before = at_request(1, partial(drill.firm.set_opt_out, contact))
        assert drill.sync().code == UNAVAILABLE
        drill.rest("sync")
        assert second not in drill.asked


OUT, IN = "BroadlyOptOut", "SendBroadlyThankYou"
HIDDEN = {
    "hidden": lambda d, contact: d.firm.hide_contact(contact),
    "hidden on its matter too": lambda d, c: d.firm.hide_contact(c, redact_on_matters=True),
    "redacted": lambda d, contact: d.firm.redact_contact(contact),
    "box not readable": lambda d, contact: d.firm.set_opt_out(contact, "maybe"),
}  # fmt: skip
SPOILT = {
    f"{name}, {how}": (name, act)
    for name in (OUT, IN)
    for how, act in {
        "renamed": lambda f, name: f.rename(name, "Something else"),
        "in another case": lambda f, name: f.rename(name, name.lower()),
        "with a space": lambda f, name: f.rename(name, f"{name} "),
        "deleted": lambda f, name: f.delete(name),
        "made twice": lambda f, name: f.duplicate(name),
    }.items()
}


@pytest.mark.parametrize("how", HIDDEN)
def test_row_23_client_who_cannot_be_read(drill: Drill, how: str) -> None:
    """Waits, and is never sent, however often it is tried. (Of one who was deleted nothing is
    left on the matter: it has no client.)"""
    matter, contact = drill.closing()
    HIDDEN[how](drill, contact)
    assert drill.sync().code == 65
    drill.later(hours=21)
    assert drill.sync().code == 0
    assert (drill.asked, _states(drill)) == ([], {matter: "pending"})


@pytest.mark.parametrize("how", SPOILT)
def test_row_23_field_that_is_not_in_order(drill: Drill, how: str) -> None:
    """78, nobody is sent, and the watermark stays."""
    drill.closings(1)
    before = _watermark(drill)
    name, act = SPOILT[how]
    act(drill.firm.fields, name)
    for _ in range(2):
        assert drill.sync().code == CONFIG
    assert (drill.asked, _watermark(drill)) == ([], before)


def test_row_24_histories(make_drill: MakeDrill) -> None:
    """200 of 30 steps: `test_histories`. Here one of 60."""
    assert play(make_drill, 24, histories=1, steps=60)


@pytest.mark.parametrize("empty", [False, True])
def test_row_25_killed_while_upgrading(make_drill: MakeDrill, empty: bool) -> None:
    """The state of version 1, the only earlier one, by the first command that writes; killed at
    each of its points. Whatever waited waits, and what was sent is sent."""
    drop = ["outbox", "drop", "--all" if empty else "3", "--yes"]
    for number in range(1, 50):
        with make_drill(fresh=True) as drill, told(f"killed at {number}"):
            _make_version_1(drill.state, empty=empty)
            drill.kill_at = number
            killed = drill.finish(drill.start(drop, {})).code
            drill.kill_at = ""
            again = drill.finish(drill.start(drop, {})).code
            assert again in (0, 2)  # 2: the first one was killed after it had dropped it
            found = {row.matter: row.state for row in books.read(drill.state).rows}
            assert found == ({} if empty else {1: "sent", 2: "pending", 3: "skipped"})
            assert not books.read(drill.state).problems
        if killed == 0:
            break
    assert number > 4


def _make_version_1(state: Path, *, empty: bool) -> None:
    state.parent.mkdir(mode=0o700)
    state.touch(mode=0o600)
    with closing(sqlite3.connect(state)) as database:
        database.executescript(VERSION_1.read_text(encoding="utf-8"))
        for table in ("people", "changes", "closings") if empty else ():
            database.execute(f"DELETE FROM {table}")  # noqa: S608  (one of three names)
        database.commit()
