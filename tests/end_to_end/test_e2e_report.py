"""`report`: whom the firm asked; it asks nobody, and its figures are those of the ledger."""

import csv
import resource
import stat
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import planting
import pytest
from rig import faults
from terminal import on_terminal
from world import World

from clio_broadly_sync.store import locked


@pytest.fixture
def world(fresh: World) -> World:
    """A minute after the first sync, on a day that is the program's as well: which days have come,
    it says by its own clock."""
    fresh.catch_up()
    assert fresh.sync().code == 0
    fresh.later(minutes=1)
    return fresh


def figures(world: World, *options: str, **settings: str | None) -> dict[str, Any]:
    ran = world.run("report", "--json", *options, **settings)
    assert (ran.code, ran.err) == (0, "")
    return ran.json


def since(world: World, days_ago: int = 0) -> tuple[str, str]:
    return "--from", str(world.day(days_ago))


def a_day(world: World) -> None:
    """Let a closing go each way that there is without a fault."""
    world.closing()
    world.closing(opt_out=True)
    world.closing(thank_you=False)
    world.closing(email=None, phone=None)
    world.matter(None)
    world.firm.hide_contact(world.closing().contact)
    world.broadly.rule("rejected", email=None, error={"code": "bad_phone"})
    world.closing(email=None)
    world.sync()


def test_figures_are_those_of_the_ledger(world: World) -> None:
    a_day(world)
    found = figures(world, *since(world))
    states = Counter(row.state for row in world.rows())
    assert found["counts"] == {
        "closed": len(world.rows()),
        "in_scope": len(world.rows()) - 1,
        "could_be_asked": len(world.rows()) - 2,
        "tried": states["sent"] + states["dead"],
        "accepted": states["sent"],
    }
    out = Counter({one["reason"]: one["closings"] for one in found["dropped"] if one["reason"]})
    assert out == Counter(row.reason for row in world.rows() if row.reason)
    listed = figures(world, *since(world), "--list")["closings"]
    assert sorted(
        (one["matter_id"], one["closed_on"], one["state"], one["reason"]) for one in listed
    ) == [tuple(row) for row in world.rows()]


def test_asks_nobody_and_changes_nothing(world: World) -> None:
    """Neither Clio nor Broadly has to be there."""
    a_day(world)
    before = world.files()
    world.forget()
    for options in ([], ["--json"], ["--list"], ["--csv", "-"]):
        assert world.run("report", *options, *since(world)).code == 0
    assert (world.files(), world.paths, world.posts) == (before, [], [])


def test_needs_a_person_where_status_says_so(world: World) -> None:
    """The two count the same."""
    a_day(world)
    world.closings(2)
    world.sync(SYNC_MAX_NEW="1")
    status = world.run("status", "--json").json
    assert figures(world, *since(world))["for_a_person"]["closings"] == status["for_a_person"] == 4


def test_a_backfill_that_was_left(world: World) -> None:
    """It waits for a person, as status has it."""
    world.closing(world.day(9))
    world.broadly.faults.add(faults.answer(401))
    world.backfill(world.day(9), world.day(9), "--yes")
    assert world.run("status", "--json").json["for_a_person"] == 1
    found = figures(world, *since(world, 9))
    assert found["for_a_person"]["closings"] == 1
    assert found["for_a_person"]["listed"][0]["word"] == "left by a backfill"


def test_before_the_first_run(fresh: World) -> None:
    """Nothing is known, which is no zero; and no state is made."""
    found = figures(fresh)
    assert (found["counts"], found["known"], found["known_until"]) == (None, None, None)
    ran = fresh.run("report")
    assert ran.code == 0
    assert "nothing is known of these days" in ran.out
    assert "No run yet" in ran.out
    assert not fresh.state.exists()


