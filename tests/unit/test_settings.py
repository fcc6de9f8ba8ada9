"""The settings: what is taken, what is refused and in which words, and where they come from."""

import os
import re
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from golden_files import Golden

from clio_broadly_sync.domain.consent import Untouched
from clio_broadly_sync.domain.credentials import Secret
from clio_broadly_sync.domain.errors import ConfigError
from clio_broadly_sync.domain.model import Profile, SyncRule
from clio_broadly_sync.settings import NAMES, Settings, load_settings, salvage_settings

REQUIRED = {
    "SYNC_RULE": "opt-out",
    "SYNC_STATE": "/srv/ledger/state.db",
    "BROADLY_URL": "https://broadly.test/v1/batches",
    "BROADLY_API_KEY": "k3y-of-the-firm",
}
SECRETS = {
    "CLIO_CLIENT_SECRET": "s3cret-of-the-app",
    "CLIO_ACCESS_TOKEN": "t0ken-of-the-firm",
    "BROADLY_API_KEY": "k3y-of-the-firm",
    "PING_URL": "https://ping.test/c4pability",
    "PING_URL_VERIFY": "https://ping.test/w33kly",
    "NOTIFY_URLS": "mailtos://me:p4ssword@firm.test",
}


def settings(**names: str) -> Settings:
    return load_settings(None, REQUIRED | names, Path("/nowhere"))


