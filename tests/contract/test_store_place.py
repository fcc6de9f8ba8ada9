"""The place of a state: a file and a firm keep the same promises."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from databases import firm_place
from factories import NOW, PINS, START, make_closing

from clio_broadly_sync.domain.credentials import Grant
from clio_broadly_sync.domain.errors import BusyError
from clio_broadly_sync.store import FilePlace, Place
from clio_broadly_sync.store.firm import FirmPlace

GRANT = Grant("https://app.clio.com", "access", "refresh", datetime(2026, 11, 22, tzinfo=UTC))


def test_state_is_held_opened_and_copied(place: Place) -> None:
    """What is written while it is held is in each copy, and what is done to a copy in none."""
    assert place.holder() is None
    place.look_beside()
    with place.locked("sync"):
        held = place.holder()
        assert (held is not None, held and held.command) == (True, "sync")
        with pytest.raises(BusyError), another(place).locked():
            pass
        place.touch()
        with place.open() as store:
            store.begin_run("sync", "r1", NOW)
            store.pin(PINS, **START)
            with another(place).snapshot() as copy:
                assert (copy.pins(), copy.at_work) == (PINS, "sync")
                copy.ledger.record([(None, make_closing())], NOW)
            assert store.ledger.known([77]) == {}
    assert place.holder() is None
    assert place.flaws() == []


def test_sign_in_is_kept_beside_a_copy(place: Place) -> None:
    """A dry run that renews the token renews the real one."""
    with place.open():
        pass
    sign_in = place.sign_in()
    assert sign_in.read() is None
    with place.snapshot(), sign_in.alone():
        sign_in.save(GRANT)
    assert another(place).sign_in().read() == GRANT
    sign_in.erase()
    assert sign_in.read() is None


def test_what_was_told_is_kept_beside_a_state(place: Place, tmp_path: Path) -> None:
    """By its name, and not in the state, which need not be there yet; a file has a folder."""
    assert place.folder == (tmp_path / "state" if isinstance(place, FilePlace) else None)
    told = place.notes("told")
    assert told.read() == {}
    told.write({"77": "since"})
    assert another(place).notes("told").read() == {"77": "since"}
    assert place.notes("notified").read() == {}
    told.write({})
    assert told.read() == {}


def test_what_was_told_cannot_be_reached(tmp_path: Path) -> None:
    """Whoever asks goes on as if there were nothing: that is no error of the run."""
    (tmp_path / "no folder").touch()
    away = firm_place("postgresql://127.0.0.1:1/fleet"), FilePlace(tmp_path / "no folder" / "state")
    for place in away:
        with pytest.raises(OSError, match=r"could not be used|Not a directory"):
            place.notes("told").write({"77": "since"})


def another(place: Place) -> Place:
    """Return the same place, as another process knows it."""
    if isinstance(place, FilePlace):
        return place
    assert isinstance(place, FirmPlace)
    return firm_place(place.sessions.address)
