"""Writing closings down: the rows as they now are, and what changed in the append-only list."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, update

from clio_broadly_sync.model import Closing, Key, State
from clio_broadly_sync.store import rows
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
        noted: list[rows.Values] = []
        for old, new in pairs:
            values = self._values(new, at, decided=decided or new.state is State.HELD)
            if old is None:
                added.append({"firm": self._firm, **values})
            else:
                changed.append(self._old_key(old.key) | {f"new_{k}": v for k, v in values.items()})
            if old is None or _differ(old, new):
                noted.append(self._note(old, values, codes.get(new.key)))
        for statement, parameters in ((_ADD, added), (_CHANGE, changed), (_NOTE, noted)):
            if parameters:
                connection.execute(statement, parameters)

    def _values(self, new: Closing, at: datetime, *, decided: bool) -> rows.Values:
        self._position += 1
        return rows.values_of(new) | {
            "decided_in_run": self.run if decided else 0,
            "position": self._position,
            "changed_at": rows.seconds(at),
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


_ADD = insert(closings)
_NOTE = insert(changes)
_CHANGE = (
    update(closings)
    .where(
        *(
            closings.c[name] == bindparam(f"old_{name}")
            for name in ("firm", "matter_id", "closed_on")
        )
    )
    .values(
        {column: bindparam(f"new_{column.name}") for column in closings.c if column.name != "firm"}
    )
)


def _differ(old: Closing, new: Closing) -> bool:
    return (old.key, old.state, old.reason) != (new.key, new.state, new.reason)
