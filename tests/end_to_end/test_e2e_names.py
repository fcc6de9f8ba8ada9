"""Names where a person decides: on the terminal at that moment, and nowhere else."""

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rig import faults
from terminal import begun_on_terminal, on_terminal
from world import PACKAGE, World

FEW = {"SYNC_MAX_NEW": "2"}
CROWD = ("Abernathy", "Bellweather", "Cartwright")


@pytest.fixture
def crowded(world: World) -> World:
    """Three clients, which are too many for a day."""
    for name in CROWD:
        world.closing(first_name="Ada", last_name=name)
    return world


def flat(text: str) -> str:
    return " ".join(text.split())


# A surge


def test_surge_is_asked_about_with_names(crowded: World) -> None:
    """After a yes they go in the same run, and nothing waits."""
    ran = on_terminal(crowded, "sync", answers={"3 clients to Broadly now? [y/N]:": "y"}, **FEW)
    assert ran.code == 0
    why = "3 closed matters would go at once; the limit is 2 a day (SYNC_MAX_NEW)."
    assert why in flat(ran.out)
    assert all(f"Ada {name}, 0500{n}-{name}" in ran.out for n, name in enumerate(CROWD, 1))
    assert len(crowded.asked) == 3


def test_a_surge_is_of_matters_and_a_request_for_a_client(world: World) -> None:
    """Three matters are more than two a day, though they are of two clients."""
    world.matter(world.closing().contact)
    world.closing()
    ran = on_terminal(world, "sync", answers={"Send 2 clients to Broadly now? [y/N]:": "n"}, **FEW)
    why = "3 closed matters would go at once; the limit is 2 a day (SYNC_MAX_NEW)."
    assert (ran.code, why in flat(ran.out)) == (65, True)


def test_surge_that_is_declined_waits_as_without_a_terminal(crowded: World) -> None:
    """It is asked once, and the next run says so again."""
    ran = on_terminal(crowded, "sync", answers={"[y/N]:": "n"}, **FEW)
    assert (ran.code, crowded.asked, ran.out.count("[y/N]")) == (65, [], 1)
    assert {row.reason for row in crowded.ledger().values()} == {"surge"}
    off = crowded.sync(**FEW)
    assert (off.code, "clio-broadly-sync sync --yes" in off.out) == (65, True)


def test_no_counts_for_what_the_daily_look_finds_as_well(world: World) -> None:
    """Nobody is asked twice in one run."""
    ticked = world.closing(opt_out=True)
    assert world.sync().code == 0
    world.later(hours=21)
    world.firm.set_opt_out(ticked.contact, False)
    world.closings(3)
    ran = on_terminal(world, "sync", answers={"[y/N]:": "n"}, **FEW)
    assert (ran.code, ran.out.count("[y/N]")) == (65, 1)
    assert world.ledger()[ticked.matter].reason == "surge"


@pytest.mark.parametrize("option", ["--json", "--dry-run", "--yes"])
def test_surge_that_is_not_asked_about(crowded: World, option: str) -> None:
    """By a program, by a dry run, and where the yes was given."""
    ran = on_terminal(crowded, "sync", option, **FEW)
    assert ran.code == (0 if option == "--yes" else 65)
    assert "[y/N]" not in ran.out
    assert not any(name in ran.out for name in CROWD)


def test_many_are_named_in_part(world: World) -> None:
    """Twenty of them, and how many more there are."""
    for number in range(23):
        world.closing(first_name="Ada", last_name=f"Weatherby{'x' * (number + 1)}")
    ran = on_terminal(world, "sync", answers={"23 clients to Broadly now?": "n"}, **FEW)
    assert ran.out.count("Ada Weatherby") == 20
    assert "  and 3 more\r\n" in ran.out


