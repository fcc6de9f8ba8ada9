"""What the README and the pages beside it list is what there is."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from clio_broadly_sync.cli.main import COMMANDS
from clio_broadly_sync.domain.errors import OUTCOMES
from clio_broadly_sync.domain.model import SyncRule
from clio_broadly_sync.domain.reasons import Reason
from clio_broadly_sync.settings import NAMES, OF_FLEET

HOUSE = Path(__file__).parents[2]
README = (HOUSE / "README.md").read_text(encoding="utf-8")
PAGES = sorted([*HOUSE.glob("*.md"), *HOUSE.glob("docs/*.md"), HOUSE / "tests/README.md"])


def page(name: str) -> str:
    return (HOUSE / "docs" / name).read_text(encoding="utf-8")


def section(title: str) -> str:
    """Return the text of the README under a heading."""
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_cells(text: str) -> set[str]:
    """Return what stands in backquotes in the first cell of each row of the tables."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("|")]
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row)}


def test_readme_is_for_the_office() -> None:
    """Who wants more finds it on the pages of `docs/`."""
    assert len(README.split()) <= 2_200


def test_settings() -> None:
    """Each setting has its row, and no row is of something else."""
    assert first_cells(page("settings.md")) == set(NAMES)


def test_reasons() -> None:
    """Each public reason is explained."""
    assert first_cells(page("reasons.md")) == {str(reason) for reason in Reason}


def test_rules() -> None:
    """Each rule has its row."""
    rows = first_cells(section("The two boxes and the rule"))
    assert rows >= {str(rule) for rule in SyncRule}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command: str) -> None:
    """Each command is named where somebody looks for it."""
    assert re.search(rf"(clio-broadly-sync |`){command}\b", README)


def test_exit_codes() -> None:
    """Each exit code has its row and its word."""
    text = section("When it fails")
    for code, word in OUTCOMES.items():
        assert f"| {code} | `{word}` |" in text


def test_the_house() -> None:
    """Each module stands in the tree of CONTRIBUTING.md, in its folder, and nothing else does."""
    text = (HOUSE / "CONTRIBUTING.md").read_text(encoding="utf-8")
    tree = text.split("\n## The house\n")[1].split("```")[1].split("\ntests/")[0]
    files = HOUSE.glob("clio_broadly_sync/**/*.py")
    modules = {str(file.relative_to(HOUSE)) for file in files if not file.stem.startswith("__")}
    assert set(_modules_of(tree)) == modules


def _modules_of(tree: str) -> Iterator[str]:
    """Yield the path of each file in a tree whose folders are told by two blanks each."""
    folders: list[str] = []
    for line in tree.strip().splitlines():
        names = re.match(r"(?: *[\w/]+(?:\.py|/)(?=\s|$))*", line)
        assert names is not None
        del folders[(len(line) - len(line.lstrip())) // 2 :]
        for name in names[0].split():
            if name.endswith("/"):
                folders.append(name)
            else:
                yield "".join(folders) + name


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_links(file: Path) -> None:
    """Each link to another page, or to a heading, leads somewhere."""
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", file.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        to = (file.parent / path).resolve() if path else file
        assert to.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", to.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(_anchor, headings), target


def _anchor(heading: str) -> str:
    """Return the name that a heading has as the target of a link."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_whatever_fails_in_a_fleet_names_its_test() -> None:
    """Each row, and the test is there."""
    rows = page("fleet.md").split("\n## When something fails\n")[1].split("\n## ")[0]
    rows = [row for row in rows.splitlines() if row.startswith("| ")][1:]
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", row.split("|")[4])
        assert named, row
        for file, test in named:
            assert f"def {test}(" in (HOUSE / "tests" / file).read_text(encoding="utf-8"), test


def test_settings_of_a_fleet() -> None:
    """Each has its row on its own page."""
    rows = page("fleet.md").split("\n## The fleet's settings\n")[1].split("\n## ")[0]
    assert first_cells(rows) == set(OF_FLEET)
