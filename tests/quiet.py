"""Sees that what a test prints or logs names none of the people of the firms made for it.

`from quiet import pytest_runtest_makereport` in a conftest.py checks every test below it. What the
program prints as a child process is checked by `end_to_end/leaks.py`.
"""

from collections.abc import Generator, Iterable
from typing import Any
from weakref import WeakSet

import pytest

from clio_broadly_sync.sandbox import Firm

_FIRMS: "WeakSet[Firm]" = WeakSet()
_made = Firm.__init__
SHORTEST = 4
"""Shorter names are not searched for, because they occur within other words."""


def _remember(self: Firm, *arguments: Any, **named: Any) -> None:
    _made(self, *arguments, **named)
    _FIRMS.add(self)


Firm.__init__ = _remember  # type: ignore[method-assign]


def people_in(text: str, firms: Iterable[Firm] = _FIRMS) -> list[str]:
    """Return the names, addresses and phone numbers of these firms' people that are in a text."""
    people = set().union(*(firm.people() for firm in firms))
    return sorted(word for word in people if len(word) >= SHORTEST and word in text)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that would pass, if it or the program within it has named somebody."""
    report = yield
    said = report.capstdout + report.capstderr + report.caplog
    if report.when == "call" and report.passed and (found := people_in(said)):
        report.outcome = "failed"
        report.longrepr = f"printed or logged: {found}"
    return report
