"""A day of a firm, on which everything happens that may become of a client."""

from rig import faults
from transcripts import Transcript
from world import Closing, World

ANSWERS = ("duplicate", "suppressed", "rejected", "retry")
"""What Broadly answers for an item, apart from accepted."""


def full_day(world: World, done: Transcript) -> dict[str, int]:
    """Run the program on such a day; return the matter ids by what happens to them.

    `done` gets every run and what came before it.
    """
    done.run("sync")
    world.later(minutes=15)
    done.note("Matters are closed, one for each decision of the rules and each answer of Broadly.")
    closed = _closed(world) | _answered(world)
    done.run("sync", "--dry-run", "--json", SYNC_COMPANIES="false")
    done.run("sync", SYNC_COMPANIES="false")
    world.later(minutes=15)
    done.note("A further one goes with the one that was put off, and the answer is lost.")
    closed["lost"] = world.closing().matter
    world.broadly.faults.add(faults.lose_answer())
    done.run("sync")
    world.later(minutes=15)
    done.note("A further one, which waits until an hour is over since the answer was lost.")
    closed["unavailable"] = world.closing().matter
    done.run("sync", "--json")
    world.later(minutes=45)
    done.note("The hour is over, and Broadly is busy.")
    world.busy()
    done.run("sync", "--json")
    done.note("A further one, that rests for a day.")
    closed["settling"] = world.closing().matter
    done.run("sync", "--json", SYNC_SETTLE_HOURS="24")
    return closed


def _closed(world: World) -> dict[str, int]:
    """Close a matter for each decision of the rules; return the matter ids by decision."""
    sent = world.closing(type="Company", name="Orchards Inc.")
    hidden = world.closing()
    world.firm.hide_contact(hidden.contact)
    made: dict[str, Closing | int] = {
        "sent": world.closing(),
        "no_client": world.matter(None),
        "no_close_date": world.closing(None),
        "closed_before_start": world.closing(world.day(1)),
        "not_opted_in": world.closing(thank_you=False),
        "opted_out": world.closing(opt_out=True),
        "company": sent,
        "no_channel": world.closing(email=None, phone=None),
        "contact_hidden": hidden,
        "unreadable_field": world.closing(opt_out="perhaps"),
    }
    made["asked_recently"] = world.matter(made["sent"].contact)
    return {why: c if isinstance(c, int) else c.matter for why, c in made.items()}


def _answered(world: World) -> dict[str, int]:
    """Close a matter for each answer of Broadly; return the matter ids by answer."""
    made = {}
    for word in ANSWERS:
        email = f"{word}@example.com"
        made[word] = world.closing(email=email).matter
        world.broadly.rule(word, email=email, error={"code": "not_wanted"})
    return made
