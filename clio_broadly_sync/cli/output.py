"""stdout and stderr: what cannot be written there is told, and is no bug."""

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
        try:
            return self._stream.write(text)
        except OSError as error:
            raise self._lost(error) from None

    def flush(self) -> None:
        if self._is_lost:
            return
        try:
            self._stream.flush()
        except OSError as error:
            raise self._lost(error) from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _lost(self, error: OSError) -> OutputError:
        self._is_lost = True
        return OutputError(error.errno, error.strerror)