def test_after_a_silence_the_reason_is_another(world: World) -> None:
    world.later(days=4)
    world.closing(first_name="Ada", last_name="Weatherby")
    ran = on_terminal(world, "sync", answers={"1 client to Broadly now?": "y"})
    assert ran.code == 0
    assert "noticed after a silence of more than three days" in flat(ran.out)


SLOW = """
import time
from clio_broadly_sync.cli import output
from clio_broadly_sync.transport.clock import Clock

passed, agreed = [0.0], output.agreed

def slowly(question):
    answer = agreed(question)
    passed[0] += 20 * 60
    return answer

output.agreed = slowly
Clock.__init__.__defaults__ = (lambda: time.monotonic() + passed[0], ())
"""
"""It lets 20 minutes pass, by the program's clock, until a question is answered."""


def test_long_question_is_none_of_the_runs_time(crowded: World, tmp_path: Path) -> None:
    """They go, although it was longer than the run's time; and all is read again before."""
    folder = tmp_path / "slow"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SLOW, encoding="utf-8")
    slow = FEW | {"PYTHONPATH": f"{folder}:{PACKAGE}"}
    with begun_on_terminal(crowded, "sync", **slow) as run:
        run.until("[y/N]:")
        crowded.firm.set_opt_out(1002)
        crowded.forget()
        run.type("y")
        ran = run.end()
    assert (ran.code, crowded.asked) == (0, [5001, 5003])
    assert crowded.paths[:3] == ["custom_fields", "matters", "contacts"]


def test_names_that_cannot_be_had_leave_the_ids(crowded: World) -> None:
    """A client whom Clio hides has none; the question is asked all the same."""
    crowded.firm.hide_contact(1001)
    ran = on_terminal(crowded, "sync", answers={"[y/N]:": "n"}, **FEW)
    assert "  05001-Abernathy: matter 5001" in ran.out


# `--names`


LISTS = (
    ["sync", "--dry-run", "--names"],
    ["sync", "--matter", "5001", "--dry-run", "--names"],
    ["outbox", "list", "--names"],
    ["report", "--list", "--from", "2026-01-01", "--names"],
)


@pytest.mark.parametrize("command", LISTS, ids=" ".join)
def test_names_below_each_line(crowded: World, command: list[str]) -> None:
    """The client's name and the display number."""
    assert crowded.sync(**FEW).code == 65
    ran = on_terminal(crowded, *command, columns=100, **FEW)
    assert "    Ada Abernathy, 05001-Abernathy\r\n" in ran.out
    assert "[y/N]" not in ran.out


@pytest.mark.parametrize("command", LISTS, ids=" ".join)
def test_names_are_for_a_terminal_only(crowded: World, command: list[str]) -> None:
    """2, off a terminal and with --json; and nothing is read."""
    crowded.sync(**FEW)
    crowded.forget()
    ran = crowded.run(*command, **FEW)
    assert (ran.code, ran.out) == (2, "")
    assert "Names are shown on a terminal only" in ran.err
    ran = crowded.run(*command, "--json", **FEW)
    assert (ran.code, "--json holds no names" in ran.err) == (2, True)
    assert crowded.paths == []


