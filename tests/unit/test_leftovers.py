"""Values that nobody typed: what shells, unit files, containers and editors leave in a setting."""

import difflib
import os
import re
from contextlib import suppress
from pathlib import Path

import pytest

from clio_broadly_sync.domain.errors import ConfigError
from clio_broadly_sync.settings import (
    NAMES,
    load_settings,
    near_names,
    salvage_settings,
    settings_path,
)
from clio_broadly_sync.settings.file import near_in_environment

REQUIRED = {
    "SYNC_RULE": "opt-out",
    "SYNC_STATE": "/srv/ledger/state.db",
    "BROADLY_URL": "https://broadly.test/v1/batches",
    "BROADLY_API_KEY": "k3y-of-the-firm",
}
MEANT = "/srv/ledger/state.db"


def problem(folder: Path, text: str = "", **environ: str) -> str:
    """Return the one problem of settings in an otherwise sound file, and in the environment."""
    given = {name: value for name, value in REQUIRED.items() if name != "SYNC_STATE"}
    lines = "".join(f"{name}={value}\n" for name, value in given.items() if name not in text)
    (folder / "config.env").write_text(lines + text)
    with pytest.raises(ConfigError) as caught:
        load_settings(None, environ, folder)
    (only,) = caught.value.problems
    return only


QUOTED = [
    '"{}"', "'{}'", "`{}`", "“{}”", "„{}“", "‘{}’", "«{}»", "»{}«", "‹{}›", "「{}」", "＂{}＂",
    '"{}', "'\"{}\"'", r"\"{}\"", "&quot;{}&quot;", "″{}″", ' "{}" ', '"{}\'', '"{}”',
]  # fmt: skip


@pytest.mark.parametrize("quoted", [form for form in QUOTED if form != '"{}'])
@pytest.mark.parametrize("name", NAMES)
def test_quotation_marks_around_a_value_are_refused(tmp_path: Path, name: str, quoted: str) -> None:
    """Containers keep those of an env file; word processors make them round."""
    values = {"SYNC_STATE": MEANT, "SYNC_RULE": "both", "SYNC_MAX_NEW": "5"}
    said = problem(tmp_path, **{name: quoted.format(values.get(name, "k3y-of-the-firm"))})
    assert said.startswith(f"{name} must be ")
    assert "quotation marks" in said
    assert "k3y-of-the-firm" not in said


@pytest.mark.parametrize("value", ['""', "''", '"', "“”", '" "'])
@pytest.mark.parametrize("name", ["SYNC_STATE", "BROADLY_API_KEY", "CLIO_ACCESS_TOKEN"])
def test_quotation_marks_around_nothing_are_refused(tmp_path: Path, name: str, value: str) -> None:
    """In the environment nobody has taken them off: it is not known whether nothing was meant."""
    assert "quotation marks" in problem(tmp_path, **{name: value})


@pytest.mark.parametrize("line", ["“{}”", "\"'{}'\"", "'\"{}\"'", "«{}»"])
@pytest.mark.parametrize("name", ["SYNC_STATE", "BROADLY_API_KEY", "SYNC_OPT_OUT_FIELD"])
def test_quotation_marks_that_the_file_keeps_are_refused(
    tmp_path: Path, name: str, line: str
) -> None:
    """A straight pair belongs to the file; any other is part of the value."""
    assert "quotation marks" in problem(tmp_path, f"{name}={line.format('value')}\n")


@pytest.mark.parametrize("value", ["a'b", "'a", 'a"', 'a"b"c', "ab'"])
def test_a_mark_inside_a_key_is_part_of_it(tmp_path: Path, value: str) -> None:
    environ = REQUIRED | {"BROADLY_API_KEY": value}
    assert load_settings(None, environ, tmp_path).broadly_api_key.reveal() == value


