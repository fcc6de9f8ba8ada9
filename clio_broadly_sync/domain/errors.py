"""The errors that end a command, named for what to do next; and every exit code with its word.

SyncError
├── ConfigError         edit the settings, or a custom field in Clio
│   ├── RefusedError    the request itself was refused; the adapter of that side may know better
│   └── AddressError    somebody answers at the address, but not to this request
├── DeniedError         sign in again, tick a permission, or get a new key
├── UnavailableError    try later: cron will
│   ├── TooLateError        the request was not begun, because its time was over
│   └── ClockError          the other side's clock and this machine's do not fit
├── StorageError        the state cannot be used: call a person
├── ExportError         the file that was named cannot be made: name another
├── BusyError           another run is at work
│   └── HungError       it has written nothing for hours: end it
└── StoppedError        a signal asked the run to end

Every message is made of whole sentences for the person who runs the program. None holds a
client's name, an e-mail address, a phone number or a secret. Text from Clio is put into it through
`shown`, and a moment through `moment`.
"""

import re
from datetime import date, datetime, tzinfo
from typing import Final, TypeVar

E = TypeVar("E", bound="SyncError")

OK: Final = 0
BUG: Final = 1
WRONG_USAGE: Final = 2
ATTENTION: Final = 65
"""Everything that is safe was done, and something new waits for a person."""
WORST_FIRST: Final = (130, 143, 74, 75, 78, 77, 69, 65)
"""The exit codes in the order in which they count where several would fit."""
PAUSED: Final = (
    "Broadly's last answer was lost, so nobody is sent until {until}, and then one client "
    "alone; see whether Broadly is out of order, or try one client at once: "
    "`clio-broadly-sync sync --yes` on a terminal."
)
"""What is said of a pause after a lost answer."""
LOGIN: Final = "run `clio-broadly-sync login`"
"""How a sentence ends that asks a person to sign in."""
NOT_SIGNED_IN: Final = f"Not signed in to Clio: {LOGIN} (or set CLIO_ACCESS_TOKEN)."

_NEXT_RUN: Final = re.compile(r"[;.] [Tt]he next run tries again\.$")
_UNREACHED: Final = "could not be reached"


def without_next_run(sentence: str) -> str:
    """Return a sentence as it is said by a command after which no run comes by itself.

    What could not be reached is then for the person who looks on.
    """
    ends = _NEXT_RUN.sub("", sentence)
    if ends.endswith(_UNREACHED):
        return f"{ends}: is this machine online, and is the address in the settings right?"
    return sentence if ends == sentence else f"{ends}."


# The escape sequences of ECMA-48: a control sequence with its parameters, a control string up to
# its end, or any other, which ends with one final character.
_ESCAPE: Final = (
    r"(?s:(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[PX\]^_]|[\x90\x98\x9d-\x9f]).*?(?:\x07|\x1b\\|\x9c|\Z)"
    r"|\x1b[ -/]*[0-~])"
)


def shown(text: str, length: int = 64) -> str:
    """Return somebody else's text fit for a terminal or a log: one line, short, without effects.

    Escape sequences are removed as a whole, and so are characters that cannot be seen or that
    change the direction of writing. A line break becomes a blank. A longer text is cut to `length`
    characters, the last of which is then “…”.
    """
    plain = (" " if c.isspace() else c for c in re.sub(_ESCAPE, "", text))
    line = "".join(c for c in plain if c.isprintable())
    return line if len(line) <= length else line[: length - 1] + "…"


_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)


def moment(at: datetime, zone: tzinfo | None) -> str:
    """Return a moment as in `20 Nov 2026, 14:05 PST`; a `zone` that is None is this machine's."""
    there = at.astimezone(zone)
    return f"{day(there)}, {there:%H:%M %Z}"


def day(on: date | None) -> str:
    """Return a date as in `20 Nov 2026`, whatever the machine's language is."""
    return "no date" if on is None else f"{on.day} {_MONTHS[on.month - 1]} {on.year}"


class Cause:
    """The words for what became of an exchange that failed.

    Which of them it is, is decided in `transport/failures.py`. Beside these there are `http_` with
    the status of an answer, and `proxy_` with the status with which a proxy refused.
    """

    NOT_REACHED: Final = "not_reached"
    """No connection was made, so nothing was sent."""
    TLS: Final = "tls"
    """No trusted TLS connection was made, so nothing was sent."""
    CERTIFICATES: Final = "certificates"
    """The certificates that this machine trusts cannot be read, so nothing was sent."""
    PROXY: Final = "proxy"
    """The proxy cannot be used, so nothing was sent; `proxy_` and a status is what it answered."""
    NO_URL: Final = "no_url"
    """The address in the settings is none."""
    TIMEOUT: Final = "timeout"
    """The request was sent, and no complete answer came in time."""
    CUT: Final = "cut"
    """The request was sent, and the connection ended before the answer did."""
    TOO_LARGE: Final = "too_large"
    """The answer was larger than what is read of one."""
    UNREADABLE: Final = "unreadable"
    """An answer came whose bytes, or whose values, are not what they should be."""
    NOT_JSON: Final = "not_json"
    """A complete answer came, and is no JSON."""
    NO_RESULTS: Final = "no_results"
    """A complete answer came, without results."""
    NO_RESULT: Final = "no_result"
    """A complete answer came, with results, but none that fits this item."""
    RATE_LIMIT: Final = "rate_limit"
    """The request was not begun, because the rate limit was used up."""
    PAUSE: Final = "pause"
    """The request was not begun, because an earlier answer was lost not long enough ago."""


