"""The place of a state: a file and a firm keep the same promises."""

from datetime import UTC, datetime

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


def another(place: Place) -> Place:
    """Return the same place, as another process knows it."""
    if isinstance(place, FilePlace):
        return place
    assert isinstance(place, FirmPlace)
    return firm_place(place.sessions.address)