LEFT = {
    "a pair of quotation marks": [*(form.format(MEANT) for form in QUOTED), MEANT + '"',
        '"/srv/ledger"/state.db', '/srv/"the ledger"/state.db', "/srv/ledger/'state.db'"],
    "a shell's variable": [
        "$HOME/state.db", "${STATE_DIRECTORY}/state.db", "$(pwd)/state.db", "`pwd`/state.db",
        "/srv/$FIRM/state.db", "/srv/ledger/$1.db", "/srv/$$/state.db", "${HOME:-/root}/state.db",
        "/srv/ledger/state.db$(date)", "${{ github.workspace }}/state.db",
    ],
    "an empty variable": ["/state.db", "//state.db", "/srv//state.db", "//srv/ledger/state.db"],
    "a shell's other signs": [
        "/srv/*/state.db", "/srv/ledger/state?.db", "/srv/{a,b}/state.db", "/srv/a > /srv/b",
        "/srv/ledger/state.db && sync", "/srv/ledger/state.db | cat", "/srv/ledger/state.db;",
        "/srv/ledger/state.db # ours", "/srv/ledger/state.db,", "/srv/ledger/state.db /srv/b.db",
    ],
    "a unit file's specifier": [
        "%h/state.db", "%S/clio/state.db", "/srv/%i/state.db", "%%h/state.db", "%t/state.db",
        "/srv/ledger/state-%Y.db", "/srv/the%20ledger/state.db",
    ],
    "a system with drives": [
        "%APPDATA%\\clio\\state.db", "%USERPROFILE%/state.db", r"C:\clio\state.db", "C:/s.db",
        "c:state.db", r"\\server\share\state.db", r"state\state.db", "//server/share/state.db",
        "/srv/the\\ ledger/state.db", "/srv/ledger/state.db\\", "/srv/ledger\\x2fstate.db",
    ],
    "an address": [
        "file:///srv/ledger/state.db", "file:state.db", "sqlite:////srv/ledger/state.db",
        ":memory:", "https://example.com/state.db", "s3://bucket/state.db", "vault:secret/state",
        "server:/srv/ledger/state.db", "/srv/ledger:/data/state.db", "/srv/ledger/state.db:ro",
        "/srv/ledger/state.db:rw,Z", "op://firm/ledger",
    ],
    "a template": [
        "{{ state_dir }}/state.db", "{state}/state.db", "<path>", "<path>/state.db", "#{dir}/s.db",
        "@localstatedir@/state.db", "[path]/state.db", "/srv/[firm]/state.db", "__STATE_DIR__/s.db",
        "/path/to/state.db", "path/to/state.db", "/your/path/state.db", "/srv/.../state.db",
        "/srv/…/state.db", "<no value>", "%(here)s/state.db", "!Ref State",
        "/full/path/to/state.db",
    ],
    "a program's nothing": [
        "null", "None", "undefined", "/srv/undefined/state.db", "null/state.db", "(null)", "nan",
        "/srv/(none)/s.db",
        "true", "false", "0", "1", "N/A", "TODO", "changeme",
    ],
    "a character that cannot be seen": [
        "/srv/led\u200bger/state.db", "\ufeff/srv/ledger/state.db", "/srv/ledger/state.db\u200e",
        "/srv/ledger\x00/state.db", "/srv/led\rger/state.db", "/srv/led\tger/state.db",
        "/srv/led\u00adger/s.db", "\u202a/srv/ledger/state.db", "/srv/the\u00a0ledger/s.db",
        "/srv/\x1b[31mledger/s.db", "/srv/led\u2800ger/s.db", "/srv/led\ufffdger/s.db", "/a\nb/c",
    ],
    "a sign that only looks like /": ["／srv／ledger／s.db", "∕srv∕ledger∕s.db", "⁄srv/s.db"],
    "a sign that only looks like ~": ["～/state.db", "˜/state.db", "∼/state.db"],
    "a file beside a state": [
        "/srv/ledger/state.db-wal", "/srv/ledger/state.db-shm", "/srv/ledger/state.db.lock",
        "/srv/ledger/state.db.told", "/srv/ledger/state.db-journal", "/srv/ledger/state.db.new",
    ],
    "the rest of a line": [
        "/srv/ledger/state.db -v", "/srv/ledger/state.db --json", "/srv/ledger/state.db#ours",
        "/srv/ledger/state.db LOG_FORMAT=text", "–state", "NULL/state.db", "~+/state.db",
    ],
    "a home that is none": ["~nobody-of-this-name/state.db", "~", "~/", "~nobody-of-this-name"],
    "what is around a value": [
        "-", "--state", "-e SYNC_STATE=/srv/s.db", "SYNC_STATE=/srv/ledger/state.db", "=/srv/s.db",
        "export SYNC_STATE=/srv/s.db", "SYNC_STATE: /srv/s.db", "- /srv/ledger/state.db",
        '["/srv/ledger/state.db"]', "[/srv/ledger/state.db]", "@/srv/ledger/path", "state = /srv/s",
        "# /srv/ledger/state.db", "SYNC_STATE =/srv/s.db", "(/srv/ledger/state.db)",
    ],
    "a blank beside a /": ["/srv /ledger/state.db", "/srv/ ledger/state.db", "/srv/ledger/ s.db"],
    "a folder": ["/", "/srv/ledger/", ".", "..", "/srv/ledger/.", "/srv/ledger/..", "./", "//"],
    "what is no disk": [
        "/dev/null", "/dev/stdin", "/dev/fd/3", "/proc/self/fd/0", "/sys/state.db", "/dev/sda1",
        "/srv/../dev/null", "/dev/core", "/proc/1/state.db",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    "value", [value for values in LEFT.values() for value in values], ids=ascii
)
def test_a_path_that_nobody_can_have_meant_is_refused(tmp_path: Path, value: str) -> None:
    """In the environment and in the file: one sentence, which names the setting, not the value."""
    said = [] if "\0" in value else [problem(tmp_path, SYNC_STATE=value)]
    if not set("\r\n\0") & set(value):
        spelled = value.replace("\\", "\\\\").replace("'", "\\'")
        said.append(problem(tmp_path, f"SYNC_STATE='{spelled}'\n"))
    for sentence in said:
        assert re.fullmatch(r"SYNC_STATE must be the path of a file, such as [^;]+; .+\.", sentence)
        assert len(value) < 12 or value not in sentence


def test_a_null_character_is_refused(tmp_path: Path) -> None:
    """No environment can hold one, but a mapping can."""
    assert "SYNC_STATE must be" in problem(tmp_path, SYNC_STATE="/srv/ledger\0/state.db")


UNUSUAL = [
    "/srv/the firm's ledger/the state.db", "/srv/Büro Müller/Zustand.db", "/srv/~ann/state.db",
    "/srv/~/state.db", "/srv/ledger/state.db~", "/srv/ledger/state", "/srv/事務所/状態.db",
    "/srv/Smith & Sons (2)/state [1].db", "/srv/office #2/state.db", "/srv/100% ours/state.db",
    "/srv/a+b=c/state.db", "/srv/cash$/state.db", "/srv/o'brien/state.db", "/srv/.hidden/.state",
    "/srv/9:30/state.db", "/srv/u\u0308ber/state.db", "/srv/ledger/-state.db", "/srv/a,b;c/s.db",
    '/srv/5" disk/state.db', "/srv/nulls/None of it.db", "/srv/it's/rock 'n' roll/s.db",
    "/srv/ledger/../ledger/state.db", "/srv/./ledger/state.db", "/srv/devices/proc/state.db",
    "/srv/a@b.example/state.db", "/srv/path/to-day/state.db", "/home/true/state.db", "/srv/!/s.db",
    "/srv/n/a/s.db", "/srv/Nan/s.db", "/srv/(old)/s.db", "/srv/todo/s.db", "/srv/yes & no/s.db",
    "/srv/a – b/state.db", "/srv/my state.db copy/s.db", "/srv/lock/told.db", "/srv/new-wal/s.db",
    "/Dev/firm/state.db",
]  # fmt: skip


@pytest.mark.parametrize("value", UNUSUAL, ids=ascii)
def test_a_path_that_is_only_unusual_is_taken(tmp_path: Path, value: str) -> None:
    """Legal names go on working; blanks around a value never counted."""
    for text in (value, f"  {value}\r\n"):
        found = load_settings(None, REQUIRED | {"SYNC_STATE": text}, tmp_path).sync_state
        assert found == Path(os.path.realpath(value))


@pytest.mark.parametrize("value", ["state.db", "../var/s.db", "the state/s.db", "~x/../s.db"])
def test_a_relative_path_starts_from_the_settings_file(tmp_path: Path, value: str) -> None:
    """Wherever it is written and wherever the program is started: cron and a person have one."""
    if value.startswith("~"):
        value = value.replace("~x", "./~x")
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    file = home / "config.env"
    file.write_text("".join(f"{n}={v}\n" for n, v in REQUIRED.items() if n != "SYNC_STATE"))
    meant = Path(os.path.realpath(home / value))
    assert load_settings(file, {"SYNC_STATE": value}, here).sync_state == meant
    file.write_text(file.read_text() + f"SYNC_STATE={value}\n")
    assert load_settings(file, {}, here).sync_state == meant


@pytest.mark.parametrize("value", ["state.db", "./state.db", "var/s.db", "../s.db"])
def test_without_a_settings_file_a_path_must_be_whole(tmp_path: Path, value: str) -> None:
    """Two who start it in two folders would have two ledgers."""
    with pytest.raises(ConfigError) as caught:
        load_settings(None, REQUIRED | {"SYNC_STATE": value}, tmp_path)
    (only,) = caught.value.problems
    assert only.startswith("SYNC_STATE must be the path of a file")
    assert "begin with /" in only


@pytest.mark.parametrize("home", ["", "home/ann", "$HOME", '"/home/ann"', " "])
def test_a_home_that_is_no_place_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    """Units and containers may have an odd HOME, or an empty one, which would lead to /."""
    monkeypatch.setenv("HOME", home)
    assert "home" in problem(tmp_path, SYNC_STATE="~/ledger/state.db")


@pytest.mark.parametrize("named", ["link", "link/state.db", "way/link/ledger/state.db"])
def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path, named: str) -> None:
    """The disk with the ledger is not mounted: another would be begun where it belongs."""
    (tmp_path / "way").mkdir()
    for link in (tmp_path / "link", tmp_path / "way" / "link"):
        link.symlink_to(tmp_path / "disk")
    for value in (named, str(tmp_path / named)):
        assert "leads nowhere" in problem(tmp_path, SYNC_STATE=value)
    (tmp_path / "disk").mkdir()
    if named != "link":
        file = tmp_path / "config.env"
        assert load_settings(file, {"SYNC_STATE": named}, tmp_path).sync_state.is_relative_to(
            tmp_path / "disk"
        )


