"""The README's first ten minutes, in a row, on a fresh install."""

import subprocess

import pytest
import signing
from browser import chromium
from terminal import on_terminal
from world import Ran, World


def test_first_ten_minutes(fresh: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    """init, login, check, sync; matters are closed; sync, explain, status."""
    signing.by_login(fresh)  # at a port that is free; everything else is asked or as usual
    fresh.settings = {"CLIO_REDIRECT_URI": fresh.settings["CLIO_REDIRECT_URI"]}
    assert _init(fresh).code == 0
    folder = tmp_path_factory.mktemp("browser")
    pipe = signing.Pipe(folder)
    with chromium(folder) as browser:
        child = fresh.start(["login"], {"BROWSER": str(pipe.script)})
        browser.go(pipe.url())
        browser.press("Allow")
        assert fresh.finish(child).code == 0
    assert fresh.run("check").code == 0
    assert (fresh.sync().code, fresh.posts) == (0, [])

    fresh.later(minutes=1)
    asked, left_out = fresh.closing(), fresh.closing(opt_out=True)
    assert fresh.sync().code == 0
    assert fresh.asked == [asked.matter]
    name = fresh.firm.name_of(asked.contact)
    assert name in on_terminal(fresh, "explain", str(asked.matter), columns=200).out
    why = fresh.run("explain", str(left_out.matter)).out
    assert why.startswith("Not sent: the contact's BroadlyOptOut box was checked when read")
    assert fresh.run("status").code == 0


def _init(world: World) -> Ran:
    """Answer as somebody who has a Clio app and a key from Broadly, and nothing set up."""
    app = world.clio.oauth
    answers = (
        world.clio.url, "both", app.client_id, app.client_secret,
        "batch", world.broadly.endpoint, world.broadly.key, "0",
    )  # fmt: skip
    child = world.start(["init"], {}, stdin=subprocess.PIPE)
    return world.finish(child, typed="".join(f"{answer}\n" for answer in answers))
