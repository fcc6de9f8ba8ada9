"""Made-up people, and whole firms of them; the same seed always makes the same ones."""

import random
import unicodedata
from collections.abc import Iterator
from random import Random
from typing import Final, NamedTuple

from clio_broadly_sync.sandbox.records import Contact, Matter, Named, Table


def _words(text: str) -> list[str]:
    return text.split()


FIRST = _words(
    "Adaeze Alejandra Amélie Anselm Beatriz Bettina Bronwyn Callum Camille Cedric Chiara "
    "Cornelius Daniela Delphine Dmitri Eleanor Elif Emmett Esperanza Fatima Florian Giselle "
    "Gustavo Hannelore Harriet Hiroshi Imogen Ingrid Ismael Jasmine Jerome José Katarzyna "
    "Khalid Lakshmi Leopold Lucinda Magnus Malik Marguerite Matilda Nadia Nathaniel Octavia "
    "Orlando Penelope Priya Quentin Rafael Renée Roderick Rosalind Santiago Saoirse Sebastian "
    "Siobhan Svetlana Tamara Thaddeus Tomás Ursula Valentina Wendell Winifred Xavier Yolanda "
    "Yusuf Zachary Zoë"
)
LAST = _words(
    "Abernathy Achebe Aguilar Bernstein Blackwood Bouchard Calloway Castellanos Cavendish "
    "Czerny D'Angelo Delacroix Dubois Eastwick Echeverría Fairbanks Featherstone Fitzgerald "
    "Gallagher Ghosh Goldstein Hakimi Hathaway Holloway Ibrahim Iwasaki Jankowski Jorgensen "
    "Kapoor Kowalczyk Lindqvist Lovelace MacGregor Marchetti McAllister Montgomery Nakamura "
    "Nguyen Núñez O'Connor O'Sullivan Okonkwo Papadakis Pemberton Petrov Quesada Ramanujan "
    "Rasmussen Rodríguez Rosenthal Schneider Shapiro Sokolov Takahashi Thackeray Tremblay "
    "Underhill Vasquez Vandermeer Villanueva Weatherby Whitaker Xiong Yamamoto Zielinski "
    "Smith-Jones"
)
TRADES = (
    "Bakery", "Brewing", "Builders", "Cabinetry", "Dental Group", "Fisheries", "Florists",
    "Freight", "Hardware", "Imports", "Landscaping", "Orchards", "Plumbing", "Roofing", "Tailors",
    "Vineyards",
)  # fmt: skip
FORMS = ("LLC", "Inc.", "& Sons", "Co.")
AREAS = _words(
    "201 202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 224 225 228 229 231 "
    "234 239 240 248 251 252 253 254 256 260 262 267 269 270 276 281 301 302 303 304 305 307 "
    "308 309 310 312 313 314 315 316 317 318 319 320 321 323 325 330 331 334 336 337 339 347 "
    "351 352 360 361 386 401 402 404 405 406 407 408 409 410 412 413 414 415 417 419 423 424 "
    "425 430 432 434 435 440 443 469 478 479 480 484 501 502 503 504 505 507 508 509 510 512 "
    "513 515 516 517 518"
)
SPELLINGS = (
    "({0}) 555-{1}", "{0}-555-{1}", "{0}.555.{1}", "+1 {0} 555 {1}", "{0}555{1}", "1 ({0}) 555-{1}",
)  # fmt: skip
DOMAINS = ("example.com", "example.org", "example.net")


ATTORNEYS = [
    Named(952 + number, name, {"enabled": True})
    for number, name in enumerate(("Ruth Adler", "Hugh Barlow", "Grace Chen", "Owen Duarte"))
]
PRACTICE_AREAS = [
    Named(41 + number, name)
    for number, name in enumerate(
        ("Family", "Real Estate", "Estate Planning", "Immigration", "Personal Injury")
    )
]


class Person(NamedTuple):
    """A client: either a person with two names, or a company with one."""

    first: str | None
    last: str | None
    company: str | None
    email: str
    phone: str | None
    """The number in one of the spellings that people type; None where there is none left."""


def person(rng: random.Random, number: int, *, company: bool = False) -> Person:
    """Return the person with this number, whose e-mail and phone no other number is given.

    Only 555-0100 to 555-0199 are reserved for fiction. So in a very large firm the later people
    have no phone, rather than the real one of somebody else.
    """
    first, last = rng.choice(FIRST), rng.choice(LAST)
    local = _plain(last if company else f"{first}.{last}")
    email = f"{local}{number}@{DOMAINS[number % len(DOMAINS)]}"
    phone = _phone(rng, number)
    if company:
        return Person(None, None, _firm(rng, last, number), email, phone)
    return Person(first, last, None, email, phone)


