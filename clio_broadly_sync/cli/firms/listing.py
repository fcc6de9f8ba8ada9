"""`firms list` and `firms show`: how each firm of a fleet stands."""

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any, NamedTuple

from clio_broadly_sync.cli import app, output
from clio_broadly_sync.cli.firms.own_settings import Own
from clio_broadly_sync.cli.one_firm import Fleet, firm_named, fleet_of
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.cli.output import PROGRAM, Column, fitting, folded, length, table_line
from clio_broadly_sync.domain.errors import outcome_of, words_of
from clio_broadly_sync.settings.fleet import SECRETS
from clio_broadly_sync.store.firms import ACTIVE, HASH_KEY, PAUSED, Firm, Firms


def find(options: Options, call: app.Call) -> Iterator[Any]:
    """Yield the firms for JSON, or the lines of the table."""
    with closing(fleet_of(options).connect()) as session:
        table = Firms(session)
        found, now = table.all(), table.now()
    if call.as_json:
        yield from map(_entry, found)
    else:
        yield from _table(found, now)


def object_of(firms: Iterator[Any], call: app.Call) -> Iterator[tuple[str, Any]]:
    """Yield what `firms list --json` says; the outcome is known once all firms are read."""
    yield "firms", firms
    yield "outcome", call.outcome


def _entry(firm: Firm) -> dict[str, Any]:
    return {
        "name": firm.name,
        "state": firm.state,
        "every_seconds": firm.period,
        "next_at": firm.next_at if firm.state == ACTIVE else None,
        "failures": firm.failures,
        "failing_since": firm.failing_since,
        "last_exit_code": firm.last_exit,
        "last_outcome": None if firm.last_exit is None else outcome_of(firm.last_exit),
        "last_said": firm.last_said,
        "started_at": firm.started_at,
        "ended_at": firm.ended_at,
        "ended_well_at": firm.good_at,
        "worker": firm.worker,
        "account": firm.account,
        "added_at": firm.added_at,
    }


def _table(firms: Sequence[Firm], now: datetime) -> Iterator[str]:
    if not firms:
        yield folded(f"There is no firm yet: `{PROGRAM} firms add`.")
        return
    every = [*_columns(max(len(firm.name) for firm in firms))]
    shown = fitting(every, shutil.get_terminal_size().columns if sys.stdout.isatty() else None)
    yield table_line((column.title, column.width) for column in shown)
    for firm in firms:
        row = _row(firm, now)
        yield table_line((column.text(row), column.width) for column in shown)
    yield from output.no_room(every, shown)


def _columns(longest: int) -> Iterator[Column]:
    yield Column("firm", max(4, longest), 6, lambda row: row["name"])
    yield Column("state", 7, 5, lambda row: row["state"])
    yield Column("every", 10, 1, lambda row: row["every"])
    yield Column("due", 23, 2, lambda row: row["due"])
    yield Column("last run", 23, 3, lambda row: row["ended"])
    yield Column("how it ended", 28, 4, lambda row: row["how"])


def _row(firm: Firm, now: datetime) -> dict[str, Any]:
    return {
        "name": firm.name,
        "state": firm.state,
        "every": length(firm.period),
        "due": _due(firm, now),
        "ended": firm.ended_at and output.moment(firm.ended_at, None),
        "how": _how(firm),
    }


def _due(firm: Firm, now: datetime) -> str | None:
    if firm.state != ACTIVE:
        return None
    return "now" if firm.next_at <= now else output.moment(firm.next_at, None)


def _how(firm: Firm) -> str | None:
    """Return in words how the last run of a firm ended; None where there was none."""
    if firm.last_exit is None:
        return None
    return words_of(firm.last_exit) + (f" ({firm.last_exit})" if firm.last_exit else "")


# One firm.


class Shown(NamedTuple):
    """A firm, with what can be told of its settings."""

    firm: Firm
    now: datetime
    """The server's time."""
    own: Own
    signed_in: bool
    defaults: Mapping[str, str]
    """What the fleet gives it of each setting that is not its own, by name in lower case."""


