"""What there is to say about a reason, column by column; the rows are in `domain/reasons.py`.

`cli/explain/sentences.py` fills in what stands in braces; in the columns of a report,
`report/words.py`.
"""

from collections.abc import Mapping
from typing import NamedTuple

from clio_broadly_sync.domain.states import Kind, State


class OfCause(NamedTuple):
    """What is said of a reason with a cause of which there is more to say."""

    why: str
    """In place of `About.why`."""
    helps: str | None = None
    """In place of `About.helps`."""
    out_of_sync: str | None = None
    """In place of `About.out_of_sync`."""


class About(NamedTuple):
    """All that there is to know about a reason."""

    kind: Kind
    why: str
    """The end of the sentence that says why a closing was not sent, waits, or is held."""
    helps: str | None = None
    """What a person can do where a closing was skipped."""
    out_of_sync: str | None = None
    """What a person can do instead, where the next `sync` would not look at the closing anew, or
    would skip it because of its date."""
    by_cause: Mapping[str, OfCause] = {}
    """By what the cause has before an id."""
    waits: str | None = None
    """Why closings wait, in the words of a list."""
    helps_waiting: str | None = None
    """What a person can do where a closing of `sync` waits; None where it goes by itself."""
    to_do: tuple[str, ...] = ()
    """The same, of closings in a list, in short lines."""
    in_report: str = ""
    """What helps where closings were skipped, in the words of a report (`report/words.py`)."""
    waits_in_report: str = ""
    """The same, where they wait."""
    waits_in_word: str = ""
    """One word, or a few, for a closing that waits for a person, in a report's list of those."""
    also: frozenset[State] = frozenset()
    """The states in which a closing may have it beside those of its kind."""
    daily: bool = False
    """Whether the daily look decides anew on what was skipped for it, as a person may put it right
    without an edit that Clio tells of."""
