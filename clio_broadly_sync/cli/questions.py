"""What a run asks a person on the terminal, with the names of the first clients.

A question is asked on stderr, because stdout may be a file. The module is loaded only where there
is one.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import tzinfo
from itertools import chain
from typing import Final

import click

from clio_broadly_sync.cli import names, output, report_words
from clio_broadly_sync.cli.output import say
from clio_broadly_sync.clio.source import Clio
from clio_broadly_sync.pipeline.context import Lot
from clio_broadly_sync.store import SurgeFigures
from clio_broadly_sync.transport.signals import Stop

_LOOK_FIRST: Final = "(to look first: --dry-run)"


class Questions:
    """The questions of one run.

    `clock` returns the seconds of the run. `begins` is called before each question, and `ends`
    with the seconds that it was open. Names are read in `clio`; where it is None, none is shown.
    With `into_file`, the clients go into a file.
    """

    def __init__(
        self,
        stop: Stop,
        clock: Callable[[], float],
        *,
        begins: Callable[[], object],
        ends: Callable[[float], object],
        clio: Clio | None,
        into_file: bool,
    ) -> None:
        self._stop = stop
        self._clock = clock
        self._begins = begins
        self._ends = ends
        self._clio = clio
        self._into_file = into_file
        self._declined = False
        """Whether a person has said no to a surge."""

    def ask(self, question: str, before: Iterable[str] = ()) -> bool:
        """Ask a question, after these lines; return whether the answer is yes.

        No answer is a no. A signal raises StoppedError at once.
        """
        self._begins()
        began = self._clock()
        try:
            for line in before:
                say(line, err=True)
            with suppress(click.Abort), output.patience(self._stop):
                return output.agreed(question)
            self._stop.check()
            return False
        finally:
            self._ends(self._clock() - began)

    def may_they_go(self, lot: Lot, limit: int | None) -> bool:
        """Ask whether what was found may be sent; at most `limit` of them go (None: all)."""
        return self.ask(f"{self._send(lot, limit)} {_LOOK_FIRST}", self._who(lot))

    def of_surge(
        self, lot: Lot, limit: int | None, surge: SurgeFigures, most: int, zone: tzinfo | None
    ) -> bool:
        """Ask whether more may go than the `most` of a day, or what came after a silence.

        Whoever has said no is not asked again in this run.
        """
        if self._declined:
            return False
        why = report_words.surge_reasons(surge, zone, most)
        self._declined = not self.ask(self._send(lot, limit), chain(why, self._who(lot)))
        return not self._declined

    def _send(self, lot: Lot, limit: int | None) -> str:
        clients = output.count(lot.clients, "client")
        if limit is not None and limit < lot.clients:
            clients = f"at most {limit} of {clients}"
        if self._into_file:
            return f"Write {clients} into the file now?"
        return f"Send {clients} to Broadly now?"

    def _who(self, lot: Lot) -> Iterator[str]:
        """Yield lines with names, which only a terminal may show."""
        if self._clio is not None and sys.stderr.isatty():
            yield from names.of_lot(lot, self._clio)
