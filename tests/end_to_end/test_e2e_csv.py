"""Clients as a file for an import wizard: what goes into it, and when there is none."""

import os
import signal
import subprocess
import sys
from collections import Counter

import pytest
from exported import SETTINGS, folder, matters, names, rows
from rig import faults
from terminal import on_terminal
from world import NO_WAITS, World, on_post


@pytest.fixture
def firm(fresh: World) -> World:
    """Return a world that has begun with files, one minute after its first sync."""
    for name, value in SETTINGS.items():
        if value is None:
            fresh.settings.pop(name, None)
        else:
            fresh.settings[name] = value
    assert fresh.sync().code == 0
    fresh.later(minutes=1)
    return fresh


def export(world: World, name: str = "clients.csv", *options: str, **settings: str | None) -> bytes:
    """Write the file, which must come about, and return what it holds."""
    file = folder(world) / name
    ran = world.sync("--csv", str(file), *options, **settings)
    assert ran.code == 0, ran.err
    return file.read_bytes()


def test_first_run_says_that_it_only_notes(fresh: World) -> None:
    """Whoever runs it by hand learns that nobody goes by itself."""
    said = fresh.sync(**SETTINGS).out
    assert "`sync` notes whose matters close, and `sync --csv FILE` writes them" in said
    assert "sends the clients" not in said


def test_plain_sync_only_notes(firm: World) -> None:
    """Nobody's data is read or written; what may go waits, and is told as `export`."""
    may, _, no = firm.closing(), firm.closing(thank_you=False), firm.closing(opt_out=True)
    firm.forget()
    ran = firm.sync("--json", "-v")
    assert (ran.code, ran.delivery, ran.json["skipped"]) == (0, {"waiting": 2}, {"not_opted_in": 1})
    assert ran.decisions[may.matter] == ran.decisions[no.matter] == ("wait", "export")
    assert "contacts" not in firm.paths
    assert firm.sync().out == ""


@pytest.mark.parametrize("command", ["sync", "backfill"])
def test_on_a_terminal_it_says_once_what_waits(firm: World, command: str) -> None:
    """For a file, and for nothing else: there are no hours at which it would go by itself."""
    firm.closing()
    range_ = ("--from", str(firm.day()), "--to", str(firm.day())) if command == "backfill" else ()
    said = " ".join(on_terminal(firm, command, *range_).out.split())
    assert said.count("a file for Broadly's import") == 1
    assert "from then on" not in said


def test_a_file(firm: World) -> None:
    """Read again, decided again, for its owner alone, and settled."""
    may, out = firm.closing(), firm.closing()
    no = firm.closing(opt_out=True)
    assert firm.sync().code == 0
    firm.firm.reopen(out.matter)
    firm.later(minutes=1)
    content = export(firm)
    (row,) = rows(content)
    person = firm.firm.contacts.get(may.contact)
    assert row["External ID"] == f"clio:contact:{may.contact}"
    assert row["Transaction ID"] == f"clio:matter:{may.matter}:{firm.day()}"
    assert row["Transaction Date"] == str(firm.day())
    assert row["Email"] == person.email
    states = {matter: row.state for matter, row in firm.ledger().items()}
    assert states == {may.matter: "sent", out.matter: "skipped", no.matter: "skipped"}
    assert (folder(firm) / "clients.csv").stat().st_mode & 0o777 == 0o600
    assert names(firm) == ["clients.csv"]


def test_nobody_for_a_file(firm: World) -> None:
    """There is none, and the same command again makes none either."""
    firm.closing(opt_out=True)
    file = folder(firm) / "clients.csv"
    for _ in range(2):
        assert firm.sync("--csv", str(file)).code == 0
    assert names(firm) == []
    matter = firm.closing().matter
    assert matters(export(firm)) == [matter]
    assert firm.sync("--csv", str(folder(firm) / "more.csv")).code == 0
    assert names(firm) == ["clients.csv"]


