"""What the surge stop says: how many, how old, who closed them in one go, and both ways on."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from clio_broadly_sync.cli import report_words
from clio_broadly_sync.store import SurgeFigures

ZONE = ZoneInfo("America/Los_Angeles")
NINE = datetime(2026, 11, 21, 17, 12, tzinfo=UTC)
"""09:12 in the firm's zone."""


def said(waiting: int = 62, **figures: Any) -> str:
    dates = {"oldest": date(2024, 1, 2), "newest": date(2026, 11, 21)}
    return "\n".join(report_words.surge_lines(SurgeFigures(waiting, **(dates | figures)), ZONE))


def edited(together: int, first: datetime = NINE, **time: float) -> dict[str, Any]:
    return {"together": together, "first_edit": first, "last_edit": first + timedelta(**time)}


def test_what_to_do_comes_first() -> None:
    """How many wait, a look at them, and both ways on, in the first line."""
    first = said().splitlines()[0]
    assert first.startswith("62 closings wait for a person's yes.")
    for command in ("outbox list --reason surge", "sync --yes", "outbox drop --reason surge"):
        assert f"`clio-broadly-sync {command}`" in first
    assert said(1).startswith("1 closing waits")


def test_how_far_back() -> None:
    """The oldest and the newest close date."""
    assert "Their close dates reach from 2 Jan 2024 to 21 Nov 2026." in said()
    assert "Their close date is 21 Nov 2026." in said(oldest=date(2026, 11, 21))
    assert "Their close" not in said(oldest=None, newest=None)


@pytest.mark.parametrize(
    ("waiting", "figures", "words"),
    [
        (62, edited(41, minutes=4), "41 of them were last edited in Clio within 4 minutes (21 Nov "
         "2026, 09:12 to 09:16): somebody seems to have closed them in one go."),
        (41, edited(41, minutes=3, seconds=1), "All of them were last edited in Clio within 4 "),
        (12, edited(12, minutes=1), "within a minute (21 Nov 2026, 09:12): "),
        (12, edited(12, seconds=61), "within 2 minutes (21 Nov 2026, 09:12 to 09:13): "),
        (12, edited(12, NINE.replace(hour=7, minute=55), minutes=8), "(20 Nov 2026, 23:55 to "
         "21 Nov 2026, 00:03)"),
    ],
)  # fmt: skip
def test_closed_in_one_go(waiting: int, figures: dict[str, Any], words: str) -> None:
    """Told in the firm's zone."""
    assert words in said(waiting, **figures)


@pytest.mark.parametrize(
    ("waiting", "together", "told"), [(20, 10, True), (21, 10, False), (9, 9, False)]
)
def test_when_it_is_told(waiting: int, together: int, told: bool) -> None:
    """At least ten and at least half; fewer are a busy hour."""
    assert ("in one go" in said(waiting, **edited(together, minutes=5))) is told


def test_silence_is_told_apart() -> None:
    """After three days of silence nobody closed too many."""
    assert "SYNC_MAX_NEW" in said()
    assert "silence" not in said()
    assert "They were noticed after a silence" in said(5, after_silence=5)
    assert "SYNC_MAX_NEW" not in said(5, after_silence=5)
    assert "5 of them were noticed after a silence" in said(after_silence=5)
