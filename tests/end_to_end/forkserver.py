"""Starts the program in child processes by fork, so that they need not import anything.

A fresh interpreter takes half a second to import what a run needs, and the tests need thousands of
runs. This module is both ends of a socket: run as a program, it takes orders on its standard
input, and where it is imported, it gives them.
"""

import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from select import select
from typing import IO, Any, NoReturn, Self

if __name__ != "__main__":  # the program at the other end has none of what tests need
    import surroundings

MAX_ORDER = 1 << 16
"""How many bytes an order may have."""
NEEDED = (
    "clio_broadly_sync.cli.sync", "clio_broadly_sync.cli.outbox", "clio_broadly_sync.cli.status",
    "clio_broadly_sync.cli.verify", "clio_broadly_sync.cli.check.command",
    "clio_broadly_sync.cli.explain.command", "clio_broadly_sync.cli.clients",
    "clio_broadly_sync.transport.retrying", "clio_broadly_sync.sinks.csv_file",
    "clio_broadly_sync.sinks.new_files",
    "email_validator", "phonenumbers", "time_machine",
)  # fmt: skip
"""The modules that runs import."""


class Forked:
    """A child process, with those parts of `subprocess.Popen` that `World.finish` needs.

    It prints into the files `out` and `err`, and `told` is read for its id and then its exit code.
    """

    def __init__(self, args: Sequence[str], out: IO[bytes], err: IO[bytes], told: int) -> None:
        self.args = args
        self.returncode: int | None = None
        self._files = out, err
        self._told = os.fdopen(told)
        self.pid = int(self._told.readline() or self._fail())
        surroundings.begun.append(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.wait()
        self._close()

    def communicate(self, typed: None = None, timeout: float | None = None) -> tuple[str, str]:
        """Wait for the end, and return what was printed on both streams; nothing can be typed."""
        self.wait(timeout)
        out, err = (os.pread(f.fileno(), os.fstat(f.fileno()).st_size, 0) for f in self._files)
        return out.decode(), err.decode()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code; raise TimeoutExpired when it is late.

        `timeout` is in seconds; None waits without end.
        """
        if self.returncode is None:
            if not select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(list(self.args), timeout or 0)
            self.returncode = int(self._told.readline())
        return self.returncode

    def poll(self) -> int | None:
        """Return its exit code; None where it still runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def kill(self) -> None:
        if self.poll() is None:
            surroundings.kill_session(self.pid)

    def _fail(self) -> NoReturn:
        self._close()
        raise RuntimeError("the server that forks could not start; what it said is above")

    def _close(self) -> None:
        for file in (self._told, *self._files):
            file.close()


class ForkServer:
    """The end of the socket that gives orders; it starts the other end, and stops it.

    The other end also imports the modules that are `needed` beside `NEEDED`.
    """

    def __init__(self, package: Path, *needed: str) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {
            "PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": str(package),
            "PYTHONWARNINGS": "error", "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, __file__, *needed], stdin=theirs, env=environment
            )

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> Forked:
        """Start the program in this folder, with these arguments and only this environment."""
        out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        told, tell = os.pipe()
        order = {"arguments": arguments, "environment": environment, "folder": str(folder)}
        files = [out.fileno(), err.fileno(), tell]
        socket.send_fds(self._orders, [json.dumps(order).encode()], files)
        os.close(tell)
        return Forked(["clio-broadly-sync", *arguments], out, err, told)

    def close(self) -> None:
        self._orders.close()
        self._server.wait(surroundings.BUSY_SECONDS)


def serve(orders: socket.socket) -> None:
    """Fork for every order, until the other end of the socket is closed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        order, files, _, _ = socket.recv_fds(orders, MAX_ORDER, 3)
        if not order:
            return
        if os.fork() == 0:
            orders.close()
            _stand_by(json.loads(order), files)
        for file in files:
            os.close(file)


def _stand_by(order: Mapping[str, Any], files: Sequence[int]) -> NoReturn:
    """Start the child and send its id; wait for its end and send the exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    out, err, tell = files
    child = os.fork()
    if child == 0:
        os.setsid()
        os.write(tell, b"%d\n" % os.getpid())
        os.close(tell)
        _become(order, out, err)
    _, status = os.waitpid(child, 0)
    os.write(tell, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become(order: Mapping[str, Any], out: int, err: int) -> NoReturn:
    """Do in this process what `python -m clio_broadly_sync` would do."""
    from clio_broadly_sync.cli import main

    for number, file in ((1, out), (2, err)):
        os.dup2(file, number)
        os.close(file)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    os.chdir(order["folder"])
    sys.argv = ["clio-broadly-sync", *order["arguments"]]
    try:
        _alter(order["environment"]["PYTHONPATH"])
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BaseException:  # noqa: BLE001  (the interpreter does the same at the end)
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _alter(python_path: str) -> None:
    """Load the `sitecustomize.py` files that a fresh interpreter would load by itself."""
    for folder in reversed(python_path.split(":")):
        sys.path.insert(0, folder)
        if (Path(folder) / "sitecustomize.py").exists():
            runpy.run_path(f"{folder}/sitecustomize.py")


def _warm_up() -> None:
    """Import what runs import, so that the children need not do it."""
    for name in (*NEEDED, *sys.argv[1:]):
        importlib.import_module(name)


if __name__ == "__main__":
    _warm_up()
    with socket.socket(fileno=os.dup(0)) as given:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        serve(given)
