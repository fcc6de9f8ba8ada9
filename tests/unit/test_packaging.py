"""What is installed is whole, and so is what it is built from."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = "import sys, setuptools.build_meta as b; print(b.build_{}(sys.argv[1]))"
PASSED_OVER = shutil.ignore_patterns(
    ".git", ".venv*", "__pycache__", "*.pyc", ".*_cache", "*.egg-info", "build", "dist", "mutants",
    ".coverage*", ".hypothesis",
)  # fmt: skip
"""What a checkout in use may hold beside its files."""


def built(kind: str, source: Path, into: Path) -> Path:
    """Build an sdist or a wheel, with nothing from any network."""
    command = [sys.executable, "-W", "ignore", "-c", BUILD.format(kind), str(into)]
    ran = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return into / ran.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source distribution."""
    copy, out = tmp_path_factory.mktemp("copy") / "source", tmp_path_factory.mktemp("out")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=PASSED_OVER)
    with tarfile.open(built("sdist", copy, out)) as archive:
        archive.extractall(out, filter="data")
    (unpacked,) = (path for path in out.iterdir() if path.is_dir())
    return unpacked


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The files of the wheel that is built from the source distribution, with their text."""
    copy, out = tmp_path_factory.mktemp("copy") / "source", tmp_path_factory.mktemp("out")
    shutil.copytree(sdist, copy)
    with zipfile.ZipFile(built("wheel", copy, out)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def files_in(folder: Path) -> Iterator[str]:
    """Yield the files that belong to a folder, as they are named from there."""
    for path in sorted(folder.iterdir()):
        if path.name in PASSED_OVER(str(folder), [path.name]):
            continue
        if path.is_dir():
            yield from (f"{path.name}/{name}" for name in files_in(path))
        else:
            yield path.name


def test_sdist_has_every_file(sdist: Path) -> None:
    """So that the tests run from it, too, and nothing is missing that they read."""
    missing = set(files_in(ROOT)) - set(files_in(sdist))
    assert missing <= {".gitignore", ".pre-commit-config.yaml"}


def test_wheel_has_the_whole_package(wheel: dict[str, str]) -> None:
    """The program, what it reads beside its code, and neither tests nor anything else."""
    package = {f"clio_broadly_sync/{name}" for name in files_in(ROOT / "clio_broadly_sync")}
    held = {name for name in wheel if ".dist-info/" not in name}
    assert held == package
    assert (
        wheel["clio_broadly_sync/config.example.env"] == (ROOT / "config.example.env").read_text()
    )


def test_wheel_says_where_it_runs(wheel: dict[str, str]) -> None:
    """An older Python is refused by pip; apprise comes only with the extra."""
    (said,) = (text for name, text in wheel.items() if name.endswith("/METADATA"))
    assert "\nRequires-Python: >=3.11\n" in said
    assert '\nRequires-Dist: apprise<3,>=1.9; extra == "notify"\n' in said
