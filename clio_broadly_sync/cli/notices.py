"""What the addresses of NOTIFY_URLS are told, and when: whatever begins or ceases to need a person.

Once a week there may be a summary, too. All of it is counts and the words of this program, and
never a client. What was told is remembered beside the state, and nothing is told twice.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from clio_broadly_sync.cli import output
from clio_broadly_sync.cli.alerts import A_DAY, PATIENCE, moment_in
from clio_broadly_sync.cli.standing import Status, closings_in
from clio_broadly_sync.domain.errors import BUG, BusyError, UnavailableError, outcome_of
from clio_broadly_sync.domain.reasons import ABOUT, Reason
from clio_broadly_sync.store.overview import Group

_HELD, _DEAD, _LEFT, _OBJECTIONS = "held", "dead", "backfill", "objections"
_WORDS: Final = {
    _HELD: "held, because Broadly's answer was lost",
    _DEAD: "rejected by Broadly",
    _LEFT: "left by a backfill",
    _OBJECTIONS: "opted out after being sent to Broadly",
}
_ENDED: Final = "ended "
"""How the key of what ended a run begins; its exit code follows."""
WEEK: Final = 7
"""A summary tells of so many days."""


class Need(NamedTuple):
    """Something that needs a person, as it is remembered. Its moments are aware."""

    closings: int
    """How many closings it is about, as far as that was told; 0 where it is none."""
    since: datetime
    """When a run met it first."""
    told: datetime | None
    """When it was told last; None where it was not told yet."""


class Memory(NamedTuple):
    """What is remembered between two runs."""

    needs: Mapping[str, Need] = {}
    """What needs a person, by its key."""
    summed_up: date | None = None
    """The day of the last summary, in the firm's zone; None where there was none."""
    schemes: tuple[str, ...] = ()
    """The schemes of the addresses that were greeted."""


class News(NamedTuple):
    """What there is to tell of the needs."""

    begun: Mapping[str, int]
    """What begins to need a person, or has grown in a day, with its closings."""
    over: Sequence[str]
    """The keys of what needs a person no longer."""
    needs: Mapping[str, Need]
    """What is to be remembered once that is told."""


def key_of(code: int) -> str:
    """Return the key of a run that ended with this exit code."""
    return f"{_ENDED}{code}"


def is_ending(key: str) -> bool:
    """Tell whether the key is that of a run's end, and not of closings."""
    return key.startswith(_ENDED)


def needs_in(status: Status) -> dict[str, int]:
    """Return how many closings need a person, by key."""
    found = {
        _HELD: closings_in(status.held),
        _DEAD: closings_in(status.dead),
        _OBJECTIONS: len(status.objections),
    }
    for group in filter(status.is_for_a_person, status.waiting):
        key = _key(group, status)
        found[key] = found.get(key, 0) + group.closings
    return {key: closings for key, closings in found.items() if closings}


def _key(group: Group, status: Status) -> str:
    if status.is_left(group) or group.reason is None:
        return _LEFT
    return str(group.reason)


def news(
    before: Mapping[str, Need], found: Mapping[str, int], ends: Callable[[str], bool], now: datetime
) -> News:
    """Compare what is remembered with what a run found; `ends` says which of the rest is over.

    An outage is told once it has lasted for `PATIENCE`. What grows is told again, once a day.
    """
    needs = {key: _after(before.get(key), key, closings, now) for key, closings in found.items()}
    told = {key: need.told for key, need in before.items()}
    begun = {key: found[key] for key, need in needs.items() if need.told != told.get(key)}
    gone = [key for key in before if key not in found]
    over = [key for key in gone if ends(key) and before[key].told is not None]
    kept = {key: before[key] for key in gone if not ends(key)}
    return News(begun, over, {**kept, **needs})


def _after(before: Need | None, key: str, closings: int, now: datetime) -> Need:
    """Return what is to be remembered of a need; it was told `now` where it is to be told."""
    # A moment in the future was noted by a clock that has been set back since.
    if before is None or max(before.since, before.told or now) > now:
        before = Need(0, now, None)
    if before.told is None:
        is_outage = key == key_of(UnavailableError.exit_code)
        due = not is_outage or now - before.since >= PATIENCE
    else:
        due = closings > before.closings and now - before.told >= A_DAY
    if due:
        return before._replace(closings=closings, told=now)
    return before._replace(closings=min(closings, before.closings))


