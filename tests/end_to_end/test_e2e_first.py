"""The first sync: it loses no closing of its second, and dry, it leaves no trace."""

from world import World


def test_closing_in_the_second_of_the_first_run_is_not_lost(fresh: World) -> None:
    """Clio's `updated_since` means after, in whole seconds; the walk begins a second early."""
    fresh.firm.clock.freeze()
    assert fresh.sync().code == 0
    matter = fresh.closing().matter
    fresh.firm.clock.thaw()
    fresh.later(minutes=1)
    assert fresh.sync().code == 0
    assert fresh.asked == [matter]


def test_first_dry_run_leaves_no_trace(fresh: World) -> None:
    """Not even the folder of the state is made, and the run after it is still the first."""
    fresh.closing()
    fresh.later(minutes=1)
    dry = fresh.sync("--dry-run", "--json")
    assert (dry.code, dry.json["decisions"]) == (0, [])
    assert not fresh.state.parent.exists()
    assert "From now on" in fresh.sync().out
    assert fresh.posts == []
