"""The short ways to a normal form end where the libraries end."""

from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st
from phonenumbers import (
    NumberParseException,
    PhoneNumberFormat,
    format_number,
    is_valid_number,
    parse,
)

from clio_broadly_sync.clio.contact_points import MAX_EMAIL, normal_email, normal_phone
from clio_broadly_sync.sandbox.people import SPELLINGS

LOCAL_PARTS = st.one_of(
    st.text("abz09._+-A!'\"(), <@é", max_size=12),
    st.from_regex(r"[a-z0-9_+.-]{1,70}", fullmatch=True),
    st.sampled_from(["Info", "info", "POSTMASTER", ".a", "a.", "a..b", "a" * 64, "a" * 65]),
)
LABELS = st.one_of(
    st.from_regex(r"[a-zA-Z0-9-]{1,12}", fullmatch=True),
    st.sampled_from(["xn--0", "xn--bcher-kva", "bücher", "b" * 63, "b" * 64, "a--b", "", " "]),
)
DOMAINS = st.builds(
    lambda labels, last: ".".join([*labels, last]),
    st.lists(LABELS, max_size=4),
    st.sampled_from(["com", "COM", "test", "local", "example", "c", "1", "onion", "com.", "é"]),
)


PASTED = (" ", "'", '"', "<")
"""How a local part must not begin here: what is pasted before an address is left out."""


@given(LOCAL_PARTS.filter(lambda part: not part.startswith(PASTED)), DOMAINS)
@example("a", "example.com")
@example("Sales", "example.com")
@example("a" * 64, ".".join(["b" * 60] * 3) + ".com")
def test_email_is_what_the_library_says(local_part: str, domain: str) -> None:
    """No address passes that would not, and none is spelt otherwise."""
    assert normal_email(f"{local_part}@{domain}") == email_by_library(f"{local_part}@{domain}")


def email_by_library(text: str) -> str | None:
    address = text.strip().rstrip(".")
    if len(address) > MAX_EMAIL:
        return None
    practice = address.endswith(".test")
    try:
        found = validate_email(address, check_deliverability=False, test_environment=practice)
    except EmailNotValidError:
        return None
    return found.normalized


AREAS = st.integers(200, 999).map(str)
LINES = st.integers(0, 9999).map(lambda line: f"{line:04d}")
USUAL = st.builds(
    lambda form, area, exchange, line: form.replace("555", exchange).format(area, line),
    st.sampled_from([*SPELLINGS, "+1{0}555{1}", "+1-{0}-555-{1}", "+{0}555{1}", "1{0}555{1}"]),
    AREAS,
    st.integers(0, 999).map(lambda exchange: f"{exchange:03d}"),
    LINES,
)
ODD = st.text("0123456789+()-. x/", max_size=18)


@given(USUAL | ODD, st.sampled_from(["US", "CA", "AU", None]))
@example("+1 (212) 555-0123", None)
@example("(900) 555-0123", "US")
@example("(787) 555-0123", "US")
@example("(416) 555-0123", "CA")
def test_phone_is_what_the_library_says(text: str, region: str | None) -> None:
    """Whatever country, area or spelling: no number passes that would not."""
    assert normal_phone(text, region) == phone_by_library(text, region)


def test_every_area_is_what_the_library_says() -> None:
    """The codes of all areas, of toll-free and of paid lines among them."""
    for area in range(100, 1000):
        text = f"{area}-234-5678"
        assert normal_phone(text, "US") == phone_by_library(text, "US")


def phone_by_library(text: str, region: str | None) -> str | None:
    try:
        number = parse(text, region)
    except NumberParseException:
        return None
    if number.extension or not is_valid_number(number):
        return None
    return format_number(number, PhoneNumberFormat.E164)
