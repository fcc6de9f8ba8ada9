"""Text from Clio made fit for a person's terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clio_broadly_sync.domain.errors import shown

ESCAPES = (
    "\x1b[31m",
    "\x1b[1;4;38;5;196m",
    "\x1b[?25l",
    "\x1b[2 q",
    "\x9b2J",
    "\x1b]0;a title\x07",
    "\x1b]8;;https://example.com\x1b\\",
    "\x9d0;a title\x9c",
    "\x1bPq#0;2;0\x1b\\",
    "\x1b(B",
    "\x1bc",
)
UNSEEN = "\0\x07\x08\x7f\x80\xad\u200b\u200d\u200e\u200f\u202a\u202e\u2066\u2069\ufeff\ud800"
BREAKS = "\t\n\v\f\r\x1c\x1d\x1e\x85\xa0\u2028\u2029\u3000"

plain = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=64)
anything = st.lists(
    st.one_of(st.text(), st.sampled_from(ESCAPES), st.sampled_from(UNSEEN + BREAKS))
).map("".join)


@given(anything)
def test_it_is_one_short_printable_line(text: str) -> None:
    assert shown(text).isprintable()
    assert len(shown(text)) <= 64
    assert shown(text, 12) == shown(shown(text), 12)


@given(plain)
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize("sequence", ESCAPES)
@given(before=plain.filter(lambda text: len(text) < 32), after=plain.map(lambda text: text[:32]))
def test_escape_sequences_go_as_a_whole(sequence: str, before: str, after: str) -> None:
    assert shown(before + sequence + after) == before + after


def test_an_unfinished_sequence_leaves_nothing_that_acts() -> None:
    assert shown("a\x1b[31") == "a31"
    assert shown("a\x1b") == "a"
    assert shown("a\x1b]0;never ended") == "a"


def test_what_cannot_be_seen_or_turns_the_writing_goes() -> None:
    assert shown(f"no{UNSEEN}thing") == "nothing"


@pytest.mark.parametrize("character", BREAKS)
def test_a_line_break_becomes_a_blank(character: str) -> None:
    assert shown(f"one{character}two") == "one two"


def test_outer_blanks_stay_for_a_name_may_differ_by_them_alone() -> None:
    assert shown(" BroadlyOptOut  ") == " BroadlyOptOut  "


def test_long_text_is_cut_and_says_so() -> None:
    assert shown("x" * 64) == "x" * 64
    assert shown("x" * 65) == "x" * 63 + "…"
    assert shown("x" * 65, 10) == "x" * 9 + "…"
