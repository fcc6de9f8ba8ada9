"""The sink of a dry run, which sends nothing."""

from collections.abc import Callable, Iterator, Sequence

from clio_broadly_sync.domain.model import Outcome, Receipt, ReviewRequest


class DryRun:
    """A `Sink` that accepts every batch as a whole and sends nothing."""

    def send(
        self, batch: Sequence[ReviewRequest], seconds_left: Callable[[], float]
    ) -> Iterator[list[Receipt]]:
        yield [Receipt(request.key, Outcome.ACCEPTED) for request in batch]

    def ready_in(self) -> float:
        return 0.0

    def flush(self) -> Iterator[list[Receipt]]:
        yield from ()

    def close(self) -> list[Receipt]:
        return []
