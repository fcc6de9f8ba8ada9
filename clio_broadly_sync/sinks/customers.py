"""How a client is spelled for a receiver, whichever it is."""

import unicodedata
from typing import Final

from clio_broadly_sync.domain.model import ReviewRequest

SOURCE: Final = "clio"
MAX_NAME: Final = 255
"""A name has at most so many characters (source: `broadly-batch/1`)."""

_category = unicodedata.category
_UNPRINTABLE: Final = ("Cc", "Cs")


def external_id(request: ReviewRequest) -> str:
    """Return by which id a receiver knows the client."""
    return f"clio:contact:{request.contact_id}"


def customer(request: ReviewRequest) -> dict[str, str]:
    """Return what a receiver is told of a client, by its key there; what is absent is empty."""
    return {
        "externalId": external_id(request),
        "transactionId": request.transaction_id,
        "transactionDate": request.transaction_date.isoformat(),
        "firstName": name_of(request.first_name),
        "lastName": name_of(request.last_name),
        "companyName": name_of(request.company_name),
        "email": request.email or "",
        "phone": request.phone or "",
    }


def name_of(text: str | None) -> str:
    """Return a name trimmed, in normal form C, and no longer than `MAX_NAME`; empty for None.

    Control characters and halves of a surrogate pair are removed.
    """
    kept = text or ""
    if not kept.isprintable():
        kept = "".join(c for c in kept if _category(c) not in _UNPRINTABLE)
    return unicodedata.normalize("NFC", kept).strip()[:MAX_NAME].strip()
