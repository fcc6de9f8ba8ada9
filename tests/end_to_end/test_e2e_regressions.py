"""What once went wrong, each with the smallest story that shows it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from rig import faults
from rig.faults import Delivery, Fault, Turn
from terminal import on_terminal
from world import Ran, World, on_post

from clio_broadly_sync import pipeline
from clio_broadly_sync.cli import app
from clio_broadly_sync.cli.progress import Logged
from clio_broadly_sync.clio.api import Api
from clio_broadly_sync.clio.auth import GivenToken
from clio_broadly_sync.clio.source import Clio
from clio_broadly_sync.domain.errors import ConfigError, UnavailableError
from clio_broadly_sync.domain.model import Command
from clio_broadly_sync.pipeline import pins
from clio_broadly_sync.pipeline.context import RunContext
from clio_broadly_sync.pipeline.report import Report
from clio_broadly_sync.sandbox import Response
from clio_broadly_sync.settings import load_settings
from clio_broadly_sync.sinks.batches import RefusalGuard
from clio_broadly_sync.sinks.broadly import Broadly
from clio_broadly_sync.store import Store
from clio_broadly_sync.transport.client import Transport
from clio_broadly_sync.transport.clock import Clock
from clio_broadly_sync.transport.signals import Stop

MARCH = date(2025, 3, 1), date(2025, 3, 31)
OUT = "BroadlyOptOut"
UNNAMED = "refuse_unnamed"
NO_LIMIT = float("inf")


@contextmanager
def _context(
    world: World, command: Command = Command.SYNC, *, seconds: float = NO_LIMIT, **settings: str
) -> Iterator[RunContext]:
    """A run in this process, wired as the program is, by the firm's clock: a wait takes no time.

    `seconds`: how long it may last.
    """
    given = load_settings(None, world.settings | settings, world.folder)
    clock = world.firm.clock
    clock.freeze()
    began = clock.now().timestamp()

    def monotonic() -> float:
        return clock.now().timestamp()

    def left() -> float:
        return seconds - (monotonic() - began)

    def wait(seconds: float) -> None:
        clock.advance(timedelta(seconds=seconds))

    def transport(peer: str) -> Transport:
        return Transport(peer, patience=left, stop=Stop(), sleep=wait, clock=Clock(monotonic, ()))

    clio, broadly = transport("Clio"), transport("Broadly")
    api = Api(
        clio,
        GivenToken(given.clio_access_token),
        given.clio_base_url,
        wall_clock=clock.now,
    )
    source = Clio(api, region=given.clio_region)
    receiver = Broadly(
        broadly, given.broadly_url, given.broadly_headers(), dedupes=given.broadly_dedupes
    )
    with Store.open(world.state) as store:
        context = RunContext(
            source=source,
            sink=RefusalGuard(receiver),
            store=store,
            policy=app.policy(given, command, store),
            definitions=pins.Fields(source, app.wanted(given)),
            token=lambda: world.clio.token,
            given_zone=None,
            overlap=timedelta(minutes=given.sync_overlap_minutes),
            batch_size=given.broadly_batch_size,
            limit=None,
            close_dates=MARCH,
            seconds_left=left,
            wait=wait,
            our_clock=clock.now,
            progress=Logged(),
            report=Report(),
        )
        store.begin_run(command, "in this process", clock.now())
        try:
            yield context
        finally:
            clio.close()
            broadly.close()


def _rates(world: World, *, resets_in: float) -> Fault:
    """Say that the rate limit is used up for so many seconds."""

    def edit(response: Response) -> Response:
        reset = int(world.firm.clock.now().timestamp() + resets_in)
        limits = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset)}
        return Response(response.status, response.body, {**response.headers, **limits})

    return faults.change(edit, "rates")


def _states(world: World) -> list[tuple[str, str | None]]:
    return [(row.state, row.reason) for row in world.rows()]


# Signals


@pytest.mark.parametrize("refused", [False, True])
def test_signal_during_the_very_last_post(world: World, refused: bool) -> None:
    """143, though nothing more was to be done; a refused key is told all the same."""
    world.closing()
    if refused:
        world.broadly.faults.add(faults.answer(401))
    pids: Queue[int] = Queue()
    world.broadly.before = on_post(lambda: os.kill(pids.get(timeout=10), signal.SIGTERM))
    child = world.start(["sync", "--json"], {})
    pids.put(child.pid)
    ran = world.finish(child)
    assert (ran.code, ran.delivery) == (143, {"waiting": 1} if refused else {"sent": 1})
    assert [row.state for row in world.rows()] == ["pending" if refused else "sent"]
    assert ("Broadly refuses the sign-in or key (401)" in ran.err) is refused


# The walk through Clio


def test_pull_outlives_the_run_where_clio_sets_the_pace(world: World) -> None:
    """The rate limit's waits last longer than the run may: read to the end, nobody handed over."""
    client = world.firm.add_contact()
    for _ in range(410):
        world.matter(client)
    world.clio.faults.add(_rates(world, resets_in=1), when=faults.on("/matters"), times=None)
    ran = world.sync("--json", SYNC_RUN_MINUTES="0.02", SYNC_MAX_NEW="1000")
    assert (ran.code, ran.delivery, world.posts) == (0, {"waiting": 410}, [])
    assert ran.json["matters_read"] == 410
    assert ran.json["watermark"]["from"] < ran.json["watermark"]["to"]


