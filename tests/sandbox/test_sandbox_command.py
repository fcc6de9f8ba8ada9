"""What the `sandbox` command says to the person at its terminal, and to `init --practice`."""

import io
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from clio_broadly_sync.cli import practice as command
from clio_broadly_sync.cli.init import QUESTIONS
from clio_broadly_sync.cli.main import cli
from clio_broadly_sync.domain.model import Profile
from clio_broadly_sync.sandbox import Firm, Sandbox
from clio_broadly_sync.settings import Settings, load_settings


def test_settings_are_answers_in_the_order_of_the_questions() -> None:
    """All but the last, of which `init` does not ask; the region's question takes the URL."""
    asked = [question.name for question in QUESTIONS if question.name in command.SETTINGS]
    assert list(command.SETTINGS) == ["CLIO_BASE_URL", *asked, "SYNC_STATE"]


def test_enter_closes_three_matters_as_long_as_there_are_some(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is left to wonder whether the key was seen."""
    firm = Firm(contacts=0, matters=0)
    matters = [firm.add_matter(None) for _ in range(command.AT_ONCE + 1)]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n\n\n"))
    command._close_on_enter(firm)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(";")[0] for line in lines] == [
        *(f"Closed matter {matter}" for matter in matters),
        "No open matter is left.",
    ]
    assert firm.matter_ids("Open") == []


@pytest.fixture(params=["batch", "webhook"])
def servers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """The servers of the command, at another port, which counts as the usual one."""
    with command._practice_servers(Firm(1, 4, 4), 0, request.param) as running:
        running.clio.practice = command._settings_of(running)
        monkeypatch.setattr(command, "CLIO_PORT", int(running.clio.url.rpartition(":")[2]))
        yield running


def practise(folder: Path, monkeypatch: pytest.MonkeyPatch, **environ: str) -> Result:
    monkeypatch.chdir(folder)
    return run("init", "--practice", **environ)


def run(*command: str, **environ: str) -> Result:
    return CliRunner().invoke(cli, command, prog_name="p", env=environ)


def written(folder: Path) -> Settings:
    return load_settings(None, {}, folder)


def test_init_writes_the_settings_of_a_running_sandbox(
    servers: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is asked, and nothing is left to be filled in; a proxy is not asked, either."""
    ran = practise(tmp_path, monkeypatch, http_proxy="http://127.0.0.1:1")
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert "login`" in ran.stdout
    settings = written(tmp_path)
    assert settings.clio_base_url == servers.clio.url
    assert settings.clio_client_id == servers.clio.oauth.client_id
    assert settings.broadly_url == servers.broadly.endpoint
    is_webhook = settings.broadly_profile is Profile.WEBHOOK
    assert bool(settings.broadly_webhook_secret) is is_webhook
    assert settings.sync_settle_hours == 0
    assert settings.sync_state == tmp_path / "practice-state" / "state.db"
    assert practise(tmp_path, monkeypatch).exit_code == 2


def test_init_leaves_out_what_the_environment_sets(
    servers: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would win anyway, and so it is said."""
    ran = practise(tmp_path, monkeypatch, SYNC_RULE="opt-in")
    assert "SYNC_RULE is set in the environment, which wins: not written." in ran.stdout
    assert "\nSYNC_RULE=\n" in (tmp_path / "config.env").read_text()


@pytest.mark.parametrize(
    "name", ["BROADLY_URL", "CLIO_ACCESS_TOKEN", "CLIO_BASE_URL", "PING_URL", "SYNC_STATE"]
)
def test_init_refuses_what_would_mix_practice_with_the_firm(
    servers: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It would win over the file: practice clients would go to the firm's Broadly, or the firm's
    state would be begun with the practice Clio."""
    ran = practise(tmp_path, monkeypatch, **{name: "https://firm.test/1"})
    assert (ran.exit_code, f"`unset {name}`" in ran.stderr) == (78, True)
    assert not any(tmp_path.iterdir())


def test_init_where_no_sandbox_is_running(
    servers: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor where something else listens there: 69, what to do, and no file."""
    servers.clio.practice = {}
    assert practise(tmp_path, monkeypatch).exit_code == 69
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr(command, "CLIO_PORT", other.getsockname()[1])
        monkeypatch.setattr("clio_broadly_sync.cli.init.PRACTICE_SECONDS", 0.05)
        ran = practise(tmp_path, monkeypatch)
    assert ran.exit_code == 69
    assert "run `clio-broadly-sync sandbox`" in ran.stderr
    assert not any(tmp_path.iterdir())


def test_init_finds_a_sandbox_at_another_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By --port, which the sandbox's own first words tell; and it is for practice alone."""
    monkeypatch.chdir(tmp_path)
    with command._practice_servers(Firm(1, 4, 4), 0, "batch") as running:
        running.clio.practice = command._settings_of(running)
        port = int(running.clio.url.rpartition(":")[2])
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        command._print_settings(running, port)
        assert f" init --practice --port {port}`" in " ".join(capsys.readouterr().out.split())
        assert run("init", "--practice", "--port", str(port)).exit_code == 0
    assert written(tmp_path).clio_base_url == running.clio.url
    assert run("init", "--port", str(port)).exit_code == 2


def test_a_program_off_the_path_is_named_so_that_it_is_found_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after the README's first line, which installs it into a folder beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "argv", [".venv/bin/clio-broadly-sync", "sandbox"])
    assert command._as_called() == ".venv/bin/clio-broadly-sync"
    assert command._as_called(anywhere=True) == f"{tmp_path}/.venv/bin/clio-broadly-sync"


def test_a_taken_port_leads_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ran = run("sandbox", "--port", str(port))
    assert ran.exit_code == 2  # 1 would say that this is a bug
    assert "perhaps by another `sandbox`" in ran.stderr
    assert "sandbox --port " in ran.stderr
