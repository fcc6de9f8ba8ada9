"""What is told of what needs a person, and when; what is remembered of it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from clio_broadly_sync.cli import notices
from clio_broadly_sync.cli.notices import Memory, Need
from clio_broadly_sync.domain.reasons import ABOUT

START = datetime(2026, 11, 23, 8, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
Found = dict[str, int]


def told(*runs: Found | None, every: timedelta = QUARTER) -> list[tuple[Found, list[str]]]:
    """Let runs find this, one after the other (None: it could not be seen); return what is told."""
    needs: Any = {}
    said = []
    for number, found in enumerate(runs):
        seen = found is not None
        news = notices.news(needs, found or {}, lambda key, seen=seen: seen, START + number * every)  # type: ignore[misc]
        needs = news.needs
        said.append((dict(news.begun), list(news.over)))
    return said


NOTHING: tuple[Found, list[str]] = ({}, [])


def test_begins_lasts_and_ends() -> None:
    """Told as it begins and as it ends, and in no run between."""
    assert told({"held": 2}, {"held": 2}, {}, {}) == [
        ({"held": 2}, []), NOTHING, ({}, ["held"]), NOTHING,
    ]  # fmt: skip


def test_what_could_not_be_seen_has_not_ended() -> None:
    assert told({"held": 2}, None, {"held": 2}) == [({"held": 2}, []), NOTHING, NOTHING]


def test_what_grows_is_told_once_a_day() -> None:
    """By its new number; what was there and is less is no news."""
    grown = told(*({"surge": 60 + n} for n in range(97)))
    assert grown[0] == ({"surge": 60}, [])
    assert [number for number, (begun, _) in enumerate(grown) if begun] == [0, 96]
    assert grown[96] == ({"surge": 156}, [])
    assert told({"dead": 3}, {"dead": 1}, {"dead": 2}, every=timedelta(days=1)) == [
        ({"dead": 3}, []), NOTHING, ({"dead": 2}, []),
    ]  # fmt: skip


def test_outage_is_told_after_six_hours() -> None:
    """And its end only if it was told."""
    down = {notices.key_of(69): 0}
    assert [number for number, (begun, _) in enumerate(told(*[down] * 40)) if begun] == [24]
    assert told(*[down] * 20, {}) == [NOTHING] * 21
    assert told(*[down] * 25, {})[-1] == ({}, ["ended 69"])


def test_clock_that_was_set_back() -> None:
    """A moment in the future is none, so it is told again."""
    later = START + timedelta(days=400)
    news = notices.news({"held": Need(1, later, later)}, {"held": 1}, bool, START)
    assert news.begun == {"held": 1}
    assert news.needs["held"] == Need(1, START, START)


def test_every_need_has_its_words() -> None:
    """Whatever a closing may wait for a person for; they end with the code."""
    keys = [str(reason) for reason, about in ABOUT.items() if about.to_do]
    needs = {
        key: Need(3, START, START) for key in ("held", "dead", "backfill", "objections", *keys)
    }
    news = notices.News(dict.fromkeys(needs, 3), [], needs)
    for key, line in zip(needs, notices.lines_of(news), strict=True):
        assert line.startswith("3 closed matters: ")
        assert line.endswith(f" ({key})")


MEMORY = Memory(
    {"held": Need(2, START, START), "ended 69": Need(0, START, None)}, date(2026, 11, 23), ("json",)
)


def test_memory_comes_back_as_it_was() -> None:
    assert notices.memory_in(notices.as_json(MEMORY)) == MEMORY
    assert notices.memory_in(notices.as_json(Memory())) == Memory()


@pytest.mark.parametrize(
    "change",
    [
        {"needs": None},
        {"needs": {"of another version": [1, START.isoformat(), None]}},
        {"needs": {"ended soon": [1, START.isoformat(), None]}},
        {"needs": {"held": [1, "yesterday", None]}},
        {"needs": {"held": [1, "2026-11-23T08:00:00", None]}},
        {"needs": {"held": 3}},
        {"summed_up": "monday"},
        {"schemes": None},
    ],
    ids=str,
)
def test_memory_that_cannot_be_understood_is_none(change: dict[str, Any]) -> None:
    """Then all is told again."""
    assert notices.memory_in(notices.as_json(MEMORY) | change) == Memory()
