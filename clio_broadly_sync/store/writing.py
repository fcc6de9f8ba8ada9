"""Writing closings down: the rows as they now are, and what changed in the append-only list."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, Update, bindparam, insert, update

from clio_broadly_sync.model import Closing, Key, State
from clio_broadly_sync.store import rows
from clio_broadly_sync.store.prepared import NEW, Prepared
from clio_broadly_sync.store.schema import changes, closings

Pair = tuple[Closing | None, Closing]
"""A closing as it was (None: new) and as it is to be."""

NO_CODES: Mapping[Key, str | None] = {}


class Writer:
    """Writes for one firm; `run` is the number of the run that every change carries."""

    def __init__(self, firm: str) -> None:
        self.run = 0
        self._firm = firm
        self._position = 0

    def write(
        self,
        connection: Connection,
        pairs: Sequence[Pair],
        at: datetime,
        *,
        codes: Mapping[Key, str | None] = NO_CODES,
        decided: bool = True,
    ) -> None:
        """Write all of them; with `decided`, as decisions of this run (what becomes held is one).

        `codes`: Broadly's codes, for the list of changes.
        """
        added: list[rows.Values] = []
        changed: list[rows.Values] = []
        moved: list[rows.Values] = []
        noted: list[rows.Values] = []
        changed_at = rows.seconds(at)
        for old, new in pairs:
            values = self._values(new, changed_at, decided=decided or new.state is State.HELD)
            if old is None:
                added.append(values)
            else:
                values |= self._old_key(old.key)
                (changed if old.key == new.key else moved).append(values)
            if old is None or _differ(old, new):
                noted.append(self._note(old, values, codes.get(new.key)))
        for statement, several in (
            (_ADD, added),
            (_CHANGE, changed),
            (_MOVE, moved),
            (_NOTE, noted),
        ):
            statement.execute(connection, several)

    def _values(self, new: Closing, changed_at: int, *, decided: bool) -> rows.Values:
        self._position += 1
        return rows.values_of(new) | {
            "firm": self._firm,
            "decided_in_run": self.run if decided else 0,
            "position": self._position,
            "changed_at": changed_at,
        }

    def _old_key(self, key: Key) -> rows.Values:
        return {
            "old_firm": self._firm,
            "old_matter_id": key.matter_id,
            "old_closed_on": rows.day(key.closed_on),
        }

    def _note(self, old: Closing | None, values: rows.Values, code: str | None) -> rows.Values:
        return {
            "firm": self._firm,
            "matter_id": values["matter_id"],
            "closed_on": values["closed_on"],
            "run": self.run,
            "position": values["position"],
            "at": values["changed_at"],
            "from_state": old.state.value if old is not None else None,
            "to_state": values["state"],
            "reason": values["reason"],
            "code": code,
            "batch": values["batch"] if values["state"] == State.SENDING else None,
        }


_KEY = ("firm", "matter_id", "closed_on")


def _update(*but: str) -> Update:
    """Write every column `but` these."""
    return (
        update(closings)
        .where(*(closings.c[name] == bindparam(f"old_{name}") for name in _KEY))
        .values({c: bindparam(f"{NEW}{c.name}") for c in closings.c if c.name not in but})
    )


_ADD = Prepared(insert(closings))
_CHANGE = Prepared(_update(*_KEY))
_MOVE = Prepared(_update("firm"))
_NOTE = Prepared(insert(changes))


def _differ(old: Closing, new: Closing) -> bool:
    return (old.key, old.state, old.reason) != (new.key, new.state, new.reason)
