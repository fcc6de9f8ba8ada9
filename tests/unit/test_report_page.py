"""What the report page says, whatever the figures are, and what it must never hold.

How it looks is tested in a browser (`end_to_end/test_e2e_report_page.py`).
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from datetime import date, timedelta
from hashlib import sha256
from html.parser import HTMLParser

import october
import pytest
from golden_files import Golden

from clio_broadly_sync.domain.model import SyncRule
from clio_broadly_sync.report import charts, columns, days, sentences
from clio_broadly_sync.report.alike import By, Share, compare
from clio_broadly_sync.report.figures import Counts, DayState, Figures, Period
from clio_broadly_sync.report.page import page
from clio_broadly_sync.report.verdict import verdict

BLOCKS = {"p", "h1", "h2", "h3", "li", "tr", "summary"}
EVIL = "<script>alert(1)</script>\"'&`"


class Reader(HTMLParser):
    """Reads a page aloud, a line for each paragraph, heading, row or item, with charts' labels."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._skips = 0
        self._said = ""
        self.feed(text)

    def lines(self) -> Iterator[str]:
        for line in self._said.split("\n"):
            if words := " ".join(line.split()):
                yield words

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag in BLOCKS:
            self._said += f"\n{'#' * int(tag[1])} " if tag in ("h1", "h2", "h3") else "\n"
        if tag in ("td", "th"):
            self._said += " | "
        if tag == "code":
            self._said += "`"
        if tag == "svg" and "aria-label" in given:
            self._said += f" [{given['aria-label']}]"
        self._skips += tag in ("style", "svg", "title")

    def handle_endtag(self, tag: str) -> None:
        self._skips -= tag in ("style", "svg", "title")
        self._said += "`" if tag == "code" else "\n" if tag in BLOCKS else ""

    def handle_data(self, data: str) -> None:
        if not self._skips:
            self._said += data.replace("\n", " ")


@pytest.fixture(params=sorted(october.ALL))
def figures(request: pytest.FixtureRequest) -> Figures:
    return october.ALL[request.param]()


def test_words(golden: Golden) -> None:
    """All that is said of months of several kinds."""
    said = [
        f"==== {name}\n" + "\n".join(Reader(page(make())).lines())
        for name, make in october.ALL.items()
        if name != "years"
    ]
    golden("report_page", "\n\n".join(said))


# What it may do, and what it holds.


