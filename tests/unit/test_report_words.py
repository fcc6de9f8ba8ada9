"""What the surge stop says: how many, how old, who closed them in one go, and both ways on."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from golden_files import Golden

from clio_broadly_sync.cli import report_words
from clio_broadly_sync.store import SurgeFigures

ZONE = ZoneInfo("America/Los_Angeles")
NINE = datetime(2026, 11, 21, 17, 12, tzinfo=UTC)
"""09:12 in the firm's zone."""


def said(waiting: int = 62, **figures: Any) -> str:
    dates = {"oldest": date(2024, 1, 2), "newest": date(2026, 11, 21)}
    return "\n".join(report_words.surge_lines(SurgeFigures(waiting, **(dates | figures)), ZONE, 50))


def edited(together: int, first: datetime = NINE, **time: float) -> dict[str, Any]:
    return {"together": together, "first_edit": first, "last_edit": first + timedelta(**time)}


CROWDS: dict[str, dict[str, Any]] = {
    "one": {"waiting": 1},
    "no close dates": {"oldest": None, "newest": None},
    "one close date": {"oldest": date(2026, 11, 21)},
    "most in one go": edited(41, minutes=4),
    "all in one go": {"waiting": 41, **edited(41, minutes=3, seconds=1)},
    "within a minute": {"waiting": 12, **edited(12, minutes=1)},
    "within little more": {"waiting": 12, **edited(12, seconds=61)},
    "over midnight": {
        "waiting": 12, **edited(12, NINE.replace(hour=7, minute=55), minutes=8)
    },
    "after a silence": {"waiting": 5, "after_silence": 5},
    "some after a silence": {"after_silence": 5},
}  # fmt: skip


def test_lines(golden: Golden) -> None:
    """What to do in the first line; then why they wait, how far back, and whether in one go."""
    golden("surge_lines", "\n\n".join(f"# {name}\n{said(**of)}" for name, of in CROWDS.items()))


@pytest.mark.parametrize(
    ("waiting", "together", "told"), [(20, 10, True), (21, 10, False), (9, 9, False)]
)
def test_when_it_is_told(waiting: int, together: int, told: bool) -> None:
    """At least ten and at least half; fewer are a busy hour."""
    assert ("in one go" in said(waiting, **edited(together, minutes=5))) is told
