"""Clio stays away, does not know a field, or sets the pace: then nobody is handed over unread."""

from rig import faults
from rig.faults import Fault
from world import NO_WAITS, World

from clio_broadly_sync.sandbox import Response

MATTERS, CONTACTS, FIELDS = (
    faults.on(name) for name in ("/matters", "/contacts", "/custom_fields")
)


BUSY = faults.answer(429, headers={"Retry-After": "7200"})


def test_clio_down_while_closings_wait(world: World) -> None:
    """The opt-outs cannot be read, so nobody is sent, whichever request fails."""
    matters = world.closings(2)
    world.busy()
    assert world.sync().code == 69
    world.forget()
    with world.clio.outage():
        ran = world.sync("--json", **NO_WAITS)
    assert (ran.code, ran.delivery) == (69, {"waiting": 2})
    world.clio.faults.add(BUSY, when=CONTACTS)
    assert world.sync("--json").code == 69
    assert world.posts == []
    assert world.sync("--json").delivery == {"sent": 2}
    assert world.asked == matters


def test_who_am_i_without_the_account(fresh: World) -> None:
    """Clio knows no such field: the rest is asked for without it, with a warning."""
    refused = {"error": {"type": "InvalidFields", "message": "account is not a valid field"}}
    fresh.clio.faults.add(
        faults.answer(400, refused),
        when=lambda request: "account{" in str(dict(request.pairs).get("fields")),
        times=None,
    )
    ran = fresh.sync("--json")
    assert ran.code == 0
    assert "does not tell whose account" in ran.err
    fresh.later(minutes=1)
    matter = fresh.closing().matter
    assert fresh.sync().code == 0
    assert fresh.asked == [matter]
    checked = fresh.check()
    assert checked.code == 0
    assert "Clio does not name the account, so it is not checked." in checked.out


def _rates(world: World, *, resets_in: float) -> Fault:
    """Say that the rate limit is used up for so many seconds."""

    def edit(response: Response) -> Response:
        reset = int(world.firm.clock.now().timestamp() + resets_in)
        limits = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset)}
        return Response(response.status, response.body, {**response.headers, **limits})

    return faults.change(edit, "rates")


def test_pull_outlives_the_run_where_clio_sets_the_pace(world: World) -> None:
    """The rate limit's waits last longer than the run may: read to the end, nobody handed over."""
    client = world.firm.add_contact()
    for _ in range(410):
        world.matter(client)
    world.clio.faults.add(_rates(world, resets_in=1), when=faults.on("/matters"), times=None)
    ran = world.sync("--json", SYNC_RUN_MINUTES="0.02", SYNC_MAX_NEW="1000")
    assert (ran.code, ran.delivery, world.posts) == (0, {"waiting": 410}, [])
    assert ran.json["matters_read"] == 410
    assert ran.json["watermark"]["from"] < ran.json["watermark"]["to"]