def test_after_the_last_run(world: World) -> None:
    """Those days are not known; that the program is silent is said."""
    world.closing()
    world.sync()
    world.later(days=3)
    found = figures(world, *since(world, 3))
    assert found["known"] == {"from": str(world.day(3)), "to": str(world.day(3))}
    assert found["counts"]["closed"] == 1
    assert found["weeks"][-1]["closed"] is None
    assert found["silent_since"] is not None
    assert [one["state"] for one in found["days"]] == ["ran", "silent", "silent", "silent"]
    printed = world.run("report", *since(world, 3)).out
    assert "Known up to" in printed
    assert "no run at all" in printed


def test_a_failure_is_told_in_its_own_words(world: World) -> None:
    world.firm.fields.rename("BroadlyOptOut", "gone")
    world.closing()
    said = world.sync().err.removeprefix("clio-broadly-sync: ").strip()
    found = figures(world, *since(world))
    assert found["last_failure"] == said
    assert [one["why"] for one in found["days"][0]["failures"]] == [said]
    assert said in world.run("report", *since(world)).out


def test_beside_a_run_at_work(world: World) -> None:
    """What is on its way counts as tried, and the run as one that has not failed."""
    world.closings(2)
    seen: list[dict[str, Any]] = []

    def look(*_: object) -> None:
        world.broadly.before = None
        seen.append(figures(world, *since(world)))

    world.broadly.before = look
    assert world.sync().code == 0
    (found,) = seen
    assert (found["counts"]["tried"], found["counts"]["accepted"]) == (2, 0)
    assert [one["state"] for one in found["dropped"]] == ["sending"]
    assert found["days"][0]["state"] == "ran"
    assert (found["last_failure"], found["for_a_person"]["closings"]) == (None, 0)


def test_while_a_person_signs_in(world: World) -> None:
    with locked(world.state, "login"):
        assert figures(world, *since(world))["counts"]["closed"] == 0


def test_days_to_come_are_left_out(world: World) -> None:
    later = str(world.day() + timedelta(days=40))
    found = figures(world, *since(world), "--to", later)
    assert found["period"] == {"from": str(world.day()), "to": str(world.day())}
    tomorrow = str(world.day() + timedelta(days=1))
    assert figures(world, "--from", tomorrow)["period"] == found["period"]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--from", "2026-02-30"], "is no day of the calendar"),
        (["--from", "2026-10-02", "--to", "2026-10-01"], "swap the two dates"),
        (["--to", "2026-10-01"], "--to wants --from"),
        (["--from", "9999-12-31"], "lies in the future"),
        (["--from", "0001-01-01"], "more than ten years ago"),
        (["--list", "--csv", "list.csv"], "leave one of them out"),
        (["--json", "--csv", "-"], "both want standard output"),
        (["--json", "--html", "-"], "both want standard output"),
        (["--list", "--html", "page.html"], "ask for one"),
        (["--csv", "-", "--html", "page.html"], "ask for one"),
        (["--person", "1", "--html", "page.html"], "and no page"),
    ],
)
def test_wrong_usage(world: World, options: list[str], why: str) -> None:
    ran = world.run("report", *options)
    assert (ran.code, ran.out) == (2, "")
    assert why in " ".join(ran.err.split())


# The file.