def spellings(phone: str) -> Iterator[str]:
    """Yield the forms in which a phone number that leaked might be found."""
    digits = "".join(char for char in phone if char.isdigit())[-10:]
    yield phone
    if len(digits) == 10:
        yield from (digits, f"+1{digits}")
        yield from (form.format(digits[:3], digits[6:]) for form in SPELLINGS)


def _phone(rng: random.Random, number: int) -> str | None:
    turn, area = divmod(number, len(AREAS))
    if turn >= 100:
        return None
    # 38 scatters the lines, and still gives each area every line once in a hundred turns.
    line = (turn + 38 * number) % 100
    return rng.choice(SPELLINGS).format(AREAS[area], f"01{line:02d}")


def _firm(rng: random.Random, last: str, number: int) -> str:
    return f"{last} {TRADES[number % len(TRADES)]} {rng.choice(FORMS)}"


def _plain(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return "".join(char for char in decomposed.lower() if char.isalnum() or char == ".")


# A whole firm.

DAY: Final = 86_400
YEAR: Final = 365 * DAY
EPOCH: Final = 719_163
"""The day number of 1970-01-01, as `date.toordinal` counts."""
COMPANIES, NO_EMAIL, NO_PHONE = 0.08, 0.06, 0.06
"""Which part of the contacts are companies, have no e-mail, have no phone."""


def populate(
    rng: Random,
    contacts: Table[Contact],
    contact_count: int,
    matters: Table[Matter],
    matter_count: int,
    now: int,
    closed: float,
    fields: tuple[int, int],
) -> None:
    """Fill both tables, which must be empty.

    `now` is in seconds since 1970, `closed` says which part of the matters is closed, and `fields`
    are the ids of the opt-out box and of the thank-you box.
    """
    opt_out, thank_you = fields
    contacts.load([_contact(rng, 1001 + n, n, now, opt_out) for n in range(contact_count)])
    make = _MatterMaker(rng, now, closed, thank_you, contact_count)
    matters.load([make(5001 + n) for n in range(matter_count)])


def _contact(rng: Random, row_id: int, number: int, now: int, opt_out: int) -> Contact:
    made = person(rng, number, company=rng.random() < COMPANIES)
    updated = now - DAY - int(rng.random() * YEAR)
    row = Contact(row_id, *made, created=updated - YEAR, updated=updated)
    chance = rng.random()
    if chance < NO_EMAIL:
        row.email = None
    elif chance < NO_EMAIL + NO_PHONE:
        row.phone = None
    answer = rng.random()
    if answer < 0.3:
        row.boxes = _answered(opt_out, answer < 0.1)
    return row


class _MatterMaker:
    def __init__(
        self, rng: Random, now: int, closed: float, thank_you: int, contact_count: int
    ) -> None:
        self.rng, self.now, self.closed = rng, now, closed
        self.ticked, self.unticked = _answered(thank_you, True), _answered(thank_you, False)
        self.contact_count = contact_count

    def __call__(self, row_id: int) -> Matter:
        chance = self.rng.random
        client = 1001 + int(chance() * self.contact_count) if self.contact_count else None
        updated = self.now - 2 * DAY - int(chance() * YEAR)
        created = updated - DAY - int(chance() * YEAR)
        row = assigned(Matter(row_id, client, "Open", _day(created), None, created, updated))
        if chance() < self.closed:
            row.status, row.closed = "Closed", _day(updated)
        answer = chance()
        if answer < 0.7:
            row.boxes = self.ticked if answer < 0.55 else self.unticked
        return row


def assigned(row: Matter) -> Matter:
    """Give a new matter an attorney and a practice area, so that each of them has as many."""
    row.attorney = ATTORNEYS[row.id % len(ATTORNEYS)]
    row.area = PRACTICE_AREAS[row.id % len(PRACTICE_AREAS)]
    return row


def group(key: str, name: str | None) -> Named | None:
    """Return the `attorney` or practice `area` of this name; raise KeyError where none has it."""
    known = {"attorney": ATTORNEYS, "area": PRACTICE_AREAS}[key]
    return None if name is None else {one.name: one for one in known}[name]


_SHARED: dict[tuple[int, bool], dict[int, bool]] = {}


def _answered(field: int, ticked: bool) -> dict[int, bool]:
    """Return one dict for all records with this answer, for a million dicts take much memory."""
    return _SHARED.setdefault((field, ticked), {field: ticked})


def _day(seconds: int) -> int:
    return EPOCH + seconds // DAY