def find_one(options: Options, name: str, call: app.Call) -> Iterator[Shown]:
    """Yield the firm; raise UsageError where there is none."""
    known = fleet_of(options)
    with closing(known.connect()) as session:
        table = Firms(session)
        firm, now = firm_named(table, name), table.now()
    yield _shown(known, firm, now)


def _shown(known: Fleet, firm: Firm, now: datetime) -> Shown:
    own = Own(dict(firm.settings), known.secrets_of(firm))
    place = known.place_of(firm, own.secrets[HASH_KEY])
    given = {n: text for n, text in known.settings.defaults.items() if n not in own.texts}
    return Shown(firm, now, own, place.sign_in().read() is not None, given)


def object_of_one(found: Iterator[Shown], call: app.Call) -> Iterator[tuple[str, Any]]:
    """Yield what `firms show --json` says, of secrets no more than their names."""
    shown = [*found]
    yield "outcome", call.outcome
    for one in shown:
        yield from _entry(one.firm).items()
        yield "signed_in", one.signed_in
        yield "settings", {name.upper(): text for name, text in sorted(one.own.settings.items())}
        yield "secrets", [name for name in SECRETS if name.lower() in one.own.secrets]
        yield "of_the_fleet", sorted(name.upper() for name in one.defaults)


def text_of(shown: Shown) -> str:
    """Return what a person reads about a firm."""
    return "\n".join(map(folded, [*_lines(shown), *_set(shown)]))


def _lines(shown: Shown) -> Iterator[str]:
    firm, now = shown.firm, shown.now
    paused = f"; to go on: `{PROGRAM} firms resume {firm.name}`" if firm.state == PAUSED else ""
    yield f"{firm.name}: {firm.state}{paused}"
    yield ""
    yield f"Every       {length(firm.period)}"
    if (due := _due(firm, now)) is not None:
        yield f"Due         {due}"
    yield f"Clio        {_sign_in(shown)}{_account(firm)}"
    yield from _last_run(firm, now)
    if firm.failing_since is not None:
        times = output.count(firm.failures, "run has failed in a row", "runs have failed in a row")
        yield f"Failing     since {_ago(firm.failing_since, now)}; {times}"
    if firm.worker is not None and firm.started_at is not None:
        yield f"At work     {firm.worker}, since {_ago(firm.started_at, now)}"


def _sign_in(shown: Shown) -> str:
    if "clio_access_token" in shown.own.texts:
        return "by CLIO_ACCESS_TOKEN"
    return "signed in" if shown.signed_in else "not signed in"


def _account(firm: Firm) -> str:
    return "" if firm.account is None else f"; its account is {firm.account.split()[-1]}"


def _last_run(firm: Firm, now: datetime) -> Iterator[str]:
    if firm.ended_at is None:
        yield "Last run    none yet"
        return
    yield f"Last run    ended {_ago(firm.ended_at, now)}: {_how(firm)}"
    for line in output.with_firm(firm.last_said or "", firm.name).splitlines():
        yield f"            {line}"
    if firm.good_at is not None and firm.good_at != firm.ended_at:
        yield f"Ended well  {_ago(firm.good_at, now)}"


def _set(shown: Shown) -> Iterator[str]:
    yield from ("", "Its own settings")
    yield from _settings(shown.own.texts, "is set, and sealed")
    if shown.defaults:
        yield from ("", "Those of the fleet")
        yield from _settings(shown.defaults, "is set")


def _settings(texts: Mapping[str, str], is_set: str) -> Iterator[str]:
    """Yield the settings, a line each; of a secret only that it is set."""
    for name in sorted(name.upper() for name in texts):
        yield f"  {name:<22}  {is_set if name in SECRETS else texts[name.lower()]}"


def _ago(at: datetime, now: datetime) -> str:
    return f"{output.moment(at, None)} ({length(now - at)} ago)"
