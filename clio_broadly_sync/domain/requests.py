"""What Broadly is sent about a closing."""

from datetime import date

from clio_broadly_sync.domain import rules
from clio_broadly_sync.domain.model import Closing, Contact, Policy, ReviewRequest


def request_for(closing: Closing, contact: Contact, policy: Policy, today: date) -> ReviewRequest:
    """Return the review request of a closing.

    It has no more of the contact than may leave the firm (`rules.may_leave`). `today` is the date
    in the firm's zone, which stands for a close date that is missing or in the future.
    """

    def let_through(name: str) -> str | None:
        value: str | None = getattr(contact, name)
        return value if rules.may_leave(name, contact, policy) else None

    return ReviewRequest(
        key=closing.key,
        contact_id=contact.id,
        transaction_date=rules.day_of_hand_over(closing.key.closed_on or today, today),
        first_name=let_through("first_name"),
        last_name=let_through("last_name"),
        company_name=let_through("company_name"),
        email=let_through("email"),
        phone=let_through("phone"),
    )