def test_never_overwrites(firm: World) -> None:
    """74, and whoever waits goes into another file."""
    matter = firm.closing().matter
    assert firm.sync().code == 0
    file = folder(firm) / "clients.csv"
    file.write_text("mine")
    ran = firm.sync("--csv", str(file))
    assert (ran.code, file.read_text()) == (74, "mine")
    assert "exists already" in ran.err
    assert (firm.ledger()[matter].state, firm.ledger()[matter].reason) == ("pending", None)
    assert matters(export(firm, "other.csv")) == [matter]


def test_file_goes_by_the_folder_where_the_command_runs(firm: World) -> None:
    """As every other path on a command line."""
    matter = firm.closing().matter
    folder(firm)
    assert firm.sync("--csv", "exports/clients.csv").code == 0
    assert matters((folder(firm) / "clients.csv").read_bytes()) == [matter]


def test_what_is_said(firm: World) -> None:
    """Off a terminal, too: a person has to import the file, and then to remove it."""
    firm.closings(2)
    file = folder(firm) / "clients.csv"
    ran = firm.sync("--csv", str(file))
    assert f"{file} holds client data: import it in Broadly, then remove it." in ran.out
    firm.closings(2)
    again = firm.sync("--csv", str(folder(firm) / "more.csv"), "--json")
    assert again.json["files"] == [str(folder(firm) / "more.csv")]
    assert again.delivery == {"sent": 2}


def test_what_leaves_the_firm(firm: World) -> None:
    """What BROADLY_FIELDS leaves out is an empty cell."""
    contact = firm.closing(first_name="Zoë", last_name="=1+1", phone="+14155550123").contact
    (row,) = rows(export(firm, BROADLY_FIELDS="first_name,last_name,phone"))
    assert (row["First Name"], row["Last Name"], row["Email"]) == ("Zoë", "'=1+1", "")
    assert (row["Phone"], row["External ID"]) == ("+14155550123", f"clio:contact:{contact}")


@pytest.mark.parametrize("email", ["=1@example.com", "+1@example.com", "-1@example.com"])
def test_address_like_a_formula(firm: World, email: str) -> None:
    """It is left out; a client who has no other way is not written, and `explain` says why."""
    both, alone = firm.closing(email=email), firm.closing(email=email[0] + email, phone=None)
    (row,) = rows(export(firm))
    assert (row["External ID"], row["Email"]) == (f"clio:contact:{both.contact}", "")
    assert row["Phone"] != ""
    assert firm.ledger()[alone.matter].reason == "no_channel"
    assert "cannot be used" in firm.run("explain", str(alone.matter), "--offline").out


def test_limit_and_dry_run(firm: World) -> None:
    """As everywhere; a dry run says who would go, also without a name."""
    all_of_them = firm.closings(3)
    no = firm.closing(opt_out=True).matter
    file = str(folder(firm) / "clients.csv")
    for options in ([], ["--csv", file], ["--csv", "-"]):
        before = firm.files()
        dry = firm.sync("--dry-run", *options)
        assert (dry.code, names(firm), firm.files()) == (0, [], before)
        assert "3 clients would be written into a file; 1 not (1 opted out)" in (dry.out + dry.err)
    assert firm.sync("--dry-run", "--json").decisions[no] == ("skip", "opted_out")
    assert matters(export(firm, "clients.csv", "--limit", "2")) == all_of_them[:2]
    assert matters(export(firm, "rest.csv")) == all_of_them[2:]


def test_backfill_into_a_file(firm: World) -> None:
    """What closed long ago, after a yes; without a file it only notes, and says what to do."""
    matter = firm.closing(on=firm.day(100)).matter
    days = firm.day(101), firm.day(99)
    ran = firm.backfill(*days, "--yes")
    assert (ran.code, firm.ledger()[matter].state) == (0, "pending")
    assert "with --csv FILE" in ran.out
    assert firm.run("status").code == 65
    assert firm.sync("--csv", str(folder(firm) / "no.csv")).code == 0
    assert names(firm) == []
    assert firm.backfill(*days, "--csv", str(folder(firm) / "old.csv"), "--yes").code == 0
    assert matters((folder(firm) / "old.csv").read_bytes()) == [matter]


