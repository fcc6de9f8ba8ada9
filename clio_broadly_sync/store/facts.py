"""What the facts of a state must be: each readable, and none against another. Knows no database."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Final

from clio_broadly_sync.domain.errors import StorageError
from clio_broadly_sync.domain.model import SyncRule

LEAST_OVERLAP: Final = timedelta(minutes=5)
"""A watermark that is ahead of the clock by no more than this passes over nobody yet."""

_PINNED: Final = frozenset(
    {"clio_host", "clio_account", "broadly_url", "sync_rule", "opt_out_field", "opt_in_field"}
)
_STARTED: Final = frozenset({"watermark", "first_run", "start_day"})

Facts = Mapping[str, str]


def check_facts(facts: Facts) -> None:
    """Raise StorageError for facts that no run could have written: nothing follows from them."""
    unreadable = {name for name, read in _READERS.items() if not _can_be_read(facts, name, read)}
    if _PINNED & facts.keys():
        unreadable |= (_PINNED | {"hash_key"}) - facts.keys()
    if unreadable:
        raise StorageError(
            f"The state is damaged: what it says of {', '.join(sorted(unreadable))} cannot be "
            "read. Restore a sound copy of it (README, Recipes)."
        )


def contradictions(facts: Facts, now: datetime, *, has_closings: bool) -> Iterator[tuple[str, str]]:
    """Yield what does not fit together, or the clock: a name for programs, and a sentence."""
    pinned, started = facts.keys() >= _PINNED, _STARTED & facts.keys()
    if (has_closings or started) and not pinned:
        yield "pins", "There are closings or a watermark, but not what the state was made with."
    if pinned and _lacks_a_field(facts):
        yield "fields", "The id of a checkbox that the rule reads is missing."
    if started == _STARTED:
        yield from _about_the_start(facts, now)
    elif started:
        yield "start", "Of watermark, first run and start day, one is missing."


def _about_the_start(facts: Facts, now: datetime) -> Iterator[tuple[str, str]]:
    watermark, first_run = (
        datetime.fromisoformat(facts[name]) for name in ("watermark", "first_run")
    )
    start_day, a_day = date.fromisoformat(facts["start_day"]), timedelta(days=1)
    if watermark > now + LEAST_OVERLAP:
        yield (
            "watermark",
            "The watermark lies in the future, so what closes until then would be passed over; "
            "see first that this machine's clock is right.",
        )
    if start_day < (first_run - a_day).date():
        yield "start_day", "The start day lies before the first run."
    if start_day > (now + a_day).date():
        yield "start_day", "The start day lies in the future, so what closes now is passed over."


def _lacks_a_field(facts: Facts) -> bool:
    rule = SyncRule(facts["sync_rule"])
    lacks_opt_in = rule.needs_opt_in and not facts["opt_in_field"]
    return lacks_opt_in or (rule.needs_opt_out and not facts["opt_out_field"])


def _aware(text: str) -> None:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError


def _id(text: str) -> None:
    if text and int(text) <= 0:
        raise ValueError


def _key(text: str) -> None:
    if len(bytes.fromhex(text)) < 32:
        raise ValueError


_READERS: Final[Mapping[str, Callable[[str], object]]] = {
    "hash_key": _key,
    "watermark": _aware,
    "first_run": _aware,
    "start_day": date.fromisoformat,
    "sync_rule": SyncRule,
    "clio_account": _id,
    "opt_out_field": _id,
    "opt_in_field": _id,
    "sign_in_expires_at": _aware,
}


def _can_be_read(facts: Facts, name: str, read: Callable[[str], object]) -> bool:
    try:
        if name in facts:
            read(facts[name])
    except ValueError:
        return False
    return True
