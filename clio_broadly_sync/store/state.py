"""The facts about a state (pins, watermark, doubts, runs, the checked token), and its ledger.

The tokens themselves are read and written in `store/tokens.py`.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from clio_broadly_sync import __version__
from clio_broadly_sync.domain import exports as files
from clio_broadly_sync.domain.consent import Untouched
from clio_broadly_sync.domain.daily_look import Looked, Part
from clio_broadly_sync.domain.errors import DamagedError, StorageError
from clio_broadly_sync.domain.model import Closing, Destination, FieldIds, Pins, Profile, SyncRule
from clio_broadly_sync.domain.rules import Doubts
from clio_broadly_sync.store import database, facts, lock
from clio_broadly_sync.store.daily_look import DailyLook
from clio_broadly_sync.store.database import Connection, Row
from clio_broadly_sync.store.exports import Exports
from clio_broadly_sync.store.half_restored import LAST_RUNS, NO_RUN, Base, base_of, half_restored
from clio_broadly_sync.store.history import History
from clio_broadly_sync.store.integrity import Flaw, Integrity
from clio_broadly_sync.store.ledger import Ledger
from clio_broadly_sync.store.outbox import Outbox
from clio_broadly_sync.store.overview import Overview
from clio_broadly_sync.store.rows import seconds
from clio_broadly_sync.store.schema import RESTORE
from clio_broadly_sync.store.tables import FIRM, Table
from clio_broadly_sync.store.writer import Writer, last_run

if TYPE_CHECKING:
    from clio_broadly_sync.store.dossier import Dossiers
    from clio_broadly_sync.store.periods import Periods

MAX_AHEAD: Final = timedelta(hours=48)
"""No two clocks with which a run begins may be further apart (`MAX_SKEW` in `clio/api.py`)."""

_BEGIN_RUN: Final = """
    INSERT INTO runs
        (firm, run, run_id, command, version, rule, opt_out_field, opt_in_field, text_field,
        opt_in_untouched, started_at)
    VALUES
        (:firm, :run, :run_id, :command, :version, :rule, :opt_out_field, :opt_in_field,
        :text_field, :opt_in_untouched, :at)
"""
_NOTE_PINS: Final = """
    UPDATE runs
    SET rule = :rule, opt_out_field = :opt_out_field, opt_in_field = :opt_in_field,
        text_field = :text_field, opt_in_untouched = :opt_in_untouched
    WHERE firm = :firm AND run = :run
"""
_FINISH_RUN: Final = """
    UPDATE runs SET exit_code = :exit_code, finished_at = :at, failure = :failure
    WHERE firm = :firm AND run = :run
