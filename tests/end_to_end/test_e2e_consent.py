"""By what a client may be asked, and what silence means: two more settings, and what is told."""

from world import World, customers

from clio_broadly_sync.sandbox import Box

TEXTS = {"SYNC_TEXT_FIELD": "MayBeTexted"}
NOT_IN, SEND = ("skip", "not_opted_in"), ("send", None)
FEWEST = 5


def phones(world: World) -> dict[int, bool]:
    """Return for each contact that Broadly was sent whether it was with a phone number."""
    items = [item for post in world.broadly.posts for item in customers(post.body)]
    return {int(item["externalId"].rpartition(":")[2]): "phone" in item for item in items}


def explained(world: World, matter: int) -> dict[str, object]:
    told: dict[str, object] = world.run("explain", str(matter), "--json").json["closings"][0]
    return told


def test_text_box(world: World) -> None:
    """Accepted first; from then on a phone leaves only where the box is checked."""
    before = world.closing()
    world.busy()
    assert world.sync().code == 69
    world.settings |= TEXTS
    assert (world.sync().code, world.check().code) == (78, 78)
    accepted = world.check("--accept")
    assert "SYNC_TEXT_FIELD, as it now is in Clio" in accepted.out
    states = (True, False, Box.UNTOUCHED, Box.ABSENT, Box.EMPTY, Box.UNREADABLE, "perhaps")
    closed = {world.closing(texts=state): state for state in states}
    world.forget()
    assert world.sync().code == 0
    expected = {closing.contact: state is True for closing, state in closed.items()}
    assert phones(world) == expected | {before.contact: False}
    for closing, state in closed.items():
        channels = ["email", "phone"] if state is True else ["email"]
        told = explained(world, closing.matter)
        assert told["channels"] == channels
        said = world.run("explain", str(closing.matter), "--offline").out
        assert ("sent: e-mail and phone\n" if state is True else "sent: e-mail\n") in said
    world.settings |= {"SYNC_TEXT_FIELD": ""}
    assert world.sync().code == 78
    assert "SYNC_TEXT_FIELD, without one" in world.check("--accept").out
    after = world.closing()
    assert world.sync().code == 0
    assert phones(world)[after.contact]


def test_phone_that_may_not_be_texted_alone(fresh: World) -> None:
    """`explain` says which box to check."""
    fresh.settings |= TEXTS
    assert fresh.sync().code == 0
    matter = fresh.closing(email=None, texts=False).matter
    assert fresh.sync("--json", "-v").decisions == {matter: ("skip", "no_channel")}
    told = explained(fresh, matter)
    assert (told["cause"], told["channels"]) == ("no_texts", None)
    assert "its MayBeTexted box, without which no phone number is sent" in str(told["says"])
    assert "check the box if they want texts" in str(told["more"])


def test_text_field_that_is_not_in_order(fresh: World) -> None:
    """A first run notes nothing; a later one stops like for any other field."""
    fresh.firm.fields.rename("MayBeTexted", "May be texted")
    ran = fresh.sync(**TEXTS)
    assert (ran.code, fresh.rows()) == (78, [])
    assert "Put that into SYNC_TEXT_FIELD" in ran.err
    assert fresh.sync(SYNC_TEXT_FIELD="May be texted").code == 0
    fresh.closing()
    fresh.firm.fields.delete("May be texted")
    assert fresh.sync(SYNC_TEXT_FIELD="May be texted").code == 78
    assert (fresh.rows(), fresh.posts) == ([], [])


def test_boxes_that_nobody_touched(world: World) -> None:
    """Each place where a person looks tells them from unchecked ones."""
    states = [Box.UNTOUCHED, Box.ABSENT, Box.PLACEHOLDER, Box.EMPTY] * 2
    never = [world.closing(thank_you=state).matter for state in states]
    unchecked = world.closing(thank_you=False).matter
    ran = world.sync("--json", "-v")
    assert ran.decisions == dict.fromkeys([*never, unchecked], NOT_IN)
    assert {explained(world, matter)["cause"] for matter in never} == {"untouched"}
    assert explained(world, unchecked)["cause"] is None
    assert world.run("status", "--json").json["never_touched"] == len(never)
    assert f"nobody had touched SendBroadlyThankYou: {len(never)}" in world.run("status").out
    checked = world.check()
    assert (
        f"closed matters, SendBroadlyThankYou was never touched on {len(never)}: nobody"
        in checked.out
    )


def test_boxes_that_nobody_touched_are_not_told_of_without_need(world: World) -> None:
    """Of a few closings nothing can be said, nor where most of the boxes are used."""
    for _ in range(FEWEST - 1):
        world.closing(thank_you=Box.UNTOUCHED)
    assert "never touched" not in world.check().out
    world.closings(FEWEST, thank_you=False)
    assert "never touched" not in world.check().out
    world.closings(2, thank_you=Box.UNTOUCHED)
    assert "never touched on 6" in world.check().out


def test_silence_that_counts_as_a_yes(world: World) -> None:
    """Accepted first; what was passed over before is only a backfill's."""
    passed_over = world.closing(thank_you=Box.UNTOUCHED).matter
    assert world.sync().code == 0
    world.later(days=1)
    world.settings["SYNC_OPT_IN_UNTOUCHED"] = "send"
    refused = world.sync()
    assert (refused.code, world.posts) == (78, [])
    assert "SYNC_OPT_IN_UNTOUCHED changed from skip to send." in refused.err
    assert "SYNC_OPT_IN_UNTOUCHED send; what closed before today" in world.check("--accept").out
    world.firm.edit(passed_over)
    decided = {
        world.closing(thank_you=Box.UNTOUCHED).matter: SEND,
        world.closing(thank_you=Box.ABSENT).matter: SEND,
        world.closing(thank_you=True).matter: SEND,
        world.closing(thank_you=False).matter: NOT_IN,
        world.closing(thank_you=Box.UNTOUCHED, opt_out=True).matter: ("skip", "opted_out"),
        world.closing(thank_you=Box.UNTOUCHED, on=world.day(1)).matter: (
            "skip", "closed_before_start"
        ),
    }  # fmt: skip
    withheld = world.closing(thank_you=Box.UNREADABLE).matter
    decided[withheld] = ("wait", "unreadable_field")
    assert world.sync("--json", "-v").decisions == decided
    told = explained(world, passed_over)
    assert "decided under SYNC_OPT_IN_UNTOUCHED=skip" in str(told["more"])
    again = world.backfill(world.day(1), world.day(1), "--yes", "--json", "-v").decisions
    assert again[passed_over] == SEND
    closed_now = [world.closing(thank_you=Box.UNTOUCHED).matter for _ in range(2 * len(decided))]
    assert world.sync().code == 0
    assert {*closed_now} <= {*world.asked}
    world.firm.set_thank_you(withheld)
    assert "that counts as a yes (SYNC_OPT_IN_UNTOUCHED)" in world.check().out


def test_explain_of_what_no_run_has_noticed(world: World) -> None:
    """It foretells by the rules of now, also after they were changed."""
    world.settings["SYNC_OPT_IN_UNTOUCHED"] = "send"
    assert world.check("--accept").code == 0
    matter = world.closing(thank_you=False).matter
    told = world.run("explain", str(matter), "--json").json
    assert "`sync` looks at it anew" in str(told["closings"][0]["more"])