def test_nothing_but_its_own_style_is_allowed(figures: Figures) -> None:
    """No script, nothing from elsewhere; an attribute `style` would need more than the hash."""
    text = page(figures)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    allowed = b64encode(sha256(style.encode()).digest()).decode()
    tags = Reader(text).tags
    (policy,) = (
        given["content"]
        for tag, given in tags
        if tag == "meta" and given.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.split("; ")[:2] == ["default-src 'none'", f"style-src 'sha256-{allowed}'"]
    assert not {"script", "img", "link", "iframe", "object", "form"} & {tag for tag, _ in tags}
    assert not [given for _, given in tags if {"style", "onclick", "onload"} & given.keys()]
    assert "url(http" not in style
    assert "@import" not in style


def test_links_lead_to_clio_and_say_nothing_of_the_page(figures: Figures) -> None:
    text = page(figures)
    assert '<meta name="referrer" content="no-referrer">' in text
    for tag, given in Reader(text).tags:
        if tag == "a" and given["href"] != "#waiting":
            assert re.fullmatch(r"https://app\.clio\.com/nc/#/matters/\d+", given["href"] or "")
            assert given["rel"] == "noreferrer"


def test_clients_are_not_on_it(figures: Figures) -> None:
    """Not even by their ids."""
    text = page(figures)
    them = [*figures.for_a_person.listed, *figures.opted_out.listed]
    assert not [one for one in them if re.search(rf"\b{one.contact_id}\b", text)]


def test_what_others_have_typed_is_text() -> None:
    """Names of boxes, attorneys and errors may hold anything."""
    alike = compare(By.ATTORNEY, [(EVIL, Share(5, 6))], Share(0, 0), SyncRule.BOTH)
    text = page(
        october.trouble()._replace(
            opt_in=EVIL, opt_out=EVIL, zone_name=EVIL, last_failure=EVIL, alike=[alike],
            dropped=[october.NOT_OPTED_IN._replace(why=EVIL, helps=EVIL)],
            days=october.days(day_3=october.failed(3, 1, EVIL)),
        )
    )  # fmt: skip
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 7


# The first screen.


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (Counts(), "In October, no matters were closed."),
        (Counts(1, 1, 1, 1, 1), "In October, 1 matter was closed; 1 client was sent to Broadly."),
        (Counts(1), "In October, 1 matter was closed; no client was sent to Broadly."),
        (
            Counts(1_200, 1_200, 1_200, 1_000, 1_000),
            "In October, 1,200 matters were closed; 1,000 clients were sent to Broadly, 200 not.",
        ),
    ],
)
def test_headline(counts: Counts, said: str) -> None:
    figures = october.october()._replace(counts=counts)
    assert "".join(piece.text for piece in sentences.headline(figures)) == said


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (Counts(9, 9, 0, 0, 0), "No client could be asked."),
        (Counts(9, 9, 1, 0, 0), "The one client who could be asked was not."),
        (Counts(9, 9, 1, 1, 1), "The one client who could be asked was."),
        (Counts(9, 9, 4, 0, 0), "Of 4 clients who could be asked, none was."),
        (Counts(9, 9, 4, 3, 3), "Of 4 clients who could be asked, 3 were."),
        (Counts(9, 9, 5, 3, 3), "Of the clients who could be asked, 60% were."),
        (Counts(900, 900, 900, 1, 1), "Of the clients who could be asked, <1% were."),
        (Counts(900, 900, 900, 899, 899), "Of the clients who could be asked, >99% were."),
    ],
)
def test_rate(counts: Counts, said: str) -> None:
    """Of fewer than five no percentage is told, and what is not all is never 100%."""
    figures = october.october()._replace(counts=counts, before=None)
    assert sentences.rate(figures) == said


def test_weeks_before_are_as_many_as_are_known() -> None:
    """A week that is cut in two is one week."""
    figures = october.october()
    assert sentences.before_words(figures) == "the 12 weeks before"
    first, *others = figures.weeks
    cut = [
        first._replace(last=first.first + timedelta(days=2), known=False),
        first._replace(first=first.first + timedelta(days=3)),
    ]
    assert sentences.before_words(figures._replace(weeks=[*cut, *others])) == "the 12 weeks before"
    known_late = [week._replace(known=week.first.month > 8) for week in figures.weeks]
    assert sentences.before_words(figures._replace(weeks=known_late)) == "the 4 weeks before"
    last_only = [week._replace(known=week.first.month == 9 and week.first.day > 27) for week in
                 figures.weeks]  # fmt: skip
    assert sentences.before_words(figures._replace(weeks=last_only)) == "the week before"


def test_a_zero_is_not_called_true_where_a_day_is_missing() -> None:
    empty = october.empty()
    gap = [day._replace(state=DayState.SILENT, runs=0) if day.on.day == 9 else day for day in
           empty.days]  # fmt: skip
    assert "true zero" in sentences.rate(empty)
    assert "true zero" not in sentences.rate(empty._replace(days=gap))
    assert "true zero" not in sentences.rate(empty._replace(known_from=date(2026, 10, 2)))


def test_a_month_before_the_first_run() -> None:
    """Of it nothing is known, which is no zero."""
    late = october.never()._replace(
        known_from=date(2026, 11, 1), known_until=october.MADE_AT, period=october.OCTOBER
    )
    assert sentences.headline(late)[0].text == "In October, nothing is known."
    assert sentences.rate(late) == "The program began on Nov 1, 2026, after that."


