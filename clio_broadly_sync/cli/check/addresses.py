"""What `check` finds at two addresses to which nothing may be sent: Broadly's and the monitor's.

A batch would ask a client, and a ping would count as a sign of life. So one GET each has to tell
what it can, and what it cannot tell is said.
"""

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from clio_broadly_sync.cli import findings
from clio_broadly_sync.cli.findings import Finding
from clio_broadly_sync.domain.errors import (
    AddressError,
    DeniedError,
    RefusedError,
    StoppedError,
    SyncError,
    UnavailableError,
)
from clio_broadly_sync.monitor import WHOLE_CALL_SECONDS
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.transport.client import Transport
from clio_broadly_sync.transport.signals import Stop

_NOT_THERE: Final = (404, 410)
_UNKNOWN: Final = (
    "whether it takes the key and a batch cannot be tested without handing somebody over"
)


def broadly(settings: Settings, transport: Transport) -> Iterator[Finding]:
    """Say whether Broadly's address answers, and does not refuse the key."""
    about, host = "Broadly", _origin(settings.broadly_url)
    try:
        status = _status(transport, settings.broadly_url, settings.broadly_headers())
    except DeniedError as error:
        mend = "put the right one into BROADLY_API_KEY, or mend BROADLY_AUTH_HEADER."
        code = error.exit_code
        yield findings.failed(about, f"{host} refuses the key ({error.status}): {mend}", code)
    except StoppedError:
        raise
    except SyncError as error:
        yield from findings.failures(about, error)
    else:
        yield _answered(about, host, status)


def ping(settings: Settings, stop: Stop) -> Finding:
    """Say whether the monitor's host can be reached; its address itself is left alone."""
    about = "ping address"
    if settings.ping_url is None:
        return findings.ok(
            about, "PING_URL is not set: if cron itself stops one day, nobody is told."
        )
    host = _origin(settings.ping_url)
    transport = Transport(
        "The monitor", patience=lambda: 0.0, stop=stop, whole_call=WHOLE_CALL_SECONDS
    )
    if _is_reached(transport, host):
        return findings.ok(
            about,
            f"{host} can be reached; the address itself is not tested, because every request to "
            "it counts as a sign of life.",
        )
    return findings.warning(
        about, f"{host} could not be reached: pings would be lost. Check PING_URL."
    )


def _answered(about: str, host: str, status: int) -> Finding:
    if status in _NOT_THERE:
        return findings.warning(
            about,
            f"{host} answers with {status}: the address may be wrong, or take batches only. "
            f"Compare BROADLY_URL with what Broadly gave you; {_UNKNOWN}.",
        )
    return findings.ok(about, f"{host} answers (status {status}); {_UNKNOWN}.")


def _status(transport: Transport, url: str, headers: dict[str, str]) -> int:
    """Return the status of an answer to a GET, whatever it means but for a redirect."""
    try:
        return transport.request("GET", url, headers=headers).status
    except (AddressError, RefusedError) as error:
        if error.status < 400:
            raise
        return error.status


def _is_reached(transport: Transport, host: str) -> bool:
    """Tell whether anybody answers, whatever it is."""
    try:
        transport.request("GET", f"{host}/", headers={})
    except (AddressError, RefusedError, DeniedError):
        return True
    except UnavailableError as error:
        return error.answered
    except StoppedError:
        raise
    except SyncError:
        return False
    return True


def _origin(url: str) -> str:
    """Leave away what may be a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
