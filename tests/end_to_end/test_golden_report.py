"""Golden transcript of `report`: what a firm reads when everything has happened."""

from full_day import full_day
from golden_files import Golden
from transcripts import Transcript
from world import World


def test_report_of_a_full_day(office: World, golden: Golden) -> None:
    """As a table, a list, a file and JSON; before any run, and with settings it cannot use."""
    done = Transcript(office)
    done.note("Before the first run.")
    done.run("report")
    done.run("report", SYNC_RULE="neither")
    full_day(office, Transcript(office))
    office.later(minutes=15)
    done.note("When everything has happened.")
    done.run("report")
    done.on_terminal("report", "--list")
    done.run("report", "--csv", "-")
    done.run("report", "--json")
    done.run("report", "--list", "--json")
    golden("report", done.text)


def test_groups_and_single_clients(office: World, golden: Golden) -> None:
    """Whether all are asked alike, and all that is stored about one client."""
    done = Transcript(office)
    full_day(office, Transcript(office))
    office.later(minutes=15)
    done.note("By attorney and by practice area; few clients are told together.")
    done.on_terminal("report", "--by", "attorney", "--by", "practice-area")
    done.note("A client who was sent, one who was refused, one of whom it is not known.")
    done.on_terminal("report", "--person", "1003")
    done.run("report", "--person", "1012")
    done.run("report", "--person", "1013", "--json")
    done.run("report", "--person", "1013", "--csv", "-")
    done.note("A client of whom nothing is stored.")
    done.run("report", "--person", "77")
    done.run("report", "--person", "77", "--csv", "-")
    golden("report_alike_and_person", done.text)
