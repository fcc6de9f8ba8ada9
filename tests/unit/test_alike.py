"""Whether everybody is asked alike: the statistics, the fold, and what becomes a question."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clio_broadly_sync.domain.grouping import Belonging, By, Named
from clio_broadly_sync.domain.model import SyncRule
from clio_broadly_sync.report import alike_table
from clio_broadly_sync.report.alike import (
    CHANCE,
    JUDGED_FROM,
    SMALLEST,
    WHY,
    Alike,
    CouldBeAsked,
    Counted,
    Share,
    alike,
    compare,
    fisher,
    total,
    wilson,
)

NOBODY = Share(0, 0)


def _share(draw: st.DrawFn, most: int) -> Share:
    could = draw(st.integers(0, most))
    return Share(draw(st.integers(0, could)), could)


@st.composite
def shares(draw: st.DrawFn, most: int = 40) -> Share:
    return _share(draw, most)


COUNTED = st.lists(shares(), max_size=12).map(
    lambda several: [(f"A{n}" if n else None, share) for n, share in enumerate(several)]
)
"""The clients of up to 12 groups, of which the first has no name."""


def _compared(*counted: Counted, rule: SyncRule = SyncRule.OPT_IN, by: By = By.ATTORNEY) -> Alike:
    return compare(by, counted, NOBODY, rule)


@pytest.mark.parametrize(
    ("one", "other", "chance"),
    [
        ((3, 8), (28, 33), 0.012916563773620326),
        ((8, 10), (1, 6), 0.034965034965034975),
        ((1, 12), (9, 12), 0.0027594561852200836),
        ((3, 20), (20, 29), 0.0003494973379370307),
        ((0, 10), (30, 30), 1.1797175484382118e-09),
        ((8, 20), (50, 60), 0.000396798277950753),
        ((1000, 2000), (1200, 2000), 2.4515720638785275e-10),
        ((5, 10), (5, 10), 1.0),
        ((0, 0), (3, 7), 1.0),
        ((4, 4), (9, 9), 1.0),
    ],
)
def test_fishers_exact_test(one: tuple[int, int], other: tuple[int, int], chance: float) -> None:
    """As SciPy's `fisher_exact` has it, two-sided, for few and for many."""
    for first, second in ((one, other), (other, one)):
        assert fisher(Share(*first), Share(*second)) == pytest.approx(chance, rel=1e-9)


@given(shares(most=7), shares(most=7))
def test_fishers_test_counts_the_ways(one: Share, other: Share) -> None:
    """It is the part of all ways to choose who was asked that part the groups at least so far."""
    clients = range(one.could + other.could)
    chosen = [
        sum(client < one.could for client in asked)
        for asked in combinations(clients, one.tried + other.tried)
    ]
    ways = {number: chosen.count(number) for number in chosen}
    as_far = sum(number for number in ways.values() if number <= ways[one.tried])
    assert fisher(one, other) == pytest.approx(as_far / len(chosen), rel=1e-9)


@pytest.mark.parametrize(
    ("share", "low", "high"),
    [
        ((3, 8), 0.1368442858235974, 0.6942576053973728),
        ((8, 10), 0.4901624715366418, 0.9433178485456248),
        ((1, 12), 0.014865094404917123, 0.35387991114111694),
        ((0, 10), 0.0, 0.27753279986288926),
        ((10, 10), 0.7224672001371107, 1.0),
        ((0, 0), 0.0, 1.0),
        ((1000, 2000), 0.4781079507511692, 0.5218920492488308),
    ],
)
def test_wilsons_range(share: tuple[int, int], low: float, high: float) -> None:
    """As SciPy's `binomtest(…).proportion_ci(method="wilson")` has it."""
    assert wilson(Share(*share)) == pytest.approx((low, high), rel=1e-9)


@given(shares(most=10_000))
def test_wilsons_range_holds_the_share(share: Share) -> None:
    low, high = wilson(share)
    rate = share.tried / share.could if share.could else 0.5
    assert 0 <= low <= rate <= high <= 1


@given(COUNTED, shares(), st.sampled_from(SyncRule))
def test_groups_fold_and_unknown_add_up(
    counted: list[Counted], unknown: Share, rule: SyncRule
) -> None:
    """Nobody is lost and nobody counts twice; whoever could not be asked belongs to no group."""
    found = compare(By.ATTORNEY, counted, unknown, rule)
    folded = found.fold.share if found.fold else NOBODY
    parts = [*(group.share for group in found.groups), folded, unknown]
    assert total(parts) == found.firm == total([*(share for _, share in counted), unknown])
    alone = len(found.groups) + (found.fold.groups if found.fold else 0)
    assert alone == sum(share.could > 0 for _, share in counted)


@given(COUNTED)
def test_fold_hides_whose_they_are(counted: list[Counted]) -> None:
    """It holds two groups or more and 5 clients or more, where there are so many; and whatever is
    shown alone is no smaller than what is folded."""
    found = _compared(*counted)
    assert all(group.share.could >= SMALLEST for group in found.groups)
    if found.fold is not None and found.groups:
        assert found.fold.groups > 1
        assert found.fold.share.could >= SMALLEST


