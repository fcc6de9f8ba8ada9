"""A signal ends at once what only looks, and never what writes."""

import signal
from collections.abc import Callable, Iterator

import pytest

from clio_broadly_sync.domain.errors import StoppedError, StorageError
from clio_broadly_sync.transport.signals import Stop


@pytest.fixture
def stop() -> Stop:
    return Stop()


def _asked(stop: Stop) -> None:
    stop.ask(signal.SIGTERM)


def _swallowed(stop: Stop) -> None:
    """As SQLite does in the middle of a statement."""
    try:
        _asked(stop)
    except StoppedError:
        return


def _renamed(stop: Stop) -> None:
    try:
        _asked(stop)
    except StoppedError:
        raise StorageError("The state could not be used (interrupted).") from None


@pytest.mark.parametrize("made_of_it", [_asked, _swallowed, _renamed])
def test_signal_ends_what_is_inside(stop: Stop, made_of_it: Callable[[Stop], None]) -> None:
    """Whatever a library makes of it."""
    with pytest.raises(StoppedError), stop.at_once():
        made_of_it(stop)
    with pytest.raises(StoppedError):
        stop.check()


def test_error_without_a_signal_stays_what_it_is(stop: Stop) -> None:
    with pytest.raises(StorageError), stop.at_once():
        raise StorageError("The state could not be used.")


def test_signal_before_it_begins(stop: Stop) -> None:
    _asked(stop)
    with pytest.raises(StoppedError), stop.at_once():
        raise AssertionError("it began")


def test_shorter_look_within_a_longer_one(stop: Stop) -> None:
    """The end of the shorter one does not make the rest of the longer one deaf."""

    def look() -> None:
        with stop.at_once():
            pass
        stop.sleep(0)
        _asked(stop)
        raise AssertionError("it went on")

    with pytest.raises(StoppedError), stop.at_once():
        look()


def test_what_writes_comes_to_its_end(stop: Stop) -> None:
    """And then what looks goes no further."""
    written = []

    def look() -> None:
        with stop.to_the_end():
            _asked(stop)
            written.append("all of it")
        stop.check()

    with pytest.raises(StoppedError), stop.at_once():
        look()
    assert written == ["all of it"]


def test_outside_a_signal_is_only_noted(stop: Stop) -> None:
    _asked(stop)
    with stop.to_the_end():
        pass


def test_what_is_done_with_one_thing_is_not_cut_short(stop: Stop) -> None:
    """Only the search for the next one is."""
    done = []

    def things() -> Iterator[int]:
        yield 1
        yield 2
        raise AssertionError("it went on")

    def do() -> None:
        for thing in stop.each(things()):
            if thing == 2:
                _asked(stop)
            done.append(thing)

    with pytest.raises(StoppedError):
        do()
    assert done == [1, 2]


def test_each_of_no_thing(stop: Stop) -> None:
    assert list(stop.each(iter(()))) == []


def test_signal_that_comes_as_a_sleep_begins(stop: Stop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its handler is called when the system's sleep is over, which therefore is never long."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        _asked(stop)

    monkeypatch.setattr("time.sleep", sleep)
    with pytest.raises(StoppedError):
        stop.sleep(40)
    assert slept == [1]
