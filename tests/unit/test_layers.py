"""The import table of the design, held against every import, those inside functions too."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import clio_broadly_sync
from clio_broadly_sync.cli.main import COMMANDS

NAME = "clio_broadly_sync"
ROOT = Path(clio_broadly_sync.__file__).parent
VALUES = {"model", "errors"}
ALLOWED: dict[str, set[str]] = {
    # values
    "model": set(),
    "errors": set(),
    # decisions
    "rules": {"model"},
    "decide": {"model", "rules"},
    "report": {"model"},
    "fields": VALUES,
    "pins": VALUES | {"fields"},
    "settings_file": VALUES,
    "setting_values": VALUES,
    "config": VALUES | {"settings_file", "setting_values"},
    # the ends
    "pacing": VALUES,
    "connection": VALUES,
    "failures": VALUES | {"connection"},
    "transport": VALUES | {"pacing", "connection", "failures"},
    "monitor": VALUES | {"transport"},
    "channels": set(),
    "clio_records": VALUES | {"channels"},
    "clio_auth": VALUES | {"transport"},
    "clio_api": VALUES | {"transport", "clio_records"},
    "clio": VALUES | {"clio_api", "clio_records"},
    "clio_lookup": VALUES | {"clio", "clio_api", "clio_records"},
    "clio_sample": VALUES | {"clio", "clio_api", "clio_records"},
    "attempts": VALUES,
    "broadly": VALUES | {"transport", "attempts"},
    "rehearsal": VALUES,
    "store": VALUES,
    # the whole
    "job": VALUES | {"decide", "pins", "report", "store"},
    "push": VALUES | {"decide", "job", "rules"},
    "pipeline": VALUES | {"decide", "job", "pins", "push", "rules"},
    "folding": set(),
    "logs": {"folding"},
    "sandbox": set(),
    "__init__": set(),
    "__main__": {"cli"},
}
"""Which of our modules each may import. `cli` may import all of them and is imported by nobody."""
HEAVY = {
    "requests", "urllib3", "phonenumbers", "email_validator", "tenacity",
    "filelock",
}  # fmt: skip


def modules() -> dict[str, list[Path]]:
    """Return our modules and folders of modules, with their files."""
    found: dict[str, list[Path]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        part = path.relative_to(ROOT).parts[0]
        found.setdefault(part.removesuffix(".py"), []).append(path)
    return found


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted name of everything that a file imports, wherever in it."""
    package = [NAME, *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            yield from (f"{module}.{name.name}" for name in node.names)


def ours(path: Path) -> set[str]:
    """Return which of our modules a file imports."""
    dotted = (name.split(".") for name in imports(path))
    names = {parts[1] for parts in dotted if parts[0] == NAME and len(parts) > 1}
    return names - {"__version__"}


@pytest.mark.parametrize("module", sorted(modules().keys() - {"cli"}))
def test_arrows_point_down_only(module: str) -> None:
    """A module imports what the table allows it, and every module has its place in the table."""
    assert module in ALLOWED, f"{module} has no place in the table"
    imported = set().union(*map(ours, modules()[module])) - {module}
    assert imported <= ALLOWED[module]


def test_table_names_what_there_is() -> None:
    """No line of the table outlives its module."""
    assert ALLOWED.keys() | {"cli"} == modules().keys()


def test_nothing_but_the_cli_knows_the_sandbox() -> None:
    """The program does not know that it is practised on."""
    knowing = {name for name, files in modules().items() for f in files if "sandbox" in ours(f)}
    assert knowing - {"sandbox"} <= {"cli"}


def test_clio_and_broadly_know_neither_each_other_nor_the_store() -> None:
    """The two ends meet in the pipeline alone, by way of values."""
    of_clio = {"clio", "clio_api", "clio_auth", "clio_records", "clio_sample"}
    ends = of_clio | {"broadly", "attempts"}
    for end in ends:
        allowed = reachable(end)
        assert "store" not in allowed
        assert not allowed & (ends - of_clio if end in of_clio else of_clio)


def reachable(module: str) -> set[str]:
    """Return what a module imports, and what that imports in turn."""
    found: set[str] = set()
    todo = {module}
    while todo:
        one = todo.pop()
        found.add(one)
        todo |= set().union(*map(ours, modules()[one])) - found
    return found


@pytest.mark.parametrize("module", ["rules", "decide"])
def test_policy_is_pure(module: str) -> None:
    """The rules read no clock and no file, and meet no library."""
    pure = {"collections", "dataclasses", "datetime", "typing", NAME}
    for path in modules()[module]:
        assert {name.split(".")[0] for name in imports(path)} <= pure
    source = (ROOT / f"{module}.py").read_text(encoding="utf-8")
    assert ".now(" not in source
    assert ".today(" not in source


@pytest.mark.parametrize("library", ["sqlite3", "filelock"])
def test_database_is_known_to_the_store_alone(library: str) -> None:
    """Nobody else speaks SQL, or holds the lock."""
    knowing = {
        name
        for name, files in modules().items()
        for path in files
        if any(imported.split(".")[0] == library for imported in imports(path))
    }
    assert knowing == {"store"}


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        *([name, "--help"] for name in COMMANDS),
        *(["outbox", part, "--help"] for part in ("list", "resend", "drop")),
        ["completion", "bash"],
    ],
    ids=" ".join,
)
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    """`--help` answers at once: none of the big libraries is loaded for it."""
    assert not loaded_by(words) & HEAVY


@pytest.mark.parametrize("words", ["clio-broadly-sync ", "clio-broadly-sync outbox resend --"])
def test_completing_loads_nothing_heavy(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each press of Tab starts the program."""
    monkeypatch.setenv("_CLIO_BROADLY_SYNC_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    assert not loaded_by([]) & HEAVY


def loaded_by(words: list[str]) -> set[str]:
    """Run the program with these words; return the packages that it loaded."""
    program = (
        "import sys\n"
        "from clio_broadly_sync.cli import main\n"
        f"sys.argv = ['clio-broadly-sync', *{words!r}]\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "print('LOADED', *sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(ran.stdout.rpartition("LOADED")[2].split())
    assert "click" in loaded
    return loaded