@given(COUNTED)
def test_no_more_is_folded_than_it_takes(counted: list[Counted]) -> None:
    """Without the largest of them, a fold would hold one group or too few; or all are too small."""
    found = _compared(*counted)
    sizes = sorted((share.could for _, share in counted if share.could), reverse=True)
    folded = sizes[len(found.groups) :]
    without = folded[1:]
    assert (found.fold is None) == (not folded)
    if folded and folded[0] >= SMALLEST:
        assert len(without) < 2 or sum(without) < SMALLEST


@given(COUNTED, st.sampled_from(SyncRule))
def test_only_large_groups_that_differ_are_a_question(
    counted: list[Counted], rule: SyncRule
) -> None:
    """So a fold is never one, however much it differs."""
    found = _compared(*counted, rule=rule)
    for group in found.groups:
        differs = fisher(group.share, found.firm.less(group.share)) < CHANCE
        assert (group.question is not None) == (differs and group.share.could >= JUDGED_FROM)


@given(COUNTED)
def test_largest_group_comes_first(counted: list[Counted]) -> None:
    sizes = [group.share.could for group in _compared(*counted).groups]
    assert sizes == sorted(sizes, reverse=True)


def test_fold_that_differs_is_not_judged() -> None:
    """Nobody of four small groups was asked: what is asked about are the others."""
    small = [(f"S{n}", Share(0, 4)) for n in range(4)]
    found = _compared(("A", Share(40, 40)), *small)
    assert found.fold is not None
    assert (found.fold.groups, found.fold.share) == (4, Share(0, 16))
    assert fisher(found.fold.share, Share(40, 40)) < CHANCE
    assert found.questions == ("of the 40 clients of A who could be asked, 40 were; in the rest of "
                               "the firm it is 0 of 16. Is there a reason, or is the box forgotten "
                               "elsewhere?",)  # fmt: skip


@pytest.mark.parametrize(
    ("sizes", "alone"),
    [
        ([12, 9, 5], [12, 9, 5]),
        ([12, 9, 4], [12]),  # one small group would be known by name
        ([12, 9, 4, 3], [12, 9]),
        ([12, 9, 2, 2], [12]),  # two small groups, but 4 clients in all
        ([12, 9, 2, 2, 1], [12, 9]),
        ([12, 3], []),
        ([3], []),
        ([30], [30]),
        ([], []),
    ],
)
def test_what_is_folded(sizes: list[int], alone: list[int]) -> None:
    found = _compared(*((f"A{n}", Share(1, size)) for n, size in enumerate(sizes)))
    assert [group.share.could for group in found.groups] == alone
    assert (found.fold.groups if found.fold else 0) == len(sizes) - len(alone)


def test_unknown_is_in_no_rest() -> None:
    """Whose they are is not known, so they cannot speak for the others."""
    found = compare(
        By.ATTORNEY, [("A", Share(2, 20)), ("B", Share(18, 20))], Share(9, 9), SyncRule.OPT_IN
    )
    assert found.firm == Share(29, 49)
    assert all("18 of 20" in q or "2 of 20" in q for q in found.questions)
    assert len(found.questions) == 2


@pytest.mark.parametrize(
    ("by", "name", "tried", "rule", "question"),
    [
        (By.ATTORNEY, "G. Chen", 2, SyncRule.BOTH,
         "of the 20 clients of G. Chen who could be asked, 2 were; in the rest of the firm it is "
         "1,100 of 1,200. Is there a reason, or is the box forgotten?"),
        (By.ATTORNEY, None, 0, SyncRule.OPT_IN,
         "of the 20 clients without an attorney who could be asked, none was; in the rest of the "
         "firm it is 1,100 of 1,200. Is there a reason, or is the box forgotten?"),
        (By.PRACTICE_AREA, "Family", 1, SyncRule.OPT_OUT,
         "of the 20 clients in Family who could be asked, 1 was; in the rest of the firm it is "
         "1,100 of 1,200. Is there a reason, or is the box checked out of habit?"),
        (By.PRACTICE_AREA, None, 3, SyncRule.OPT_OUT,
         "of the 20 clients without a practice area who could be asked, 3 were; in the rest of the "
         "firm it is 1,100 of 1,200. Is there a reason, or is the box checked out of habit?"),
    ],
)  # fmt: skip
def test_questions(by: By, name: str | None, tried: int, rule: SyncRule, question: str) -> None:
    """With the figures of the group and of the rest, and with what may be wrong by this rule."""
    found = _compared((name, Share(tried, 20)), ("X", Share(1100, 1200)), by=by, rule=rule)
    assert found.groups[1].question == question
    assert found.groups[1].name == (name or by.none)


