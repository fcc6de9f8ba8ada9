"""The one retry policy: how often a call is made again, and how long is waited before that.

Only after a first failure is it loaded, because most runs have none and tenacity takes longer to
load than a run that finds nothing to do may lose.
"""

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import tenacity

from clio_broadly_sync.domain.errors import TooLateError, UnavailableError

T = TypeVar("T")

ATTEMPTS: Final = 5
"""At most so many tries are made of one call."""
BACKOFF_SECONDS: Final = 0.5
"""The longest random wait before the second try; it doubles before each further one."""
BACKOFF_MAX_SECONDS: Final = 30.0
"""No random wait is longer than this."""


def again(
    call: Callable[[], T],
    failed: UnavailableError,
    *,
    repeat: Callable[[UnavailableError], bool],
    may_wait: Callable[[], float],
    before_wait: Callable[[float], None],
    sleep: Callable[[float], None],
) -> T:
    """Call until it succeeds, after a first try that `failed` so; return what it returned.

    `repeat` says which failures are safe to repeat, `may_wait` how many seconds a wait may last at
    most. Before each wait, `before_wait` gets its seconds. Raise what the last try raised.
    """

    def spent(state: tenacity.RetryCallState) -> bool:
        return state.attempt_number >= ATTEMPTS or state.upcoming_sleep > may_wait()

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(
            lambda error: (
                isinstance(error, UnavailableError)
                and not isinstance(error, TooLateError)  # which was not begun, for want of time
                and repeat(error)
            )
        ),
        wait=_wait,
        stop=spent,
        sleep=sleep,
        before_sleep=lambda state: before_wait(state.upcoming_sleep),
        reraise=True,
    )
    return retrying(_failing_first(iter([failed]), call))


def _failing_first(failures: Iterator[UnavailableError], call: Callable[[], T]) -> Callable[[], T]:
    """Return a call that raises each of the failures once before it does what `call` does."""

    def attempt() -> T:
        for failure in failures:
            raise failure
        return call()

    return attempt


def _wait(state: tenacity.RetryCallState) -> float:
    """Return the seconds that were asked for, or full jitter, whichever is longer."""
    jitter = tenacity.wait_random_exponential(BACKOFF_SECONDS, BACKOFF_MAX_SECONDS)(state)
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.retry_after if isinstance(error, UnavailableError) else None
    return max(jitter, asked or 0.0)
