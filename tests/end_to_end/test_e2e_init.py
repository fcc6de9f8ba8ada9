"""`init`: a settings file after a few questions, or none at all."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from terminal import on_terminal
from world import Ran, World

from clio_broadly_sync.domain.model import SyncRule
from clio_broadly_sync.settings import Settings, load_settings

KEY, SECRET, TOKEN = "broadly-key-'\"#$\\-1", "clio-secret-$HOME`2", "clio-token-\\n-3"
URL = "https://broadly.test/v1/customers?firm=7&x=$y"
QUESTIONS = (
    "CLIO_REGION", "SYNC_RULE", "CLIO_CLIENT_ID", "CLIO_CLIENT_SECRET", "BROADLY_URL",
    "BROADLY_API_KEY", "SYNC_SETTLE_HOURS",
)  # fmt: skip
ANSWERS = ("ca", "opt-in", "my-app", SECRET, URL, KEY, "36")


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


def test_it_asks_only_what_matters_and_in_this_order(fresh: World) -> None:
    lines = init(fresh, *ANSWERS).out.splitlines()
    asked = [line.split(":")[0].split(" [")[0] for line in lines]
    assert [name for name in asked if name in QUESTIONS] == list(QUESTIONS)
    assert max(map(len, lines[1:])) <= 79  # the first names the file


def test_file_teaches_and_holds_every_other_setting_as_it_was(fresh: World) -> None:
    """It is the example with the answers in their places."""
    init(fresh, *ANSWERS)
    example = Path(__file__).parents[2] / "config.example.env"
    before, after = example.read_text().splitlines(), text(fresh).splitlines()
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert sorted(line.split("=")[0] for line in changed) == sorted(QUESTIONS)


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_only_its_owner_may_read_it(fresh: World, umask: int) -> None:
    before = os.umask(umask)
    try:
        init(fresh, *ANSWERS)
    finally:
        os.umask(before)
    assert (fresh.folder / "config.env").stat().st_mode & 0o777 == 0o600


def test_enter_takes_what_is_recommended(fresh: World) -> None:
    """The region us, and a day of rest; the question says why."""
    ran = init(fresh, "", "both", "my-app", SECRET, URL, KEY, "")
    assert (written(fresh).clio_region, written(fresh).sync_settle_hours) == ("us", 24)
    assert "We recommend 24: a matter that was closed by mistake" in ran.out


def test_wrong_answer_is_told_and_asked_again(fresh: World) -> None:
    """With the sentence that the settings file would bring; no wrong value is repeated."""
    answers = (
        ("uk", "ca"), ("all", "both"), ("my app", "my-app"), (f"{SECRET} {SECRET}", SECRET),
        ("http://broadly.test", URL), ("", KEY), ("720", "24"),
    )  # fmt: skip
    ran = init(fresh, *(answer for pair in answers for answer in pair))
    assert ran.code == 0
    for sentence in (
        "CLIO_REGION must be us, ca, eu or au.",
        "SYNC_RULE must be opt-out, opt-in or both.",
        "CLIO_CLIENT_ID must be the app's key, pasted alone",
        "CLIO_CLIENT_SECRET must be the app's secret, pasted alone",
        "BROADLY_URL must be an address with https://",
        "BROADLY_API_KEY is not set; it must be the key",
        "SYNC_SETTLE_HOURS must be a number of hours below SYNC_MAX_AGE_DAYS",
    ):
        assert sentence in ran.out
    assert "http://broadly.test" not in ran.out


def test_without_an_app_a_token_is_asked_for(fresh: World) -> None:
    ran = init(fresh, "us", "both", "", TOKEN, URL, KEY, "24")
    token = written(fresh).clio_access_token
    assert token is not None
    assert token.reveal() == TOKEN
    assert "CLIO_CLIENT_SECRET" not in ran.out
    assert "clio-broadly-sync login" not in ran.out


def test_neither_app_nor_token_is_left_for_later_and_said(fresh: World) -> None:
    ran = init(fresh, "us", "both", "", "", URL, KEY, "24")
    assert "fill in CLIO_CLIENT_ID and CLIO_CLIENT_SECRET" in ran.out
    assert written(fresh).clio_access_token is None


def test_practice_address_stands_for_the_region(fresh: World) -> None:
    init(fresh, fresh.clio.url, *ANSWERS[1:])
    assert written(fresh).clio_base_url == fresh.clio.url
    assert written(fresh).clio_region == "us"


def test_what_the_environment_sets_is_neither_asked_nor_written(fresh: World) -> None:
    ran = init(fresh, *ANSWERS[:4], URL, "36", BROADLY_API_KEY=KEY)
    assert "BROADLY_API_KEY is set in the environment, which wins: not asked." in ran.out
    assert "\nBROADLY_API_KEY=\n" in text(fresh)


def test_file_that_is_there_is_never_touched(fresh: World) -> None:
    """Nothing is asked either; a link that leads nowhere counts."""
    (fresh.folder / "config.env").write_text("SYNC_RULE=both\n")
    (fresh.folder / "link.env").symlink_to(fresh.folder / "nowhere.env")
    for options in ((), ("--config", "link.env")):
        ran = init(fresh, *ANSWERS, options=options)
        assert (ran.code, ran.out) == (2, "")
        assert "is there already and stays as it is" in ran.err
    assert text(fresh) == "SYNC_RULE=both\n"
    assert not (fresh.folder / "nowhere.env").exists()


def test_where_it_is_written_and_what_comes_next(fresh: World) -> None:
    """--config, else CLIO_BROADLY_SYNC_CONFIG; the next commands are ready to be pasted."""
    named = init(fresh, *ANSWERS, options=("--config", "my office.env"))
    assert "    clio-broadly-sync --config 'my office.env' login " in named.out
    assert written(fresh, "my office.env").clio_client_id == "my-app"
    init(fresh, *ANSWERS, CLIO_BROADLY_SYNC_CONFIG="other.env")
    assert written(fresh, "other.env").clio_client_id == "my-app"
    usual = init(fresh, *ANSWERS)
    lines = [line.split("(")[0].strip() for line in usual.out.splitlines()[-3:]]
    assert lines == [f"clio-broadly-sync {name}" for name in ("login", "check", "sync")]


def test_folder_that_is_not_there(fresh: World) -> None:
    ran = init(fresh, *ANSWERS, options=("--config", "none/config.env"))
    assert (ran.code, ran.out) == (78, "")
    assert "make its folder" in ran.err


@pytest.mark.parametrize("answered", range(len(ANSWERS)))
def test_end_of_input_leaves_nothing_behind(fresh: World, answered: int) -> None:
    before = sorted(fresh.folder.iterdir())
    ran = init(fresh, *ANSWERS[:answered])
    assert ran.code == 2
    assert "nothing was written" in ran.err
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
