"""The report as a page: one file that needs nothing else and asks nothing of the network.

The template and its style travel with the program, in `templates`. The page may apply this one
style and nothing more: its `Content-Security-Policy` names it by its hash.
"""

import re
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files
from itertools import pairwise
from typing import Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from clio_broadly_sync.domain.funnel import Step
from clio_broadly_sync.report import charts, columns, days, sentences
from clio_broadly_sync.report.alike import WHY, Alike, Group
from clio_broadly_sync.report.alike_table import TOO_FEW, folded
from clio_broadly_sync.report.calendar import is_long
from clio_broadly_sync.report.figures import LISTED, DayState, Figures, Waiting
from clio_broadly_sync.report.table import STEPS, count
from clio_broadly_sync.report.verdict import verdict
from clio_broadly_sync.report.words import share

_STATES: Final = {
    DayState.RAN: "ran",
    DayState.FAILED: "failed",
    DayState.SILENT: "silent",
    DayState.NOT_YET: "without a run yet",
}
_MANY: Final = (24, 30)
"""Where there are more rows of all kinds, print is smaller, and smaller still."""
_WHOLE: Final = 24
"""A longer word of a command may be broken."""
_NARROWEST_REASON: Final = 100
"""A bar of the table of reasons has at least so many pixels."""


def page(figures: Figures) -> str:
    """Return the page, as the text of an HTML file."""
    environment = Environment(
        loader=PackageLoader("clio_broadly_sync.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = _code
    environment.filters["number"] = "{:,}".format
    environment.filters["percent"] = "{:.5g}%".format
    environment.globals.update(count=count, days=days, folded=folded, say=sentences, share=share)
    style = (
        files("clio_broadly_sync.report").joinpath("templates/page.css").read_text(encoding="utf-8")
    )
    return environment.get_template("page.html").render(
        figures=figures,
        style=style,
        style_hash=b64encode(sha256(style.encode()).digest()).decode(),
        steps=_steps(figures),
        reasons=_reasons(figures),
        verdict=verdict(figures),
        fullness=_fullness(figures),
        weeks=columns.parts(figures),
        by_month=is_long(figures.period),
        columns=columns.columns(figures),
        strips=charts.strips(figures.days),
        strip_says=_strip_says(figures),
        spark=charts.sparkline(figures),
        waiting=_together(figures.for_a_person.listed),
        compared=[_compared(one) for one in figures.alike],
        why_alike=WHY,
        too_few=TOO_FEW,
    )


def _fullness(figures: Figures) -> str:
    """Return how full the page is, so that it is printed small enough for one sheet."""
    listed = len(figures.for_a_person.listed) + len(figures.opted_out.listed)
    bad_days = len(sentences.bad_days(figures)[0])
    compared = sum(len(one.groups) for one in figures.alike)
    rows = listed + len(figures.dropped) + bad_days + compared
    level = bool(figures.alike) + sum(rows > many for many in _MANY)
    return ("", "fuller", "fullest")[min(level, 2)]


class _Compared(NamedTuple):
    """The groups that are drawn: the largest, and all about which there is a question."""

    alike: Alike
    groups: Sequence[Group]
    more: int
    """How many are left out."""


def _compared(alike: Alike) -> _Compared:
    some = [
        group for at, group in enumerate(alike.groups) if at < LISTED or group.question is not None
    ]
    return _Compared(alike, some, len(alike.groups) - len(some))


def _code(text: str) -> Markup:
    """Return a sentence in which what stood between two backticks is marked as code."""
    parts = [escape(part) for part in text.split("`")]
    parts[1::2] = [Markup("<code>{}</code>").format(_whole(part)) for part in parts[1::2]]
    return Markup("").join(parts)


def _whole(command: str) -> Markup:
    """Keep the hyphens of a command from ending a line, as they would be taken for another's."""
    words = (
        Markup('<span class="whole">{}</span>').format(word) if "-" in word[:_WHOLE] else word
        for word in command.split(" ")
    )
    return Markup(" ").join(words)


class _StepRow(NamedTuple):
    name: str
    number: int
    chart: charts.Chart
    says: str


def _steps(figures: Figures) -> list[_StepRow]:
    """Return a row for each step from closed to accepted; none where nothing was closed."""
    if figures.counts is None or not figures.counts.closed:
        return []
    numbers = list(figures.counts)
    gone = [0, *(before - after for before, after in pairwise(numbers))]
    named = [(step, number, lost) for step, number, lost in zip(Step, numbers, gone, strict=True)]
    bars = [
        charts.Bar(number, lost, "fill-sent" if step >= Step.TRIED else "fill-step")
        for step, number, lost in named
    ]
    drawn = charts.bars(bars, charts.LARGE_DIGIT, charts.NARROW)
    return [
        _StepRow(STEPS[step], number, chart, sentences.step_words(figures, step))
        for (step, number, _), chart in zip(named, drawn, strict=True)
    ]


def _reasons(figures: Figures) -> list[tuple[sentences.Why, charts.Chart]]:
    """Return the rows of the table of reasons, each with its bar."""
    rows = sentences.reasons(figures)
    kinds = ("fill-not", "fill-waits")
    bars = [charts.Bar(row.closings, 0, kinds[row.waits]) for row in rows]
    return list(zip(rows, charts.bars(bars, charts.DIGIT, _NARROWEST_REASON), strict=True))


class _Together(NamedTuple):
    """Closings for which a person has to do the same."""

    word: str
    to_do: str
    matters: Sequence[Waiting]


def _together(listed: Sequence[Waiting]) -> list[_Together]:
    """Bring those together for whom the same is to be done, so that it is said once.

    A command that names one of several closings then names `MATTER`.
    """
    found = dict[tuple[str, str], list[Waiting]]()
    for waiting in listed:
        any_of_them = re.sub(rf"\b{waiting.matter_id}\b", "MATTER", waiting.to_do)
        found.setdefault((waiting.word, any_of_them), []).append(waiting)
    return [
        _Together(word, to_do if len(them) > 1 else them[0].to_do, them)
        for (word, to_do), them in found.items()
    ]


def _strip_says(figures: Figures) -> str:
    """Return in words what the strip of days shows."""
    counted = Counter(day.state for day in figures.days)
    some = (f"{counted[state]:,} {words}" for state, words in _STATES.items() if counted[state])
    return f"{count(len(figures.days), 'day', 'days')}: {', '.join(some)}"
