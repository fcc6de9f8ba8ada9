"""How a run begins: what the state is made with, where it starts, what was left in doubt."""

import logging
from datetime import UTC, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from ends import OPT_IN, OPT_OUT
from factories import DESTINATION, NOW, TODAY, make_closing, make_policy
from ledgers import put
from runs import WANTED, Runs

from clio_broadly_sync.domain.account import Account
from clio_broadly_sync.domain.errors import ConfigError, DeniedError
from clio_broadly_sync.domain.model import FieldIds, Pins, SyncRule
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.domain.states import State

PINNED = Pins(WANTED.host, 1, WANTED.destination, SyncRule.BOTH, FieldIds(OPT_OUT.id, OPT_IN.id))
NEW_YORK = ZoneInfo("America/New_York")


def test_first_sync_hands_over_nobody_and_sets_the_start(new: Runs) -> None:
    """Whatever was closed before is a backfill's; pins, start day and watermark are set."""
    new.close(1, 2)
    new.clock.tick(microseconds=5)
    context = new.sync()
    assert (context.report.first_run, context.report.matters_read, new.states) == (True, 0, {})
    assert new.broadly.posts == []
    assert new.store.pins() == PINNED
    assert (new.store.first_run, new.store.watermark) == (NOW, NOW)
    assert new.store.start_day == TODAY
    assert context.report.watermark_to == NOW


def test_start_day_is_the_firms_own(new: Runs) -> None:
    """Late in the evening the firm's day is not the one of UTC."""
    new.clock.tick(hours=10)
    new.sync(given_zone=NEW_YORK)
    assert new.store.start_day == TODAY
    assert new.clock.now.date() > TODAY


@pytest.mark.parametrize("behind", [timedelta(minutes=1), -timedelta(minutes=1)])
def test_watermark_begins_at_the_earlier_of_two_clocks(new: Runs, behind: timedelta) -> None:
    """Where the clocks differ, nothing is left out between them."""
    ours = NOW - behind + timedelta(microseconds=7)
    context = new.sync(our_clock=lambda: ours)
    assert new.store.first_run == NOW
    assert new.store.watermark == min(NOW, NOW - behind) == context.report.watermark_to


def test_second_sync_is_no_first_run(runs: Runs) -> None:
    """It keeps the start, and what was pinned."""
    runs.clock.tick(days=1)
    context = runs.sync()
    assert not context.report.first_run
    assert (runs.store.first_run, runs.store.start_day) == (NOW, TODAY)
    assert runs.store.pins() == PINNED


def test_backfill_before_the_first_sync_sets_the_pins_only(new: Runs) -> None:
    """It hands over; where `sync` starts is still for the first `sync` to say."""
    new.close(1)
    context = new.backfill()
    assert new.states == {1: State.SENT}
    assert new.store.pins() == PINNED
    assert (new.store.watermark, new.store.first_run, new.store.start_day) == (None, None, None)
    assert not context.report.first_run


@pytest.mark.parametrize("begin", [Runs.sync, Runs.backfill])
def test_what_forbids_a_beginning_leaves_nothing_begun(new: Runs, begin: Any) -> None:
    """It sees what would be pinned, and is not asked again once that is."""
    seen: list[Pins] = []

    def forbid(found: Pins) -> None:
        seen.append(found)
        raise ConfigError("no")

    new.close(1)
    with pytest.raises(ConfigError):
        begin(new, check_beginning=forbid)
    assert (new.store.pins(), new.store.watermark, new.states) == (None, None, {})
    new.sync()
    begin(new, check_beginning=forbid)
    assert seen == [PINNED]


def test_first_sync_after_a_backfill_sets_the_start(new: Runs) -> None:
    """The pins are there already; it looks at the checkboxes all the same."""
    new.backfill()
    new.clock.tick(hours=1)
    context = new.sync()
    assert (context.report.first_run, new.store.first_run) == (True, NOW + timedelta(hours=1))
    assert new.clio.requests == ["custom_fields", "count"]
    assert new.store.pins() == PINNED


def test_first_sync_holds_the_checkboxes_against_those_of_the_backfill(new: Runs) -> None:
    """Made anew in between, a box is blank for everybody."""
    new.backfill()
    new.clio.boxes = [OPT_OUT._replace(id=99), OPT_IN]
    with pytest.raises(ConfigError, match="made anew"):
        new.sync()
    assert new.store.watermark is None


