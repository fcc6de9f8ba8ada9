"""`init`: a settings file after a few questions, or none at all."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from terminal import on_terminal
from world import Ran, World

from clio_broadly_sync.domain.model import Profile, SyncRule
from clio_broadly_sync.settings import Settings, load_settings

KEY, SECRET, TOKEN = "broadly-key-'\"#$\\-1", "clio-secret-$HOME`2", "clio-token-\\n-3"
URL = "https://broadly.test/v1/customers?firm=7&x=$y"
QUESTIONS = (
    "CLIO_REGION", "SYNC_RULE", "CLIO_CLIENT_ID", "CLIO_CLIENT_SECRET", "BROADLY_PROFILE",
    "BROADLY_URL", "BROADLY_API_KEY", "SYNC_SETTLE_HOURS",
)  # fmt: skip
ANSWERS = ("ca", "opt-in", "my-app", SECRET, "batch", URL, KEY, "36")


def init(world: World, *answers: str, options: tuple[str, ...] = (), **settings: str) -> Ran:
    """Answer through a pipe; nothing is set but what is given here."""
    world.secret(KEY, SECRET, TOKEN)
    unset = dict.fromkeys(world.settings)
    child = world.start([*options, "init"], unset | settings, stdin=subprocess.PIPE)
    return world.finish(child, typed="".join(f"{answer}\n" for answer in answers))


def written(world: World, name: str = "config.env") -> Settings:
    return load_settings(world.folder / name, {}, world.folder)


def text(world: World) -> str:
    return (world.folder / "config.env").read_text()


def test_answers_become_the_settings(fresh: World) -> None:
    """Just as they were typed, whatever characters a key has."""
    ran = init(fresh, *ANSWERS)
    assert (ran.code, ran.err) == (0, "")
    settings = written(fresh)
    assert (settings.clio_region, settings.sync_rule) == ("ca", SyncRule.OPT_IN)
    assert settings.clio_client_id == "my-app"
    assert settings.clio_client_secret is not None
    assert settings.clio_client_secret.reveal() == SECRET
    assert (settings.broadly_url, settings.broadly_api_key.reveal()) == (URL, KEY)
    assert settings.sync_settle_hours == 36


def test_file_teaches_and_holds_every_other_setting_as_it_was(fresh: World) -> None:
    """It is the example with the answers in their places."""
    init(fresh, *ANSWERS)
    example = Path(__file__).parents[2] / "config.example.env"
    before, after = example.read_text().splitlines(), text(fresh).splitlines()
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert sorted(line.split("=")[0] for line in changed) == sorted(QUESTIONS)
    assert "\nBROADLY_PROFILE=batch\n" in text(fresh)


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_only_its_owner_may_read_it(fresh: World, umask: int) -> None:
    before = os.umask(umask)
    try:
        init(fresh, *ANSWERS)
    finally:
        os.umask(before)
    assert (fresh.folder / "config.env").stat().st_mode & 0o777 == 0o600


def test_enter_takes_what_is_recommended(fresh: World) -> None:
    """The region us, a webhook, which most firms have, and a day of rest."""
    init(fresh, "", "both", "my-app", SECRET, "", URL, "", "")
    assert (written(fresh).clio_region, written(fresh).sync_settle_hours) == ("us", 24)
    assert written(fresh).broadly_profile is Profile.WEBHOOK


def test_without_an_app_a_token_is_asked_for(fresh: World) -> None:
    init(fresh, "us", "both", "", TOKEN, "batch", URL, KEY, "24")
    token = written(fresh).clio_access_token
    assert token is not None
    assert token.reveal() == TOKEN


def test_neither_app_nor_token_is_left_for_later(fresh: World) -> None:
    init(fresh, "us", "both", "", "", "batch", URL, KEY, "24")
    assert written(fresh).clio_access_token is None


def test_practice_address_stands_for_the_region(fresh: World) -> None:
    init(fresh, fresh.clio.url, *ANSWERS[1:])
    assert written(fresh).clio_base_url == fresh.clio.url
    assert written(fresh).clio_region == "us"


@pytest.mark.parametrize(
    ("answers", "profile", "url", "signed"),
    [
        (("webhook", URL, KEY * 2), Profile.WEBHOOK, URL, True),
        (("webhook", URL, ""), Profile.WEBHOOK, URL, False),
        (("Webhook", URL, ""), Profile.WEBHOOK, URL, False),
        (("smoke", "csv"), Profile.CSV, "", False),
    ],
)
def test_other_destinations_have_questions_of_their_own(
    fresh: World, answers: tuple[str, ...], profile: Profile, url: str, signed: bool
) -> None:
    """A webhook has a secret, if it looks at one, and a file has no address."""
    assert init(fresh, *ANSWERS[:4], *answers, "36").code == 0
    settings = written(fresh)
    assert (settings.broadly_profile, settings.broadly_url) == (profile, url)
    assert (settings.broadly_webhook_secret is not None, settings.broadly_api_key) == (signed, None)


def test_destination_of_the_environment_counts(fresh: World) -> None:
    assert init(fresh, *ANSWERS[:4], "36", BROADLY_PROFILE="csv").code == 0
    assert (
        init(
            fresh,
            *ANSWERS[:4],
            URL,
            KEY,
            "36",
            options=("--config", "b.env"),
            BROADLY_PROFILE="smoke",
        ).code
        == 0
    )  # which `check` will call wrong


def test_what_the_environment_sets_is_not_written(fresh: World) -> None:
    init(fresh, *ANSWERS[:5], URL, "36", BROADLY_API_KEY=KEY)
    assert "\nBROADLY_API_KEY=\n" in text(fresh)


def test_file_that_is_there_is_never_touched(fresh: World) -> None:
    """Nothing is asked either; a link that leads nowhere counts."""
    (fresh.folder / "config.env").write_text("SYNC_RULE=both\n")
    (fresh.folder / "link.env").symlink_to(fresh.folder / "nowhere.env")
    for options in ((), ("--config", "link.env")):
        ran = init(fresh, *ANSWERS, options=options)
        assert (ran.code, ran.out) == (2, "")
    assert text(fresh) == "SYNC_RULE=both\n"
    assert not (fresh.folder / "nowhere.env").exists()


def test_where_it_is_written(fresh: World) -> None:
    """--config, else CLIO_BROADLY_SYNC_CONFIG."""
    init(fresh, *ANSWERS, options=("--config", "my office.env"))
    assert written(fresh, "my office.env").clio_client_id == "my-app"
    init(fresh, *ANSWERS, CLIO_BROADLY_SYNC_CONFIG="other.env")
    assert written(fresh, "other.env").clio_client_id == "my-app"


@pytest.mark.parametrize("answered", range(len(ANSWERS)))
def test_end_of_input_leaves_nothing_behind(fresh: World, answered: int) -> None:
    before = sorted(fresh.folder.iterdir())
    assert init(fresh, *ANSWERS[:answered]).code == 2
    assert sorted(fresh.folder.iterdir()) == before


def test_on_a_terminal_no_key_is_shown(fresh: World) -> None:
    """The scan of what was printed would find one."""
    fresh.secret(KEY, SECRET)
    answers = dict(zip(QUESTIONS, ANSWERS, strict=True))
    unset = dict.fromkeys(fresh.settings)
    ran = on_terminal(fresh, "init", answers=answers, **unset)
    assert ran.code == 0
    assert "my-app" in ran.out
    assert written(fresh).broadly_api_key.reveal() == KEY


def test_ctrl_c_leaves_nothing_behind(fresh: World) -> None:
    unset = dict.fromkeys(fresh.settings)
    answers = {"CLIO_REGION [us]:": "us"}
    ran = on_terminal(fresh, "init", answers=answers, signalled=signal.SIGINT, **unset)
    assert ran.code == 128 + signal.SIGINT
    assert "nothing was written" in ran.out
    assert not (fresh.folder / "config.env").exists()
