"""Why a command ends early, named for what to do next; and every exit code with its word.

SyncError
├── ConfigError         edit the settings, or a custom field in Clio
│   ├── RefusedError    the request itself was refused; only Broadly's adapter knows better
│   └── AddressError    somebody answers there, but not to this request
├── DeniedError         sign in again, tick a permission, or get a new key
├── UnavailableError    try later: cron will
│   ├── TooLateError        not begun: the time that it had was over
│   └── ClockError          the other side's clock and this machine's do not fit
├── StorageError        the state cannot be used: call a person
├── BusyError           another run is at work
└── StoppedError        a signal asked the run to end

Every message is one sentence for the person who runs the program. None holds a name, an
e-mail address, a phone number or a secret; what came from Clio goes into it through `shown`.
"""

import re
from typing import Final

OK: Final = 0
BUG: Final = 1
WRONG_USAGE: Final = 2
ATTENTION: Final = 65
"""Everything that is safe was done, and something new waits for a person."""
WORST_FIRST: Final = (130, 143, 74, 75, 78, 77, 69, 65)
"""Which exit code counts where several would fit."""
LOGIN: Final = "run `clio-broadly-sync login`"
"""How a sentence ends that wants a person to sign in."""

# ECMA-48: a sequence with its parameters, a string up to its end, or two characters.
_ESCAPE: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[PX\]^_]|[\x90\x98\x9d-\x9f]).*?(?:\x07|\x1b\\|\x9c|\Z)"
    r"|\x1b[ -/]*[0-~]",
    re.DOTALL,
)


def shown(text: str, length: int = 64) -> str:
    """Make text of somebody else's fit for a terminal or a log: one line, short, without effects.

    Escape sequences go as a whole, and so does what cannot be seen or turns the direction of
    writing; a line break becomes a blank.
    """
    plain = (" " if c.isspace() else c for c in _ESCAPE.sub("", text))
    line = "".join(c for c in plain if c.isprintable())
    return line if len(line) <= length else line[: length - 1] + "…"


class SyncError(Exception):
    """Any reason to end a command that is not a bug."""

    exit_code: int
    outcome: str
    """The word of the exit code, in `--json` and beside the code."""


class ConfigError(SyncError):
    """Something must be put in order by hand; `problems` lists all of it, a sentence each."""

    exit_code = 78
    outcome = "config"

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class RefusedError(ConfigError):
    """The other side understood the address and the key, and refused this request."""

    def __init__(self, sentence: str, *, status: int, body: bytes) -> None:
        super().__init__(sentence)
        self.status = status
        self.body = body


class AddressError(ConfigError):
    """The address of the settings answers with a status that says: not here, or not like this."""

    def __init__(self, sentence: str, *, status: int) -> None:
        super().__init__(sentence)
        self.status = status


class DeniedError(SyncError):
    """Credentials (401) or permissions (403) were refused.

    `body`: the beginning of the answer, as far as it came; it is for programs, never for printing.
    """

    exit_code = 77
    outcome = "denied"

    def __init__(self, sentence: str, *, status: int = 401, body: bytes = b"") -> None:
        super().__init__(sentence)
        self.status = status
        self.body = body


class UnavailableError(SyncError):
    """The other side was not reached, is busy, or answered what cannot be read.

    `outcome_unknown`: the request may have been acted on.
    `answered`: a complete answer came, so an idempotency key is used up.
    `retry_after`: seconds that the other side asked to wait, where it did.
    """

    exit_code = 69
    outcome = "unavailable"

    def __init__(
        self,
        sentence: str,
        *,
        outcome_unknown: bool = False,
        answered: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(sentence)
        self.outcome_unknown = outcome_unknown
        self.answered = answered
        self.retry_after = retry_after


class TooLateError(UnavailableError):
    """A request was not begun, because the time in which it might be was over."""


class ClockError(UnavailableError):
    """The clocks are so far apart that no time-stamp could be trusted."""


class StorageError(SyncError):
    """The state could not be read or written, or others may read it."""

    exit_code = 74
    outcome = "storage"


class BusyError(SyncError):
    """Another run holds the state."""

    exit_code = 75
    outcome = "busy"


class StoppedError(SyncError):
    """SIGINT or SIGTERM came; what was in flight has been settled."""

    outcome = "interrupted"

    def __init__(self, signal_number: int) -> None:
        super().__init__("Interrupted; nothing is half done, and nothing is lost.")
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number


_KINDS: Final = (ConfigError, DeniedError, UnavailableError, StorageError, BusyError)
_FAILURES: Final = frozenset(kind.exit_code for kind in _KINDS if kind is not BusyError)
OUTCOMES: Final = {OK: "ok", ATTENTION: "attention", **{k.exit_code: k.outcome for k in _KINDS}}


def outcome_of(exit_code: int) -> str:
    """Return the word of an exit code; what is no other one comes of a signal."""
    return OUTCOMES.get(exit_code, StoppedError.outcome)


def is_failure(exit_code: int) -> bool:
    """Tell whether a run that has ended with this needs somebody to look why."""
    return exit_code == BUG or exit_code in _FAILURES
