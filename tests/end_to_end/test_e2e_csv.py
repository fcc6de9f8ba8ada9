"""Clients as a file for an import wizard: what goes into it, and when there is none."""

from pathlib import Path

import pytest
from exported import SETTINGS, folder, matters, names, rows
from world import World


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


def test_plain_sync_only_notes(firm: World) -> None:
    """Nobody's data is read or written; what may go waits, and is told as `export`."""
    may, _, no = firm.closing(), firm.closing(thank_you=False), firm.closing(opt_out=True)
    firm.forget()
    ran = firm.sync("--json", "-v")
    assert (ran.code, ran.delivery, ran.json["skipped"]) == (0, {"waiting": 2}, {"not_opted_in": 1})
    assert ran.decisions[may.matter] == ran.decisions[no.matter] == ("wait", "export")
    assert "contacts" not in firm.paths
    assert firm.sync().out == ""


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


def test_never_overwrites(firm: World, tmp_path: Path) -> None:
    """74, and whoever waits goes into another file."""
    matter = firm.closing().matter
    file = folder(firm) / "clients.csv"
    file.write_text("mine")
    ran = firm.sync("--csv", str(file))
    assert (ran.code, file.read_text()) == (74, "mine")
    assert "exists already" in ran.err
    assert (firm.ledger()[matter].state, firm.ledger()[matter].reason) == ("pending", None)
    assert matters(export(firm, "other.csv")) == [matter]
