"""The two checkboxes and the other pins: what changed ends the run until a person has looked."""

from collections.abc import Callable
from datetime import date

from rig import faults
from world import World

from clio_broadly_sync.sandbox import Box
from clio_broadly_sync.sandbox.firm import Definitions

OUT, IN = "BroadlyOptOut", "SendBroadlyThankYou"
Act = Callable[[Definitions], object]
CHANGES: dict[str, tuple[Act, Act]] = {
    "renamed": (lambda f: f.rename(OUT, "Opt-Out"), lambda f: f.rename("Opt-Out", OUT)),
    "other case": (lambda f: f.rename(IN, IN.lower()), lambda f: f.rename(IN.lower(), IN)),
    "deleted": (lambda f: f.delete(OUT), lambda f: f.restore(OUT)),
    "wrong parent": (lambda f: f.move(OUT, "Matter"), lambda f: f.move(OUT, "Contact")),
    "other type": (lambda f: f.retype(IN, "text_line"), lambda f: f.retype(IN, "checkbox")),
    "doubled": (lambda f: f.duplicate(OUT), lambda f: f.purge(max(_ids(f, OUT)))),
}


def _ids(fields: Definitions, name: str) -> list[int]:
    return [row.id for row in fields if row.name == name]


def _made_anew(fields: Definitions) -> int:
    fields.delete(OUT)
    fields.rename(OUT, "gone")
    made = fields.add("gone", "Contact")
    fields.rename("gone", OUT + " (old)")
    fields.rename(made, OUT)
    return made


def test_changed_fields_stop_the_run(world: World) -> None:
    """78 each time, and nothing is recorded; after the mending all is well."""
    kept = world.closing(opt_out=True).matter
    wanted = world.closing().matter
    watermark = set()
    for change, (do, undo) in CHANGES.items():
        do(world.firm.fields)
        ran = world.sync("--json")
        assert (ran.code, world.rows()) == (78, []), change
        watermark |= set(ran.json["watermark"].values())
        undo(world.firm.fields)
    assert world.posts == []
    world.later(hours=8)
    after = world.sync("--json", "-v")
    assert watermark == {after.json["watermark"]["from"]}
    assert after.decisions == {kept: ("skip", "opted_out"), wanted: ("send", None)}


def test_field_made_anew_is_refused_until_accepted(world: World) -> None:
    """Its boxes are blank, so the opt-outs would be lost: 78, and then a person decides."""
    matter = world.closing().matter
    made = _made_anew(world.firm.fields)
    ran = world.sync("--json")
    assert (ran.code, world.rows()) == (78, [])
    assert world.check().code == 78
    assert world.check("--accept").code == 0
    out = world.firm.add_contact(opt_out=Box.UNTOUCHED)
    world.firm.set_box("contact", out, True, made)
    skipped = world.matter(out)
    assert world.sync("--json", "-v").decisions == {
        matter: ("send", None), skipped: ("skip", "opted_out"),
    }  # fmt: skip


def test_field_changes_while_closings_wait(world: World) -> None:
    """Broadly was down on Friday, the field renamed on Saturday: nobody goes on Monday."""
    out, fine = world.closing(opt_out=True), world.closing()
    world.busy()
    assert world.sync().code == 69
    world.forget()
    world.firm.fields.rename(OUT, "Opt out")
    assert world.sync("--json").code == 78
    assert world.posts == []
    world.firm.fields.rename("Opt out", OUT)
    assert world.sync("--json").delivery == {"sent": 1}
    assert world.asked == [fine.matter]
    assert world.ledger()[out.matter].reason == "opted_out"


def test_every_missing_field_is_named_at_once(fresh: World) -> None:
    """A firm without either checkbox learns of both."""
    for name in (OUT, IN):
        fresh.firm.fields.purge(name)
    ran = fresh.sync("--json")
    assert ran.code == 78
    assert OUT in ran.err
    assert IN in ran.err


def test_another_rule(world: World) -> None:
    """78 until accepted; then a new start day, and what the old rule left out stays out."""
    left_out = world.closing(thank_you=False).matter
    assert world.sync("--json").json["skipped"] == {"not_opted_in": 1}
    world.later(days=2)
    world.settings["SYNC_RULE"] = "opt-out"
    assert world.sync().code == 78
    assert world.check("--accept").code == 0
    world.firm.edit(left_out)
    yesterday = world.closing(on=world.day(1), thank_you=False).matter
    new = world.closing(thank_you=False).matter
    ran = world.sync("--json", "-v")
    assert ran.decisions == {yesterday: ("skip", "closed_before_start"), new: ("send", None)}
    span = world.day(9), world.day()
    again = world.backfill(*span, "--yes", "--json", "-v").decisions
    assert again[left_out] == ("send", None), "only backfill decides it anew"