@pytest.mark.parametrize(
    ("silent", "said"),
    [(timedelta(hours=5), "silent for 5 hours"), (timedelta(hours=25), "silent for 1 day")],
)
def test_silence(silent: timedelta, said: str) -> None:
    """After three days, what closed meanwhile waits for a yes; before, it does not."""
    figures = october.empty()._replace(silent_since=october.MADE_AT - silent)
    told = verdict(figures)
    assert said in told.bold
    assert not any("--yes" in step for step in told.steps)


# Days and numbers.

FIRST = date(2026, 10, 1)


@pytest.mark.parametrize(
    ("period", "within", "title", "short"),
    [
        (october.OCTOBER, "in October", "October 2026", "October"),
        (Period(date(2026, 1, 1), date(2026, 12, 31)), "in 2026", "2026", "2026"),
        (Period(FIRST, FIRST), "on October 1", "October 1, 2026", "Oct 1"),
        (
            Period(FIRST, date(2026, 10, 27)), "from October 1 to 27", "October 1 to 27, 2026",
            "Oct 1–27",
        ),
        (
            Period(date(2026, 9, 28), date(2026, 10, 4)), "from September 28 to October 4",
            "September 28 to October 4, 2026", "Sep 28–Oct 4",
        ),
        (
            Period(date(2025, 12, 29), date(2026, 1, 4)),
            "from December 29, 2025 to January 4, 2026", "December 29, 2025 to January 4, 2026",
            "Dec 29, 2025–Jan 4, 2026",
        ),
        (
            Period(date(2026, 8, 1), date(2026, 9, 30)), "from August 1 to September 30",
            "August 1 to September 30, 2026", "Aug 1–Sep 30",
        ),
    ],
)  # fmt: skip
def test_periods(period: Period, within: str, title: str, short: str) -> None:
    assert (days.within(period), days.title(period)) == (within, title)
    assert days.short(*period) == short


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0"), (999, "999"), (1_000, "1.0k"), (3_449, "3.4k"), (9_949, "9.9k"), (9_950, "10k"),
     (22_400, "22k"), (999_499, "999k"), (999_500, "1.0M")],
)  # fmt: skip
def test_totals_have_four_characters_at_most(number: int, said: str) -> None:
    assert charts.short(number) == said
    assert len(said) <= 4


# What is drawn.


def test_a_few_who_wait_are_seen_beside_thousands() -> None:
    """In the columns and in the bars of the reasons."""
    waits = [box for box in columns.columns(october.huge()).boxes if box.kind == "fill-waits"]
    assert [box.height >= 2.5 for box in waits] == [True]
    few = charts.bars([charts.Bar(40_000, 0, "a"), charts.Bar(1, 0, "b")], charts.DIGIT, 100)
    assert few[1].boxes[0].width >= 1


def test_columns_stay_in_the_chart(figures: Figures) -> None:
    """And so do their labels, which stand above them."""
    chart = columns.columns(figures)
    assert chart.height is not None
    for box in chart.boxes:
        assert -0.001 <= box.x <= box.x + box.width <= 100.001
        assert 0 <= box.y <= box.y + box.height <= chart.height
    assert all(0 < label.y <= chart.height for label in chart.labels)


def test_months_add_up_to_the_weeks() -> None:
    figures = october.years()
    months = columns.parts(figures)
    assert len(months) < len(figures.weeks)
    for in_period in (True, False):
        assert sum(each.counts.closed for each in months if each.in_period is in_period) == sum(
            week.counts.closed for week in figures.weeks if week.in_period is in_period
        )


def test_what_is_known_so_far_of_days_that_are_not_known() -> None:
    """A `backfill` has brought some of before the first run: at least so many."""
    figures = october.one()
    weeks = [
        week._replace(counts=Counts(3, 3, 3, 2, 2)) if week.first == FIRST else week
        for week in figures.weeks
    ]
    chart = columns.columns(figures._replace(weeks=weeks))
    assert "3+" in [label.text for label in chart.labels]