@pytest.mark.parametrize(
    ("counted", "calm"),
    [
        ([("A", Share(5, 20)), ("B", Share(6, 20))], "No attorney with 10 clients or more differs"),
        ([("A", Share(5, 9)), ("B", Share(6, 8))], "No attorney has the 10 clients that a verdict"),
        ([("A", Share(0, 20)), ("B", Share(20, 20))], None),
        ([("A", Share(1, 2)), ("B", Share(2, 2))], None),
        ([("A", Share(5, 20))], None),
    ],
)
def test_that_nothing_is_to_be_asked_is_said(counted: list[Counted], calm: str | None) -> None:
    """Whoever asks whether all ask alike gets an answer, wherever there is one."""
    found = _compared(*counted)
    assert (found.calm is None) is (calm is None)
    assert (found.calm or "").startswith(calm or "")
    assert (found.calm in [*alike_table.lines([found])]) is (calm is not None)


# As a table


@given(st.lists(st.tuples(st.text(max_size=80), shares()), max_size=8), shares())
def test_no_line_is_too_wide(counted: list[Counted], unknown: Share) -> None:
    """But for the sentences, which are folded on a terminal."""
    found = compare(By.PRACTICE_AREA, counted, unknown, SyncRule.OPT_IN)
    sentences = {f"A question, not a finding: {each}" for each in found.questions} | {found.calm}
    for line in alike_table.lines([found]):
        assert len(line) <= 80 or line in sentences or line.endswith(WHY)
        assert line.isprintable() or line in sentences


def test_fold_has_no_names() -> None:
    counted = [(f"Attorney{n}", Share(1, size)) for n, size in enumerate([12, 4, 3])]
    found = [*alike_table.lines([_compared(*counted)])]
    assert [line.split()[:2] for line in found[2:5]] == [
        ["Attorney0", "12"], ["2", "others,"], ["the", "firm"],
    ]  # fmt: skip


@pytest.mark.parametrize("sizes", [[12, 3], [9, 2, 2], [3], [4, 4, 4]])
def test_too_few_to_compare(sizes: list[int]) -> None:
    """Nor is it then said why it matters."""
    found = _compared(*((f"A{n}", Share(1, size)) for n, size in enumerate(sizes)))
    assert [*alike_table.lines([found])] == ["", f"By attorney: {alike_table.TOO_FEW}"]


@given(COUNTED)
def test_it_takes_five_and_five(counted: list[Counted]) -> None:
    """In a group, and in the others together; where there is but one group, that is shown."""
    found = _compared(*counted)
    sizes = [share.could for _, share in counted if share.could]
    largest = max(sizes, default=0)
    others = sum(sizes) - largest
    assert bool(found.groups) == (largest >= SMALLEST and (others >= SMALLEST or not others))


def test_shares_as_a_person_reads_them() -> None:
    """Whole percentages, and none of fewer than 5; with the marks, and why it matters."""
    found = compare(
        By.ATTORNEY, [("A", Share(1, 12)), ("B", Share(190, 191))], Share(1, 2), SyncRule.BOTH
    )
    assert [line.split() for line in alike_table.lines([found])][1:6] == [
        ["By", "attorney", "could", "be", "asked", "sent", "share"],
        ["B", "191", "190", "99%", "?"],
        ["A", "12", "1", "8%", "?"],
        ["not", "shown", "by", "Clio", "2", "1"],
        ["the", "firm", "205", "192", "94%"],
    ]


# From the closings


A, SAME_NAME = Named(1, "A"), Named(2, "A")


def test_each_closing_counts_for_its_matters_group() -> None:
    """Two of a matter count twice, two attorneys of one name are two, and none is a group."""
    closings = [
        *(CouldBeAsked(matter, tried=True) for matter in (7, 7, 8, 8, 8)),
        *(CouldBeAsked(9, tried=False) for _ in range(6)),
        *(CouldBeAsked(10, tried=n < 2) for n in range(7)),
        CouldBeAsked(11, tried=True),
        CouldBeAsked(12, tried=False),
    ]
    belonging: dict[int, Belonging] = {
        7: {By.ATTORNEY: A},
        8: {By.ATTORNEY: Named(1, "A.")},
        9: {By.ATTORNEY: SAME_NAME},
        10: {By.ATTORNEY: None},
        12: {},
    }
    found = alike(By.ATTORNEY, closings, belonging, SyncRule.OPT_IN)
    assert [(group.name, group.share) for group in found.groups] == [
        ("no attorney", Share(2, 7)),
        ("A", Share(0, 6)),
        ("A.", Share(5, 5)),
    ]
    assert (found.unknown, found.firm) == (Share(1, 2), Share(8, 20))


def test_name_is_fit_for_a_terminal() -> None:
    closings = [CouldBeAsked(7, tried=True)] * 5
    evil = {7: {By.ATTORNEY: Named(1, "Eve\x1b[2J\nX")}}
    (group,) = alike(By.ATTORNEY, closings, evil, SyncRule.BOTH).groups
    assert group.name == "Eve X"
