"""The judge of a storm: who was asked, who was forgotten, and what the workers have printed.

What the servers recorded is compared with what lies in the database, as in `tests/faults`.
"""

import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import books
import checker
import leaks
import psycopg
from books import Row
from circumstances import Circumstances
from databases import KEY
from forkserver import ForkServer
from world import PACKAGE, matter_of

from fleet.offices import Office, Rows, Says
from fleet.workers import Worker, environment

LOST_DATABASE = 74
ENDS = {-signal.SIGKILL, LOST_DATABASE}
"""How a worker may end while nobody has asked it to."""
STOPPED = 128 + signal.SIGTERM
IN_PROGRESS = 409
SPEAKS = "clio-broadly-sync: "
"""How each line begins that a worker prints: nothing else is said by a library, or by Python."""


def flaws(
    offices: Sequence[Office], workers: Sequence[Worker], address: str, folder: Path
) -> Iterator[str]:
    """Yield a sentence for everything that is wrong after a storm, when the workers have ended."""
    with psycopg.connect(address, autocommit=True, options="-c role=fleet_worker") as connection:
        for office in offices:
            office.judged_by(Rows(connection))
            yield from (f"{office.name}: {says}" for says in _of_office(office))
    yield from _of_verify(offices, address, folder)
    yield from _of_workers(offices, workers, address)


def _of_office(office: Office) -> Iterator[str]:
    try:
        checker.check(office, Circumstances())
    except AssertionError as error:
        yield str(error).splitlines()[0]
    yield from (error.splitlines()[-1] for error in office.clio.errors + office.broadly.errors)
    refused = {post.status for post in office.broadly.posts if (post.status or 0) >= 400}
    yield from (f"a POST was answered {status}" for status in refused - {IN_PROGRESS})
    accepted = Counter(matter_of(one.item) for one in office.broadly.accepted)
    rows = {row.matter: row for row in books.read(office.state).rows}
    for matter, says in office.closed.items():
        if matter not in rows:
            yield f"matter {matter} was forgotten"
        elif not _is_right(office, rows[matter], says, accepted[matter]):
            yield f"{rows[matter]} was accepted {accepted[matter]} times; its client: {says.name}"


def _is_right(office: Office, row: Row, says: Says, times: int) -> bool:
    """Tell whether a closing has ended as it must."""
    if says is Says.NO:
        return (row.state, times) == ("skipped", 0)
    if row.state == "held":  # nobody knows whether it was accepted, and it is not sent again
        return times <= 1 and (not office.broadly.dedupes or says is Says.NO_AFTERWARDS)
    is_skipped = says is Says.NO_AFTERWARDS and (row.state, times) == ("skipped", 0)
    return is_skipped or (row.state, times) == ("sent", 1)


def _of_verify(offices: Sequence[Office], address: str, folder: Path) -> Iterator[str]:
    forks = ForkServer(PACKAGE, "psycopg", "cryptography.fernet")
    try:
        for office in offices:
            call = ["verify", "--firm", office.name]
            with forks.start(call, environment(address, folder), folder) as child:
                out, err = child.communicate(timeout=60)
            if child.returncode or "WARN" in out:
                yield f"{office.name}: verify ended with {child.returncode}: {out}{err}"
    finally:
        forks.close()


def _of_workers(
    offices: Sequence[Office], workers: Sequence[Worker], address: str
) -> Iterator[str]:
    words = _words(offices, address)
    for number, worker in enumerate(workers):
        *earlier, last = worker.codes
        yield from (f"worker {number} ended with {code}" for code in {*earlier} - ENDS)
        if last != STOPPED:
            yield f"worker {number}, asked to end, ended with {last}"
        lines = {*worker.printed.read_text().splitlines()}
        if odd := [line for line in lines if not line.startswith(SPEAKS)]:
            yield f"worker {number} has printed {len(odd)} lines that are no sentences: {odd[:3]}"
        yield from leaks.found({f"worker {number}": "\n".join(lines).encode()}, words)


def _words(offices: Sequence[Office], address: str) -> Mapping[leaks.Kind, set[str]]:
    """Return all that no worker may print: who the clients are, and what is secret."""
    found: dict[leaks.Kind, set[str]] = {kind: set() for kind in leaks.Kind}
    for office in offices:
        for kind, words in leaks.of(office.sandbox, {KEY, address}).items():
            found[kind] |= words
    return found
