"""How far a run has come: a bar on a terminal, nothing elsewhere."""

import sys
from typing import Any

import click


class Quiet:
    """Says nothing."""

    def read(self, matters: int) -> None:
        pass

    def sending(self, closings: int) -> None:
        pass

    def settled(self, closings: int) -> None:
        pass

    def finish(self) -> None:
        pass


class Terminal:
    """Counts the matters that are read, then draws a bar of the closings that are done."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._reading = False

    def read(self, matters: int) -> None:
        self._reading = True
        click.echo(f"\rRead {matters} matters", nl=False, err=True)

    def sending(self, closings: int) -> None:
        self.finish()
        if closings:
            self._bar = click.progressbar(length=closings, label="Handing over", file=sys.stderr)
            self._bar.render_progress()

    def settled(self, closings: int) -> None:
        if self._bar is not None:
            self._bar.update(closings)

    def finish(self) -> None:
        """End the line that is being drawn."""
        if self._bar is not None:
            self._bar.render_finish()
            self._bar = None
        elif self._reading:
            click.echo(err=True)
        self._reading = False
