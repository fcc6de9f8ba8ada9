"""Why a run ends early, named for what to do next.

SyncError
├── ConfigError         edit the settings, or a custom field in Clio
│   └── RefusedError    the request itself was refused; only Broadly's adapter knows better
├── DeniedError         sign in again, tick a permission, or get a new key
├── UnavailableError    try later: cron will
│   └── TooLateError        not begun: the time that it had was over
├── StorageError        the state cannot be used: call a person
├── BusyError           another run is at work
└── StoppedError        a signal asked the run to end

Every message is one sentence for the person who runs the program. None holds a name, an
e-mail address, a phone number or a secret.
"""


class SyncError(Exception):
    """Any reason to end a run that is not a bug."""


class ConfigError(SyncError):
    """Something must be put in order by hand; `problems` lists all of it, a sentence each."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class RefusedError(ConfigError):
    """The other side understood the address and the key, and refused this request."""

    def __init__(self, sentence: str, *, status: int, body: bytes) -> None:
        super().__init__(sentence)
        self.status = status
        self.body = body


class DeniedError(SyncError):
    """Credentials (401) or permissions (403) were refused."""

    def __init__(self, sentence: str, *, status: int = 401) -> None:
        super().__init__(sentence)
        self.status = status


class UnavailableError(SyncError):
    """The other side was not reached, is busy, or answered what cannot be read.

    `outcome_unknown`: the request may have been acted on.
    `answered`: a complete answer came, so an idempotency key is used up.
    `retry_after`: seconds that the other side asked to wait, where it did.
    """

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


class StorageError(SyncError):
    """The state could not be read or written, or others may read it."""


class BusyError(SyncError):
    """Another run holds the state."""


class StoppedError(SyncError):
    """SIGINT or SIGTERM came; what was in flight has been settled."""

    def __init__(self, signal_number: int) -> None:
        super().__init__("Interrupted; nothing is half done, and the next run goes on from here.")
        self.signal_number = signal_number