# The brake.

FEW = {"SYNC_MAX_NEW": "2"}


def test_brake(firm: World) -> None:
    """Without a terminal, many at once want --yes; noting them is no surge."""
    crowd = firm.closings(3)
    assert firm.sync(**FEW).code == 0
    file = str(folder(firm) / "clients.csv")
    ran = firm.sync("--csv", file, **FEW)
    assert (ran.code, names(firm)) == (65, [])
    assert firm.sync("--csv", file, "--yes", **FEW).code == 0
    assert matters((folder(firm) / "clients.csv").read_bytes()) == crowd


@pytest.mark.parametrize("answer", ["y", "n"])
def test_brake_on_a_terminal(firm: World, answer: str) -> None:
    """It asks whoever has named the file."""
    crowd = firm.closings(3)
    file = folder(firm) / "clients.csv"
    asked = {"Write 3 clients into the file now? [y/N]:": answer}
    ran = on_terminal(firm, "sync", "--csv", str(file), answers=asked, **FEW)
    assert ran.code == (0 if answer == "y" else 65)
    assert (matters(file.read_bytes()) if answer == "y" else names(firm)) == (
        crowd if answer == "y" else []
    )


def test_after_a_silence(firm: World) -> None:
    """What a person looks at first is told by each run, and --yes lets it go."""
    firm.later(days=4)
    matter = firm.closing().matter
    assert firm.sync().code == 65
    assert matters(export(firm, "clients.csv", "--yes")) == [matter]


# Wrong usage, and places where there can be no file.


def test_another_profile(world: World) -> None:
    """2, whatever it is; and nothing is done."""
    world.closing()
    ran = world.sync("--csv", str(folder(world) / "clients.csv"))
    assert (ran.code, world.rows(), names(world)) == (2, [], [])
    assert "BROADLY_PROFILE=csv" in ran.err.replace("\n", " ")
    assert world.sync("--csv", "x.csv", "--dry-run", "--json").code == 2


def test_json_and_standard_output(firm: World) -> None:
    assert firm.sync("--csv", "-", "--json").code == 2


@pytest.mark.parametrize("name", ["clients.csv", "state.db", "state.db-wal", "state.db.told"])
def test_folder_of_the_state(firm: World, name: str) -> None:
    """It is the program's own."""
    firm.closing()
    before = firm.files()
    ran = firm.sync("--csv", str(firm.state.parent / name))
    assert (ran.code, firm.files()) == (2, before)


@pytest.mark.parametrize(
    ("name", "says"),
    [("", "is a folder"), ("absent/a.csv", "is not there"), ("a.csv/b", "make it")],
)
def test_no_place(firm: World, name: str, says: str) -> None:
    """74, before anything is read."""
    firm.closing()
    (folder(firm) / "a.csv").write_text("")
    firm.forget()
    ran = firm.sync("--csv", f"{folder(firm)}/{name}")
    assert (ran.code, firm.paths) == (74, [])
    assert says in ran.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_that_may_not_be_written(firm: World) -> None:
    folder(firm).chmod(0o500)
    ran = firm.sync("--csv", str(folder(firm) / "a.csv"))
    folder(firm).chmod(0o700)
    assert (ran.code, "another one" in ran.err) == (74, True)


# Trouble on the way.


def test_outage_half_way(firm: World) -> None:
    """69: there is no file, and everybody waits for the next one."""
    all_of_them = firm.closings(150)
    options = ["--csv", str(folder(firm) / "clients.csv"), "--yes"]
    firm.clio.faults.add(
        faults.answer(503), when=lambda request: "contacts" in request.path, times=None, skip=1
    )
    ran = firm.sync(*options, **NO_WAITS)
    assert (ran.code, names(firm)) == (69, [])
    listed = firm.run("outbox", "list", "--reason", "export", "--json").json["rows"]
    assert len(listed) == 150
    firm.clio.faults.clear()
    assert firm.sync(*options).code == 0
    assert matters((folder(firm) / "clients.csv").read_bytes()) == all_of_them


