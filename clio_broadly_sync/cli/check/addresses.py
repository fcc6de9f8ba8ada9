"""What `check` finds at the addresses of Broadly, of the monitor, and of NOTIFY_URLS.

Nothing may be sent to Broadly's address or to the monitor's: a batch would ask a client, and a
ping would count as a sign of life. So one GET each has to show what it can, to a webhook a mere
connection, and the findings also say what that cannot show.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from clio_broadly_sync import notify
from clio_broadly_sync.cli import app, findings
from clio_broadly_sync.cli.findings import Finding
from clio_broadly_sync.domain.errors import (
    AddressError,
    ConfigError,
    DeniedError,
    RefusedError,
    StoppedError,
    SyncError,
    UnavailableError,
)
from clio_broadly_sync.domain.model import Profile
from clio_broadly_sync.domain.reasons import EXPORT_BY
from clio_broadly_sync.monitor import transport_to_monitor
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.transport.addresses import host_of
from clio_broadly_sync.transport.signals import Stop

if TYPE_CHECKING:
    from clio_broadly_sync.transport.client import Transport

_NOT_THERE: Final = (404, 410)
_UNKNOWN: Final = "whether it takes the key and your clients shows when the first is sent"


def broadly(settings: Settings, transport: "Transport") -> Iterator[Finding]:
    """Yield whether Broadly's address answers and does not refuse the key.

    Nothing goes to a webhook, for which each request is an event. Where files are written, there is
    no address, and it is said what to do.
    """
    about, host = "Broadly", host_of(settings.broadly_url)
    if settings.broadly_profile is Profile.CSV:
        yield findings.ok(
            about,
            f"BROADLY_PROFILE is csv: nothing is sent by itself. {EXPORT_BY} writes a file for "
            "Broadly's import.",
        )
        return
    if settings.broadly_profile is Profile.WEBHOOK:
        yield from _reached(about, host, transport)
        return
    try:
        status = _status(transport, settings.broadly_url, settings.broadly_headers())
    except DeniedError as error:
        fix = "put the right one into BROADLY_API_KEY, or fix BROADLY_AUTH_HEADER."
        code = error.exit_code
        yield findings.failed(about, f"{host} refuses the key ({error.status}): {fix}", code)
    except StoppedError:
        raise
    except SyncError as error:
        yield from findings.failures(about, error)
    else:
        yield _answered(about, host, status)


def _reached(about: str, host: str, transport: "Transport") -> Iterator[Finding]:
    try:
        transport.reach(host)
    except StoppedError:
        raise
    except SyncError as error:
        yield from findings.failures(about, error)
    else:
        yield findings.ok(
            about,
            f"{host} can be reached; nothing was sent there, because any request may start the "
            "automation. To try the address itself, `check --send-sample` sends a made-up client.",
        )


def pings(settings: Settings, stop: Stop) -> Iterator[Finding]:
    """Yield whether the monitors' hosts can be reached; no request goes to an address itself."""
    if settings.ping_url is None:
        says = "PING_URL is not set: if cron itself stops one day, nobody is told."
        if app.firm_of(settings) is not None:
            says = "PING_URL is not set: if no worker runs it one day, `fleet status` alone tells."
        yield findings.ok("ping address", says)
    else:
        yield _ping("ping address", "PING_URL", settings.ping_url, stop)
    if settings.ping_url_verify is not None:
        yield _ping("ping of verify", "PING_URL_VERIFY", settings.ping_url_verify, stop)


def _ping(about: str, name: str, url: str, stop: Stop) -> Finding:
    host = host_of(url)
    error = _unreached(transport_to_monitor(stop), host)
    if error is None:
        return findings.ok(
            about,
            f"{host} can be reached; the address itself is not tested, because every request to "
            "it counts as a sign of life.",
        )
    fix = str(error) if isinstance(error, ConfigError) else f"Check {name}."
    return findings.warning(about, f"{host} could not be reached: pings would be lost. {fix}")


def notices(settings: Settings) -> Iterator[Finding]:
    """Yield whether apprise can use the addresses of NOTIFY_URLS, to which nothing is sent; nothing
    where there are none."""
    about, addresses = "notifications", settings.notify_urls or ()
    for number, address in enumerate(addresses, 1):
        if not notify.is_usable(address):
            which = f"address {number} of NOTIFY_URLS ({notify.scheme_of(address)})"
            fix = f"apprise cannot use {which}: compare it with what apprise's own page says of it"
            yield findings.failed(about, f"{fix}.", ConfigError.exit_code)
    if addresses:
        schemes = ", ".join(sorted(map(notify.scheme_of, addresses)))
        yield findings.ok(
            about,
            f"NOTIFY_URLS is set ({schemes}). A check sends nothing there; the first `sync` with "
            "them does, so that you see whether it arrives.",
        )


def _answered(about: str, host: str, status: int) -> Finding:
    if status in _NOT_THERE:
        return findings.warning(
            about,
            f"{host} answers with {status}: the address may be wrong, or take batches only. "
            f"Compare BROADLY_URL with what Broadly gave you; {_UNKNOWN}.",
        )
    return findings.ok(about, f"{host} answers (status {status}); {_UNKNOWN}.")


def _status(transport: "Transport", url: str, headers: dict[str, str]) -> int:
    """Return the status of the answer to a GET, also where that refuses the request or the address.

    A refused key raises DeniedError, a redirect AddressError, and a side that is busy, out of order
    or not there UnavailableError.
    """
    try:
        return transport.request("GET", url, headers=headers).status
    except (AddressError, RefusedError) as error:
        if error.status < 400:
            raise
        return error.status


def _unreached(transport: "Transport", host: str) -> SyncError | None:
    """Return why nobody answers; None where somebody does, whatever the answer is; a signal raises
    StoppedError."""
    try:
        transport.request("GET", f"{host}/", headers={})
    except StoppedError:
        raise
    except (AddressError, RefusedError, DeniedError):
        return None
    except SyncError as error:
        return None if isinstance(error, UnavailableError) and error.answered else error
    return None