def test_another_address_of_broadly(world: World) -> None:
    """78 and nothing is sent there, until `check --accept` takes it over."""
    world.closing()
    world.broadly.path = "/v2/batch"
    world.settings["BROADLY_URL"] = world.broadly.endpoint
    assert world.sync().code == 78
    assert world.posts == []
    assert world.check("--accept").code == 0
    assert world.sync("--json").delivery == {"sent": 1}


def test_what_is_in_doubt_is_held_at_a_new_address(world: World) -> None:
    """Another receiver knows nothing of what the one before may have accepted."""
    world.dedupes()
    world.closing()
    world.broadly.rule("perhaps")
    assert world.sync("--json").delivery == {"waiting": 1}
    world.broadly.clear_rules()
    world.broadly.path = "/v2/batch"
    world.settings["BROADLY_URL"] = world.broadly.endpoint
    assert world.check("--accept").code == 0
    world.forget()
    assert world.sync("--json").delivery == {}
    assert world.posts == []
    assert {row.state for row in world.rows()} == {"held"}


def test_pause_is_over_at_a_new_address(world: World) -> None:
    """Another receiver has lost no answer, so it gets whole batches at once."""
    world.closings(3)
    world.broadly.faults.add(faults.drop())
    assert world.sync("--json", BROADLY_BATCH_SIZE="1").delivery == {"held": 1, "waiting": 2}
    assert world.sync().code == 69
    world.broadly.path = "/v2/batch"
    world.settings["BROADLY_URL"] = world.broadly.endpoint
    assert world.check("--accept").code == 0
    world.forget()
    assert world.sync("--json").delivery == {"sent": 2}
    assert len(world.posts) == 1


def test_another_account_or_host_is_never_taken_over(world: World) -> None:
    """Not by --accept either: it needs a state of its own."""
    world.closing()
    world.firm.account.id = 902
    new = world.clio.rotate()
    world.secret(new)
    other = {"CLIO_ACCESS_TOKEN": new}
    for ran in (world.sync("--json", **other), world.check("--accept", **other)):
        assert ran.code == 78
        assert "account" in ran.err
    host = {"CLIO_BASE_URL": world.clio.url.replace("127.0.0.1", "localhost")}
    world.forget()
    for ran in (world.sync("--json", **host), world.check("--accept", **host)):
        assert ran.code == 78
        assert "CLIO_BASE_URL" in ran.err
    assert (world.paths, world.posts, world.rows()) == ([], [], [])


def test_account_is_asked_for_once_per_token(world: World) -> None:
    """A new token of the same account costs one `who_am_i`."""
    new = world.clio.rotate()
    world.secret(new)
    world.settings["CLIO_ACCESS_TOKEN"] = new
    for expected in (["users/who_am_i", "matters"], ["matters"]):
        world.forget()
        assert world.sync().code == 0
        assert world.paths == expected


def test_check_says_that_all_is_well(world: World) -> None:
    """Nothing changed: 0, and --accept has nothing to do."""
    before = world.rows()
    assert world.check().code == 0
    assert world.check("--accept").code == 0
    assert world.rows() == before
    assert world.posts == []


def test_opt_in_may_unpin_the_opt_out_field(fresh: World) -> None:
    """Under `opt-in` the field may go for good, once a person says so."""
    fresh.settings["SYNC_RULE"] = "opt-in"
    assert fresh.sync().code == 0
    fresh.later(minutes=1)
    matter = fresh.closing().matter
    fresh.firm.fields.delete(OUT)
    assert fresh.sync("--json").code == 78
    fresh.firm.fields.rename(OUT, "Not used any more")
    assert fresh.check("--accept").code == 0
    assert fresh.sync().code == 0
    assert fresh.asked == [matter]


def test_backfill_before_the_first_sync_sets_the_pins_only(fresh: World) -> None:
    """The first sync after it is still the first."""
    old = fresh.closing(on=date(2025, 5, 5)).matter
    fresh.later(minutes=1)
    span = date(2025, 5, 1), date(2025, 5, 31)
    assert fresh.backfill(*span, "--yes", "--json").delivery == {"sent": 1}
    recent = fresh.closing().matter
    fresh.later(minutes=1)
    fresh.settings["SYNC_RULE"] = "opt-out"
    assert fresh.sync("--json").code == 78
    fresh.settings["SYNC_RULE"] = "both"
    assert "nobody" in fresh.sync().out
    assert fresh.asked == [old]
    assert recent not in fresh.ledger()