class SyncError(Exception):
    """Any reason to end a command that is not a bug."""

    exit_code: int
    """The code with which the command then ends."""
    outcome: str
    """The word of the exit code, in `--json` and beside the code."""
    cause: str | None = None
    """What became of the exchange that failed (`Cause`); None for an error about no exchange."""


def because(cause: str, error: E) -> E:
    """Return the error with its cause (`Cause`)."""
    error.cause = cause
    return error


class ConfigError(SyncError):
    """A person must put something in order: the settings, or a custom field in Clio."""

    exit_code = 78
    outcome = "config"

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        """All that is wrong, a sentence each."""


class RefusedError(ConfigError):
    """The other side accepted the address and the key, and refused this request."""

    def __init__(self, sentence: str, *, status: int, body: bytes) -> None:
        super().__init__(sentence)
        self.status = status
        self.body = body
        """The whole body of the answer."""


class AddressError(ConfigError):
    """The address in the settings answers with a status that means: not here, or not like this."""

    def __init__(self, sentence: str, *, status: int) -> None:
        super().__init__(sentence)
        self.status = status


class DeniedError(SyncError):
    """Credentials (401) or permissions (403) were refused."""

    exit_code = 77
    outcome = "denied"

    def __init__(self, sentence: str, *, status: int = 401, body: bytes = b"") -> None:
        super().__init__(sentence)
        self.status = status
        self.body = body
        """The beginning of the answer's body, as far as it came. It must never be printed."""


class UnavailableError(SyncError):
    """The other side was not reached, is busy, or gave an answer that cannot be read."""

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
        """Whether the other side may have acted on the request."""
        self.answered = answered
        """Whether a complete answer came, so that the idempotency key is used up."""
        self.retry_after = retry_after
        """The seconds to wait that the other side asked for, or that its rate limit needs."""


class TooLateError(UnavailableError):
    """A request was not begun, because the time in which it might begin was over."""


class ClockError(UnavailableError):
    """Clio's clock and this machine's are so far apart that no time-stamp can be trusted."""


class StorageError(SyncError):
    """The state could not be read or written, or other users of the machine may read it."""

    exit_code = 74
    outcome = "storage"


class DamagedError(StorageError):
    """The state holds what no run can have written."""


class ExportError(SyncError):
    """The file that a person named cannot be made; nothing is half done."""

    exit_code = 74
    outcome = "storage"


class BusyError(SyncError):
    """Another process holds the state, or the sign-in that is kept in it."""

    exit_code = 75
    outcome = "busy"


class HungError(BusyError):
    """Another process holds the state and seems to hang, so that a person has to end it."""


class StoppedError(SyncError):
    """SIGINT or SIGTERM asked the program to stop.

    What was in flight is settled before the command ends.
    """

    outcome = "interrupted"

    def __init__(self, signal_number: int) -> None:
        super().__init__("Interrupted; nothing is half done, and nothing is lost.")
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number


_KINDS: Final = (ConfigError, DeniedError, UnavailableError, StorageError, BusyError)
_FAILURES: Final = frozenset(kind.exit_code for kind in _KINDS if kind is not BusyError)
OUTCOMES: Final = {OK: "ok", ATTENTION: "attention", **{k.exit_code: k.outcome for k in _KINDS}}


_WORDS: Final = {
    OK: "well",
    BUG: "a bug",
    ATTENTION: "something needs a person",
    ConfigError.exit_code: "settings or field wrong",
    DeniedError.exit_code: "sign-in or key refused",
    UnavailableError.exit_code: "Clio or Broadly away",
    StorageError.exit_code: "state or file not usable",
    BusyError.exit_code: "another run at work",
}


def words_of(exit_code: int) -> str:
    """Return for people how a run with this exit code ended."""
    return _WORDS.get(exit_code, StoppedError.outcome)


def outcome_of(exit_code: int) -> str:
    """Return the word of an exit code; a code without a word of its own comes of a signal."""
    return OUTCOMES.get(exit_code, StoppedError.outcome)


def is_failure(exit_code: int) -> bool:
    """Tell whether somebody has to look why a run ended with this exit code.

    Nobody has to after a busy state or a signal, nor after ATTENTION, which is no failure.
    """
    return exit_code == BUG or exit_code in _FAILURES