"""


class Store:
    """One firm's state. Every method is one transaction and may raise StorageError.

    `hash_key` (in hex) is what people and tokens are hashed with; where none is given it is a fact
    of the state, and the first to open that makes it.
    """

    def __init__(
        self, connection: Connection, firm: int = FIRM, hash_key: str | None = None
    ) -> None:
        self._connection = connection
        self._firm = firm
        self._run = 0
        with database.transaction(self._connection):
            self._facts = facts.read(connection, firm)
            if hash_key is not None:
                self._facts["hash_key"] = hash_key
            facts.check(connection, firm, self._facts)
            if "hash_key" not in self._facts:
                self._facts["hash_key"] = secrets.token_hex(32)
                self._write(connection, self._facts)
            self._key = bytes.fromhex(self._facts["hash_key"])
            self._writer = Writer(firm)
            self.ledger = Ledger(connection, firm, self._key, self._writer)
            self.ledger.objections.look(connection)
        self.outbox = Outbox(connection, firm, self._writer)
        self.exports = Exports(self._facts, self._save)
        self.daily_look = DailyLook(connection, firm)
        self.history = History(connection, firm, self._key)
        self.overview = Overview(connection, firm)
        self.integrity = Integrity(connection, firm, self._facts)
        self.at_work: str | None = None
        """Of a copy: the command of the run that was at work as it was made; None where none was.
        What such a run has claimed is on its way, and was not cut short."""
        self._beside: tuple[Path, Base] | None = None
        """Of a copy: the state and its file alone, where changes lay in a -wal beside it."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the state, a new one where there is none yet.

        The caller holds `locked(path)` as long as it is open.
        """
        return cls._on(database.open_file(path))

    @classmethod
    def snapshot(cls, path: Path, mark: str = "") -> Self:
        """Open a copy, from which nothing reaches the state; without this `mark` of a move."""
        base = base_of(path)
        try:
            store = cls._on(database.open_snapshot(path, mark))
        except DamagedError:
            if base is None or lock.holder(path) is not None:
                raise
            raise DamagedError(half_restored(path)) from None
        store.look_only(
            lambda: lock.holder(path) is not None,
            lambda: database.read_snapshot(path, facts.unfinished_of_any_version),
        )
        if base is not None:
            store._beside = path, base
        return store

    @classmethod
    def _on(cls, connection: Connection) -> Self:
        """Return the store on a connection, which is closed where its facts cannot be read."""
        try:
            return cls(connection)
        except BaseException:
            connection.close()
            raise

    def look_only(
        self, is_held: Callable[[], bool], now: Callable[[], tuple[object, ...] | None]
    ) -> None:
        """Take this for a copy: touch no file, and learn which run was at work as it was made.

        `is_held` tells whether somebody holds the state, and `now` returns what is unfinished in
        it. A run that has ended since then holds nothing either, but is not what it was.
        """
        self.exports = Exports(self._facts, self._save, looks_only=True)
        with database.transaction(self._connection) as connection:
            last = facts.unfinished(connection, self._firm)
        with database.storage_errors():
            if last is not None and (is_held() or now() != last):
                self.at_work = str(last[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        database.close(self._connection)

    @property
    def periods(self) -> "Periods":
        """What became of the closings of some days. It is loaded here, as no run asks for it."""
        from clio_broadly_sync.store.periods import Periods

        return Periods(self._connection, self._firm)

    @property
    def dossiers(self) -> "Dossiers":
        """What is stored about single clients, loaded here as well."""
        from clio_broadly_sync.store.dossier import Dossiers

        return Dossiers(self._connection, self._firm, self.history)

    def rows(self, table: Table) -> Iterator[Row]:
        """Yield the rows of a table, with its columns in order; only some are in memory."""
        columns = ", ".join(column.name for column in table.columns)
        statement = f"SELECT {columns} FROM {table.name} WHERE firm = :firm"
        with database.transaction(self._connection) as connection:
            yield from database.each(connection, statement, {"firm": self._firm})

    def flaws(self, now: datetime | None) -> list[Flaw]:
        """Return what does not hold (`Integrity.flaws`), for a run as for whoever looks.

        Of a copy that includes whether the changes that lay beside the state belong to it.
        """
        found = self.integrity.flaws(now)
        if self._beside is not None:
            is_broken = any(flaw.grave for flaw in found) and self.at_work is None
            if is_broken or not self._fits(*self._beside):
                found.append(Flaw("wal", half_restored(self._beside[0])))
        return found

    def _fits(self, path: Path, base: Base) -> bool:
        """Tell whether the copied changes may be those of the state's file.

        A -wal holds changes of one run at most (`database.take_in`), so the run before it is in the
        file. Where somebody has written to the file meanwhile, he has looked before.
        """
        with database.transaction(self._connection) as connection:
            last = [tuple(row) for row in connection.execute(LAST_RUNS, {"firm": self._firm})]
        begins = [number for number, _ in last] in ([], [1])
        fits = base.run is None or base.run in last or (base.run == NO_RUN and begins)
        return fits or base.stamp != database.stamp(path)

    # What the state was made with.

    def pins(self) -> Pins | None:
        """Return what the state was made with; None before its first run."""
        if "clio_host" not in self._facts:
            return None
        account, *fields = (
            int(value) if (value := self._facts.get(name)) else None
            for name in ("clio_account", *map("{}_field".format, FieldIds._fields))
        )
        return Pins(
            host=self._facts["clio_host"],
            account=account,
            destination=Destination(
                Profile(self._facts.get("broadly_profile", Profile.BATCH)),
                self._facts["broadly_url"],
            ),
            rule=SyncRule(self._facts["sync_rule"]),
            fields=FieldIds(*fields),
            untouched=Untouched(self._facts.get("opt_in_untouched", Untouched.SKIP)),
        )

    def pin(self, pins: Pins, **more: str | None) -> None:
        """Set the pins and, in the same transaction, other facts.

        A fact whose value is None is left as it is.
        """
        values = {
            "clio_host": pins.host,
            "clio_account": str(pins.account or ""),
            "broadly_profile": str(pins.destination.profile),
            "broadly_url": pins.destination.address,
            "sync_rule": str(pins.rule),
            "opt_in_untouched": str(pins.untouched),
            **{f"{name}_field": str(id_ or "") for name, id_ in pins.fields._asdict().items()},
        }
        values |= {name: value for name, value in more.items() if value is not None}
        self._save(values, pins)

    @property
    def since_run(self) -> int:
        """The first run that decided by the rules of now; 0 where they were always the same."""
        return int(self._facts.get("since_run", 0))

    # How far it has come.

    @property
    def watermark(self) -> datetime | None:
        """The moment (aware UTC) up to which the ledger has every closing; None at first."""
        return self._moment("watermark")

    @property
    def first_run(self) -> datetime | None:
        """When the first `sync` ran, by Clio's clock (aware UTC); None before it."""
        return self._moment("first_run")

    @property
    def start_day(self) -> date | None:
        """The date in the firm's zone before which `sync` leaves closings alone; None at first."""
        value = self._facts.get("start_day")
        return date.fromisoformat(value) if value else None

    def check_watermark(self, now: datetime) -> None:
        """Raise StorageError where the watermark lies so far ahead of `now` that no run set it.

        Then whatever closes until that moment would be passed over in silence.
        """
        if self.watermark is not None and self.watermark > now + MAX_AHEAD:
            raise StorageError(
                "The watermark of the state lies more than 48 hours in the future, and whatever "
                f"closes until then would be passed over. See that no clock is wrong. {RESTORE}"
            )

    def move_watermark(self, to: datetime) -> None:
        self._save({"watermark": to.isoformat()})

    # How Broadly answers.

    @property
    def doubts(self) -> Doubts | None:
        """The pushes in a row that ended in doubt; None where the last one did not."""
        return facts.doubts(self._facts.get("doubts", ""))

    def note_doubt(self, at: datetime) -> None:
        """Note that a push ends in doubt at the moment `at` (aware UTC)."""
        before = self.doubts
        in_a_row = 1 if before is None else before.in_a_row + 1
        self._note_doubts(f"{in_a_row} {at.isoformat()}")

    def end_doubts(self) -> None:
        """Note that Broadly has accepted somebody since the last doubt."""
        if self.doubts is not None:
            self._note_doubts("")

    def _note_doubts(self, text: str) -> None:
        """Write the fact as patiently as the receipts that it goes with are written."""
        with database.patience(self._connection):
            self._save({"doubts": text})

    # What an earlier run left.

    def recover(self, after: Callable[[Closing], Closing], at: datetime) -> list[Closing]:
        """Decide on what an earlier run left (`Ledger.recover`); return what changed.

        What it was writing into a file goes by what became of that, and all else by `after`.
        """
        fate = self.exports.fate()
        left = self.ledger.recover(files.after(fate, after), at)
        self.exports.clear()
        return left

    # How far the daily look has come.

    def looked(self, part: Part) -> Looked:
        """Return how far this part of the daily look has come."""
        return Looked(
            self._moment(f"{part}_looked_at"), int(self._facts.get(f"{part}_looked_to", 0))
        )

    def note_look(self, part: Part, *, after: int = 0, done_at: datetime | None = None) -> None:
        """Note after which closing a part of the look goes on, or when (aware UTC) it was done."""
        values = {f"{part}_looked_to": str(after)}
        if done_at is not None:
            values[f"{part}_looked_at"] = done_at.isoformat()
        self._save(values)

    # Who is signed in.

    @property
    def time_zone(self) -> str | None:
        """The name of the firm's zone as Clio gave it; None where Clio did not say."""
        return self._facts.get("time_zone") or None

    def has_seen(self, token: str) -> bool:
        """Tell whether this is the token whose account was checked last."""
        return self._facts.get("token_seen") == self.hash_of(token)

    def hash_of(self, token: str) -> str:
        """Return the keyed hash by which a token is remembered."""
        return hmac.new(self._key, token.encode(), hashlib.sha256).hexdigest()

    # Runs.

    def begin_run(self, command: str, run_id: str, at: datetime) -> int:
        """Note that a run begins at the moment `at`; return its number, which its changes carry."""
        values = {"run_id": run_id, "command": command, "at": seconds(at), "version": __version__}
        with database.transaction(self._connection) as connection:
            self._run = last_run(connection, self._firm) + 1
            self._write(connection, {"run": str(self._run)})
            connection.execute(_BEGIN_RUN, self._pins_of_run(self.pins()) | values)
            self.ledger.look(connection)
        self.ledger.run = self._run
        return self._run

    def next_run(self) -> int:
        """Return the number that the next run will take."""
        with database.transaction(self._connection) as connection:
            return last_run(connection, self._firm) + 1

    def finish_run(self, exit_code: int, at: datetime, failure: str | None = None) -> None:
        """Note that the run ended at the moment `at`; `failure` is the sentence of its error."""
        values = {"exit_code": exit_code, "at": seconds(at), "failure": failure}
        values |= {"firm": self._firm, "run": self._run}
        with database.transaction(self._connection) as connection:
            connection.execute(_FINISH_RUN, values)

    def _moment(self, name: str) -> datetime | None:
        value = self._facts.get(name)
        return datetime.fromisoformat(value).astimezone(UTC) if value else None

    def _save(self, values: Mapping[str, str], pins: Pins | None = None) -> None:
        if "watermark" in values:
            values = {**values, "watermark_run": str(self._run)}
        with self._writer.transaction(self._connection) as connection:
            self._write(connection, values)
            if pins is not None:
                connection.execute(_NOTE_PINS, self._pins_of_run(pins))
        self._facts.update(values)

    def _write(self, connection: Connection, values: Mapping[str, str]) -> None:
        rows = [{"firm": self._firm, "name": n, "value": value} for n, value in values.items()]
        connection.executemany(facts.WRITE, rows)

    def _pins_of_run(self, pins: Pins | None) -> dict[str, Any]:
        """Return what the list of runs tells of the pins, as parameters."""
        fields = pins.fields if pins is not None else FieldIds(None, None)
        return {
            "firm": self._firm,
            "run": self._run,
            "rule": None if pins is None else pins.rule.value,
            "opt_in_untouched": None if pins is None else pins.untouched.value,
            **{f"{name}_field": value for name, value in fields._asdict().items()},
        }