# The words.


def lines_of(found: News) -> list[str]:
    """Return the news, then what needs a person still, as lines."""
    still = [key for key, need in found.needs.items() if need.told and key not in found.begun]
    said = [_line(key, closings) for key, closings in found.begun.items()]
    said += [f"No longer: {_line(key, 0)}" for key in found.over]
    said += [f"Still: {_line(key, found.needs[key].closings)}" for key in still]
    return said if still or found.begun else [*said, "Nothing needs a person now."]


def title_of(found: News) -> str:
    """Return the subject of a message with news."""
    if found.begun:
        return "something needs a person"
    is_left = any(need.told for need in found.needs.values())
    return "less needs a person" if is_left else "nothing needs a person any more"


def _line(key: str, closings: int) -> str:
    if is_ending(key):
        return _ended(int(key.removeprefix(_ENDED)))
    if not closings:
        return f"{_WORDS.get(key) or Reason(key).label} ({key})"
    words = _WORDS.get(key) or ABOUT[Reason(key)].waits
    return f"{output.count(closings, 'closed matter')}: {words} ({key})"


def _ended(code: int) -> str:
    if code == BUG:
        return "`sync` met a bug (1)"
    if code == BusyError.exit_code:
        return "a command hangs and holds the state (busy, 75)"
    if code == UnavailableError.exit_code:
        return "Clio or Broadly is out of reach, for six hours and more (unavailable, 69)"
    return f"`sync` ended with {outcome_of(code)} ({code})"


def summary(status: Status) -> list[str]:
    """Return the lines of the weekly summary, which tells of the days before this one."""
    days = [(day, closings) for day, closings in status.days if day < today(status)][:WEEK]
    sent = sum(closings for _, closings in days)
    first, last = output.day(days[-1][0]), output.day(days[0][0])
    said = [f"{first} to {last}: {output.count(sent, 'client')} sent to Broadly."]
    if status.watermark is not None:
        said.append(f"Up to date until {output.moment(status.watermark, status.zone)}.")
    waiting = closings_in(one for one in status.waiting if not status.is_for_a_person(one))
    if waiting:
        wait = output.count(waiting, "closed matter waits", "closed matters wait")
        said.append(f"{wait} for a later run.")
    needs = [_line(key, closings) for key, closings in needs_in(status).items()]
    return [*said, *(needs or ["Nothing needs a person."])]


def is_day_of_summary(status: Status, weekly: int | None, before: date | None) -> bool:
    """Tell whether a summary is due: once on its day of the week, in the firm's zone."""
    now = today(status)
    return now.weekday() == weekly and (before is None or before < now)


def today(status: Status) -> date:
    """Return the day in the firm's zone."""
    return status.now.astimezone(status.zone).date()


# What the file holds.


def as_json(memory: Memory) -> dict[str, Any]:
    """Return what the file is to hold; nothing where there is nothing to be remembered."""
    return {
        "needs": {key: _need_as_json(need) for key, need in memory.needs.items()},
        "summed_up": memory.summed_up and memory.summed_up.isoformat(),
        "schemes": list(memory.schemes),
    }


def memory_in(content: Mapping[str, Any]) -> Memory:
    """Return what a file holds; nothing where that cannot be understood."""
    try:
        summed_up = content["summed_up"]
        for key in content["needs"]:
            _line(key, 0)  # one that another version has written may be unknown here
        return Memory(
            {key: _need(value) for key, value in content["needs"].items()},
            summed_up and date.fromisoformat(summed_up),
            tuple(map(str, content["schemes"])),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return Memory()


def _need_as_json(need: Need) -> list[Any]:
    return [need.closings, need.since.isoformat(), need.told and need.told.isoformat()]


def _need(value: Any) -> Need:
    closings, since, told = value
    return Need(int(closings), moment_in(since), told and moment_in(told))
