"""The firms of a storm: each has a sandbox of its own, where matters close all the time."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from enum import Enum, auto
from pathlib import Path
from random import Random
from typing import Any, Final

from databases import KEY
from firm_state import FirmState
from rig import Sandbox
from world import World

from clio_broadly_sync.domain.credentials import Secret
from clio_broadly_sync.sandbox import Box, Firm, Request
from clio_broadly_sync.settings.fleet import SECRETS
from clio_broadly_sync.store import postgresql
from clio_broadly_sync.store.firms import HASH_KEY, Firms
from clio_broadly_sync.store.seal import Seal

RECEIVERS: Final = (("batch", True), ("batch", False), ("batch", True), ("webhook", False))
"""The profiles in their turn, and whether the receiver dedupes: half of them do."""
SHORTEST, LONGEST = 0.2, 1.2
"""So many seconds a receiver takes for an answer."""
PERIOD_SECONDS: Final = 1.5
RUNS_A_SECOND: Final = 25
"""Where there are many firms, each is run less often, so that all of them together are run so often
at most."""
OPTED_OUT: Final = 0.1
"""Which part of the clients opts out: half of them before their matter is closed, half after it."""


class Says(Enum):
    """What a client says of being asked."""

    NOTHING = auto()
    NO = auto()
    NO_AFTERWARDS = auto()
    """They opted out when the matter was closed already, and may have been sent before that."""


class Office(World):
    """A firm, and what was closed in it."""

    def __init__(self, number: int, folder: Path) -> None:
        profile, dedupes = RECEIVERS[number % len(RECEIVERS)]
        firm = Firm(number, contacts=0, matters=0)
        firm.account.id += number
        folder.mkdir()
        sandbox = Sandbox(firm, rule="opt-out", dedupes=dedupes, profile=profile)
        super().__init__(sandbox, folder, folder)
        self.name = f"firm-{number}"
        self.number = 0
        """Its number in the database; 0 until it is added there."""
        self.closed: dict[int, Says] = {}
        """What the client of each matter says that was closed here."""
        self._random = Random(number)
        self._late: list[int] = []
        """The clients who will opt out next."""
        self.clio.keep_answers = True
        self.broadly.working = self.broadly.after = self._take_a_moment

    def close_one(self) -> None:
        """Close a matter of a new client; whose turn it is by now opts out."""
        chance = self._random.random() / OPTED_OUT
        says = Says.NO if chance < 0.5 else Says.NO_AFTERWARDS if chance < 1 else Says.NOTHING
        while self._late:
            self.firm.set_opt_out(self._late.pop())
        made = self.closing(opt_out=True if says is Says.NO else Box.UNTOUCHED)
        self.closed[made.matter] = says
        if says is Says.NO_AFTERWARDS:
            self._late.append(made.contact)

    def all_opt_out(self) -> None:
        """Let those opt out whose turn has not come yet."""
        while self._late:
            self.firm.set_opt_out(self._late.pop())

    def add_to(self, firms: Firms, seal: Seal, period: timedelta) -> None:
        """Add the firm to a fleet, in which it is run so often."""
        given = self.sandbox.settings(
            SYNC_MAX_NEW="10000",
            SYNC_OVERLAP_MINUTES="5",
            BROADLY_BATCH_SIZE=str(self._random.randint(1, 3)),
            BROADLY_PER_MINUTE="6000",
        )
        secrets = {name.lower(): given.pop(name) for name in SECRETS if name in given}
        secrets[HASH_KEY] = f"{int(self.name[5:]):064x}"
        own = {name.lower(): value for name, value in given.items()}
        self.number = firms.add(self.name, own, seal.close(self.name, secrets), period)

    def judged_by(self, rows: "Rows") -> None:
        """Let the checker read the state of this firm."""
        self.state: Any = FirmState(self.folder / "state", rows.of(self.number))

    def _take_a_moment(self, *exchange: Request) -> None:
        self.broadly.stopping.wait(self._random.uniform(SHORTEST, LONGEST) / 2)


class Rows:
    """The rows of one firm, as its own runs see them (`databases.Database`)."""

    def __init__(self, connection: Any, firm: int = 0) -> None:
        self._connection = connection
        self._firm = firm

    def of(self, firm: int) -> "Rows":
        return Rows(self._connection, firm)

    def read(self) -> Any:
        """Return the connection, which sees this firm's rows until another one's are read."""
        self._connection.execute("SELECT set_config('fleet.firm', %s, false)", (str(self._firm),))
        return self._connection

    def rows(self) -> Mapping[str, Any]:
        return {"facts": self.read().execute("SELECT name FROM facts").fetchall()}


def add_all(offices: Sequence[Office], address: str) -> None:
    """Add the firms to the fleet of a database."""
    seal = Seal([Secret(KEY)])
    period = timedelta(seconds=max(PERIOD_SECONDS, len(offices) / RUNS_A_SECOND))
    begin = postgresql.connect(address, "storm", idle=timedelta(hours=1), role="fleet_worker")
    with closing(begin) as session, session.transaction():
        for office in offices:
            office.add_to(Firms(session), seal, period)
