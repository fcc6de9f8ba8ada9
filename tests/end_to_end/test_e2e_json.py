"""What the JSON object counts; its keys and their types are held by a golden file."""

from world import World


def test_each_run_has_an_id_of_its_own(world: World) -> None:
    assert world.sync("--json").json["run_id"] != world.sync("--json").json["run_id"]


def test_delivery_counts_each_answer(world: World) -> None:
    """`sent` includes `duplicate`; suppressed, rejected and waiting each apart."""
    words = ["accepted", "duplicate", "suppressed", "rejected", "retry", "accepted"]
    for number, word in enumerate(words):
        email = f"client{number}@example.com"
        world.closing(email=email)
        world.broadly.rule(word, email=email)
    ran = world.sync("--json", "-v")
    assert ran.delivery == {
        "sent": 3, "duplicate": 1, "suppressed": 1, "rejected": 1, "waiting": 1,
    }  # fmt: skip
    assert (ran.code, ran.json["to_send"]) == (65, 6)
