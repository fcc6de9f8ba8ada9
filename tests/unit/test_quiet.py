"""The scan of what tests print finds the people of every firm that there is."""

from quiet import people_in

from clio_broadly_sync.sandbox import Firm


def test_it_finds_who_is_printed() -> None:
    firm = Firm(contacts=0, matters=0)
    name = firm.name_of(firm.add_contact())
    assert name in people_in(f"Handing over {name}")
    assert people_in("Handing over contact 1201") == []