def test_names_beside_a_file_on_stdout_are_for_a_terminal_only(world: World) -> None:
    """What a run says goes to stderr then, which may be a file although stdout is a terminal."""
    ours, theirs = pty.openpty()
    command = ["sync", "--dry-run", "--names", "--csv", "-"]
    ran = subprocess.run(
        [sys.executable, "-m", "clio_broadly_sync", *command], env=world._environment({}),
        cwd=world.folder, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(theirs)
    os.close(ours)
    assert (ran.returncode, "Names are shown on a terminal only" in ran.stderr) == (2, True)


def test_names_of_a_run_that_sends_need_no_option(world: World) -> None:
    ran = world.sync("--names")
    assert (ran.code, "--names is for --dry-run" in ran.err) == (2, True)


def test_backfill_shows_names(world: World) -> None:
    """At the question, and in its dry run."""
    day = world.day(100)
    world.closing(day, first_name="Ada", last_name="Weatherby")
    dates = ("--from", str(day), "--to", str(day))
    ran = on_terminal(world, "backfill", *dates, "--dry-run", "--names", columns=100)
    assert "    Ada Weatherby, 05001-Weatherby\r\n" in ran.out
    ran = on_terminal(world, "backfill", *dates, answers={"1 client to Broadly now?": "y"})
    assert "Ada Weatherby, 05001-Weatherby: matter 5001, closed on " in flat(ran.out)
    assert world.asked == [5001]


def test_list_without_clio_has_all_but_names(crowded: World) -> None:
    """77: the rows are there, and why the names are not."""
    crowded.sync(**FEW)
    crowded.clio.faults.add(faults.answer(401), times=None)
    ran = on_terminal(crowded, "outbox", "list", "--names")
    assert ran.code == 77
    assert "5003" in ran.out
    assert not any(name in ran.out for name in CROWD)


# `explain --find`


def test_find_lists_contacts_and_their_matters(world: World) -> None:
    """By a part of the name, which nobody finds in a shell's history."""
    one = world.closing(first_name="Ada", last_name="Weatherby")
    world.firm.add_contact(first_name="Bea", last_name="Quillfeather")
    opened = world.firm.add_matter(one.contact)
    ran = on_terminal(world, "explain", "--find", columns=100, answers={"a part of it:": "weath"})
    assert ran.code == 0
    assert f"Ada Weatherby: contact {one.contact}\r\n" in ran.out
    assert f"    matter {one.matter} (05001-Weatherby), closed on " in ran.out
    assert f"    matter {opened} (05002-Weatherby), not closed\r\n" in ran.out
    assert "Quillfeather" not in ran.out


def test_find_of_nobody_and_of_many(world: World) -> None:
    world.firm.add_contact(first_name="Cy", last_name="Lonely")
    for number in range(22):
        world.firm.add_contact(first_name="Ada", last_name=f"Weatherby{'x' * (number + 1)}")
    ran = on_terminal(world, "explain", "--find", answers={"a part of it:": "nobody at all"})
    assert (ran.code, "Clio finds no contact of this name." in ran.out) == (0, True)
    ran = on_terminal(world, "explain", "--find", answers={"a part of it:": "weatherby"})
    assert ran.out.count("Ada Weatherby") == 20
    assert "there are more: give more of the name" in flat(ran.out)
    ran = on_terminal(world, "explain", "--find", answers={"a part of it:": "lonely"})
    assert "    no matter" in ran.out
    ran = on_terminal(world, "explain", "--find", answers={"a part of it:": "x" * 101})
    assert ran.code == 2


WRONG: dict[str, list[str]] = {
    "off a terminal": [],
    "with an id": ["5001"],
    "with a contact": ["--contact", "1001"],
    "offline": ["--offline"],
    "as JSON": ["--json"],
}


@pytest.mark.parametrize("options", WRONG.values(), ids=WRONG)
def test_find_asks_a_person_alone(world: World, options: list[str]) -> None:
    """2, and Clio is asked nothing."""
    world.forget()
    ran: Any = world.run("explain", "--find", *options)
    assert (ran.code, ran.out, world.paths) == (2, "", [])


def test_find_without_an_answer(world: World) -> None:
    """The end of the input is no name, and no bug."""
    ran = on_terminal(world, "explain", "--find", answers={"a part of it:": "\x04"})
    assert (ran.code, "No name was given." in ran.out) == (0, True)


def test_find_does_not_ask_another_firm(world: World) -> None:
    world.firm.account.id += 1
    world.clio.oauth.issue("clio-access-of-another-firm")
    other: dict[str, Any] = {"CLIO_ACCESS_TOKEN": "clio-access-of-another-firm"}
    ran = on_terminal(world, "explain", "--find", answers={"a part of it:": "ada"}, **other)
    assert ran.code == 78
    world.firm.account.id -= 1
