"""Where the parts of a chart lie: x in percent of its width, y in pixels from its top.

So a chart is as wide as the page lets it, and its text keeps its size. Nobody knows here how wide
that is: a text that does not fit at each width bears the class of the one at which it does. On a
`narrow` page, or in a column of the printed one, a chart has at least `NARROW` pixels.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Final, NamedTuple

from clio_broadly_sync.report import days
from clio_broadly_sync.report.figures import Day, DayState, Figures

NARROW: Final = 272
DIGIT: Final = 9.1
"""So many pixels a strong character of a label takes, at most; on a narrow page text is smaller."""
LARGE_DIGIT: Final = 12.6
"""The same of the figures beside the bars of the way from closed to accepted."""
GAP: Final = 1.5
"""So much lies between two slices of a column or of a day."""


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
    height: int | None
    """None where the style gives it; y is in percent of it then."""
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


def bars(of: Sequence[Bar], digit: float, narrowest: int) -> list[Chart]:
    """Return a chart for each bar. All have one scale, which leaves room for the longest figure.

    `digit` is the width of a character of it, and `narrowest` that of such a chart, in pixels.
    """
    longest = max((bar.number + bar.dropped for bar in of), default=0) or 1
    room = 100 * (digit * len(f"{longest:,}") + 12) / narrowest
    scale = (100 - room) / longest
    return [_bar(bar, scale) for bar in of]


def _bar(bar: Bar, scale: float) -> Chart:
    full, dropped = _seen(bar.number * scale), _seen(bar.dropped * scale)
    boxes = [
        Box(0, 12, full, 76, bar.kind),
        Box(full, 12, dropped, 76, "fill-dropped"),
    ]
    label = Label(full + dropped, 50, f"{bar.number:,}", "middle", dx=8)
    return Chart(None, [box for box in boxes if box.width], [label])


def _seen(width: float) -> float:
    """Return a width, in percent, that can be seen where it is not none."""
    return max(width, 1.0) if width else 0.0


# The strip of days.

_CELL: Final = 28
_LOW_CELL: Final = 15
_WORST_FIRST: Final = (DayState.SILENT, DayState.FAILED, DayState.RAN, DayState.NOT_YET)
_MONTH: Final = 31
_YEAR: Final = 12
_NAME_PART: Final = 14.0
"""So many percent of a row are left for its name."""


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
            yield Box(x, cut + GAP, inner, height - cut - GAP, "fill-step")
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
