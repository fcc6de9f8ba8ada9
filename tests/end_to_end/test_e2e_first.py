"""The first sync: it sets the start and hands over nobody."""

from datetime import UTC, datetime, timedelta

from world import NOBODY, World


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def test_first_sync_hands_over_nobody(fresh: World) -> None:
    """What closed before is left alone."""
    fresh.closings(3)
    fresh.later(minutes=5)
    assert fresh.sync().code == 0
    assert (fresh.posts, fresh.rows()) == ([], [])
    assert fresh.paths == ["users/who_am_i", "custom_fields", "matters"]
    (count,) = [e.query for e in fresh.clio.history if e.path.endswith("/matters.json")]
    assert count == {"status": ["closed"], "fields": ["id"], "limit": ["1"]}


def test_first_sync_sets_the_start(fresh: World) -> None:
    """Its JSON names the watermark; what closes from then on goes, what closed before does not."""
    before = fresh.closing().matter
    old = fresh.closing(on=fresh.day(1)).matter
    fresh.later(minutes=5)
    first = fresh.sync("--json").json
    assert first["watermark"]["from"] is None
    start = _moment(first["watermark"]["to"])
    assert abs(start - fresh.firm.clock.now()) < timedelta(seconds=30)
    assert (first["matters_read"], first["to_send"], first["skipped"]) == (0, 0, {})
    assert first["delivery"] == NOBODY
    fresh.later(minutes=5)
    new = fresh.closing().matter
    fresh.firm.edit(old)
    second = fresh.sync("--json", "-v")
    assert _moment(second.json["watermark"]["from"]) == start
    assert fresh.asked == [new]
    assert second.decisions == {new: ("send", None), old: ("skip", "closed_before_start")}
    assert before not in fresh.ledger()


def test_closing_in_the_second_of_the_first_run_is_not_lost(fresh: World) -> None:
    """Clio's `updated_since` means after, in whole seconds; the walk begins a second early."""
    fresh.firm.clock.freeze()
    assert fresh.sync().code == 0
    matter = fresh.closing().matter
    fresh.firm.clock.thaw()
    fresh.later(minutes=1)
    assert fresh.sync().code == 0
    assert fresh.asked == [matter]


def test_first_sync_with_a_field_missing_sets_nothing(fresh: World) -> None:
    """No pins, no start: after the mending the next run is the first."""
    fresh.firm.fields.rename("BroadlyOptOut", "Opt out")
    assert fresh.sync("--json").code == 78
    fresh.firm.fields.rename("Opt out", "BroadlyOptOut")
    fresh.closing()
    fresh.later(minutes=1)
    ran = fresh.sync("--json").json
    assert (ran["outcome"], ran["watermark"]["from"]) == ("ok", None)
    assert fresh.posts == []


def test_first_dry_run_leaves_no_trace(fresh: World) -> None:
    """Not even the folder of the state is made, and the run after it is still the first."""
    fresh.closing()
    fresh.later(minutes=1)
    dry = fresh.sync("--dry-run", "--json")
    assert (dry.code, dry.json["decisions"]) == (0, [])
    assert not fresh.state.parent.exists()
    assert "From now on" in fresh.sync().out
    assert fresh.posts == []
