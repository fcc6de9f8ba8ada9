"""Each command line of the README, typed as it stands there."""

import re
import shlex
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from terminal import on_terminal
from world import World

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
OF_ONE_FIRM = re.sub(r"\n## Many firms\n.*?(?=\n## )", "", README, flags=re.DOTALL)
"""The rest is typed by `fleet/test_fleet_readme.py`."""
BLOCKS = re.findall(r"^ *```\n(.*?)^ *```", OF_ONE_FIRM, re.MULTILINE | re.DOTALL)
LINES = [line.strip() for block in BLOCKS for line in block.splitlines()]
PROGRAM = "clio-broadly-sync "
NOT_HERE = ("sudo ", "crontab -e", "python3 -m venv ", "All well. ")
"""So begins what needs root, what `.ci/run` runs, and what is printed."""
ELSEWHERE = {"sandbox", "init", "init --practice", "login"}
"""They ask, or run until they are stopped: see `test_e2e_ten_minutes.py` and
`sandbox/test_sandbox_command.py`."""
FROM_CRON = "30 10 * * 1-5 /opt/clio-broadly-sync/bin/"
"""See `test_e2e_recipes.py`."""
ASKED = {
    "explain --find": {"Name of the client": "a"},
    "backfill --from 2026-09-01 --to 2026-09-30": {"[y/N]": "y"},
    "sync --matter 5001": {"[y/N]": "y"},
    "outbox list --names": {},
    "outbox resend --state rejected": {"[y/N]": "y"},
    "outbox drop --reason surge": {"[y/N]": "y"},
}
"""What is typed on a terminal, and what is answered there."""


def typed() -> Iterator[str]:
    """Yield what is typed after the program's name, in the order of the README."""
    for line in LINES:
        if line.startswith(PROGRAM):
            yield line.removeprefix(PROGRAM)


def test_no_line_is_of_another_kind() -> None:
    """Whatever stands in a block is run, here or elsewhere."""
    others = {line for line in LINES if not line.startswith((PROGRAM, FROM_CRON, *NOT_HERE))}
    assert others == set()
    assert set(ASKED) | ELSEWHERE <= set(typed())


@pytest.fixture
def office(fresh: World) -> World:
    """A firm with its settings in a file, as the README has it, and matters from before."""
    lines = (f"{name}={value}\n" for name, value in fresh.settings.items())
    file = fresh.folder / "config.env"
    file.write_text("".join(lines))
    file.chmod(0o600)
    fresh.settings = {}
    fresh.closing(date(2026, 9, 15))
    return fresh


def test_every_line(office: World) -> None:
    """In the README's order; each does what it is there for, and none ends with a failure."""
    numbers = {"5001": str(office.closing(office.day(90)).matter)}
    for words in typed():
        if words in ELSEWHERE:
            continue
        _prepare(office, words, numbers)
        arguments = [numbers.get(word, word) for word in shlex.split(words)]
        if words in ASKED:
            ran = on_terminal(office, *arguments, answers=ASKED[words], columns=200)
        else:
            ran = office.run(*arguments)
        assert ran.code == 0, (words, ran)
    assert (office.folder / "last-month.html").exists()


def _prepare(office: World, words: str, numbers: dict[str, str]) -> None:
    """Let happen what the README speaks of before these words."""
    if words == "sync" and "5004" not in numbers and office.state.exists():
        office.later(minutes=1)
        left_out, sent = office.closing(opt_out=True), office.closing()
        numbers |= {"5004": str(left_out.matter), "1027": str(sent.contact)}
    if words == "outbox resend --state rejected":
        office.closing()
        office.broadly.rule("rejected", error={"code": "bad_email"})
        assert office.sync().code == 65
        office.broadly.clear_rules()
    if words == "outbox drop --reason surge":
        office.closings(3)
        assert office.sync(SYNC_MAX_NEW="2").code == 65
