"""`check --send-sample`: one made-up client for Broadly, from whom an automation learns the fields.

Nothing of it is recorded.
"""

import math
import secrets
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import click

from clio_broadly_sync.cli import app, findings, output
from clio_broadly_sync.cli.findings import Finding
from clio_broadly_sync.domain.errors import ATTENTION, StoppedError, SyncError
from clio_broadly_sync.domain.model import Key, Outcome, Profile, Receipt, ReviewRequest
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.transport.addresses import host_of
from clio_broadly_sync.transport.signals import Stop

if TYPE_CHECKING:
    from clio_broadly_sync.cli.clients import Clients

_ABOUT: Final = "sample"
_ARRIVED: Final = (Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.SUPPRESSED)
_NOT_ARRIVED: Final = {
    Outcome.RETRY: "asks to try again later",
    Outcome.UNKNOWN: "gave no answer that can be read, so it may have arrived: look there",
}


def check_usage(settings: Settings, *, yes: bool) -> None:
    """Raise UsageError where there is no receiver, or nobody to ask."""
    if settings.broadly_profile is Profile.CSV:
        raise click.UsageError(
            "With BROADLY_PROFILE=csv nothing is sent, and so no sample: leave --send-sample out."
        )
    if not yes and (sys.stdin is None or not sys.stdin.isatty()):
        raise click.UsageError("There is no terminal to ask on: add --yes.")


def findings_of(
    settings: Settings, clients: "Clients", stop: Stop, *, yes: bool
) -> Iterator[Finding]:
    """Ask, send the made-up client, and yield what came of it."""
    host = host_of(settings.broadly_url)
    if not yes and not _agreed(host, stop):
        yield findings.ok(_ABOUT, "Nothing was sent.")
        return
    request = _made_up(settings)
    try:
        receipts = _sent(request, clients, dedupes=settings.broadly_dedupes)
    except StoppedError:
        raise
    except SyncError as error:
        yield from findings.failures(_ABOUT, error)
        return
    yield _finding(host, request, receipts[-1])


def _agreed(host: str, stop: Stop) -> bool:
    question = (
        f"Send one made-up client to {host} now? An automation that is live there acts on it."
    )
    with suppress(click.Abort), output.patience(stop):
        return output.agreed(question)
    return False


def _made_up(settings: Settings) -> ReviewRequest:
    today = app.our_clock().astimezone(settings.clio_time_zone).date()
    given = {
        "first_name": "Sample",
        "last_name": "Client",
        "email": "sample.client@example.com",
    }
    return ReviewRequest(
        key=Key(0, today),
        contact_id=0,
        transaction_date=today,
        sample=f"-{secrets.token_hex(4)}",
        **{name: value for name, value in given.items() if name in settings.broadly_fields},
    )


def _sent(request: ReviewRequest, clients: "Clients", *, dedupes: bool) -> list[Receipt]:
    """Send it; return its receipts, of which the last one counts.

    Raise SyncError where there is none, or where the receiver dedupes, so that the same can simply
    be tried again.
    """
    sink, receipts = clients.sink(dry_run=False), list[Receipt]()
    try:
        for some in sink.send([request], lambda: math.inf):
            receipts += some
    except SyncError:
        if dedupes or not receipts:
            raise
    return receipts + sink.close()


def _finding(host: str, request: ReviewRequest, receipt: Receipt) -> Finding:
    if receipt.outcome in _ARRIVED:
        id_ = request.transaction_id
        return findings.ok(
            _ABOUT, f"One made-up client was sent to {host} ({id_}): look whether it arrived."
        )
    code = f" ({receipt.code})" if receipt.code else ""
    what = _NOT_ARRIVED.get(receipt.outcome, f"refuses the made-up client{code}: ask what is wrong")
    return findings.failed(_ABOUT, f"{host} {what}.", ATTENTION)
