"""The house: which folder may import which, held against every import there is."""

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
ALLOWED: dict[str, set[str]] = {
    "domain": set(),
    "settings": {"domain"},
    "transport": {"domain"},
    "store": {"domain"},
    "clio": {"domain", "transport"},
    "sinks": {"domain", "transport"},
    "monitor": {"domain", "transport"},
    "notify": {"domain"},
    "pipeline": {"domain", "store"},
    "report": {"domain", "store"},
    "fleet": {"domain", "settings", "store", "monitor", "transport"},
    "sandbox": set(),
    "__init__": set(),
    "__main__": {"cli"},
}
"""What each room may import beside itself. `cli` may import them all, and nobody imports it."""
HEAVY = {
    "apprise", "jinja2", "requests", "urllib3", "phonenumbers", "email_validator", "tenacity",
    "psycopg", "cryptography", "procrastinate",
}  # fmt: skip
PURE = {
    "collections", "dataclasses", "datetime", "difflib", "enum", "re", "typing", NAME,
}  # fmt: skip
OF_MANY = {
    *("cli/fleet", "cli/fleet_status", "cli/one_firm"),
    *(f"cli/firms/{name}" for name in ("adding", "command", "listing", "own_settings", "removing")),
    "settings/fleet",
    *("store/access", "store/firm", "store/firms", "store/postgresql", "store/postgresql_schema"),
    *("store/due", "store/fleet_overview", "store/moving", "store/seal", "store/sessions"),
    *("store/sweep", "cli/worker"),
}  # fmt: skip
"""What is for many firms only, beside the room of the fleet."""
LONGEST_FILE = 400


def files_of(room: str) -> list[Path]:
    """Return the files of a folder at the root, or the one file of that name."""
    folder = ROOT / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [ROOT / f"{room}.py"]


def rooms() -> set[str]:
    return {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in ROOT.rglob("*.py")}


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


def rooms_imported_by(path: Path) -> set[str]:
    dotted = (name.split(".") for name in imports(path))
    names = {parts[1] for parts in dotted if parts[0] == NAME and len(parts) > 1}
    return names - {"__version__"}


def files_imported_by(path: Path) -> set[Path]:
    """Return the files of the program that a file imports, or takes a name from."""
    found: set[Path] = set()
    for dotted in imports(path):
        parts = dotted.split(".")
        if parts[0] == NAME:
            found |= {_file(parts[1:]) or _file(parts[1:-1]) or ROOT / "__init__.py"}
    return found - {path}


def _file(parts: list[str]) -> Path | None:
    place = ROOT.joinpath(*parts)
    candidates = (place.with_suffix(".py"), place / "__init__.py") if parts else ()
    return next((file for file in candidates if file.exists()), None)


@pytest.mark.parametrize("room", sorted(rooms() - {"cli"}))
def test_arrows_point_down_only(room: str) -> None:
    """A room imports what the table allows it, and every room has its place in the table."""
    assert room in ALLOWED, f"{room} has no place in the table"
    imported = set().union(*map(rooms_imported_by, files_of(room))) - {room}
    assert imported <= ALLOWED[room]


def test_table_names_what_there_is() -> None:
    """No line of the table outlives its room."""
    assert ALLOWED.keys() | {"cli"} == rooms()


def test_no_file_leads_back_to_itself() -> None:
    """Inside a room the files have an order, too."""
    left = {path: files_imported_by(path) for path in ROOT.rglob("*.py")}
    while ground := {path for path, below in left.items() if not below & left.keys()}:
        left = {path: below for path, below in left.items() if path not in ground}
    assert sorted(map(str, left)) == []


@pytest.mark.parametrize("path", files_of("domain"), ids=lambda path: path.stem)
def test_decisions_are_pure(path: Path) -> None:
    """The domain reads no clock and no file, and meets no library."""
    assert {name.split(".")[0] for name in imports(path)} <= PURE
    source = path.read_text(encoding="utf-8")
    assert ".now(" not in source
    assert ".today(" not in source


@pytest.mark.parametrize(
    ("library", "files"),
    [
        (
            "sqlite3",
            {
                "__main__",  # whether there is one that is new enough
                *(
                    f"store/{n}"
                    for n in ("database", "half_restored", "lock", "moved", "schema", "tokens")
                ),
            },
        ),
        ("psycopg", {"store/postgresql", "store/postgresql_schema", "fleet/engine"}),
    ],
)
def test_databases_are_known_to_few_files_of_the_store(library: str, files: set[str]) -> None:
    """Nobody else speaks SQL, but for the engine, whose sessions are its own; and of the store,
    hardly a file knows which database it asks."""
    knowing = {
        path
        for path in ROOT.rglob("*.py")
        if any(imported.split(".")[0] == library for imported in imports(path))
    }
    assert knowing == {ROOT / f"{name}.py" for name in files}


def test_one_firm_does_without_the_modules_of_many() -> None:
    """No file leads to them but their own, and one that only names a type of theirs."""
    of_many = {ROOT / f"{name}.py" for name in OF_MANY} | {*(ROOT / "fleet").rglob("*.py")}
    leading = {path for path in ROOT.rglob("*.py") if files_imported_by(path) & of_many}
    assert leading - of_many == {ROOT / f"{name}.py" for name in ("store/database", "cli/app")}


def test_no_file_is_too_long_to_be_read() -> None:
    long = {path.name for path in ROOT.rglob("*.py") if _lines(path) > LONGEST_FILE}
    assert long == set()


def _lines(path: Path) -> int:
    return path.read_text(encoding="utf-8").count("\n")


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        *([name, "--help"] for name in COMMANDS),
        *(["outbox", part, "--help"] for part in ("list", "resend", "drop")),
        *(["fleet", part, "--help"] for part in ("key", "init", "rekey", "status", "worker")),
        *(["firms", part, "--help"] for part in ("add", "list", "pause", "remove", "set", "show")),
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


@pytest.mark.parametrize(("module", "looks"), [("__main__", False), ("cli", True)])
def test_garbage_is_looked_for_unless_the_program_is_loading(module: str, looks: bool) -> None:
    """Whoever loads the command line into a program of their own keeps what they had set."""
    asked = f"import gc, clio_broadly_sync.{module}; print(gc.isenabled())"
    ran = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert ran.stdout == f"{looks}\n"


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
