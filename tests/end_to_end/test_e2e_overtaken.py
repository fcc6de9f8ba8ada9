"""A lock that does not lock: its file is removed, or lies on a network folder that ignores it."""

from collections.abc import Callable

import pytest
from world import World, on_post

from clio_broadly_sync.sandbox import Request, Response


def _without_lock(world: World, run: Callable[[], object]) -> Callable[[], None]:
    """Return what removes the lock file and then runs something beside the run at work."""

    def act() -> None:
        world.state.with_name(f"{world.state.name}.lock").unlink()
        run()

    return act


@pytest.mark.parametrize("hook", ["before", "working"])
@pytest.mark.parametrize("dedupes", [False, True])
@pytest.mark.parametrize("number", [1, 2])
def test_two_runs_at_once(world: World, hook: str, dedupes: bool, number: int) -> None:
    """The one that was overtaken writes nothing more and ends with 75; nobody is asked twice, and
    nobody is lost."""
    world.dedupes(dedupes)
    matters = world.closings(6)
    codes: list[int] = []
    one_by_one = {"BROADLY_BATCH_SIZE": "1"}
    act = _without_lock(world, lambda: codes.append(world.sync(**one_by_one).code))
    setattr(world.broadly, hook, on_post(act, number=number))
    ran = world.sync("--json", **one_by_one)
    setattr(world.broadly, hook, None)
    assert (ran.code, ran.json["outcome"]) == (75, "busy")
    assert "Another run has begun" in ran.err
    assert codes in ([0], [65], [69])
    world.later(minutes=15)
    assert world.sync().code in (0, 65)
    asked = world.asked
    assert len(set(asked)) == len(asked)
    assert set(world.ledger()) == set(matters)
    states = {row.state for row in world.ledger().values()}
    assert states <= {"sent", "held"}
    held = [matter for matter, row in world.ledger().items() if row.state == "held"]
    assert set(matters) - set(asked) <= set(held)


@pytest.mark.parametrize("channel", ["email", "phone"])
def test_no_that_the_other_run_read_is_kept(world: World, channel: str) -> None:
    """The one that was overtaken read the box before it was checked, and may not forget it."""
    contact = world.closing().contact
    codes: list[int] = []

    def after(request: Request, response: Response) -> None:
        if "contacts" in request.path:
            world.clio.after = None
            world.firm.set_opt_out(contact)
            _without_lock(world, lambda: codes.append(world.sync().code))()

    world.clio.after = after
    assert world.sync().code == 75
    assert codes == [0]
    world.later(minutes=15)
    address = getattr(world.firm.contacts.get(contact), channel)
    other = world.closing(**{channel: address})
    world.later(minutes=1)
    assert world.sync().code == 0
    assert world.ledger()[other.matter][2:] == ("skipped", "opted_out")
    assert world.asked == []
