"""What `report --json` prints. The keys are public, so they are spelled here."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from clio_broadly_sync.cli.app import Call
from clio_broadly_sync.report.alike import Alike, Share
from clio_broadly_sync.report.figures import Counts, DropOut, Figures, Period, Week


class Listing(NamedTuple):
    """What stands before the closings of `--list`."""

    period: Period
    known: Period | None


def object_of(found: Iterator[Any], call: Call) -> Iterator[tuple[str, Any]]:
    """Yield what the object holds: the figures, or the closings that follow a `Listing`.

    The outcome stands last where there are closings, because it is known only then.
    """
    first = next(found, None)
    if isinstance(first, Listing):
        yield "period", _days(first.period)
        yield "known", _days(first.known)
        yield "closings", found
        yield "outcome", call.outcome
    else:
        rest = [*found]
        yield "outcome", call.outcome
        if isinstance(first, Figures) and not rest:
            yield from _figures(first).items()


def _figures(figures: Figures) -> dict[str, Any]:
    waiting, opted_out = figures.for_a_person, figures.opted_out
    return {
        "made_at": figures.made_at,
        "version": figures.version,
        "rule": figures.rule,
        "time_zone": figures.zone_name,
        "period": _days(figures.period),
        "known": _days(figures.known),
        "known_from": figures.known_from,
        "known_until": figures.known_until,
        "later": figures.later,
        "counts": _counts(figures.counts),
        "dropped": [*map(_drop_out, figures.dropped)],
        "before": _counts(figures.before),
        "weeks": [*map(_week, figures.weeks)],
        "days": [
            one._asdict() | {"failures": [why._asdict() for why in one.failures]}
            for one in figures.days
        ],
        "for_a_person": waiting._asdict() | {"listed": [one._asdict() for one in waiting.listed]},
        "opted_out": opted_out._asdict() | {"listed": [one._asdict() for one in opted_out.listed]},
        "last_failure": figures.last_failure,
        "silent_since": figures.silent_since,
        "alike": [*map(_alike, figures.alike)] or None,
    }


def _alike(one: Alike) -> dict[str, Any]:
    """Return a way of grouping; of a fold the names are not told, nor is it judged."""
    fold = one.fold
    return {
        "by": one.by,
        "firm": _share(one.firm),
        "groups": [
            {
                "name": group.name,
                **_share(group.share),
                "range": [*group.span],
                "p": group.chance,
                "question": group.question,
            }
            for group in one.groups
        ],
        "fold": fold and {"groups": fold.groups, **_share(fold.share), "range": [*fold.span]},
        "unknown": _share(one.unknown),
    }


def _share(share: Share) -> dict[str, int]:
    return {"could_be_asked": share.could, "tried": share.tried}


def _days(period: Period | None) -> dict[str, Any] | None:
    return None if period is None else {"from": period.first, "to": period.last}


def _counts(counts: Counts | None) -> dict[str, Any] | None:
    return None if counts is None else counts._asdict()


def _drop_out(one: DropOut) -> dict[str, Any]:
    return {
        "step": one.step.word,
        "state": one.state,
        "reason": one.reason,
        "closings": one.closings,
        "needs_a_person": one.needs_a_person,
        "why": one.why,
        "helps": one.helps,
    }


def _week(week: Week) -> dict[str, Any]:
    """Return a week; where not all is known of it, what is zero is null."""
    counts = {
        name: number if number or week.known else None
        for name, number in week.counts._asdict().items()
    }
    return {
        "from": week.first,
        "to": week.last,
        "in_period": week.in_period,
        "known": week.known,
        **counts,
        "waits": week.waits,
    }
