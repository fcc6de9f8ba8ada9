"""Clio's pages: the cursor, the offset, and the tokens that can't be rebuilt."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from rig import Sandbox

from clio_broadly_sync.sandbox.records import Matter, Table

Ask = Callable[..., requests.Response]


def walk(ask: Ask, **query: Any) -> Iterator[dict[str, Any]]:
    answer = ask("matters.json", **query)
    while True:
        page = answer.json()
        yield page
        if "next" not in page["meta"]["paging"]:
            return
        answer = ask(page["meta"]["paging"]["next"])


def ids(pages: Iterator[dict[str, Any]]) -> list[int]:
    return [row["id"] for page in pages for row in page["data"]]


def test_cursor_walks_all_pages_by_absolute_links(ask: Ask, sandbox: Sandbox) -> None:
    """Each matter comes once, in the order of ids; every page tells the whole count."""
    pages = list(walk(ask, limit=7, order="id(asc)"))
    assert ids(iter(pages)) == list(range(5001, 5061))
    assert {page["meta"]["records"] for page in pages} == {60}
    assert pages[0]["meta"]["paging"]["next"].startswith(sandbox.clio.url + "/api/v4/matters.json?")
    assert len(pages) == 9


def test_last_page_that_is_full_has_no_next(ask: Ask) -> None:
    """Sixty matters in pages of thirty are two pages."""
    assert len(list(walk(ask, limit=30))) == 2


def test_pages_may_be_shorter_than_asked_for(ask: Ask, sandbox: Sandbox) -> None:
    """A cap counts for one kind of record, and loses none."""
    sandbox.clio.cap_pages("matter", 25)
    assert [len(page["data"]) for page in walk(ask, limit=200)] == [25, 25, 10]
    assert len(ask("contacts.json", limit=200).json()["data"]) == 40


def test_rebuilt_and_foreign_tokens_are_refused(ask: Ask, sandbox: Sandbox) -> None:
    """A token holds for the very address it was given in."""
    following = ask("matters.json", limit=10, status="open").json()["meta"]["paging"]["next"]
    token = parse_qs(urlsplit(following).query)["page_token"][0]
    for query in (
        {"page_token": token}, {"limit": 11, "status": "open", "page_token": token},
        {"status": "open", "limit": 10, "page_token": token},
        {"limit": 10, "status": "open", "page_token": token[:-4] + "AAAA"},
    ):  # fmt: skip
        refused = ask("matters.json", **query)
        assert refused.status_code == 400
        assert refused.json()["error"]["message"] == "page_token is invalid"
    with Sandbox() as other:
        moved = following.replace(sandbox.clio.url, other.clio.url)
        bearer = {"Authorization": f"Bearer {other.clio.token}"}
        assert ask(moved, headers=bearer).status_code == 400
    assert ask(following).status_code == 200


def test_offset_pages_are_capped(sandbox: Sandbox, ask: Ask) -> None:
    """Any other order means offset paging, which ends at ten thousand."""
    pages = list(walk(ask, limit=25, order="id(desc)"))
    assert ids(iter(pages)) == list(range(5060, 5000, -1))
    assert set(pages[1]["meta"]["paging"]) == {"previous", "next"}
    assert ask("matters.json", offset=50, limit=200).json()["data"][0]["id"] == 5051
    refused = ask("matters.json", offset=10_000)
    assert (refused.status_code, refused.json()["error"]["type"]) == (422, "ArgumentError")


def test_order_by_time_date_and_name(sandbox: Sandbox, ask: Ask) -> None:
    """The order is what was asked for."""
    sandbox.firm.edit(5033)
    newest = ask("matters.json", order="updated_at(desc)", limit=1).json()["data"]
    assert newest[0]["id"] == 5033
    rows = ask("matters.json", order="close_date(asc)", fields="close_date").json()["data"]
    dates = [row["close_date"] or "" for row in rows]
    assert dates == sorted(dates)
    rows = ask("matters.json", order="display_number(asc)", fields="display_number").json()["data"]
    assert rows == sorted(rows, key=lambda row: row["display_number"])


@settings(max_examples=50)
@given(
    touches=st.lists(st.tuples(st.integers(1, 8), st.integers(0, 20)), max_size=60),
    since=st.integers(0, 20),
)
def test_index_of_changes_agrees_with_a_scan(touches: list[tuple[int, int]], since: int) -> None:
    """Whatever is touched when, even in the past, the index finds what a scan finds."""
    table: Table[Matter] = Table(1)
    table.load([Matter(n, None, "Open", None, None, 0, 0) for n in range(1, 9)])
    for row_id, at in touches:
        row = table.get(row_id)
        assert row is not None
        table.touch(row, at)
    expected = [row.id for row in table.walk() if row.updated > since]
    assert [row.id for row in table.changed(since)] == expected
