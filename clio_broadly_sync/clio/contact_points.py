"""How a client can be reached: an e-mail address and a phone number in normal form, or none.

Two libraries know what is an address and what is a number. The usual forms, which are nearly all
that there are, take a short way to the same result, because a library takes longer over a client
than all the rest of the program.
"""

import re
import unicodedata
from functools import cache, lru_cache
from typing import Final, NamedTuple

MAX_EMAIL: Final = 254
MAX_LOCAL_PART: Final = 64
"""The most characters before the @, and `MAX_EMAIL` in all. Source: RFC 5321, 4.5.3.1."""

_PLAIN_LOCAL_PART: Final = re.compile(r"[a-z0-9_+-]+(\.[a-z0-9_+-]+)*")
"""A part before the @ that is in normal form already, whatever the domain."""
_PLAIN_EMAIL: Final = re.compile(
    rf"(?=[^@]{{1,{MAX_LOCAL_PART}}}@)(?=.{{1,{MAX_EMAIL}}}\Z){_PLAIN_LOCAL_PART.pattern}"
    r"@([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}"
)
"""An address that is in normal form already, unless it is reserved or has two hyphens in a row."""
RESERVED: Final = (".arpa", ".invalid", ".local", ".localhost", ".onion", ".test")
"""No address ends so. Source: IANA's special-use domain names, as email-validator lists them."""
_AMERICAN: Final = re.compile(
    r"(?P<plus>\+)?(?P<one>1[ .-]?)?(\(\d{3}\) ?|\d{3}[ .-]?)\d{3}[ .-]?\d{4}", re.ASCII
)
_NOTHING: Final = "(?!)"
_NOTE_FIRST: Final = re.compile(r"\s*+(?:tel:)?+[^\d+]*[^\W\d_]", re.IGNORECASE)
_ZEROS: Final = re.compile(r"(\(?)00\s*(?=[1-9])")
"""How an international number begins in most countries, though not in the United States."""
_LABEL: Final = re.compile(r"(?:e-?mail|mailto|mail)\s*:\s*", re.IGNORECASE)
_IN_BRACKETS: Final = re.compile(r"[^<>@]*<([^<>]*)>")
_QUOTES: Final = " \t\r\n\"'“”‘’„‚«»<>"
_STOPS: Final = ",;."
"""What people paste along with an address: quotes around it, and a stop after it."""


class ContactPoints(NamedTuple):
    """What Clio shows as the primary e-mail address and phone number of one contact."""

    email: str | None
    """The address in normal form; None where there is none that can be used."""
    phone: str | None
    """The number as E.164; None where there is none that can be used."""
    unusable: frozenset[str]
    """Which of the two (`email`, `phone`) is there and cannot be used."""


_ALL_USABLE: Final[frozenset[str]] = frozenset()


def contact_points(
    email: str | None, phone: str | None, country: str | None, *, zeros_are_plus: bool
) -> ContactPoints:
    """Read both texts, the number as `normal_phone` does; what nobody can see is not there."""
    address = normal_email(email)
    number = normal_phone(phone, country, zeros_are_plus=zeros_are_plus)
    unusable = _ALL_USABLE
    if address is None or number is None:
        left = {"email": (address, email), "phone": (number, phone)}
        unusable = frozenset(k for k, (read, text) in left.items() if read is None and _seen(text))
    return ContactPoints(address, number, unusable)


def normal_email(text: str | None) -> str | None:
    """Return the address alone, its domain in lower case; None where it is no address.

    What nobody can see goes, and so does what was pasted along with it: a label, quotes, a full
    stop, a name before <the address>.
    """
    text = text or ""
    if _PLAIN_EMAIL.fullmatch(text) and "--" not in text and not text.endswith(RESERVED):
        return text
    address = _without_what_was_pasted(_visible(text))
    if "@" not in address or len(address) > MAX_EMAIL:
        return None
    local_part, _, domain = address.rpartition("@")
    plain = _PLAIN_LOCAL_PART.fullmatch(local_part) and len(local_part) <= MAX_LOCAL_PART
    if not (plain and domain.isascii()):
        return _valid_email(address)
    normal = _valid_domain(domain)
    return None if normal is None else f"{local_part}@{normal}"


def normal_phone(
    text: str | None, country: str | None, *, zeros_are_plus: bool = False
) -> str | None:
    """Return the number as E.164; None where it is no number.

    `country` (such as "US") is that of a number without `+`; where it is None, such a number counts
    as none. With `zeros_are_plus`, a number that begins with 00 is one with `+`. A number with an
    extension is none: the number before it is the switchboard's, which many share. A number after
    a note is none, too: the library would pass over the note, which may say not to call.
    """
    text = text or ""
    if (known := _american(text, country)) is not None:
        return known
    number = _visible(text).strip()
    if not number or _NOTE_FIRST.match(number):
        return None
    if zeros_are_plus and (abroad := _valid_phone(_ZEROS.sub(r"\1+", number, count=1), None)):
        return abroad
    return _american(number, country) or _valid_phone(number, country)


def _seen(text: str | None) -> bool:
    """Tell whether somebody who looks at the text sees anything."""
    return text is not None and any(c.isprintable() and not c.isspace() for c in text)


def _visible(text: str) -> str:
    """Leave out what nobody can see and what turns the direction of writing (Unicode's Cf)."""
    if text.isascii():
        return text
    return "".join(c for c in text.replace("\xa0", " ") if unicodedata.category(c) != "Cf")


def _without_what_was_pasted(text: str) -> str:
    in_brackets = _IN_BRACKETS.fullmatch(text.strip().rstrip(_STOPS))
    alone = _bare(in_brackets[1] if in_brackets else text)
    label = _LABEL.match(alone)
    return alone if label is None else _bare(alone[label.end() :].partition("?")[0])


def _bare(text: str) -> str:
    return text.lstrip(_QUOTES).rstrip(_QUOTES + _STOPS)


@lru_cache(maxsize=1024)
def _valid_domain(domain: str) -> str | None:
    address = _valid_email(f"a@{domain}")
    return None if address is None else address.removeprefix("a@")


def _valid_email(address: str) -> str | None:
    from email_validator import EmailNotValidError, validate_email

    practice = address.endswith(".test")  # it is reserved for practice, so it is never anybody's
    try:
        checked = validate_email(address, check_deliverability=False, test_environment=practice)
        return checked.normalized
    except EmailNotValidError:
        return None


def _american(text: str, country: str | None) -> str | None:
    """Return a number of the United States; None where the library has to look at it."""
    found = _AMERICAN.fullmatch(text)
    if not found or (found["plus"] and not found["one"]):
        return None
    if not found["plus"] and country not in ("US", "CA"):
        return None
    number = re.sub("[^0-9]", "", text)[-10:]
    return f"+1{number}" if _american_lines().fullmatch(number) else None


@cache
def _american_lines() -> re.Pattern[str]:
    """Return the pattern of the numbers that subscribers have there.

    It is the library's own, which the library itself tries only after others.
    """
    import phonenumbers

    country = phonenumbers.PhoneMetadata.metadata_for_region("US")
    lines = country.fixed_line if country is not None else None
    pattern = lines.national_number_pattern if lines is not None else None
    return re.compile(pattern or _NOTHING)


def _valid_phone(text: str, country: str | None) -> str | None:
    import phonenumbers

    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
    if number.extension or not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
