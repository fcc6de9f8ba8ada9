"""The scan that every run in these tests goes through: it finds what is put there to be found."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import leaks
import pytest
from leaks import MAY_HOLD, Kind
from terminal import on_terminal
from world import World

SAY = "import sys; sys.std{}.write(sys.argv[1])"
ANYWHERE = ("home/.cache/log.txt", "state/state.db.told", "state/state.db-journal", "notes.txt")


def words(world: World) -> dict[Kind, str]:
    """Return one word of each kind that is hidden, among them one of a sign-in that is over."""
    contact = world.firm.add_contact()
    over = world.clio.oauth.issue()
    world.clio.oauth.revoke(over.access)
    email = next(word for word in world.sandbox.people() if "@" in word)
    return {
        Kind.NAME: world.firm.name_of(contact),
        Kind.CHANNEL: email,
        Kind.KEY: world.clio.oauth.client_secret,
        Kind.SIGN_IN: over.refresh,
    }


def leave(world: World, place: str, word: str) -> None:
    """Put a word into a file of the world's folder."""
    file = world.folder / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"... {word} ...")
    file.chmod(0o600)
    file.parent.chmod(0o700)


def run(world: World, *command: str) -> None:
    """Let some other program stand for ours."""
    world.finish(subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ))  # fmt: skip


@pytest.mark.parametrize("stream", ["out", "err"])
@pytest.mark.parametrize("kind", Kind)
def test_it_reads_what_is_printed(fresh: World, kind: Kind, stream: str) -> None:
    with pytest.raises(AssertionError, match=f"std{stream} holds {kind}"):
        run(fresh, sys.executable, "-c", SAY.format(stream), words(fresh)[kind])


@pytest.mark.parametrize("kind", Kind)
def test_it_reads_every_file(fresh: World, kind: Kind) -> None:
    """Those of the state, of the home, and any other; only the listed places may hold some."""
    word = words(fresh)[kind]
    for place in (*ANYWHERE, "state/state.db", "state/state.db-wal", "config.env"):
        leave(fresh, place, word)
        if any(kind in MAY_HOLD[where] and place.endswith(where[1:]) for where in MAY_HOLD):
            run(fresh, "true")
        else:
            with pytest.raises(AssertionError, match=f"{place} holds {kind}"):
                run(fresh, "true")
        (fresh.folder / place).unlink()


def test_it_finds_a_temporary_file(fresh: World) -> None:
    leave(fresh, "tmp/scratch", "")
    with pytest.raises(AssertionError, match="a temporary file was left"):
        run(fresh, "true")


@pytest.mark.parametrize("kind", Kind)
def test_it_reads_terminals(fresh: World, kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """`explain` may show a name there, and nothing else; no other command shows anything."""
    (fresh.folder / "sitecustomize.py").write_text(
        "import os, sys\nprint(os.environ['CLIO_CLIENT_ID'])\n"
    )
    start: Callable[..., dict[str, str]] = fresh._environment
    patched = {"PYTHONPATH": f"{fresh.folder}{os.pathsep}{Path(__file__).parents[2]}"}
    monkeypatch.setattr(fresh, "_environment", lambda settings: start(settings) | patched)
    said = {"CLIO_CLIENT_ID": words(fresh)[kind]}
    if kind is Kind.NAME:
        assert said["CLIO_CLIENT_ID"] in on_terminal(fresh, "explain", "--help", **said).out
    else:
        with pytest.raises(AssertionError, match=f"{leaks.ON_A_TERMINAL} holds {kind}"):
            on_terminal(fresh, "explain", "--help", **said)
    with pytest.raises(AssertionError, match=f"stdout holds {kind}"):
        on_terminal(fresh, "status", "--help", **said)


def test_it_knows_a_word_however_it_is_written() -> None:
    """In capitals, in JSON, in an address."""
    hidden = {Kind.NAME: {"Zoë O'Neil"}}
    for text in ("ZOË O'NEIL", r"zo\u00eb o'neil", "?q=Zo%C3%AB%20O%27Neil"):
        assert leaks.found({"it": text.encode()}, hidden)
    assert not leaks.found({"it": b"Zoe O'Neil"}, hidden)


def test_list_of_places_is_short() -> None:
    """A place that is added here has to be argued for."""
    places = {
        "*/state.db",
        "*/state.db-wal",
        "*.env",
        "*/exports/*",
        "a terminal where names are shown",
    }
    assert set(MAY_HOLD) == places
    exported = MAY_HOLD["*/exports/*"]  # what a person asked for, for an import
    assert exported == {Kind.NAME, Kind.CHANNEL}
    assert all(len(kinds) == 1 for kinds in MAY_HOLD.values() if kinds is not exported)
