"""`report --by`: whose clients are asked, what Clio is asked for that, and what is left of it."""

from datetime import timedelta
from typing import Any

import pytest
from factories import NOW, make_closing
from rig import faults
from terminal import on_terminal
from world import NO_WAITS, World

from clio_broadly_sync.domain.model import SyncRule
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State
from clio_broadly_sync.store import Store, locked

BY = "report", "--by", "attorney"
ATTORNEYS = "Ruth Adler", "Hugh Barlow", "Grace Chen", "Owen Duarte"
QUESTION = (
    "of the 12 clients of Grace Chen who could be asked, 1 was; in the rest of the firm it is 22 "
    "of 25. Is there a reason, or is the box forgotten?"
)
FIELDS = "id,responsible_attorney{id,name}"


def closed(world: World, attorney: str | None, asked: int, could: int, **who: Any) -> list[int]:
    """Close so many matters of an attorney, and check the box of some of them."""
    matters = [
        world.matter(world.firm.add_contact(**who), thank_you=number < asked)
        for number in range(could)
    ]
    for matter in matters:
        world.firm.assign(matter, attorney=attorney, area="Family")
    return matters


def firm(world: World) -> list[int]:
    """Let one attorney forget the box, in a firm of several; return that one's matters."""
    forgotten = closed(world, "Grace Chen", 1, 12)
    for attorney, asked, could in (("Ruth Adler", 12, 12), ("Hugh Barlow", 7, 8)):
        closed(world, attorney, asked, could)
    closed(world, None, 2, 2)
    closed(world, "Owen Duarte", 1, 2)
    closed(world, "Owen Duarte", 1, 1, email=None, phone=None)
    closed(world, "Owen Duarte", 1, 1, opt_out=True)
    assert world.sync(SYNC_MAX_NEW="100").code == 0
    world.forget()
    return forgotten


def alike(world: World, *by: str) -> list[dict[str, Any]]:
    options = [word for one in by for word in ("--by", one)]
    found: list[dict[str, Any]] = world.run("report", *options, "--json").json["alike"]
    return found


def test_who_forgets_the_box_is_a_question(world: World) -> None:
    """Nobody who could not be asked counts; and small groups are told without their names."""
    firm(world)
    (found,) = alike(world, "attorney")
    told = {g["name"]: (g["tried"], g["could_be_asked"]) for g in found["groups"]}
    assert told == {"Grace Chen": (1, 12), "Ruth Adler": (12, 12), "Hugh Barlow": (7, 8)}
    asked = {g["name"]: g["question"] for g in found["groups"]}
    assert asked["Grace Chen"] == QUESTION
    assert asked["Ruth Adler"].endswith("or is the box forgotten elsewhere?")
    assert asked["Hugh Barlow"] is None
    fold = found["fold"]
    assert (fold["groups"], fold["tried"], fold["could_be_asked"]) == (2, 3, 5)
    assert found["firm"] == {"could_be_asked": 37, "tried": 23}
    assert found["unknown"] == {"could_be_asked": 0, "tried": 0}
    of_a_group = {"name", "could_be_asked", "tried", "range", "p", "question"}
    assert all(group.keys() == of_a_group for group in found["groups"])
    low, high = fold["range"]
    assert 0 < low < 3 / 5 < high < 1


def test_figures_are_those_of_the_report(world: World) -> None:
    """However they are grouped, the firm is what the report counts without."""
    firm(world)
    counts = world.run("report", "--json").json["counts"]
    found = alike(world, "attorney", "practice-area", "attorney")
    assert [one["by"] for one in found] == ["attorney", "practice-area"]
    for one in found:
        assert one["firm"] == {name: counts[name] for name in ("could_be_asked", "tried")}
        fold = [one["fold"]] if one["fold"] else []
        for name in ("could_be_asked", "tried"):
            parts = [part[name] for part in (*one["groups"], *fold, one["unknown"])]
            assert sum(parts) == one["firm"][name]


def test_on_a_terminal(world: World) -> None:
    """A table with a mark, the question, and why that matters; no line is too wide."""
    firm(world)
    ran = on_terminal(world, *BY)
    assert ran.code == 0
    lines = ran.out.replace("\r", "").split("\n")
    assert all(len(line) <= 80 for line in lines)
    assert any(line.split() == ["Grace", "Chen", "12", "1", "8%", "?"] for line in lines)
    assert any(line.split() == ["Hugh", "Barlow", "8", "7", "88%"] for line in lines)
    flat = " ".join(ran.out.split())
    assert f"A question, not a finding: {QUESTION}" in flat
    assert "“selectively soliciting positive reviews”, and the FTC's guide" in flat


def test_nobody_is_asked_without_it(world: World) -> None:
    """Neither is Clio where nobody could be asked, as before the first run."""
    firm(world)
    assert world.run("report", "--json").json["alike"] is None
    assert world.run("report").code == 0
    assert world.paths == []


