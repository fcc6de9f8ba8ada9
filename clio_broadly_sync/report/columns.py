"""The weeks as columns: those before the period pale, its own strong and on a tint.

Of a period with more than 26 weeks, months are drawn instead.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from math import ceil
from typing import Final, NamedTuple

from clio_broadly_sync.report import days
from clio_broadly_sync.report.calendar import is_long
from clio_broadly_sync.report.charts import DIGIT, GAP, NARROW, Box, Chart, Label, short
from clio_broadly_sync.report.figures import Counts, Figures, Week

_WIDE: Final = 784
"""A chart has at least so many pixels on a wide page."""
_PIXELS: Final = {"narrow": NARROW / 0.92, "wide": _WIDE}
"""As many pixels of a wide page's text each width is worth; on a narrow one, text is smaller."""
_LIGHT: Final = 8.3
"""So many pixels a character of a label takes, at most, that is not strong."""
_BASE: Final = 160
"""On this line the columns stand."""
_ROOM: Final = 44
"""So much is left above the highest one, for its total and the period's name."""
_DATES: Final = _BASE + 16
_HEIGHT: Final = 180
_LEAST_WAITING: Final = 4
_FIGURE_FROM: Final = 18
"""A slice is at least so high where its figure is written in it."""
_WIDEST: Final = 3.0
"""The place of a week in the period is at most so many times as wide as that of one before it."""
_ROUNDING: Final = 1e-6
_PART: Final = 0.72
"""The part of its place that a column fills."""


class _Place(NamedTuple):
    """Where a week's column stands, in percent."""

    week: Week
    x: float
    width: float

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


def parts(figures: Figures) -> list[Week]:
    """Return what is drawn: the weeks, or the months as the weeks that begin in each of them.

    Of a long period the weeks are cut where a month begins.
    """
    if not is_long(figures.period):
        return list(figures.weeks)
    months = groupby(
        figures.weeks, lambda week: (week.in_period, week.known, week.first.year, week.first.month)
    )
    return [_together(list(weeks)) for _, weeks in months]


def _together(weeks: Sequence[Week]) -> Week:
    counts = Counts(*map(sum, zip(*(week.counts for week in weeks), strict=True)))
    waits = sum(week.waits for week in weeks)
    return weeks[0]._replace(last=weeks[-1].last, counts=counts, waits=waits)


def columns(figures: Figures) -> Chart:
    """Return the weeks, or months, as columns."""
    weeks = parts(figures)
    places = _places(weeks)
    most = max((week.counts.closed for week in weeks), default=0) or 1
    scale = (_BASE - _ROOM) / most
    boxes, labels = list[Box](), list[Label]()
    if here := [place for place in places if place.week.in_period]:
        boxes.append(Box(here[0].x, 0, 100 - here[0].x, _BASE, "fill-tint"))
        labels.append(_name(figures, here[0].x))
    for place in places:
        boxes += _column(place, scale)
    boxes.append(Box(0, _BASE, 100, 1, "fill-axis"))
    return Chart(_HEIGHT, boxes, [*labels, *_totals(places, scale), *_dates(figures, places)])


def _places(weeks: Sequence[Week]) -> list[_Place]:
    """Give each week its place; one of the period gets more, where its total would not fit."""
    past = sum(not week.in_period for week in weeks)
    here = len(weeks) - past
    needed = DIGIT * max((len(_total(week)) for week in weeks if week.in_period), default=0)
    left = _PIXELS["narrow"] - needed * here
    weight = min(max(1.0, needed * past / left), _WIDEST) if left > 0 else _WIDEST
    unit = 100 / (past + weight * here or 1)
    places, x = list[_Place](), 0.0
    for week in weeks:
        width = unit * (weight if week.in_period else 1)
        places.append(_Place(week, x, width))
        x += width
    return places


def _name(figures: Figures, x: float) -> Label:
    """Name the period, at the left of its tint, or from the right where the tint is narrow."""
    if x > 80:
        return Label(100, 14, days.short(*figures.period), "strong end", dx=-4)
    return Label(x, 14, days.short(*figures.period), "strong", dx=8)


def _column(place: _Place, scale: float) -> Iterator[Box]:
    week, width = place.week, place.width * _PART
    x = place.x + (place.width - width) / 2
    if not week.known:
        yield Box(x, _ROOM, width, _BASE - _ROOM, "fill-unknown")
    y = float(_BASE)
    for height, kind in _slices(week, scale):
        y -= height
        yield Box(x, y, width, max(height - GAP, 1), f"fill-{kind}{_when(week)}")


