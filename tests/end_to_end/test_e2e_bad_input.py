"""What people type and what Clio may make of it: nobody is guessed at, nobody else waits for it."""

from datetime import date
from typing import Any

from rig import faults
from world import World, customers

from clio_broadly_sync.sandbox.records import MISSING

SEND, WAITS = ("send", None), ("wait", "unreadable_field")
NO_CHANNEL = ("skip", "no_channel")
NAMES = {
    "  Amélie ": "Amélie",
    "Ame\u0301lie": "Amélie",
    "李小龍": "李小龍",
    "Владислава": "Владислава",
    "محمد عبدالرحمن": "محمد عبدالرحمن",
    "שרה־לאה": "שרה־לאה",
    "प्रियंका": "प्रियंका",
    "👩\u200d⚖️ Jörgine": "👩\u200d⚖️ Jörgine",
    'O\'Brien-"Smith" <b>&amp;': 'O\'Brien-"Smith" <b>&amp;',
    "Line\r\nBreaker": "LineBreaker",
    "Null\x00Byte": "NullByte",
    "Bell\x07\x1b[31mRed\x1b]0;title\x07": "Bell[31mRed]0;title",
    "\x9b2JControl": "2JControl",
    "Lorem" * 2000: "Lorem" * 51,
    "'; DROP TABLE closings; --": "'; DROP TABLE closings; --",
    "{key} ${HOME} %s \\u0041": "{key} ${HOME} %s \\u0041",
}
"""First names as typed, and as they are handed over."""
EMAILS: dict[str | None, str | None] = {
    "Zoe.Quill@EXAMPLE.com\n": "Zoe.Quill@example.com",
    "zoë@example.com": "zoë@example.com",
    "one@example.com; two@example.com": None,
    "three@example.com, four@example.com": None,
    "five@example.com (office)": None,
    "Six <six@example.com>": "six@example.com",
    "mailto:seven@example.com": "seven@example.com",
    "thirteen@example.com\u200b": "thirteen@example.com",
    "\ufeff“fourteen@example.com”,": "fourteen@example.com",
    "eight＠example.com": None,
    "nine@example.com\x00": None,
    "ten@example.com\r\nBcc: eleven@example.com": None,
    "\u202emoc.elpmaxe@evlewt": None,
    "no e-mail!": None,
}
PHONES: dict[str | None, str | None] = {
    "４１５－５５５－０１２４": "+14155550124",
    "415-555-0125 ext. 12": None,
    "415-555-0125 x12": None,
    "+1 415-555-0125;ext=12": None,
    "+44 20 7946 0958": "+442079460958",
    "tel:+1-415-555-0126": "+14155550126",
    "415-555-0127 / 415-555-0128": None,
    "415-555-0129\n415-555-0130": None,
    "415-555-0131 after five": None,
    "do not call 415-555-0132": None,
    "DO NOT CALL": None,
    "9" * 10_000: None,
    "555-0133": None,
}


def test_names_in_any_script_and_of_any_length(world: World) -> None:
    """Handed over in one normal form, and to be found nowhere else: the world looks for them."""
    for name in NAMES:
        world.closing(first_name=name)
    ran = world.sync("--json", "-v", LOG_FORMAT="json")
    assert (ran.code, ran.delivery) == (0, {"sent": len(NAMES)})
    assert [item["firstName"] for item in _sent(world)] == list(NAMES.values())


def test_addresses_are_taken_as_they_are_or_not_at_all(world: World) -> None:
    """What was pasted along is left out; two values or a note are not guessed at."""
    told: dict[int, tuple[str, str | None]] = {}
    for given, kept in EMAILS.items():
        told[world.closing(email=given, phone=None).matter] = SEND if kept else NO_CHANNEL
    for given, kept in PHONES.items():
        told[world.closing(email=None, phone=given).matter] = SEND if kept else NO_CHANNEL
    ran = world.sync("--json", "-v")
    assert (ran.code, ran.decisions) == (0, told)
    assert [item["email"] for item in _sent(world) if "email" in item] == _kept(EMAILS)
    assert [item["phone"] for item in _sent(world) if "phone" in item] == _kept(PHONES)


def test_ids_beyond_what_a_float_can_hold(world: World) -> None:
    """They stay what they are, on the way to Broadly and in the ledger."""
    for table, beyond in ((world.firm.contacts, 2**53 + 1), (world.firm.matters, 2**63 - 9)):
        table._next_id = beyond
    closing = world.closing()
    assert world.sync("--json").delivery == {"sent": 1}
    (item,) = _sent(world)
    assert item["externalId"] == f"clio:contact:{2**53 + 1}"
    assert world.asked == [closing.matter] == [2**63 - 9]
    assert world.ledger()[2**63 - 9].state == "sent"


