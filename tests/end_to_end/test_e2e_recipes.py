"""The README's recipes, each carried out step by step."""

import shutil

from test_e2e_half_restored import lay_copy_beside
from world import World

SETTLING = {"SYNC_SETTLE_HOURS": "24"}


def test_moving_to_another_machine(world: World) -> None:
    """The settings and the folder of the state are all there is; nobody is asked twice."""
    waiting = world.closing().matter
    assert world.sync(**SETTLING).code == 0
    elsewhere = world.folder / "elsewhere"
    shutil.copytree(world.state.parent, elsewhere)
    shutil.rmtree(world.state.parent)
    there = {**SETTLING, "SYNC_STATE": str(elsewhere / "state.db")}
    world.later(hours=25)
    assert world.run("check", **there).code == 0
    assert world.sync(**there).code == 0
    assert world.sync(**there).code == 0
    assert world.asked == [waiting]


def test_lost_state(world: World) -> None:
    """A new start hands over nobody; what closed since the loss is what `backfill` is given."""
    before = world.closing().matter
    assert world.sync().code == 0
    world.later(days=2)
    shutil.rmtree(world.state.parent)
    missed = world.closing().matter
    assert world.sync().code == 0
    assert world.asked == [before]
    assert world.backfill(world.day(1), world.day(), "--yes").code == 0
    assert world.asked == [before, missed]


def test_restored_copy(world: World) -> None:
    """What was handed over since the copy was made is found, dropped, and not sent again."""
    copy = world.folder / "copy"
    shutil.copytree(world.state.parent, copy)
    sent_since = world.closing().matter
    assert world.sync().code == 0
    shutil.rmtree(world.state.parent)
    shutil.copytree(copy, world.state.parent)
    new = world.closing().matter

    assert world.sync("--limit", "0").code == 0
    listed = world.run("outbox", "list").out
    assert str(sent_since) in listed
    assert str(new) in listed
    assert world.run("outbox", "drop", str(sent_since), "--yes").code == 0
    assert world.sync().code == 0
    assert world.asked == [sent_since, new]


def test_restored_copy_that_is_old(world: World) -> None:
    """After three days everything waits for a person by itself."""
    copy = world.folder / "copy"
    shutil.copytree(world.state.parent, copy)
    world.later(days=4)
    sent_since = world.closing().matter
    assert world.sync("--yes").code == 0
    shutil.rmtree(world.state.parent)
    shutil.copytree(copy, world.state.parent)

    assert world.sync().code == 65
    assert world.asked == [sent_since]
    assert world.run("outbox", "drop", str(sent_since), "--yes").code == 0
    assert world.sync().code == 0
    assert world.asked == [sent_since]


def test_half_a_restore(world: World) -> None:
    """The -wal and the -shm are moved away; then it is an old copy like any other."""
    since = lay_copy_beside(world, 10)
    asked = list(world.asked)
    for end in ("-wal", "-shm"):
        shutil.move(f"{world.state}{end}", world.folder / f"moved{end}")
    assert world.sync("--limit", "0").code == 0
    assert world.run("outbox", "drop", *map(str, asked), "--yes").code == 0
    assert world.sync().code in (0, 65)
    assert set(since) < set(asked)
    assert len(set(world.asked)) == len(world.asked)


def test_a_few_of_last_years_clients_a_day(world: World) -> None:
    """Cron's line, day after day: nothing is printed, and each client is sent once."""
    matters = world.closings(5, on=world.day(200))
    line = world.day(220), world.day(190), "--limit", "2", "--yes"
    assert world.backfill(*line, "--dry-run").code == 0
    for asked in (2, 4, 5, 5):
        ran = world.backfill(*line)
        assert (ran.code, ran.out, ran.err) == (0, "", "")
        assert world.asked == matters[:asked]
        assert world.run("status").code == (65 if asked < 5 else 0)
        world.later(days=1)


def test_new_broadly_key(world: World) -> None:
    """The old key is refused with 77 and a sentence; with the new one what waited goes."""
    waiting = world.closing().matter
    refused = world.sync(BROADLY_API_KEY="the-old-key")
    assert refused.code == 77
    assert "Broadly" in refused.err
    assert world.sync().code == 0
    assert world.asked == [waiting]


def test_new_opt_out_field(world: World) -> None:
    """Stopped until the new field is accepted; its ticks count from then on."""
    world.firm.fields.add("DoNotAsk", "Contact")
    ticked = world.closing(opt_out=True)
    name = {"SYNC_OPT_OUT_FIELD": "DoNotAsk"}
    stopped = world.sync(**name)
    assert stopped.code == 78
    assert "check --accept" in stopped.err
    world.firm.set_box("contact", ticked.contact, True, "DoNotAsk")
    free = world.closing().matter
    assert world.run("check", "--accept", **name).code == 0
    assert world.sync(**name).code == 0
    assert world.asked == [free]


def test_second_office(world: World) -> None:
    """Another account has its own settings and state; the first one's is refused to it."""
    world.firm.account.id += 1
    token = {"CLIO_ACCESS_TOKEN": world.clio.rotate()}
    world.secret(world.clio.token)
    mixed_up = world.sync(**token)
    assert mixed_up.code == 78
    assert "its own SYNC_STATE" in mixed_up.err
    second = {**token, "SYNC_STATE": str(world.folder / "second" / "state.db")}
    assert world.sync(**second).code == 0


def test_what_is_stored_about_a_client(world: World) -> None:
    """Ids, dates and decisions, which `explain --contact` lists; no more is there to tell."""
    client = world.closing()
    assert world.sync().code == 0
    told = world.run("explain", "--contact", str(client.contact), "--offline")
    assert told.code == 0
    assert str(client.matter) in told.out