def read(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return [*csv.DictReader(lines)]


def test_file(world: World) -> None:
    """One line for each closing, private; the world looks for names in it, as in all files."""
    a_day(world)
    ran = world.run("report", *since(world), "--csv", "list.csv")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    file = world.folder / "list.csv"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"\r\n" in file.read_bytes()
    found = [(int(row["Matter ID"]), row["State"], row["Reason"] or None) for row in read(file)]
    assert sorted(found) == [(row.matter, row.state, row.reason) for row in world.rows()]
    first = next(row for row in read(file) if row["State"] == "sent")
    assert first["Sent On"] == first["Closed On"] == str(world.day())
    assert (first["Channels"], first["Last Step"]) == ("email,phone", "accepted")
    printed = world.run("report", *since(world), "--csv", "-").out
    assert printed.splitlines() == file.read_text(encoding="utf-8").splitlines()


def test_no_file_is_overwritten(world: World) -> None:
    file = world.folder / "list.csv"
    file.write_text("mine")
    ran = world.run("report", "--csv", "list.csv")
    assert (ran.code, ran.out) == (74, "")
    assert "no file is overwritten" in ran.err
    assert file.read_text() == "mine"


def test_file_beside_json(world: World) -> None:
    """The object is printed all the same."""
    a_day(world)
    found = figures(world, *since(world), "--csv", "list.csv")
    assert found["counts"]["closed"] == len(read(world.folder / "list.csv"))


def test_no_file_lies_with_the_state(world: World) -> None:
    """That folder is the program's own; JSON says so as well."""
    ran = world.run("report", "--csv", "state/list.csv", "--json")
    assert (ran.code, ran.json["outcome"]) == (74, "storage")
    assert "name a file in another folder" in ran.err


# The page.


def test_page(world: World) -> None:
    """Private and new; its figures are those of JSON, and the world looks for names in it."""
    a_day(world)
    ran = world.run("report", *since(world), "--html", "page.html", "--csv", "list.csv")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    file = world.folder / "page.html"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text(encoding="utf-8")
    found = figures(world, *since(world))
    assert f"{found['counts']['closed']} matters were closed" in text
    for waiting in found["for_a_person"]["listed"]:
        assert f"/matters/{waiting['matter_id']}" in text
    assert len(read(world.folder / "list.csv")) == found["counts"]["closed"]
    again = world.run("report", "--html", "page.html")
    assert (again.code, file.read_text(encoding="utf-8")) == (74, text)


def test_page_on_standard_output(world: World) -> None:
    """It is whole."""
    ran = world.run("report", "--html", "-")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("<!doctype html>")
    assert ran.out.rstrip().endswith("</html>")


def test_page_before_the_first_run(fresh: World) -> None:
    """It says that nothing is known."""
    assert fresh.run("report", "--html", "page.html").code == 0
    assert not fresh.state.exists()


# On a terminal.


def test_on_a_terminal(world: World) -> None:
    """Nothing is wider than it, and no column is cut without a word."""
    a_day(world)
    for options in ([], ["--list"], ["--html", "page.html", "--csv", "list.csv"]):
        ran = on_terminal(world, "report", *since(world), *options)
        assert ran.code == 0
        assert max(map(len, ran.out.splitlines())) <= 80
    assert ran.out.splitlines() == [
        "page.html: the report; open it in a browser.", "list.csv: 7 closed matters."
    ]  # fmt: skip
    assert "No room for: " in on_terminal(world, "report", "--list", *since(world)).out
    nobody = world.run("report", "--list", *since(world), CLIO_TIME_ZONE="Pacific/Kiritimati").out
    assert nobody.startswith(("No closed matter is known", "matter"))


def test_usual_period(world: World) -> None:
    """In the month of the first run, the time since then; else last month."""
    assert figures(world)["period"] == {"from": str(world.day()), "to": str(world.day())}
    world.later(days=40)
    last = world.day().replace(day=1) - timedelta(days=1)
    assert figures(world)["period"] == {"from": str(last.replace(day=1)), "to": str(last)}


# A large firm.


def test_time_grows_no_faster_than_the_closings(world: World) -> None:
    """Ten times as many take some six times the CPU, because the program has to begin as well.

    How fast the machine is makes no difference, and how busy it is hardly any.
    """
    _report_on(world, 1, 100)  # the first to begin takes longer
    few = _report_on(world, 101, 10_000)
    assert _report_on(world, 10_001, 100_000) < 15 * few


def _report_on(world: World, first: int, last: int) -> float:
    """Let these closings be there as well; return the CPU that a report on all of them takes."""
    now = world.firm.clock.now().astimezone(ZoneInfo(world.firm.account.time_zone))
    with planting.opened(world.state) as database:
        planting.crowd(database, last, now, first)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = world.finish(world.start(["report", "--json", *since(world, 70)], {}))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ran.json["counts"]["closed"] > 0.99 * last
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