def test_id_that_is_a_string(world: World) -> None:
    """Whose record it is cannot be told, so nothing of that answer is used: 69, nobody is lost."""
    fine, odd = world.closing().matter, world.closing().matter
    for id_ in (str(odd), float(odd), 2**63, -odd, True, None, MISSING):
        world.firm.set_raw("matter", odd, id=id_)
        ran = world.sync("--json", SYNC_RUN_MINUTES="0.01")
        assert (ran.code, world.rows(), world.posts) == (69, [], []), id_
    world.firm.set_raw("matter", odd)
    assert world.sync().code == 0
    assert world.asked == [fine, odd]


def test_close_dates_that_are_none(world: World) -> None:
    """They wait for a person, and so does an empty one; nobody's date is made up."""
    told: dict[int, tuple[str, str | None]] = {}
    today = world.day().isoformat()
    for value in ("2026-02-29", f"{today}T00:00:00Z", f"{today} ", f" {today}", "29.02.2024", 0):
        told[_closed(world, value)] = WAITS
    told[_closed(world, MISSING)] = WAITS
    told[_closed(world, "")] = told[_closed(world, None)] = ("wait", "no_close_date")
    told[_closed(world, "2024-02-29")] = ("skip", "closed_before_start")
    told[_closed(world, "0001-01-01")] = ("skip", "closed_before_start")
    told[_closed(world, "9999-12-31")] = SEND
    ran = world.sync("--json", "-v")
    assert (ran.code, ran.decisions) == (65, told)
    (item,) = _sent(world)
    assert item["transactionDate"] == today
    assert item["transactionId"].endswith(":9999-12-31")


def test_the_29th_of_february(world: World) -> None:
    """A day like any other."""
    leap = date(2024, 2, 29)
    matter = world.closing(on=leap).matter
    assert world.backfill(leap, leap, "--yes").code == 0
    assert world.asked == [matter]
    assert _sent(world)[0]["transactionDate"] == "2024-02-29"


def test_keys_that_nobody_asked_for(world: World) -> None:
    """What Clio may add tomorrow changes nothing, wherever it adds it."""
    matters = [world.closing().matter, world.closing(opt_out=True).matter]
    world.clio.faults.add(faults.change_json(_with_more), times=None)
    ran = world.sync("--json", "-v")
    assert ran.decisions == {matters[0]: SEND, matters[1]: ("skip", "opted_out")}
    assert world.asked == matters[:1]
    assert "surprise" not in str(_sent(world))


def test_settings_as_editors_and_people_write_them(world: World) -> None:
    """A byte order mark, Windows line ends, quotes, blanks; box names with all of that inside."""
    box = " Don't  “ask” #1 "
    world.firm.fields.rename("BroadlyOptOut", box)
    world.firm.set_box("contact", world.closing().contact, True, box)
    asked = world.closing().matter
    lines = [
        "  SYNC_RULE = BOTH   # ours",
        f'export BROADLY_URL="{world.settings["BROADLY_URL"]}"',
        f"BROADLY_API_KEY='{world.settings['BROADLY_API_KEY']} '",
        f'SYNC_OPT_OUT_FIELD="{box}"',
        "SYNC_MAX_NEW=\t50",
        "",
    ]
    file = world.folder / "windows.env"
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    file.chmod(0o600)
    taken = dict.fromkeys(("SYNC_RULE", "BROADLY_URL", "BROADLY_API_KEY"))
    ran = world.run("sync", "--json", "-v", "--config", str(file), **taken)
    assert (ran.code, ran.delivery) == (0, {"sent": 1})
    assert world.asked == [asked]


def _closed(world: World, value: Any) -> int:
    matter = world.closing().matter
    world.firm.set_raw("matter", matter, close_date=value)
    return matter


def _with_more(value: Any) -> Any:
    """Add a key of each kind to every object."""
    if isinstance(value, list):
        return [_with_more(one) for one in value]
    if not isinstance(value, dict):
        return value
    more = {"surprise": {"id": 7, "value": True}, "Value": "true", "ID": "9", "": None}
    return {key: _with_more(one) for key, one in value.items()} | more


def _sent(world: World) -> list[dict[str, Any]]:
    return [item for post in world.broadly.posts for item in customers(post.body)]


def _kept(table: dict[str | None, str | None]) -> list[str]:
    return [kept for kept in table.values() if kept is not None]
