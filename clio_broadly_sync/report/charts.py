"""Where the parts of a chart lie: x in percent of its width, y in pixels from its top.

So a chart is as wide as the page lets it, and its text keeps its size. Nobody knows here how wide
that is: a text that does not fit at each width bears the class of the one at which it does. On a
`narrow` page, or in a column of the printed one, a chart has at least `NARROW` pixels, and on a
`wide` one `WIDE`.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from math import ceil
from typing import Final, NamedTuple

from clio_broadly_sync.report import days
from clio_broadly_sync.report.figures import Day, DayState, Figures, Week

NARROW: Final = 288
WIDE: Final = 672
DIGIT: Final = 9.1
"""So many pixels a strong character of a label takes, at most; on a narrow page text is smaller."""
_LIGHT: Final = 8.3
"""The same of one that is not strong."""
LARGE_DIGIT: Final = 12.6
"""The same of the figures beside the bars of the way from closed to accepted."""
_PIXELS: Final = {"narrow": NARROW / 0.92, "wide": WIDE}
"""As many pixels of a wide page's text each width is worth."""


class Box(NamedTuple):
    x: float
    y: float
    width: float
    height: float
    kind: str
    """The CSS class that gives it its colour."""


class Label(NamedTuple):
    x: float
    y: float
    text: str
    kind: str = ""
    """Its CSS classes."""
    dx: int = 0
    """So many pixels it stands to the right of `x`."""


class Chart(NamedTuple):
    height: int
    boxes: Sequence[Box]
    labels: Sequence[Label]


def short(number: int) -> str:
    """Return a total in four characters at most, such as “392”, “3.4k” or “22k”."""
    if number < 1_000:
        return str(number)
    if number < 9_950:
        return f"{number / 1_000:.1f}k"
    return f"{number / 1_000:.0f}k" if number < 999_500 else f"{number / 1_000_000:.1f}M"


# Bars.


class Bar(NamedTuple):
    """A bar with its figure, and what dropped out of it at this step as its pale end."""

    number: int
    dropped: int
    kind: str


def bars(of: Sequence[Bar], digit: float, height: int, narrowest: int) -> list[Chart]:
    """Return a chart for each bar. All have one scale, which leaves room for the longest figure.

    `narrowest` is the least width of such a chart, in pixels.
    """
    longest = max((bar.number + bar.dropped for bar in of), default=0) or 1
    room = 100 * (digit * len(f"{longest:,}") + 12) / narrowest
    scale = (100 - room) / longest
    return [_bar(bar, scale, height) for bar in of]


def _bar(bar: Bar, scale: float, height: int) -> Chart:
    thick = height * 0.76
    top = (height - thick) / 2
    full, dropped = _seen(bar.number * scale), _seen(bar.dropped * scale)
    boxes = [
        Box(0, top, full, thick, bar.kind),
        Box(full, top, dropped, thick, "fill-dropped"),
    ]
    label = Label(full + dropped, height / 2, f"{bar.number:,}", "middle", dx=8)
    return Chart(height, [box for box in boxes if box.width], [label])


def _seen(width: float) -> float:
    """Return a width, in percent, that can be seen where it is not none."""
    return max(width, 1.0) if width else 0.0


# Columns.

_BASE: Final = 168
"""On this line the columns stand."""
_ROOM: Final = 46
"""So much is left above the highest one, for its total and the period's name."""
_DATES: Final = _BASE + 16
_HEIGHT: Final = 188
_LEAST_WAITING: Final = 4
_GAP: Final = 1.5
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


def columns(figures: Figures) -> Chart:
    """Return the weeks as columns, those before the period pale, the period on a tint."""
    places = _places(figures.weeks)
    here = [place for place in places if place.week.in_period]
    most = max((week.counts.closed for week in figures.weeks), default=0) or 1
    scale = (_BASE - _ROOM) / most
    boxes, labels = list[Box](), list[Label]()
    if here:
        boxes.append(Box(here[0].x, 0, 100 - here[0].x, _BASE, "fill-tint"))
        labels.append(_name(figures, here[0].x))
    for place in places:
        boxes += _column(place, scale)
    boxes.append(Box(0, _BASE, 100, 1, "fill-axis"))
    labels += _totals(places, scale)
    labels += _dates(places, one_month=days.name(figures.period) is not None)
    return Chart(_HEIGHT, boxes, labels)


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
        yield Box(x, y, width, max(height - _GAP, 1), f"fill-{kind}{_when(week)}")


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


