"""Settings that are not what the person typed: nothing is made of them, least of all a ledger."""

import pytest
from world import World

LEFT = ['"{}"', "“{}”", "'{}", "$HOME{}", "%h{}", "file://{}", "SYNC_STATE={}", "{{{{ dir }}}}{}"]


@pytest.mark.parametrize("form", LEFT)
def test_path_that_nobody_can_have_meant_starts_no_ledger(world: World, form: str) -> None:
    """78, the setting is named, the quotes are, and no file or folder is made anywhere."""
    world.closing()
    before = sorted(world.folder.rglob("*"))
    for name in ("sync", "status", "check"):
        ran = world.run(name, SYNC_STATE=form.format(world.state))
        assert ran.code == 78
        assert "SYNC_STATE must be the path of a file" in ran.err + ran.out
        assert ("quotation marks" in ran.err + ran.out) == (form in LEFT[:3])
    assert sorted(world.folder.rglob("*")) == before
    assert (world.paths[2:], world.posts) == ([], [])


@pytest.mark.parametrize("name", ["BROADLY_API_KEY", "CLIO_ACCESS_TOKEN", "SYNC_RULE"])
def test_quotation_marks_around_another_setting(world: World, name: str) -> None:
    """A key that is refused would send the person for another key."""
    ran = world.sync(**{name: f'"{world.settings[name]}"'})
    assert ran.code == 78
    assert f"{name} must be " in ran.err
    assert "quotation marks" in ran.err
    assert world.posts == []


def test_relative_path_is_one_ledger_wherever_it_is_started(fresh: World) -> None:
    """It starts from the settings file, in the environment too; without one it is refused."""
    home = fresh.folder / "etc"
    home.mkdir(mode=0o700)
    file = home / "config.env"
    file.write_text("LOG_FORMAT=text\n")
    fresh.state = home / "ledger" / "state.db"
    assert fresh.sync("--config", str(file), SYNC_STATE="ledger/state.db").code == 0
    assert fresh.state.exists()
    assert not (fresh.folder / "ledger").exists()
    ran = fresh.sync(SYNC_STATE="ledger/state.db")
    assert (ran.code, "begin with /" in ran.err) == (78, True)
    assert not (fresh.folder / "ledger").exists()


@pytest.mark.parametrize("value", ['"config.env"', "$HOME/config.env", "%h/config.env"])
def test_path_of_the_settings_file_that_nobody_can_have_meant(world: World, value: str) -> None:
    """The usual state beside it would be another ledger; `init` writes no such file either."""
    before = sorted(world.folder.rglob("*"))
    for command in ("init", "sync", "check"):
        for options, environ in (
            (["--config", value], {}),
            ([], {"CLIO_BROADLY_SYNC_CONFIG": value}),
        ):
            ran = world.run(*options, command, **{"SYNC_STATE": None, **environ})
            assert ran.code == 78, command
            assert (ran.out + ran.err).count("must be the path of a settings file") == 1
    assert sorted(world.folder.rglob("*")) == before
