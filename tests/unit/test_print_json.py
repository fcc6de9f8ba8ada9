"""One JSON object on stdout: the bytes of `json.dumps`, with nothing gathered before."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from clio_broadly_sync.cli import output
from clio_broadly_sync.domain.reasons import Reason


def test_it_is_what_json_dumps_writes(capsys: pytest.CaptureFixture[str]) -> None:
    pairs = {"none": None, "word": Reason.SURGE, "one": {"é": [1, 2.5]}, "true": True}
    output.print_json((pairs | {"many": iter([1, 2]), "no": iter(())}).items())
    expected = json.dumps(pairs | {"many": [1, 2], "no": []})
    assert capsys.readouterr().out == f"{expected}\n"


def test_times_are_spelled_as_people_and_programs_read_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    at = datetime(2026, 11, 20, 22, 5, tzinfo=UTC)
    output.print_json({"at": at, "on": date(2026, 11, 20), "long": timedelta(hours=1.5)}.items())
    said = json.loads(capsys.readouterr().out)
    assert said == {"at": "2026-11-20T22:05:00Z", "on": "2026-11-20", "long": 5400}


def test_what_comes_later_is_taken_later(capsys: pytest.CaptureFixture[str]) -> None:
    """Each item is written before the next is taken, and each pair before the next."""
    written: list[str] = []

    def look() -> None:
        written.append(capsys.readouterr().out)

    def items() -> Iterator[int]:
        for number in range(2):
            look()
            yield number

    def pairs() -> Iterator[tuple[str, Any]]:
        yield "items", items()
        look()
        yield "last", True

    output.print_json(pairs())
    look()
    assert written == ['{"items": [', "0", ", 1]", ', "last": true}\n']
