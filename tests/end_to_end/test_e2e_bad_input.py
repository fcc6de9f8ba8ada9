"""What people type and what Clio may make of it: nobody is guessed at, nobody else waits for it."""

from typing import Any

from rig import faults
from world import World, customers

SEND, WAITS = ("send", None), ("wait", "unreadable_field")
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


def test_names_in_any_script_and_of_any_length(world: World) -> None:
    """Handed over in one normal form, and to be found nowhere else: the world looks for them."""
    for name in NAMES:
        world.closing(first_name=name)
    ran = world.sync("--json", "-v", LOG_FORMAT="json")
    assert (ran.code, ran.delivery) == (0, {"sent": len(NAMES)})
    assert [item["firstName"] for item in _sent(world)] == list(NAMES.values())


def test_keys_that_nobody_asked_for(world: World) -> None:
    """What Clio may add tomorrow changes nothing, wherever it adds it."""
    matters = [world.closing().matter, world.closing(opt_out=True).matter]
    world.clio.faults.add(faults.change_json(_with_more), times=None)
    ran = world.sync("--json", "-v")
    assert ran.decisions == {matters[0]: SEND, matters[1]: ("skip", "opted_out")}
    assert world.asked == matters[:1]
    assert "surprise" not in str(_sent(world))


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
