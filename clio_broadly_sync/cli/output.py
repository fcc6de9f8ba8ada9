"""stdout and stderr: what cannot be written there is told, and is no bug."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO


class OutputError(OSError):
    """The disk below stdout or stderr is full, or whoever read it has gone."""

    def __str__(self) -> str:
        return f"The output could not be written ({self.strerror})."


class Output:
    """One of the two, which raises OutputError where it cannot be written.

    After that nothing is tried any more: the interpreter's own last try would end in a traceback.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_lost = False

    def write(self, text: str) -> int:
        with self._told():
            return self._stream.write(text)

    def flush(self) -> None:
        if not self._is_lost:
            with self._told():
                self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._is_lost = True
            raise OutputError(error.errno, error.strerror) from None