def _dates(places: Sequence[_Place], *, one_month: bool) -> Iterator[Label]:
    """Yield the first day of some weeks; in a month of the period the days of all."""
    past = [place for place in places if not place.week.in_period]
    here = [place for place in places if place.week.in_period]
    if not one_month:
        yield from _first_days(past)
        yield from _first_days(here)
        return
    yield from _first_days(past)
    for place in here:
        week = place.week
        yield Label(place.middle, _DATES, str(week.first.day), "centre soft narrow")
        yield Label(place.middle, _DATES, _days_of(week), "centre soft wide")


def _first_days(places: Sequence[_Place]) -> Iterator[Label]:
    needed = 6.5 * _LIGHT
    for place, width, reach in _shown(places, needed):
        pixels = _PIXELS["narrow" if "narrow" in width else "wide"]
        left = places[-1].x + places[-1].width - place.x
        if reach == 0 or left * pixels / 100 >= needed:
            x = place.x + place.width * (1 - _PART) / 2
            yield Label(x, _DATES, days.day(place.week.first), f"soft{width}")


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


# The strip of days.

_CELL: Final = 28
_LOW_CELL: Final = 16
_WORST_FIRST: Final = (DayState.SILENT, DayState.FAILED, DayState.RAN, DayState.NOT_YET)
_MONTH: Final = 31
_YEAR: Final = 12
_NAME_PART: Final = 14.0
"""So many percent of a row are left for its name."""


class _Cell(NamedTuple):
    state: DayState
    failed: float
    """Which part of the runs failed."""


def strips(given: Sequence[Day]) -> list[Chart]:
    """Return the days as cells: in one row, or in one for each month; a cell is a month then, and
    a row a year, where there are more than 12 of them."""
    months = [list(some) for _, some in groupby(given, key=lambda day: (day.on.year, day.on.month))]
    if len(given) <= _MONTH:
        return [_one_row(given)] if given else []
    if len(months) <= _YEAR:
        return [_month_row(month) for month in months]
    years = groupby(months, key=lambda month: month[0].on.year)
    return [_year_row(year, list(some)) for year, some in years]


def _one_row(given: Sequence[Day]) -> Chart:
    width = 100 / _MONTH if len(given) > 15 else 100 / 15
    boxes = [box for at, day in enumerate(given) for box in _cell(at * width, width, _CELL, [day])]
    labels = [
        Label((at + 0.5) * width, _CELL + 16, str(day.on.day), "centre soft")
        for at, day in enumerate(given)
        if at % 7 == 0
    ]
    return Chart(_CELL + 22, boxes, labels)


def _month_row(given: Sequence[Day]) -> Chart:
    cells = [(day.on.day - 1, [day]) for day in given]
    return _row(days.month(given[0].on), cells, (100 - _NAME_PART) / _MONTH)


def _year_row(year: int, months: Iterable[Sequence[Day]]) -> Chart:
    cells = [(month[0].on.month - 1, month) for month in months]
    return _row(str(year), cells, (100 - _NAME_PART) / _YEAR)


def _row(name: str, cells: Iterable[tuple[int, Sequence[Day]]], width: float) -> Chart:
    boxes = [
        box for at, them in cells for box in _cell(_NAME_PART + at * width, width, _LOW_CELL, them)
    ]
    return Chart(_LOW_CELL, boxes, [Label(0, _LOW_CELL / 2, name, "soft middle")])


def _cell(x: float, width: float, height: int, them: Sequence[Day]) -> Iterator[Box]:
    """Yield one day, or the days of a month as their worst one: what failed lies above what ran."""
    inner, x = width * 0.8, x + width * 0.1
    worst = min((day.state for day in them), key=_WORST_FIRST.index)
    if worst is DayState.FAILED:
        failed = sum(day.failed for day in them) / sum(day.runs for day in them)
        cut = height * max(0.4, failed)
        yield Box(x, 0, inner, cut, "fill-waits")
        if failed < 1:
            yield Box(x, cut + _GAP, inner, height - cut - _GAP, "fill-step")
        return
    kind = {DayState.RAN: "fill-step", DayState.SILENT: "silent", DayState.NOT_YET: "absent"}[worst]
    yield Box(x, 0, inner, height, kind)


# The rates, word-sized.


class Line(NamedTuple):
    x1: float
    y1: float
    x2: float
    y2: float


def sparkline(figures: Figures) -> list[Line]:
    """Return the rate of each known week as a line from left to right; nothing of under three."""
    known = (week.counts for week in figures.weeks if week.known)
    rates = [counts.tried / counts.could_be_asked for counts in known if counts.could_be_asked]
    if len(rates) < 3:
        return []
    step = 100 / (len(rates) - 1)
    least, reach = min(rates), max(0.4, max(rates) - min(rates))
    points = [(at * step, 16 - 14 * (rate - least) / reach) for at, rate in enumerate(rates)]
    return [Line(*one, *other) for one, other in pairwise(points)]