@pytest.mark.parametrize("value", [str(2**2000), "/srv/" + "n" * 300, "/srv/" + "a/" * 3000 + "s"])
def test_a_path_that_no_system_takes_is_no_bug(tmp_path: Path, value: str) -> None:
    """It is refused here, or where the state is opened."""
    with suppress(ConfigError):
        load_settings(None, REQUIRED | {"SYNC_STATE": value}, tmp_path)


NAMED = [
    '"/etc/clio/config.env"', "$HOME/config.env", "%h/config.env", r"C:\clio\config.env", "-",
    "“config.env”", "<file>", "{{ file }}", "file:///etc/config.env",
]  # fmt: skip


@pytest.mark.parametrize("value", NAMED)
def test_the_path_of_a_settings_file_may_not_be_a_leftover(tmp_path: Path, value: str) -> None:
    """It leads to a ledger as well. By the variable and by the option; no folder is guessed."""
    environ = {"CLIO_BROADLY_SYNC_CONFIG": value}
    for use in (load_settings, settings_path):
        for how, given in (
            ("--config", (Path(value), {})),
            ("CLIO_BROADLY_SYNC_", (None, environ)),
        ):
            with pytest.raises(ConfigError) as caught:
                use(*given, tmp_path)
            (only,) = caught.value.problems
            assert only.startswith(how)
            assert len(value) < 2 or value not in only
    assert salvage_settings(None, REQUIRED | environ, tmp_path).sync_state == Path(MEANT)
    assert salvage_settings(None, environ, tmp_path).sync_state is None


