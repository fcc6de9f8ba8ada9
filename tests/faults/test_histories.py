"""Histories that chance makes: each test a chunk of them, the same ones every time; a tenth of them
befalls a firm in PostgreSQL.

`HISTORIES=10000 pytest tests/faults/test_histories.py` makes more. A failure prints the steps of
its history, and the command that repeats it and looks for a shorter one that fails as well.
"""

import os
from itertools import product

import pytest
from drill import MakeDrill, told
from histories import play

CHUNK = 20
STEPS = 30
OF_WHICH_ONE = 5
"""Of so many chunks there is one, half as large, of a firm in PostgreSQL."""
CHUNKS = -(-int(os.environ.get("HISTORIES", "100")) // CHUNK)


@pytest.mark.parametrize(
    ("where", "number"),
    [*product(["file"], range(CHUNKS)), *product(["postgresql"], range(0, CHUNKS, OF_WHICH_ONE))],
    indirect=["where"],
)
def test_histories(make_drill: MakeDrill, where: str, number: int) -> None:
    test = f"tests/faults/test_histories.py::test_histories[{where}-{number}]"
    histories = CHUNK if where == "file" else CHUNK // 2
    again = f"SHORTEN=yes HISTORIES={(number + 1) * CHUNK} pytest -n 0 '{test}'"
    shorten = "SHORTEN" in os.environ
    with told(f"again: {again}"):
        accepted = play(
            make_drill,
            number,
            histories=histories,
            steps=STEPS,
            of_a_firm=where == "postgresql",
            shorten=shorten,
        )
    assert len(accepted) >= histories
    assert sum(accepted) > histories, "hardly anybody was asked: the histories prove little"