def test_renamed_field_keeps_the_watermark_where_only_old_closings_wait(world: World) -> None:
    """Nothing new closed, yet 78 comes before the watermark moves; mended, all are handed over."""
    matters = world.closings(2)
    world.busy()
    assert world.sync().code == 69
    world.later(minutes=15)
    world.firm.fields.rename(OUT, "Opt out")
    ran = world.sync("--json")
    assert (ran.code, ran.delivery) == (78, {"waiting": 2})
    assert ran.json["watermark"]["from"] == ran.json["watermark"]["to"]
    world.firm.fields.rename("Opt out", OUT)
    assert world.sync("--json").delivery == {"sent": 2}
    assert world.asked == matters


def test_clock_of_clio_is_ahead_in_the_first_run(
    fresh: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What closed before it stays the past: where it all begins is told by Clio's clock."""
    monkeypatch.setattr("world.SHIFTED", fresh.folder)  # the program keeps this machine's time
    fresh.firm.clock.set(datetime.now(UTC) + timedelta(hours=20))
    fresh.closing()
    fresh.later(minutes=1)
    assert "nobody" in fresh.sync().out
    fresh.later(minutes=5)
    matter = fresh.closing().matter
    ran = fresh.sync("--json", "-v")
    assert (ran.code, ran.decisions) == (0, {matter: ("send", None)})
    assert list(fresh.ledger()) == fresh.asked == [matter]


@pytest.mark.parametrize("name", ["\ud800", "Mars"])
def test_zone_that_is_no_name_of_one(fresh: World, name: str) -> None:
    """A warning that names the setting, and the run goes on by this machine's zone."""

    def edit(body: Any) -> Any:
        return {"data": body["data"] | {"time_zone": name}}

    fresh.settings["TZ"] = "UTC"
    fresh.clio.faults.add(faults.change_json(edit), when=faults.on("who_am_i"))
    first = fresh.sync("--json")
    assert (first.code, "CLIO_TIME_ZONE" in first.err) == (0, True)
    fresh.later(minutes=1)
    matter = fresh.closing().matter
    assert fresh.sync().code == 0
    assert fresh.asked == [matter]


@pytest.mark.parametrize("name", ["Pacific Time (US & Canada)", "America/Los_Angeles", None])
def test_first_evening_counts(fresh: World, name: str | None) -> None:
    """It is tomorrow already for Clio's clock and this machine, and today where the firm is; what
    it closes now is in scope, whatever Clio calls the zone, and even where it calls it nothing."""
    fresh.settings["TZ"] = "UTC"
    fresh.firm.clock.freeze(datetime(2099, 11, 21, 3, 10, tzinfo=UTC))
    fresh.later()
    fresh.clio.faults.add(
        faults.change_json(lambda body: {"data": body["data"] | {"time_zone": name}}),
        when=faults.on("who_am_i"),
    )
    assert fresh.sync().code == 0
    fresh.later(minutes=5)
    matter = fresh.closing(on=date(2099, 11, 20)).matter
    assert fresh.sync().code == 0
    assert fresh.asked == [matter]


# What Broadly refuses


def test_refusal_kept_back_keeps_the_client_s_other_closings_back(world: World) -> None:
    """It is settled at the end of the push: until then it may be the contract."""
    client = world.firm.add_contact()
    matters = [world.matter(client) for _ in range(4)]
    world.broadly.rule(UNNAMED)
    ran = world.sync("--json")
    assert (ran.code, ran.delivery) == (65, {"rejected": 1, "waiting": 3})
    assert world.posts == [matters[:1]]
    assert [row.state for row in world.rows()] == ["dead"] + ["pending"] * 3


def test_refusals_before_a_wait_count_after_it(world: World) -> None:
    """Two refused, five times busy, one more refused: the contract; nobody is dead."""
    matters = [world.closing(on=date(2025, 3, 10 + n)).matter for n in range(5)]
    world.broadly.rule(UNNAMED)
    busy = faults.answer(429, headers={"Retry-After": "1"})
    world.broadly.faults.add(busy, skip=2, times=5)
    with (
        _context(world, Command.BACKFILL, BROADLY_BATCH_SIZE="1") as context,
        pytest.raises(ConfigError, match="every client"),
    ):
        pipeline.backfill(context, lambda closings: True)
    one, two, three = ([matter] for matter in matters[:3])
    assert world.posts == [one, two, *[three] * 6]
    assert {state for state, _ in _states(world)} == {"pending"}


def test_first_try_still_runs_and_then_the_key_is_refused(world: World) -> None:
    """409, then 401: what became of the first try is unknown, so it is held; and 77."""
    matters = world.closings(2)
    world.broadly.faults.add(faults.answer(409))
    world.broadly.faults.add(faults.answer(401))
    ran = world.sync("--json", BROADLY_BATCH_SIZE="1")
    assert (ran.code, ran.delivery) == (77, {"held": 1, "waiting": 1})
    assert world.posts == [matters[:1]] * 2
    assert [row.state for row in world.rows()] == ["held", "pending"]


def test_halved_to_singles_where_each_connection_is_closed_in_silence(world: World) -> None:
    """No POST meets a connection that the other side is about to close: nobody is held."""

    def play(turn: Turn) -> Delivery:
        response = turn.process(turn.request)
        return Delivery(response, [response.body], len(response.body), pause=0.02, cut=True)

    matters = world.closings(40)
    world.broadly.batch_limit = 1
    world.broadly.faults.add(Fault("close late", play), times=None)
    ran = world.sync("--json")
    assert (ran.code, ran.delivery) == (0, {"sent": 40})
    assert world.asked == matters


# What is marked


def _marked(world: World) -> list[int]:
    """Leave two marked closings that wait."""
    world.dedupes()
    matters = world.closings(2)
    world.broadly.faults.add(faults.answer(500, process=True))
    world.busy()
    assert world.sync().code == 69
    assert _states(world) == [("pending", "unknown_outcome")] * 2
    return matters


def test_marked_ones_are_sent_in_the_run_that_approves_them(world: World) -> None:
    """`--yes` writes on them, and does not put them off thereby."""
    matters = _marked(world)
    ran = world.sync("--json", "--yes", SYNC_MAX_NEW="0")
    assert (ran.code, ran.delivery) == (0, {"sent": 2, "duplicate": 2})
    assert world.posts == [matters] * 3


def test_marked_ones_in_a_surge_want_a_person_at_once(world: World) -> None:
    """65 in the first run already, and in each one after it."""
    _marked(world)
    world.forget()
    for _ in range(2):
        ran = world.sync("--json", SYNC_MAX_NEW="0")
        assert (ran.code, ran.delivery) == (65, {"waiting": 2})
    assert world.posts == []
    assert _states(world) == [("pending", "unknown_outcome")] * 2


def test_runs_of_retry_do_not_count_towards_an_unknown_outcome(world: World) -> None:
    """Nine times `retry`, then no result: the first of ten such runs, of which the last holds."""
    world.dedupes()
    world.closing()
    world.broadly.rule("retry", times=9)
    world.broadly.rule("perhaps")
    unknown = [("pending", "unknown_outcome")] * 9 + [("held", "unknown_outcome")]
    for expected in [("pending", "retry")] * 9 + unknown:
        with _context(world) as context, suppress(UnavailableError):
            pipeline.sync(context, approve=False)
        assert _states(world) == [expected]


# What waits


def test_surge_that_waits_keeps_later_ones_back(world: World) -> None:
    """A day later the two that went no longer count; the one that waits for a yes still does."""
    first = world.closings(2)
    assert world.sync("--json", SYNC_MAX_NEW="2").delivery == {"sent": 2}
    world.closing()
    assert world.sync("--json", SYNC_MAX_NEW="2").code == 65
    world.later(hours=26)
    world.closing()
    ran = world.sync("--json", "-v", SYNC_MAX_NEW="2")
    assert (ran.code, ran.delivery) == (65, {"waiting": 2})
    assert set(ran.decisions.values()) == {("wait", "surge")}
    assert world.asked == first


def test_fault_does_not_wait_anew_where_its_contact_could_not_be_read(world: World) -> None:
    """Its matter was read again, its contact was not: the next run looks, not the next day's."""
    closing = world.closing()
    world.firm.hide_contact(closing.contact)
    assert world.sync().code == 65
    world.firm.show_contact(closing.contact)
    world.later(hours=20, minutes=5)
    away = faults.answer(503, headers={"Retry-After": "7200"})
    world.clio.faults.add(away, when=faults.on("/contacts"))
    ran = world.sync("--json")
    assert (ran.code, ran.delivery) == (69, {"waiting": 1})
    world.later(minutes=15)
    assert world.sync("--json").delivery == {"sent": 1}
    assert world.asked == [closing.matter]


def test_rate_limit_of_broadly_beyond_the_run(world: World) -> None:
    """25 minutes to wait: 69 at once, and what was claimed waits."""
    matters = world.closings(2)
    world.broadly.faults.add(_rates(world, resets_in=1500))
    ran = world.sync("--json", "-v", BROADLY_BATCH_SIZE="1")
    assert (ran.code, ran.delivery) == (69, {"sent": 1, "waiting": 1})
    assert ran.decisions == {matters[0]: ("send", None), matters[1]: ("wait", "unavailable")}
    assert world.posts == [matters[:1]]


def test_rate_limit_of_broadly_within_a_long_run(world: World) -> None:
    """25 minutes are waited for, and then nothing is posted as it was read before them."""
    first, out, last = (world.closing() for _ in range(3))
    world.broadly.faults.add(_rates(world, resets_in=1500))
    world.broadly.after = on_post(lambda: world.firm.set_opt_out(out.contact))
    with _context(world, seconds=3600, BROADLY_BATCH_SIZE="1") as context:
        pipeline.sync(context, approve=False)
    assert world.posts == [[first.matter], [last.matter]]
    assert world.ledger()[out.matter].reason == "opted_out"
    one, other = world.broadly.posts
    assert other.at - one.at >= timedelta(minutes=25)
    reads = [e for e in world.clio.history if e.path.endswith(("matters.json", "contacts.json"))]
    for read in reads[-2:]:
        assert timedelta(0) <= other.at - read.at < timedelta(minutes=15)


def test_backfill_comes_back_to_an_unreadable_close_date(world: World) -> None:
    """In the ledger, counted as waiting, and handed over by the backfill that can read it."""
    matter = world.closing(on=MARCH[0]).matter
    world.firm.set_raw("matter", matter, close_date="03/01/2025")
    for code in (65, 0):
        ran = world.backfill(*MARCH, "--yes", "--json")
        assert (ran.code, ran.delivery) == (code, {"waiting": 1})
        assert _states(world) == [("pending", "unreadable_field")]
    world.firm.set_raw("matter", matter)
    assert world.backfill(*MARCH, "--yes", "--json").delivery == {"sent": 1}
    assert world.asked == [matter]


# Streams, and the state


def _with_closed(world: World, stream: str, *arguments: str) -> Ran:
    """Run with a stream (`<` or `>`) that the caller has closed."""
    script = f'exec "$0" -m clio_broadly_sync "$@" {stream}&-'
    child = subprocess.Popen(
        ["sh", "-c", script, sys.executable, *arguments],
        env=world._environment({}),
        cwd=world.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return world.finish(child)


def _backfill_of_march() -> list[str]:
    return ["backfill", "--from", str(MARCH[0]), "--to", str(MARCH[1])]


def test_closed_stdin_is_no_terminal(world: World) -> None:
    """A backfill that cannot ask wants `--yes`, and with it goes on."""
    matter = world.closing(on=MARCH[0]).matter
    ran = _with_closed(world, "<", *_backfill_of_march())
    assert (ran.code, "--yes" in ran.err, world.posts) == (2, True, [])
    assert _with_closed(world, "<", *_backfill_of_march(), "--yes").code == 0
    assert world.asked == [matter]


def test_closed_stdout_is_no_failure(fresh: World) -> None:
    """What would be printed is lost and nothing else, also in the first run, which always talks."""
    assert _with_closed(fresh, ">", "sync").code == 0
    fresh.later(minutes=1)
    matter = fresh.closing().matter
    assert _with_closed(fresh, ">", "sync").code == 0
    assert fresh.asked == [matter]


def test_end_of_input_at_the_question_is_a_no(world: World) -> None:
    """Ctrl-D declines: 0, and the closings wait for the same command."""
    matter = world.closing(on=MARCH[0]).matter
    ran = on_terminal(world, *_backfill_of_march(), answers={"?": "\x04"})
    assert ran.code == 0
    assert world.posts == []
    assert world.backfill(*MARCH, "--yes", "--json").delivery == {"sent": 1}
    assert world.asked == [matter]


def test_draft_of_a_state_that_was_never_finished(fresh: World) -> None:
    """Killed while it was made for the first time: the next run makes it anew."""
    fresh.state.parent.mkdir(mode=0o700)
    for end in ("", "-wal", "-shm"):
        draft = Path(f"{fresh.state}.new{end}")
        draft.touch(mode=0o600)
        draft.write_bytes(b"half a state" * 500)
    ran = fresh.sync()
    assert (ran.code, ran.err) == (0, "")
    assert "nobody" in ran.out
    assert not [name for name in fresh.files() if ".new" in name]


def test_approval_is_not_given_where_a_field_is_not_in_order(world: World) -> None:
    """78: nothing is recorded, so the surge waits for `--yes` again once the field is mended."""
    few = {"SYNC_MAX_NEW": "1"}
    for _ in range(2):
        world.closing()
    before = world.sync("--json", **few).json["watermark"]["to"]
    world.firm.fields.rename("BroadlyOptOut", "Broadly Opt Out")
    refused = world.sync("--yes", "--json", **few)
    assert (refused.code, refused.json["watermark"]) == (78, {"from": before, "to": before})
    world.firm.fields.rename("Broadly Opt Out", "BroadlyOptOut")
    assert (world.sync(**few).code, world.asked) == (65, [])
    assert (world.sync("--yes", **few).code, len(world.asked)) == (0, 2)


def test_clients_that_become_visible_are_no_way_round_the_surge(world: World) -> None:
    """As many go as `SYNC_MAX_NEW` leaves room for; the others wait for a person."""
    closings = [world.closing() for _ in range(4)]
    for closing in closings:
        world.firm.hide_contact(closing.contact)
    assert world.sync().code == 65
    for closing in closings:
        world.firm.show_contact(closing.contact)
    world.later(hours=21)
    ran = world.sync("--json", "-v", SYNC_MAX_NEW="3")
    assert (ran.code, len(world.asked)) == (65, 3)
    assert ran.decisions[closings[3].matter] == ("wait", "surge")
    assert world.sync("--yes", SYNC_MAX_NEW="3").code == 0
    assert len(world.asked) == 4


def test_results_that_fit_nobody_are_said(world: World) -> None:
    """With `BROADLY_DEDUPES=true` they are tried again by a later run: 69, never a silent 0."""
    world.closing()
    world.broadly.faults.add(faults.answer(200, '{"results": []}'), times=2)
    ran = world.sync("--json", BROADLY_DEDUPES="true")
    assert (ran.code, ran.delivery) == (69, {"waiting": 1})
    assert "no result" in ran.err
    assert world.sync("--json", BROADLY_DEDUPES="true").delivery["sent"] == 1


def test_edit_of_a_hidden_clients_matter_is_nothing_new(world: World) -> None:
    """65 when new; the contact is looked at when its 20 hours are over."""
    hidden = world.closing()
    world.firm.hide_contact(hidden.contact)
    assert world.sync().code == 65
    world.later(minutes=15)
    world.firm.edit(hidden.matter)
    ran = world.sync("--json")
    assert (ran.code, ran.delivery, ran.json["requests"]["clio"]) == (0, {"waiting": 1}, 2)
    world.firm.show_contact(hidden.contact)
    world.later(hours=20)
    assert world.sync("--json").delivery["sent"] == 1