def test_interrupted(firm: World) -> None:
    """143: there is no file, and everybody waits."""
    firm.closings(2)
    seen: list[int] = []

    def stop() -> None:
        seen.append(1)
        child.send_signal(signal.SIGTERM)

    firm.clio.before = on_post(stop, number=3)
    child = firm.start(["sync", "--csv", str(folder(firm) / "clients.csv")], {})
    ran = firm.finish(child)
    firm.clio.before = None
    assert (ran.code, seen, names(firm)) == (143, [1], [])
    assert {row.state for row in firm.rows()} <= {"pending"}
    assert len(matters(export(firm))) == 2


def test_two_matters_of_one_client(firm: World) -> None:
    """The second is decided in the same run, so that nothing is left to grow old."""
    first = firm.closing()
    second = firm.matter(first.contact)
    assert matters(export(firm)) == [first.matter]
    assert firm.ledger()[second].reason == "asked_recently"
    assert firm.run("status", "--json").json["export"]["closings"] == 0


# Standard output.


def test_standard_output(firm: World) -> None:
    """The file alone; all else is on stderr."""
    all_of_them = firm.closings(2)
    child = firm.start(["sync", "--csv", "-", "-v"], {})
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert matters(out.encode()) == all_of_them
    assert "2 clients written into a file" in err
    assert names(firm) == []
    child = firm.start(["sync", "--csv", "-"], {})
    assert (child.communicate(timeout=60), child.returncode) == (("", ""), 0)


