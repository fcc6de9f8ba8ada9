"""Messages to the addresses of NOTIFY_URLS: e-mail, Slack, ntfy, and what else apprise knows.

An address holds passwords, so of it no more than its scheme is ever said: in many of them the host
is a secret as well.

They are sent by a child process, which is this very file. It can be ended whatever it waits for:
a server, the name of a host, or a thread that apprise has begun.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from apprise import Apprise

    from clio_broadly_sync.domain.credentials import Secret

WHOLE_CALL_SECONDS: Final = 20.0
"""Whoever sends a message waits at most so long for all addresses together."""
_CHILD: Final = [sys.executable, "-P", "-W", "ignore", __file__]


def scheme_of(address: "Secret") -> str:
    """Return all that may be said of an address."""
    return address.reveal().partition("://")[0].lower()


def is_usable(address: "Secret") -> bool:
    """Tell whether apprise can read the address; nothing is sent."""
    with warnings.catch_warnings(action="ignore"):
        return bool(_apprise_of(address.reveal()))


def send(addresses: Sequence["Secret"], title: str, body: str) -> list[bool]:
    """Send each address the message; return for each whether that is known to have worked.

    Nothing is raised, and what is not done when the time is over is ended.
    """
    order = json.dumps([[address.reveal() for address in addresses], title, body])
    try:
        worked = subprocess.run(  # noqa: S603  (this very file)
            _CHILD,
            input=order.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=WHOLE_CALL_SECONDS,
            check=False,
        ).stdout
    except subprocess.TimeoutExpired as late:
        worked = late.stdout or b""
    except OSError:
        worked = b""
    return [
        str(number) in worked.decode(errors="replace").split() for number in range(len(addresses))
    ]


def _apprise_of(address: str) -> "Apprise":
    """Return apprise with this one address, or with none where it cannot read it.

    It takes long to load, so it is loaded only here. It keeps nothing on the disk, and what it logs
    goes nowhere: a line may name more of an address than its scheme.
    """
    import apprise

    log = logging.getLogger("apprise")
    log.handlers, log.propagate = [logging.NullHandler()], False
    asset = apprise.AppriseAsset(storage_mode=apprise.PersistentStoreMode.MEMORY)
    made = apprise.Apprise(asset=asset)
    made.add(address)
    return made


# The child.


def _main() -> None:
    """Send what stdin says to all addresses at once; print the number of each that took it."""
    # Whoever began this process may be killed, and then nobody else ends it.
    signal.alarm(int(WHOLE_CALL_SECONDS) + 1)
    addresses, title, body = json.load(sys.stdin)

    def call(number: int) -> None:
        with suppress(Exception):
            if _apprise_of(addresses[number]).notify(title=title, body=body):
                sys.stdout.write(f"{number}\n")  # one write, so that no two lines get mixed up
                sys.stdout.flush()

    threads = [threading.Thread(target=call, args=(number,)) for number in range(len(addresses))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os._exit(0)  # what apprise has left behind is not waited for


if __name__ == "__main__":
    _main()