def test_a_settings_file_with_an_odd_name_is_read_where_it_is(tmp_path: Path) -> None:
    """Whoever has made it has meant it."""
    file = tmp_path / "office {1}.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in REQUIRED.items()))
    assert load_settings(file, {}, tmp_path).sync_state == Path(MEANT)


NEAR = {
    "SYNC_REASK_DAY": "SYNC_REASK_DAYS", "SYNC_RUEL": "SYNC_RULE", "sync_rule": "SYNC_RULE",
    "SYNC-RULE": "SYNC_RULE", "SYNCRULE": "SYNC_RULE", "Sync_Max_New": "SYNC_MAX_NEW",
    "SYNC_MAX_AGE": "SYNC_MAX_NEW", "SYNC_STATE_FILE": "SYNC_STATE", "SYNC_OPTOUT_FIELD":
    "SYNC_OPT_OUT_FIELD", "CLIO_TOKEN": "CLIO_ACCESS_TOKEN", "CLIO_TIMEZONE": "CLIO_TIME_ZONE",
    "CILO_REGION": "CLIO_REGION", "BROADLY_KEY": "BROADLY_API_KEY", "BRODLY_URL": "BROADLY_URL",
    "BROADLY_API_KEY_FILE": "BROADLY_API_KEY", "PING_URI": "PING_URL", "LOGFORMAT": "LOG_FORMAT",
    "SETTLE_HOURS": "SYNC_SETTLE_HOURS", "MAX_AGE_DAYS": "SYNC_MAX_AGE_DAYS",
    "CLIO_SYNC_RULE": "SYNC_RULE", "CLIO_BROADLY_SYNC_STATE": "SYNC_STATE",
    "CLIO_BROADLY_SYNC_CONF": "CLIO_BROADLY_SYNC_CONFIG", "SYNC_RULE_": "SYNC_RULE",
}  # fmt: skip
OTHERS = (
    "LOG_LEVEL", "LOG_FILE", "LOGNAME", "HOME", "STATE", "URL", "RULE", "REGION", "API_KEY",
    "CLIENT_ID", "ACCESS_TOKEN", "TIME_ZONE", "BASE_URL", "BATCH_SIZE", "FIELDS", "SYNC_USER",
    "SYNC_HOST", "CLIO_ENV", "PING_TIMEOUT", "RSYNC_PASSWORD", "_CLIO_BROADLY_SYNC_COMPLETE",
    "CLIO_BROADLY_SYNC_CONFIG", "PYTHONPATH", "TMPDIR", "XDG_STATE_HOME", "", "=C:", *NAMES,
)  # fmt: skip