def test_reader_that_is_gone(firm: World) -> None:
    """74; nobody was written, so nobody is held."""
    matter = firm.closing().matter
    ours, theirs = os.pipe()
    os.close(ours)
    child = subprocess.Popen(
        [sys.executable, "-m", "clio_broadly_sync", "sync", "--csv", "-"],
        env=firm._environment({}), stdout=theirs, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(theirs)
    _, err = child.communicate(timeout=60)
    assert (child.returncode, "standard output" in err) == (74, True), err
    assert firm.ledger()[matter].state == "pending"


def test_reader_that_goes_half_way(firm: World) -> None:
    """74; whoever was written by then is held, and nobody else."""
    firm.closings(700)
    child = firm.start(["sync", "--csv", "-", "--yes"], {})
    assert child.stdout is not None
    assert child.stdout.read(1000).startswith("\ufeffFirst Name")
    child.stdout.close()
    assert child.stderr is not None
    with child.stderr:
        assert "standard output" in child.stderr.read()
    assert child.wait(60) == 74
    states = Counter(row.state for row in firm.rows())
    assert states["pending"] > 50
    assert states["held"] > 5
    assert states.total() == 700
    assert firm.run("status").code == 65


def test_closed_standard_output(firm: World) -> None:
    """74: no other file takes its place."""
    matter = firm.closing().matter
    command = f"exec {sys.executable} -m clio_broadly_sync sync --csv - >&-"
    ran = subprocess.run(
        ["/bin/sh", "-c", command], env=firm._environment({}), capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert (ran.returncode, "Standard output is closed" in ran.stderr) == (74, True), ran.stderr
    assert matter not in firm.ledger()


# What people are told.


def test_told_everywhere(firm: World) -> None:
    """By `status`, `explain`, `outbox list` and `check`, and nothing is wrong."""
    matter = firm.closing().matter
    assert firm.sync().code == 0
    said = firm.run("status")
    assert (said.code, "they wait for a file for Broadly's import" in said.out) == (0, True)
    assert "sync --csv FILE" in said.out
    told = firm.run("status", "--json").json
    assert told["waiting"][0]["reason"] == "export"
    assert told["export"] == {
        "closings": 1, "oldest_closed_on": str(firm.day()), "until": str(firm.day(-30)),
        "is_due": False,
    }  # fmt: skip
    assert "sync --csv FILE" in firm.run("explain", str(matter), "--offline").out
    explained = firm.run("explain", str(matter), "--offline", "--json").json
    assert explained["closings"][0]["reason"] == "export"
    (row,) = firm.run("outbox", "list", "--json").json["rows"]
    assert row["reason"] == "export"
    assert str(matter) in firm.run("outbox", "list", "--reason", "export").out
    checked = firm.check()
    assert (checked.code, "nothing is sent by itself" in checked.out) == (0, True)
    assert firm.broadly.history == []


@pytest.mark.parametrize(("age", "quiet", "loud"), [("30", 22, 23), ("10", 4, 5), ("1", 0, 1)])
def test_grows_too_old(firm: World, age: str, quiet: int, loud: int) -> None:
    """65 from a week before, or from half of the maximum age where that is less."""
    firm.catch_up()
    firm.closing()
    assert firm.sync().code == 0
    firm.later(days=quiet)
    assert firm.run("status", SYNC_MAX_AGE_DAYS=age).code == 0
    firm.later(days=loud - quiet)
    said = firm.run("status", SYNC_MAX_AGE_DAYS=age)
    assert (said.code, "1 closed matter needs a person" in said.out) == (65, True)
    assert matters(export(firm, "clients.csv", "--yes", SYNC_MAX_AGE_DAYS=age)) != []
    assert firm.run("status", SYNC_MAX_AGE_DAYS=age).code == 0


def test_settling(firm: World) -> None:
    """It is told first, until it is over; only then may it go."""
    matter = firm.closing().matter
    rest = {"SYNC_SETTLE_HOURS": "24"}
    assert firm.sync("--json", "-v", **rest).decisions[matter] == ("wait", "settling")
    firm.sync("--csv", str(folder(firm) / "no.csv"), **rest)
    assert names(firm) == []
    firm.later(hours=25)
    assert firm.sync("--json", "-v", **rest).decisions[matter] == ("wait", "export")
    assert matters(export(firm, **rest)) == [matter]


def test_cron_asks_once(firm: World) -> None:
    """However many wait: one request, and nothing is printed."""
    firm.closings(3)
    assert firm.sync().code == 0
    firm.later(hours=2)
    firm.forget()
    ran = firm.sync()
    assert (ran.out, ran.err, firm.paths) == ("", "", ["matters"])


# Killed, by hand; every step is in tests/faults.


@pytest.mark.parametrize("step", ["link: undone", "link: done", "unlink: done", "write: done"])
def test_killed(firm: World, step: str) -> None:
    """The next run, whichever it is, finds out; what it found is said."""
    matter = firm.closing().matter
    points = NO_WAITS | {"FILES": "yes", "KILL_AT": step, "POINTS": str(firm.folder / "points")}
    file = folder(firm) / "clients.csv"
    child = firm.start(["sync", "--csv", str(file)], points)
    assert child.wait(60) == -signal.SIGKILL
    child.communicate()
    made = file.exists()
    assert made == (step in ("link: done", "unlink: done"))
    dry = firm.sync("--dry-run", "--json")
    assert dry.json["to_send"] == (not made)
    ran = firm.sync()
    assert (ran.code, "1 client counts as sent" in ran.out) == (0, made)
    assert names(firm) == (["clients.csv"] if made else [])
    assert firm.ledger()[matter].state == ("sent" if made else "pending")
    if not made:
        assert matters(export(firm)) == [matter]


def test_killed_before_another_destination(firm: World) -> None:
    """`check --accept` of another profile looks at the file, too."""
    matter = firm.closing().matter
    points = NO_WAITS | {"FILES": "yes", "KILL_AT": "unlink: done"}
    points["POINTS"] = str(firm.folder / "points")
    child = firm.start(["sync", "--csv", str(folder(firm) / "clients.csv")], points)
    assert child.wait(60) == -signal.SIGKILL
    child.communicate()
    batch = firm.sandbox.settings()
    address = {name: batch[name] for name in ("BROADLY_URL", "BROADLY_API_KEY")}
    assert firm.check("--accept", BROADLY_PROFILE="batch", **address).code == 0
    assert firm.ledger()[matter].state == "sent"
