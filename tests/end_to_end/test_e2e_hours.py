"""The sending hours in whole processes: what a person and a program are told, and when who goes."""

from datetime import date, timedelta

import pytest
from golden_files import Golden
from transcripts import Transcript
from world import World

MARCH = date(2099, 3, 1), date(2099, 3, 31)
NIGHTS = {"SYNC_SEND_DAYS": "mon-thu", "SYNC_SEND_HOURS": "22-6"}
"""All begins on a Friday at 10:00; these begin next on Monday, the 23rd, at 22:00."""
AT_ANY_HOUR = {"SYNC_SEND_DAYS": None, "SYNC_SEND_HOURS": None}
OPENS = "2099-11-24T06:00:00Z"
OUTSIDE = ("wait", "outside_hours")


@pytest.fixture
def office(office: World) -> World:
    """A firm after its first sync, which sends on four nights a week."""
    assert office.sync().code == 0
    office.settings |= NIGHTS
    office.later(minutes=1)
    return office


def reasons(world: World) -> dict[int, str]:
    """Return the reasons that `outbox list` tells, by matter."""
    rows = world.run("outbox", "list", "--json").json["rows"]
    return {row["matter_id"]: row["reason"] for row in rows}


def test_told_by_everything_and_stored_nowhere(office: World) -> None:
    """Exit code 0; nobody is read; and within them nobody waits for them any more."""
    first, second = office.closings(2)
    office.forget()
    ran = office.sync("-v", "--json")
    assert (ran.code, ran.delivery) == (0, {"waiting": 2})
    assert ran.decisions == {first: OUTSIDE, second: OUTSIDE}
    assert office.paths == ["matters", "custom_fields"]
    assert {row.reason for row in office.rows()} == {None}
    assert reasons(office) == dict.fromkeys((first, second), "outside_hours")
    status = office.run("status", "--json")
    assert (status.code, status.json["opens_at"]) == (0, OPENS)
    assert [(g["reason"], g["closings"]) for g in status.json["waiting"]] == [("outside_hours", 2)]
    (told,) = office.run("explain", str(first), "--json").json["closings"]
    assert told["reason"] == "outside_hours"
    assert [change["reason"] for change in told["changes"]] == [None]
    office.later(days=3, hours=12)
    assert office.run("status", "--json").json["opens_at"] is None
    assert reasons(office) == dict.fromkeys((first, second), None)
    assert office.sync("--json", "--yes").delivery == {"sent": 2}
    assert office.asked == [first, second]


def test_run_that_cron_makes_outside_says_nothing(office: World) -> None:
    """And costs one request, however much waits."""
    office.closings(3)
    office.sync()
    office.later(hours=2)
    office.forget()
    ran = office.sync()
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert office.paths == ["matters"]


def test_chosen_by_the_reason_that_is_told(office: World) -> None:
    """To look at them; what would be changed by the chance of the hour is refused."""
    tried = office.closing().matter
    office.broadly.rule("retry", times=1)
    assert office.sync(**AT_ANY_HOUR).code == 0
    new = office.closing().matter
    assert office.sync().code == 0
    for reason, found in (("outside_hours", {tried, new}), ("retry", {tried}), ("surge", set())):
        rows = office.run("outbox", "list", "--reason", reason, "--json").json["rows"]
        assert {row["matter_id"]: row["reason"] for row in rows} == dict.fromkeys(
            found, "outside_hours"
        )
    assert office.ledger()[tried].reason == "retry"
    assert office.run("outbox", "drop", "--reason", "outside_hours", "--yes").code == 2


def test_words(office: World, golden: Golden) -> None:
    """What each command says outside of them, on a terminal and off it."""
    for day in (10, 11, 12):
        office.closing(date(2099, 3, day))
    office.closings(2)
    done = Transcript(office)
    done.note("It is Friday, and nobody is sent before Monday night.")
    done.on_terminal("sync")
    done.run("sync", "--dry-run")
    dates = "--from", str(MARCH[0]), "--to", str(MARCH[1])
    done.on_terminal("backfill", *dates)
    done.run("backfill", *dates, "--yes")
    done.run("backfill", *dates, "--dry-run")
    done.run("status")
    done.run("outbox", "list")
    done.run("explain", "5004", "--offline")
    done.run("explain", "5001", "--offline")
    golden("sending_hours", done.text)


def test_both_changes_of_daylight_saving(office: World) -> None:
    """They begin at 9 by the firm's clocks, in summer as in winter."""
    office.settings |= {"SYNC_SEND_DAYS": "mon-sun", "SYNC_SEND_HOURS": "9-17"}
    for days, utc in ((0, 17), (150, 16), (240, 17)):
        office.later(days=days)
        now = office.firm.clock.now()
        begins = (now + timedelta(days=1)).replace(hour=utc, minute=0, second=0)
        office.later(seconds=(begins - now).total_seconds() - 60)
        matter = office.closing().matter
        assert office.sync("--yes").code == 0
        assert matter not in office.asked
        office.later(minutes=2)
        assert office.sync("--yes").code == 0
        assert office.asked[-1] == matter