@pytest.mark.parametrize("name", NEAR)
def test_a_name_that_is_nearly_one_of_ours_is_pointed_out(name: str) -> None:
    """What was meant is said; an empty value is none, and the value is never shown."""
    (said,) = near_names({name: "s3cret", "PATH": "/bin"})
    assert said == f"The environment sets {name}, which is no setting: did you mean {NEAR[name]}?"
    assert near_names({name: " "}) == []


@pytest.mark.parametrize("name", NAMES)
def test_no_name_that_is_near_is_passed_over(name: str) -> None:
    """To look at the letters first hides nothing that difflib would find."""
    cuts = range(len(name))
    for typed in {
        *(name[:n] + name[n + 1 :] for n in cuts),
        *(name[:n] + name[n:][::-1] for n in cuts),
        *(f"{name[:n]}QX{name[n:]}" for n in cuts),
        *(name[:n] for n in cuts),
        *(name[n:] for n in cuts),
    }:
        cutoff = 0.74 if typed.startswith(("CLIO_", "SYNC_", "BROADLY_")) else 0.85
        near = difflib.get_close_matches(typed, NAMES, n=1, cutoff=cutoff)
        meant = near_in_environment(typed, NAMES)
        assert not near or meant or typed in NAMES or typed.startswith("_"), typed


def test_names_of_others_are_left_alone() -> None:
    """The environment is everybody's."""
    assert near_names(dict.fromkeys(OTHERS, "value")) == []


def test_a_name_that_no_terminal_should_show_is_not_shown() -> None:
    (said,) = near_names({"SYNC_\x1bRULE": "both"})
    assert said.startswith("The environment sets a name, which is no setting: did you mean SYNC_")