def test_first_run_without_its_checkboxes_leaves_nothing_behind(new: Runs) -> None:
    """Neither pins nor a start: the next run is the first one."""
    new.clio.boxes = [OPT_OUT]
    with pytest.raises(ConfigError):
        new.sync()
    assert (new.store.pins(), new.store.watermark) == (None, None)
    assert not new.store.has_seen("token")


@pytest.mark.parametrize(
    "change",
    [{"host": "https://eu.test"}, {"destination": DESTINATION._replace(address="https://b.test")}],
)
def test_changed_setting_ends_the_run_before_anything_is_asked(
    runs: Runs, change: dict[str, Any]
) -> None:
    """What the state was made with is held against the settings first."""
    runs.close(1)
    with pytest.raises(ConfigError, match="changed"):
        runs.sync(wanted=WANTED._replace(**change))
    assert (runs.clio.requests, runs.states) == ([], {})


# Whose account it is.


def test_account_is_asked_for_once_for_each_token(new: Runs) -> None:
    """A token that was seen says nothing new; a renewed one may open another account."""
    new.sync()
    assert new.clio.requests == ["account", "custom_fields", "count"]
    new.sync()
    assert new.clio.requests == ["page"]
    new.sync(token=lambda: "renewed")
    assert new.clio.requests == ["account", "page"]
    new.sync(token=lambda: "renewed")
    assert new.clio.requests == ["page"]


def test_token_of_another_account_ends_the_run(runs: Runs) -> None:
    """Another firm's clients must not meet this firm's state; and the token is not remembered."""
    runs.clio.owner = Account(2, None)
    with pytest.raises(ConfigError, match="another account"):
        runs.sync(token=lambda: "of others")
    assert runs.clio.requests == ["account"]
    assert not runs.store.has_seen("of others")


def test_account_that_was_not_known_is_pinned_when_clio_says_it(new: Runs) -> None:
    """From then on another one is refused."""
    new.clio.owner = Account(None, None)
    new.sync()
    assert new.store.pins() == PINNED._replace(account=None)
    new.clio.owner = Account(1, None)
    new.sync(token=lambda: "renewed")
    assert new.store.pins() == PINNED


def test_firms_zone_is_clios_where_the_settings_name_none(new: Runs) -> None:
    """And it is kept, for the runs that do not ask who they are."""
    assert new.sync(given_zone=None).zone == NEW_YORK
    assert new.store.time_zone == NEW_YORK.key


def test_zone_of_the_settings_wins(new: Runs) -> None:
    """Clio's is kept all the same, for the day when the settings name none."""
    assert new.sync(given_zone=UTC).zone is UTC
    assert new.store.time_zone == NEW_YORK.key


@pytest.mark.parametrize(
    "owner", [Account(1, None), DeniedError("No such permission.", status=403)]
)
def test_missing_account_or_zone_is_said_once(
    new: Runs, owner: Account | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning in the first run; a renewed token is no news."""
    new.clio.owner = owner
    new.sync(given_zone=None)
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    caplog.clear()
    caplog.set_level(logging.INFO)
    new.sync(given_zone=None, token=lambda: "renewed")
    assert {record.levelno for record in caplog.records} == {logging.INFO}


# What an earlier run left.


@pytest.mark.parametrize(("dedupes", "state"), [(False, State.HELD), (True, State.PENDING)])
def test_closing_found_sending_is_one_whose_outcome_is_unknown(
    runs: Runs, dedupes: bool, state: State
) -> None:
    """Held, where it cannot be found out what became of it; a person is told."""
    put(runs.store, make_closing(1, state=State.SENDING))
    context = runs.sync(make_policy(dedupes=dedupes), limit=0)
    row = runs.row(1)
    assert (row.state, row.reason, row.in_doubt) == (state, Reason.UNKNOWN_OUTCOME, True)
    assert (context.report.held, context.report.attention) == (
        (1, True) if not dedupes else (0, False)
    )


def test_recovery_is_dated_when_it_was(runs: Runs) -> None:
    """The list of changes tells when a closing came to be held."""
    put(runs.store, make_closing(1, state=State.SENDING))
    runs.clock.tick(hours=2)
    runs.sync()
    (story,) = runs.store.history.of_matter(1)
    assert story.steps[-1].at == NOW + timedelta(hours=2)
