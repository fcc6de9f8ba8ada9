"""The report page in a real browser: at four widths, light, dark and printed."""

import base64
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import october
import pytest
from browser import Browser, chromium
from world import World

from clio_broadly_sync.domain.funnel import Step
from clio_broadly_sync.report.figures import Figures
from clio_broadly_sync.report.page import page

WIDTHS = (320, 390, 768, 1280)
PAPER = 718
"""The width of an A4 sheet between its margins, in pixels, as a browser prints it."""
LOOKS = [(width, look) for width in WIDTHS for look in ("light", "dark")] + [(PAPER, "print")]
SHOWN = sorted(october.ALL.keys() - {"never"})
"""The samples that are shown; without a run, the page looks as it does after a silence."""
DRAWN = Path(__file__).with_name("drawn.js").read_text(encoding="utf-8")
OFF_THE_SIDE = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
AXE = "const done = arguments[0]; axe.run(document).then(found => done(found.violations))"
REQUESTS = "return performance.getEntriesByType('resource').map(entry => entry.name)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all of them, whose pages come from files."""
    with chromium(tmp_path_factory.mktemp("browser")) as window:
        yield window


@pytest.fixture(scope="module", params=SHOWN)
def shown(
    request: pytest.FixtureRequest, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Figures:
    """Show a page, and return its figures."""
    figures = october.ALL[request.param]()
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(page(figures), encoding="utf-8")
    browser.go(file.as_uri())
    return figures


def _look(browser: Browser, width: int, look: str) -> None:
    scheme = {"name": "prefers-color-scheme", "value": "dark" if look == "dark" else "light"}
    medium = "print" if look == "print" else "screen"
    browser.devtools("Emulation.setEmulatedMedia", media=medium, features=[scheme])
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.devtools("Emulation.setDeviceMetricsOverride", **size)


def _visible(browser: Browser, selector: str) -> list[str]:
    script = (
        "return [...document.querySelectorAll(arguments[0])]"
        ".filter(one => one.getClientRects().length).map(one => one.textContent.trim())"
    )
    return list(browser.run(script, selector))


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_off_the_side(shown: Figures, browser: Browser, width: int) -> None:
    """Nobody has to scroll sideways, with the figures of the weeks open, either."""
    _look(browser, width, "light")
    browser.run("document.querySelector('details').open = true")
    assert browser.run(OFF_THE_SIDE) <= 0
    browser.run("document.querySelector('details').open = false")


@pytest.mark.parametrize(("width", "look"), LOOKS)
def test_what_is_drawn_can_be_read(shown: Figures, browser: Browser, width: int, look: str) -> None:
    """Texts in charts are told from what is behind them, and none touches another."""
    _look(browser, width, look)
    assert browser.run(DRAWN) == []


def test_axe_finds_nothing(shown: Figures, browser: Browser) -> None:
    """Nor in the dark, of what has something of each kind."""
    browser.run("document.querySelector('details').open = true")
    browser.run(files("axe_core_python").joinpath("axe.min.js").read_text("utf-8"))
    for look in ("light", "dark") if shown.for_a_person.closings else ("light",):
        _look(browser, 1280, look)
        found = browser.wait_for(AXE)
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
    browser.run("document.querySelector('details').open = false")


def test_nothing_is_asked_of_anybody(shown: Figures, browser: Browser) -> None:
    """No request leaves, and the page does nothing that its own policy forbids."""
    assert browser.run(REQUESTS) == []
    assert browser.said() == []
    assert browser.run("return document.scripts.length") == 0


def test_one_sheet_when_printed(shown: Figures, browser: Browser) -> None:
    _is_one_sheet(browser)


def test_one_sheet_when_there_is_much_of_everything(browser: Browser, tmp_path: Path) -> None:
    """But for a comparison, with which that takes a second one."""
    file = tmp_path / "report.html"
    file.write_text(page(october.crowded()), encoding="utf-8")
    browser.go(file.as_uri())
    _is_one_sheet(browser)


def _is_one_sheet(browser: Browser) -> None:
    browser.devtools("Emulation.setEmulatedMedia", media="")
    printed = browser.devtools("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
    document = base64.b64decode(printed["data"])
    assert len(re.findall(rb"/Type\s*/Page\b", document)) == 1
    sizes = re.findall(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", document)
    assert {tuple(round(float(side)) for side in size) for size in sizes} == {(595, 842)}


def test_figures_are_those_of_the_report(shown: Figures, browser: Browser) -> None:
    """All sums add up on the page: the steps, the reasons, and the weeks."""
    _look(browser, 1280, "light")
    counts = shown.counts
    if counts is None or not counts.closed:
        assert _visible(browser, ".steps text, .reasons text") == []
        return
    assert _visible(browser, ".steps text") == [f"{number:,}" for number in counts]
    reasons = [int(text.replace(",", "")) for text in _visible(browser, ".reasons text")]
    assert sum(reasons) == counts.not_tried
    browser.run("document.querySelector('details').open = true")
    rows = _visible(browser, ".figures .within td")
    browser.run("document.querySelector('details').open = false")
    known = [int(text.replace(",", "")) for text in rows if text != "not known"]
    closed, sent, not_sent, wait = (sum(known[at::4]) for at in range(4))
    assert (closed, sent, not_sent) == (counts.closed, counts.tried, counts.not_tried)
    assert wait == shown.for_a_person.not_tried
    waiting = sum(
        drop.closings
        for drop in shown.dropped
        if drop.needs_a_person and drop.step is not Step.ACCEPTED
    )
    assert wait == waiting


def test_page_of_a_firm_says_what_its_ledger_says(world: World, browser: Browser) -> None:
    """From Clio to the screen; that no client is named in it is looked for after each test."""
    world.closings(3)
    world.closing(opt_out=True)
    world.closing(thank_you=False)
    world.sync()
    words = ["report", "--from", str(world.day()), "--by", "practice-area"]
    assert world.run(*words, "--html", "page.html").code == 0
    browser.go((world.folder / "page.html").as_uri())
    _look(browser, 1280, "light")
    counts = world.run(*words, "--json").json["counts"]
    assert _visible(browser, ".steps text") == [str(number) for number in counts.values()]
    states = [row.state for row in world.rows()]
    assert counts["tried"] == states.count("sent") == 3
    assert len(_visible(browser, ".reasons tbody tr")) == 2
    assert _visible(browser, "#alike") == ["Do all ask alike?"]
    assert (browser.run(REQUESTS), browser.said()) == ([], [])
