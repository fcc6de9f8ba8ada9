"""What the worlds of one test session share: the hour, two ports, the keys, and bytecode.

So a state that was made in one world fits every other one.
"""

import secrets
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import SystemRandom
from zoneinfo import ZoneInfo

from rig import Sandbox

from clio_broadly_sync.sandbox import Firm


class Ground:
    """What all worlds have in common; `bytecode` is a folder for the compiled modules."""

    def __init__(self, bytecode: Path) -> None:
        self.bytecode = bytecode
        self._noon = _noon()
        self._ports = _free_port(), _free_port()
        self._token = f"clio-{secrets.token_hex(20)}"
        self._key = f"broadly-{secrets.token_hex(20)}"

    def sandbox(self, profile: str = "batch") -> Sandbox:
        """Return a sandbox with an empty firm, which from outside looks like every other one.

        With the `profile` "webhook" an automation stands in Broadly's place.
        """
        firm = Firm(contacts=0, matters=0)
        firm.clock.set(self._noon)
        return Sandbox(
            firm,
            dedupes=False,
            access_token=self._token,
            api_key=self._key,
            clio_port=self._ports[0],
            broadly_port=self._ports[1],
            profile=profile,
        )


def _noon() -> datetime:
    """Return the firm's last noon, so that no test runs into midnight unless it means to."""
    now = datetime.now(ZoneInfo("America/Los_Angeles"))
    noon = now.replace(hour=12, minute=0, second=0, microsecond=0)
    return (noon if noon <= now else noon - timedelta(days=1)).astimezone(UTC)


def _free_port() -> int:
    """Return a port that nothing listens on, that no outgoing connection is given, and that is no
    other ground's: the tests run on all processors, and perhaps in several folders."""
    for port in SystemRandom().sample(range(20_000, 30_000), 100):
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) != 0 and _claim(port):
                return port
    raise RuntimeError("no free port")


def _claim(port: int) -> bool:
    """Claim it until this process ends: by the port of UDP, which nobody uses for anything else."""
    mark = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        mark.bind(("127.0.0.1", port))
    except OSError:
        mark.close()
        return False
    mark.detach()
    return True
