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