def _slices(week: Week, scale: float) -> Iterator[tuple[float, str]]:
    """Yield what was sent, what was not and what waits, from below; what waits is never too low."""
    counts = week.counts
    rest = counts.not_tried - week.waits
    waits = max(_LEAST_WAITING, week.waits * scale) if week.waits else 0
    taken = waits - week.waits * scale
    sent, not_sent = counts.tried * scale, rest * scale
    if sent > not_sent:
        sent -= taken
    else:
        not_sent = max(0, not_sent - taken)
    slices = ((sent, "sent"), (not_sent, "not"), (waits, "waits"))
    return ((height, kind) for height, kind in slices if height > 0)


def _when(week: Week) -> str:
    return "" if week.in_period else "-before"


def _total(week: Week) -> str:
    if week.known:
        return short(week.counts.closed)
    return f"{short(week.counts.closed)}+" if week.counts.closed else "?"


def _totals(places: Sequence[_Place], scale: float) -> Iterator[Label]:
    """Yield the total above each column, and in those of the period how many were sent."""
    for in_period in (False, True):
        some = [place for place in places if place.week.in_period is in_period]
        longest = max((len(_total(place.week)) for place in some), default=0)
        needed = longest * (DIGIT if in_period else _LIGHT)
        for place, width, reach in _shown(some, needed):
            if reach and not _lies_in(some, place, needed, width):
                continue
            at = places.index(place)
            beside = places[max(0, at - reach) : at + reach + 1]
            y = _BASE - max(_top(one.week, scale) for one in beside) - 6
            strong = "strong" if in_period else "soft"
            yield Label(place.middle, y, _total(place.week), f"centre {strong}{width}")
    yield from _sent([place for place in places if place.week.in_period], scale)


def _lies_in(some: Sequence[_Place], place: _Place, needed: float, width: str) -> bool:
    """Tell whether a label in the middle of a place does not reach beyond all of these places."""
    half = 100 * needed / _PIXELS[width.strip()] / 2
    first, last = some[0], some[-1]
    return first.x <= place.middle - half and place.middle + half <= last.x + last.width


def _top(week: Week, scale: float) -> float:
    return week.counts.closed * scale if week.known else _BASE - _ROOM


def _sent(places: Sequence[_Place], scale: float) -> Iterator[Label]:
    longest = max((len(short(place.week.counts.tried)) for place in places), default=0)
    for place, width, reach in _shown(places, longest * _LIGHT / _PART):
        sent = place.week.counts.tried
        if sent * scale >= _FIGURE_FROM and not reach:
            y = _BASE - sent * scale + 14
            yield Label(place.middle, y, short(sent), f"centre on-sent{width}")


def _dates(figures: Figures, places: Sequence[_Place]) -> Iterator[Label]:
    """Yield under the columns some first days or months; within one month the days of all."""
    if is_long(figures.period):
        yield from _first_days(places, lambda week: days.month(week.first), "2026")
        return
    past = [place for place in places if not place.week.in_period]
    here = [place for place in places if place.week.in_period]
    yield from _first_days(past, lambda week: days.day(week.first), "Sep 28")
    if figures.period.first.replace(day=1) != figures.period.last.replace(day=1):
        yield from _first_days(here, lambda week: days.day(week.first), "Sep 28")
        return
    for place in here:
        week = place.week
        yield Label(place.middle, _DATES, str(week.first.day), "centre soft narrow")
        yield Label(place.middle, _DATES, _days_of(week), "centre soft wide")


def _first_days(
    places: Sequence[_Place], word: Callable[[Week], str], longest: str
) -> Iterator[Label]:
    needed = (len(longest) + 0.5) * _LIGHT
    for place, width, reach in _shown(places, needed):
        pixels = _PIXELS[width.strip() or "narrow"]
        left = places[-1].x + places[-1].width - place.x
        if reach == 0 or left * pixels / 100 >= needed:
            x = place.x + place.width * (1 - _PART) / 2
            yield Label(x, _DATES, word(place.week), f"soft{width}")


def _days_of(week: Week) -> str:
    first, last = week.first.day, week.last.day
    return str(first) if first == last else f"{first}–{last}"


def _shown(places: Sequence[_Place], needed: float) -> Iterator[tuple[_Place, str, int]]:
    """Yield the places whose label, so many pixels wide, is shown; the class of the widths at
    which it is; and over how many columns at each side it may reach.

    Where not all fit, every second or third is shown.
    """
    if not places:
        return
    steps = {
        width: max(1, ceil(needed / (places[0].width * pixels / 100) - _ROUNDING))
        for width, pixels in _PIXELS.items()
    }
    if set(steps.values()) == {1}:
        yield from ((place, "", 0) for place in places)
        return
    for width, step in steps.items():
        yield from ((place, f" {width}", step - 1) for place in places[::step])