@pytest.mark.parametrize("by", ["attorney", "practice-area"])
def test_where_nobody_could_be_asked(fresh: World, by: str) -> None:
    assert fresh.sync().code == 0
    fresh.forget()
    ran = fresh.run("report", "--by", by)
    assert (ran.code, fresh.paths) == (0, [])
    assert f"By {by.replace('-', ' ')}: nobody could be asked." in ran.out
    (found,) = alike(fresh, by)
    assert (found["groups"], found["fold"]) == ([], None)


def test_only_what_was_asked_for_is_read(world: World) -> None:
    """No name of a client, no number of a matter; and of each matter once."""
    matters = firm(world)
    alike(world, "attorney")
    (asked,) = world.clio.history
    assert asked.request.query["fields"] == [FIELDS]
    assert {str(matter) for matter in matters} <= {*asked.request.query["ids[]"]}
    assert len(asked.request.query["ids[]"]) == 37


def test_nothing_is_kept(world: World) -> None:
    """The state is as it was, and no attorney's name is in any file."""
    firm(world)
    before = world.files()
    said = world.run(*BY).out
    assert "Grace Chen" in said
    assert world.files() == before
    for file in world.folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not any(name.encode() in content for name in ATTORNEYS), file


def test_matter_that_clio_does_not_show(world: World) -> None:
    """It is not known whose it is, which is no attorney's fault, and is told."""
    matters = firm(world)
    world.firm.delete_matter(matters[0])
    world.firm.set_raw("matter", matters[1], responsible_attorney={"id": 954})
    (found,) = alike(world, "attorney")
    assert found["unknown"] == {"could_be_asked": 2, "tried": 1}
    assert "not shown by Clio" in world.run(*BY).out


def test_name_cannot_play_with_the_terminal(world: World) -> None:
    firm(world)
    for matter in closed(world, None, 5, 5):
        evil = {"id": 99, "name": "Eve \x1b[31mRed\u202e\n"}
        world.firm.set_raw("matter", matter, responsible_attorney=evil)
    world.sync(SYNC_MAX_NEW="100")
    said = world.run(*BY).out
    assert "Eve Red" in said
    assert "\x1b" not in said
    assert "\u202e" not in said


def test_another_host_is_not_asked(world: World) -> None:
    """There, the same ids are other people's matters."""
    firm(world)
    ran = world.run(*BY, CLIO_BASE_URL="http://127.0.0.1:9")
    assert (ran.code, world.paths) == (78, [])
    assert "another Clio host" in ran.err


@pytest.mark.parametrize(("status", "code"), [(503, 69), (403, 77)])
def test_clio_does_not_answer(world: World, status: int, code: int) -> None:
    """Then there is no report: half of what was asked for would look like all of it."""
    firm(world)
    error = {"error": {"type": "ForbiddenError", "message": "no"}}
    world.clio.faults.add(faults.answer(status, error), times=None)
    ran = world.run(*BY, **NO_WAITS)
    assert (ran.code, ran.out) == (code, "")


# Many


MANY = 2_001


def plant(world: World, closings: int) -> None:
    """Let so many closings wait for the box to be checked, none of which Clio shows."""
    on = world.day()
    with locked(world.state, "sync"), Store.open(world.state) as store:
        store.begin_run("sync", "planted", NOW)
        some = (
            make_closing(n, on, contact_id=n, state=State.SKIPPED, reason=Reason.NOT_OPTED_IN,
                         rule=SyncRule.BOTH, read_in_run=2)
            for n in range(90_001, 90_001 + closings)
        )  # fmt: skip
        store.ledger.record([(None, one) for one in some], world.firm.clock.now())
        store.finish_run(0, NOW + timedelta(minutes=1))


def test_many_are_asked_about(world: World) -> None:
    """With no terminal only after --yes; and with one, after a yes."""
    plant(world, MANY)
    says = "2,001 closed matters would be looked up in Clio, in 21 requests"
    ran = world.run(*BY)
    assert (ran.code, world.paths) == (2, [])
    assert f"{says}: add --yes, or name a shorter period." in ran.err
    assert world.run(*BY, "--json").code == 2
    no = on_terminal(world, *BY, answers={"[y/N]:": "n"})
    assert (no.code, world.paths) == (0, [])
    flat = " ".join(no.out.split())
    assert f"{says} (it allows 50 a minute). Go on? [y/N]: n" in flat
    assert flat.endswith("Clio was not asked, and nothing is reported.")
    yes = on_terminal(world, *BY, answers={"[y/N]:": "y"})
    assert (yes.code, len(world.paths)) == (0, 21)
    assert "Clio does not say whose 2,001 of 2,001 are." in yes.out
    world.forget()
    assert world.run(*BY, "--yes").code == 0
    assert len(world.paths) == 21


def test_two_thousand_are_not(world: World) -> None:
    plant(world, MANY - 1)
    assert world.run(*BY).code == 0
    assert world.paths == ["matters"] * 20


@pytest.mark.parametrize("other", [["--list"], ["--csv", "list.csv"], ["--csv", "-"]])
def test_list_has_no_groups(world: World, other: list[str]) -> None:
    ran = world.run(*BY, *other)
    assert ran.code == 2
    assert "--by compares groups, and a list has none" in ran.err