def problems(config_file: Path | None, environ: dict[str, str], cwd: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_settings(config_file, environ, cwd)
    return caught.value.problems


def written(folder: Path, text: str | bytes) -> Path:
    file = folder / "config.env"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def lines(**names: str) -> str:
    return "".join(f"{name}={value}\n" for name, value in (REQUIRED | names).items())


def test_one_box_is_no_yes_and_no() -> None:
    """Whichever of the two names is changed to that of the other; a blank makes another name."""
    same = {"SYNC_OPT_OUT_FIELD": "Texts", "SYNC_TEXT_FIELD": "Texts"}
    (problem,) = problems(None, REQUIRED | same, Path("/"))
    assert problem.startswith("SYNC_TEXT_FIELD must be ")
    for other in ("Texts ", "texts", "BroadlyOptOut", "SendBroadlyThankYou"):
        assert settings(**same | {"SYNC_TEXT_FIELD": other}).sync_text_field == other


URL = "https://a.test/b"
MAIL = "mailtos://me:pa%20ss@firm.test?to=a@firm.test,b@firm.test"
MAILS = (MAIL, "slack://a/b/c", "json://d")
GOOD: list[tuple[str, str, Any]] = [
    ("CLIO_REGION", "eu", "eu"),
    ("CLIO_REGION", " US ", "us"),
    ("CLIO_BASE_URL", "https://App.Clio.com:443/", "https://app.clio.com"),
    ("CLIO_BASE_URL", "http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ("CLIO_BASE_URL", "http://[::1]:80", "http://[::1]"),
    ("CLIO_TIME_ZONE", "America/New_York", ZoneInfo("America/New_York")),
    ("CLIO_CLIENT_ID", "abc", "abc"),
    ("CLIO_REDIRECT_URI", "http://localhost:9000/callback", "http://localhost:9000/callback"),
    ("SYNC_RULE", "opt-in", SyncRule.OPT_IN),
    ("SYNC_RULE", "Both", SyncRule.BOTH),
    ("SYNC_OPT_OUT_FIELD", "No review, please", "No review, please"),
    ("SYNC_OPT_IN_FIELD", " outer blanks ", " outer blanks "),
    ("SYNC_OPT_IN_UNTOUCHED", "Send", Untouched.SEND),
    ("SYNC_TEXT_FIELD", "May be texted ", "May be texted "),
    ("SYNC_MAX_AGE_DAYS", "1", 1),
    ("SYNC_REASK_DAYS", "0", 0),
    ("SYNC_SETTLE_HOURS", "24", 24),
    ("SYNC_SETTLE_HOURS", "0.5", 0.5),
    ("SYNC_SEND_DAYS", "mon-sun", frozenset(range(7))),
    ("SYNC_SEND_DAYS", "mon-fri", frozenset(range(5))),
    ("SYNC_SEND_DAYS", "Mon , WED", frozenset({0, 2})),
    ("SYNC_SEND_DAYS", "fri-mon", frozenset({4, 5, 6, 0})),
    ("SYNC_SEND_DAYS", "sun", frozenset({6})),
    ("SYNC_SEND_DAYS", "mon - tue,thu-fri", frozenset({0, 1, 3, 4})),
    ("SYNC_SEND_HOURS", "0-24", (0, 24)),
    ("SYNC_SEND_HOURS", "9-17", (9, 17)),
    ("SYNC_SEND_HOURS", "09 - 17", (9, 17)),
    ("SYNC_SEND_HOURS", "22-6", (22, 6)),
    ("SYNC_SEND_HOURS", "18-0", (18, 0)),
    ("SYNC_MAX_NEW", "0", 0),
    ("SYNC_COMPANIES", "false", False),
    ("SYNC_COMPANIES", "No", False),
    ("SYNC_OVERLAP_MINUTES", "5", 5),
    ("SYNC_RUN_MINUTES", "0.5", 0.5),
    ("BROADLY_URL", "http://127.0.0.2:81/b?c=d", "http://127.0.0.2:81/b?c=d"),
    ("BROADLY_PROFILE", "CSV", Profile.CSV),
    ("BROADLY_WEBHOOK_SECRET", "whsec_c2VjcmV0", Secret("whsec_c2VjcmV0")),
    ("BROADLY_WEBHOOK_SECRET", "x" * 24, Secret("x" * 24)),
    ("BROADLY_PER_MINUTE", "6000", 6000),
    ("BROADLY_AUTH_HEADER", "X-API-Key:{key}", "X-API-Key:{key}"),
    ("BROADLY_BATCH_SIZE", "500", 500),
    ("BROADLY_FIELDS", "phone, first_name", ("first_name", "phone")),
    ("BROADLY_FIELDS", "email,email,", ("email",)),
    ("BROADLY_DEDUPES", "TRUE", True),
    ("PING_URL", URL, URL),
    ("PING_URL_VERIFY", URL, URL),
    ("NOTIFY_URLS", "ntfys://ntfy.sh/t", (Secret("ntfys://ntfy.sh/t"),)),
    ("NOTIFY_URLS", f"{MAIL} slack://a/b/c,\n json://d", tuple(map(Secret, MAILS))),
    ("NOTIFY_WEEKLY", "Mon", 0),
    ("NOTIFY_WEEKLY", "sun", 6),
    ("LOG_FORMAT", "JSON", "json"),
]


@pytest.mark.parametrize(("name", "value", "expected"), GOOD)
def test_takes(name: str, value: str, expected: object) -> None:
    """A sound value becomes the attribute of the same name, in its own type."""
    assert getattr(settings(**{name: value}), name.lower()) == expected


BAD_URLS = [
    "broadly.test/v1",
    "http://broadly.test/v1",
    "http://127.0.0.1.broadly.test",
    "https://ann:pass@broadly.test",
    "https://broadly.test/#part",
    "https://broadly.test/with blank",
    "https://broadly.test/{account}",
    "https://broadly.test:99999",
    "https://bröadly.test",
    "https://broadly..test",
    "https://[::1",
    "https:///v1",
    "ftp://broadly.test",
]
BAD_WORDS = ["two words", "line\nbreak", "clé-secrète", "tab\tbed"]
BAD = {
    "CLIO_REGION": ["usa", "uk"],
    "CLIO_BASE_URL": [*BAD_URLS, "https://a.test/api/v4", "https://a.test?q", "https://a.test/?q"],
    "CLIO_TIME_ZONE": ["Mars/Base", "Europe", "../../etc/passwd", "/etc/localtime", "z" * 999],
    "CLIO_CLIENT_ID": BAD_WORDS,
    "CLIO_CLIENT_SECRET": BAD_WORDS,
    "CLIO_REDIRECT_URI": BAD_URLS,
    "CLIO_ACCESS_TOKEN": BAD_WORDS,
    "SYNC_RULE": ["optout", "opt_in", "always"],
    "SYNC_OPT_OUT_FIELD": ["two\nlines", "x" * 256],
    "SYNC_OPT_IN_FIELD": ["two\nlines", "x" * 256],
    "SYNC_OPT_IN_UNTOUCHED": ["sent", "true", "wait"],
    "SYNC_TEXT_FIELD": ["two\nlines", "x" * 256, "BroadlyOptOut"],
    "SYNC_MAX_AGE_DAYS": ["-1", "36501", "2.5", "many", "nan", "9" * 5000],
    "SYNC_REASK_DAYS": ["-7", "36501", "2.5", "inf"],
    "SYNC_SETTLE_HOURS": ["-2", "nan", "inf", "720", "1e999", "a day"],
    "SYNC_SEND_DAYS": [
        "weekdays", "monday", "mon;tue", "tue-", "-tue", "tue,", ", ,", "mon-wed-fri", "mon-mon",
        "mon,mon", "mon-fri,wed", "sun-sat,mon", "0-4", "mo-fr", "mon tue", "mon–fri", "daily",
    ],
    "SYNC_SEND_HOURS": [
        "9 to 5", "9-9", "0-0", "24-6", "9-25", "8", "8-", "-18", "9:00-17:00", "9am-5pm", "9-5pm",
        "9.5-17", "009-17", "9--17", "-9-17", "9–17", "9-17-20", "9-12,14-17", "٩-١٧", "always",
    ],
    "SYNC_MAX_NEW": ["-9", "1000001", "fifty"],
    "SYNC_COMPANIES": ["maybe", "2"],
    "SYNC_OVERLAP_MINUTES": ["4.0", "43201", "7.5"],
    "SYNC_RUN_MINUTES": ["-3", "nan", "inf", "1441"],
    "SYNC_STATE": ["/srv/ledger/", "sqlite:///srv/ledger", "~nobody-of-this-name/s", "/a\nb"],
    "BROADLY_URL": BAD_URLS,
    "BROADLY_API_KEY": BAD_WORDS,
    "BROADLY_PROFILE": ["zapier", "batch,csv"],
    "BROADLY_WEBHOOK_SECRET": [*BAD_WORDS, "x" * 23, "whsec_no base64", "whsec_c2Vjc"],
    "BROADLY_PER_MINUTE": ["-1", "6001", "1.5"],
    "BROADLY_AUTH_HEADER": [
        "Authorization: Bearer k3y-of-the-firm",
        "{key} alone",
        "X: {key}{key}",
        "X-{key}: value",
        "X Y: {key}",
        "X: {key}\nY: z",
        "Content-Type: {key}",
        "host: {key}",
        "webhook-id: {key}",
    ],
    "BROADLY_BATCH_SIZE": ["501", "-5", "2.5"],
    "BROADLY_FIELDS": ["last_name,first_name", "birthday,phone", "surname", ", ,"],
    "BROADLY_DEDUPES": ["perhaps"],
    "PING_URL": BAD_URLS,
    "PING_URL_VERIFY": BAD_URLS,
    "NOTIFY_URLS": ["office@firm.test", "mailto:", "ntfys://", "ntfys://ntfy.sh/t and more", "é://x"],
    "NOTIFY_WEEKLY": ["monday", "mon-fri", "1", "mon,wed"],
    "LOG_FORMAT": ["xml"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD.items() for value in values]
)
def test_refuses_and_names_the_setting_but_not_the_value(name: str, value: str) -> None:
    """A bad value is one sentence about its setting, and the value is not in it."""
    (problem,) = problems(None, REQUIRED | {name: value}, Path("/"))
    assert problem.startswith(f"{name} must be ")
    assert problem.endswith(".")
    assert value not in problem
    assert "\n" not in problem


STRAY = """\
what is this
SYNC_RUEL=both
CLIO_QX=7
BRODLY_DEDUPES=true
PING_=true
SETTLE_HOURS=24
RUN_MINUTES=5
sync_max_new=7
SYNC_RULE=opt-in
"""


def test_sentences(golden: Golden, tmp_path: Path) -> None:
    """Of a bad value of each setting, of what is missing, and of lines and files that are none."""
    wrong = {name: values[0] for name, values in BAD.items()}
    no_state = {name: value for name, value in REQUIRED.items() if name != "SYNC_STATE"}
    unreadable = problems(tmp_path / "none.env", {}, tmp_path)
    binary = problems(written(tmp_path, b"\xff\xfe"), {}, tmp_path)
    said = {
        "every setting is wrong": problems(None, wrong, Path("/")),
        "nothing is set": problems(None, {}, Path("/")),
        "no file, and no place for the state": problems(None, no_state, Path("/")),
        "an empty file": problems(written(tmp_path, ""), {}, tmp_path),
        "stray lines": problems(written(tmp_path, lines() + STRAY), {}, tmp_path),
        "no such file": unreadable,
        "no plain text": binary,
    }
    text = "\n".join("\n".join([f"# {name}", *found, ""]) for name, found in said.items())
    golden("settings_that_are_refused", text.replace(str(tmp_path), "/office"))


WEBHOOK = {"BROADLY_PROFILE": "webhook"}
CSV = {"BROADLY_PROFILE": "csv"}


@pytest.mark.parametrize(
    ("profile", "needed"), [({}, {"BROADLY_URL", "BROADLY_API_KEY"}), (WEBHOOK, {"BROADLY_URL"})]
)
def test_an_address_and_a_key_are_needed_by_what_has_them(
    profile: dict[str, str], needed: set[str]
) -> None:
    own = {name: REQUIRED[name] for name in ("SYNC_RULE", "SYNC_STATE")}
    found = problems(None, own | profile, Path("/nowhere"))
    said = {problem.split(" is not set")[0] for problem in found if " is not set" in problem}
    assert said == needed
    assert load_settings(None, own | CSV, Path("/nowhere")).broadly_headers() == {}


def test_behind_a_webhook_nothing_dedupes() -> None:
    (problem,) = problems(None, REQUIRED | WEBHOOK | {"BROADLY_DEDUPES": "yes"}, Path("/nowhere"))
    assert problem.startswith("BROADLY_DEDUPES must be true or false; with BROADLY_PROFILE=webhook")


def test_the_table_of_bad_values_covers_every_setting() -> None:
    assert set(BAD) == set(NAMES)


def test_a_settle_time_must_end_before_a_closing_is_too_old() -> None:
    """Otherwise every closing would be too old by the time it is due, and nobody ever asked."""
    assert settings(SYNC_SETTLE_HOURS="47", SYNC_MAX_AGE_DAYS="2").sync_settle_hours == 47
    (problem,) = problems(
        None, REQUIRED | {"SYNC_SETTLE_HOURS": "48", "SYNC_MAX_AGE_DAYS": "2"}, Path("/")
    )
    assert problem.startswith("SYNC_SETTLE_HOURS must be a number of hours below SYNC_MAX_AGE_DAYS")


@pytest.mark.parametrize(
    ("region", "address"),
    [
        ("us", "https://app.clio.com"),
        ("ca", "https://ca.app.clio.com"),
        ("eu", "https://eu.app.clio.com"),
        ("au", "https://au.app.clio.com"),
    ],
)
def test_the_region_gives_the_address(region: str, address: str) -> None:
    """An address of one's own wins over the region's."""
    assert settings(CLIO_REGION=region).clio_base_url == address
    assert settings(CLIO_REGION=region, CLIO_BASE_URL=URL[:-2]).clio_base_url == URL[:-2]


@pytest.mark.parametrize(
    ("template", "headers"),
    [
        ("", {"Authorization": "Bearer k3y-of-the-firm"}),
        ("X-API-Key:{key}", {"X-API-Key": "k3y-of-the-firm"}),
        ("X: a {b} : {key}", {"X": "a {b} : k3y-of-the-firm"}),
    ],
)
def test_spells_the_header_for_broadly(template: str, headers: dict[str, str]) -> None:
    assert settings(BROADLY_AUTH_HEADER=template).broadly_headers() == headers


def test_shows_no_secret() -> None:
    """A Settings that ends in a log or a traceback gives nothing away."""
    config = settings(**SECRETS)
    shown = f"{config!r} {config} {asdict(config)['broadly_api_key']}"
    assert not [secret for secret in SECRETS.values() if secret in shown]


def test_an_error_shows_no_value(tmp_path: Path) -> None:
    """Neither the sentences nor the traceback nor what led to it repeat what was typed."""
    pasted = "sk-live-0123456789"
    text = "".join(f"{name}=<{pasted}> \\\n" for name in NAMES)
    stray = f"{pasted}\n{pasted}=1\nCLIO_ACCESS_TOKEN:{pasted}=\nCLIO_TOKEN_{pasted}=x\n'{pasted}\n"
    with pytest.raises(ConfigError) as caught:
        load_settings(written(tmp_path, text + stray), {}, tmp_path)
    assert pasted not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize("name", NAMES)
def test_points_out_a_setting_without_its_prefix(tmp_path: Path, name: str) -> None:
    """Whoever writes SETTLE_HOURS=24 would otherwise believe in a day of rest, and have none."""
    bare = name.partition("_")[2]
    (problem,) = problems(written(tmp_path, lines() + f"export {bare}=24\n"), {}, tmp_path)
    assert problem.startswith(f"Line 5 of the settings file sets {bare}, which is no setting: did ")
    assert re.search(rf"did you mean ([A-Z_]+ or )?{name}( or [A-Z_]+)?\?$", problem)


def test_leaves_other_names_alone(tmp_path: Path) -> None:
    """The file may hold names of other programs; the environment may hold any."""
    others = ("TZ", "HTTPS_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "PATH", "HOME", "MAILTO")
    file = written(tmp_path, lines() + "".join(f"{name}=/a/b\n" for name in others))
    misspelt = {"SYNC_RUEL": "x", "sync_rule": "y", "CLIO_QX": "z", "LOG_LEVEL": "3"}
    load_settings(file, misspelt | {"SETTLE_HOURS": "24", "STATE": "new", "URL": URL}, tmp_path)


def test_refuses_to_choose_between_two_values(tmp_path: Path) -> None:
    """Set twice alike is no matter, set twice differently is."""
    load_settings(written(tmp_path, lines() + "SYNC_RULE=opt-out\nSYNC_RULE=\n"), {}, tmp_path)
    assert problems(written(tmp_path, lines() + "SYNC_RULE=opt-in\n"), {}, tmp_path)


BY_HAND = [
    "{}=k$y${{HOME}}",
    "  {} = k$y${{HOME}}  # from Broadly",
    "export {}='k$y${{HOME}}'",
    '{}="k$y${{HOME}}"  # from Broadly',
    "{}=' k$y${{HOME}} '",
]


@pytest.mark.parametrize("line", BY_HAND)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_reads_what_editors_write(tmp_path: Path, line: str, end: str, mark: bytes) -> None:
    """Quotes, blanks, comments, Windows line ends and byte order marks; a $ is a $."""
    text = f"# ours{end}{end}" + lines(BROADLY_API_KEY="").replace("\n", end)
    named = line.format("BROADLY_API_KEY") + end
    config = load_settings(written(tmp_path, mark + (named + text).encode()), {}, tmp_path)
    assert config.broadly_api_key.reveal() == "k$y${HOME}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "(No such file or directory)"),
        (b"SYNC_RULE=\xff\xfe", "is not plain text"),
        ("SYNC_RULE=both".encode("utf-16"), "is not plain text"),
    ],
)
def test_a_named_file_must_be_readable(tmp_path: Path, content: bytes | None, words: str) -> None:
    """A file that was named and is of no use is the one problem told, by either way of naming."""
    file = tmp_path / "config.env"
    if content is not None:
        file.write_bytes(content)
    (by_option,) = problems(file, REQUIRED, tmp_path)
    (by_variable,) = problems(None, REQUIRED | {"CLIO_BROADLY_SYNC_CONFIG": str(file)}, tmp_path)
    assert by_option == by_variable
    assert str(file) in by_option
    assert words in by_option


def test_a_folder_is_no_settings_file(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, {}, tmp_path)
    assert "(Is a directory)" in problem


def test_a_link_to_nowhere_is_not_passed_over(tmp_path: Path) -> None:
    """./config.env that points to a missing file is a problem, not an absent file."""
    (tmp_path / "config.env").symlink_to(tmp_path / "gone")
    (problem,) = problems(None, REQUIRED, tmp_path)
    assert "(No such file or directory)" in problem


def test_a_character_that_is_none_spoils_its_line(tmp_path: Path) -> None:
    file = written(tmp_path, lines() + "PING_URL=https://a\0b.test\n")
    (problem,) = problems(file, {}, tmp_path)
    assert problem.startswith("Line 5 of the settings file does not read NAME=value")


def test_the_option_wins_over_the_variable_and_that_over_the_folder(tmp_path: Path) -> None:
    """--config, then $CLIO_BROADLY_SYNC_CONFIG, then ./config.env."""
    for size, name in enumerate(["config.env", "variable.env", "option.env"], start=1):
        (tmp_path / name).write_text(lines(BROADLY_BATCH_SIZE=str(size)))
    variable = {"CLIO_BROADLY_SYNC_CONFIG": "variable.env"}
    empty = {"CLIO_BROADLY_SYNC_CONFIG": " "}
    assert load_settings(None, {}, tmp_path).broadly_batch_size == 1
    assert load_settings(None, empty, tmp_path).broadly_batch_size == 1
    assert load_settings(None, variable, tmp_path).broadly_batch_size == 2
    assert load_settings(Path("option.env"), variable, tmp_path).broadly_batch_size == 3


def test_the_environment_wins_over_the_file_unless_it_is_empty(tmp_path: Path) -> None:
    file = written(tmp_path, lines(SYNC_MAX_NEW="7", SYNC_REASK_DAYS="8"))
    config = load_settings(file, {"SYNC_MAX_NEW": "9", "SYNC_REASK_DAYS": " "}, tmp_path)
    assert (config.sync_max_new, config.sync_reask_days) == (9, 8)


@pytest.mark.parametrize("name", sorted(set(REQUIRED) - {"SYNC_STATE"}))
@pytest.mark.parametrize("value", ["", "  ", "''", '" "', "  # later"])
def test_an_empty_value_is_none(tmp_path: Path, name: str, value: str) -> None:
    (problem,) = problems(written(tmp_path, lines(**{name: value})), {}, tmp_path)
    assert problem.startswith(f"{name} is not set; it must be ")


def test_the_state_lies_beside_the_settings_file(tmp_path: Path) -> None:
    """Also beside one that was reached by a link, so that one file has one ledger."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    file = written(home, lines(SYNC_STATE=""))
    link = elsewhere / "config.env"
    link.symlink_to(file)
    for config_file, cwd in [(file, elsewhere), (link, home), (None, elsewhere), (None, home)]:
        assert load_settings(config_file, {}, cwd).sync_state == home / "state" / "state.db"


def test_the_state_path_may_start_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert settings(SYNC_STATE="~/s.db").sync_state == Path("/home/ann/s.db")


def test_bytes_that_are_no_text_are_refused() -> None:
    """The environment may hold anything; what is no text is a problem, not a crash."""
    broken = os.fsdecode(b"\xff\xfe")
    found = problems(None, dict.fromkeys(NAMES, broken), Path("/"))
    assert {problem.split()[0] for problem in found} == set(NAMES)
    assert not [problem for problem in found if broken in problem]


def test_notify_urls_without_apprise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence holds the line that helps, and what is left of the settings names nobody."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    environ = REQUIRED | {"NOTIFY_URLS": MAIL}
    (problem,) = problems(None, environ, Path("/nowhere"))
    assert problem.endswith("-m pip install 'clio-broadly-sync[notify]'`.")
    assert salvage_settings(None, environ, Path("/nowhere")).notify_urls is None
    assert settings().notify_urls is None
