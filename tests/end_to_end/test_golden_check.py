"""Golden lines of `check`: whatever can be wrong, provoked; what is as usual is counted.

Above them stands what was done, and the exit code.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from golden_files import Golden
from planting import sql
from rig import faults
from transcripts import HOUR, settled, stand_still
from world import MakeWorld, World

from clio_broadly_sync.domain.credentials import Grant
from clio_broadly_sync.sandbox.firm import Definitions
from clio_broadly_sync.store import TokenStore

Act = Callable[[World], object]
OUT, IN = "BroadlyOptOut", "SendBroadlyThankYou"
NOBODY = "127.0.0.1:1"


def _set(**settings: str) -> Act:
    return lambda world: world.settings.update(settings)


def _fields(act: Callable[[Definitions], object]) -> Act:
    return lambda world: act(world.firm.fields)


def _broadly(fault: faults.Fault) -> Act:
    return lambda world: world.broadly.faults.add(fault, times=None)


def _clio_ahead(**time: float) -> Act:
    return lambda world: setattr(world.clio, "skew", timedelta(**time))


def _settings_for_all(world: World) -> None:
    file = world.folder / "config.env"
    file.write_text("LOG_FORMAT=text\n")
    file.chmod(0o640)


def _wrong_settings_for_all(world: World) -> None:
    _settings_for_all(world)
    world.settings["SYNC_RULE"] = "perhaps"


def _state_behind_a_file(world: World) -> None:
    (world.folder / "file").write_text("")
    world.settings["SYNC_STATE"] = str(world.folder / "file" / "state.db")


def _change_state(statement: str) -> Act:
    return lambda world: sql(world.state, statement)


def _damage(world: World) -> None:
    with world.state.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)


def _signed_in(world: World, ends: datetime = HOUR + timedelta(days=30)) -> None:
    """Sign in by `login`, with a token that ends then."""
    tokens = world.clio.oauth.issue()
    TokenStore(world.state).save(Grant(world.clio.url, tokens.access, tokens.refresh, ends))
    world.settings |= world.sandbox.settings(login=True, SYNC_STATE=str(world.state))
    del world.settings["CLIO_ACCESS_TOKEN"]


def _signed_in_and_locked_out(world: World) -> None:
    """Let the token have ended, where it cannot be renewed."""
    _signed_in(world, HOUR)
    world.state.with_name("state.db.sign-in.lock").mkdir(0o700)


def _signed_in_and_read_by_others(world: World) -> None:
    _signed_in(world)
    world.state.chmod(0o644)


def _hide_two(world: World) -> None:
    world.firm.hide_contact(world.closing().contact)
    world.firm.redact_contact(world.closing().contact)


def _no_records(world: World) -> None:
    for matter in world.firm.matter_ids():
        world.firm.delete_contact(world.firm.client_of(matter) or 0)
        world.firm.delete_matter(matter)


def _new_rule_and_address(world: World) -> None:
    world.broadly.path = "/v2/batch"
    world.settings.update(SYNC_RULE="opt-in", BROADLY_URL=world.broadly.endpoint)


def _new_host(world: World) -> None:
    world.settings["CLIO_BASE_URL"] = world.clio.url.replace("127.0.0.1", "localhost")


def _new_account(world: World) -> None:
    world.firm.account.id += 1


def _untold_account(world: World) -> None:
    """Let Clio no longer say whose account it is."""
    world.clio.forbid("users")


def _new_sign_in(world: World) -> None:
    world.clio.forbid("users")
    world.settings["CLIO_ACCESS_TOKEN"] = world.clio.rotate()


def _made_anew(world: World) -> None:
    world.firm.fields.purge(IN)
    world.firm.fields.add(IN, "Matter")


def _without_opt_out(name: str | None) -> Act:
    """Under `opt-in` the contact's field may be missing."""

    def act(world: World) -> None:
        world.settings["SYNC_RULE"] = "opt-in"
        world.firm.fields.rename(OUT, name) if name else world.firm.fields.purge(OUT)

    return act


def _run(code: int, **settings: str) -> Act:
    """Let a sync end with this code."""

    def act(world: World) -> None:
        world.closing()
        assert world.sync(**settings).code == code

    return act


def _rejected(world: World) -> None:
    world.broadly.rule("rejected")
    _run(65)(world)


def _paused(world: World) -> None:
    world.broadly.faults.add(faults.drop())
    _run(65)(world)


HERE: dict[str, Act] = {
    "all is well, before the first sync": lambda world: None,
    "the settings are wrong": _set(SYNC_RULE="perhaps", BROADLY_URL="nowhere"),
    "others may read the settings file": _settings_for_all,
    "others may read the settings file, which is wrong": _wrong_settings_for_all,
    "the state would be behind a file": _state_behind_a_file,
    "there is a ping address": lambda world: world.settings.update(
        PING_URL=f"{world.broadly.url}/ping/4f2a9c"
    ),
    "nobody listens at the ping address": _set(PING_URL=f"http://{NOBODY}/4f2a9c"),
    **{
        f"Broadly answers with {status}": _broadly(faults.answer(status))
        for status in (200, 400, 401, 403, 404, 410, 429, 503)
    },
    "Broadly redirects": _broadly(faults.redirect("https://elsewhere.example/")),
    "Broadly breaks off": _broadly(faults.drop()),
    "nobody listens where Broadly should": _set(BROADLY_URL=f"http://{NOBODY}/batch"),
    "Broadly knows no TLS": lambda world: world.settings.update(
        BROADLY_URL=world.broadly.endpoint.replace("http://", "https://")
    ),
}
STATE: dict[str, Act] = {
    "all is well, after the first sync": lambda world: None,
    "others may read the state": lambda world: world.state.chmod(0o644),
    "others may write to its folder": lambda world: world.state.parent.chmod(0o777),
    "the state is damaged": _damage,
    "the state is cut off": lambda world: world.state.write_bytes(b""),
    "the state is newer": _change_state("UPDATE schema_version SET version = 999"),
    "the state is another program's": _change_state("DROP TABLE schema_version"),
    "the last sync failed": _run(77, CLIO_ACCESS_TOKEN="withdrawn"),
    "the last sync found something for a person": _rejected,
    "Broadly has a pause": _paused,
    "outside of the sending hours, which leave out the weekend": _set(
        SYNC_SEND_DAYS="mon-fri", SYNC_SEND_HOURS="22-6"
    ),
    "within the sending hours, which are those of an office on each day": _set(
        SYNC_SEND_HOURS="9-17"
    ),
    "some wait for a later run": _run(0, SYNC_SETTLE_HOURS="24"),
    "cron is silent": lambda world: world.later(hours=3),
    "rule and address are changed": _new_rule_and_address,
    "another host": _new_host,
    "another account": _new_account,
    "the account is no longer told": _untold_account,
    "the account of a new sign-in is not told": _new_sign_in,
    "a field was renamed": _fields(lambda f: f.rename(OUT, "No reviews please")),
    "a field was made anew": _made_anew,
}
CLIO: dict[str, Act] = {
    "all is well": lambda world: None,
    "the clock is ten minutes behind": _clio_ahead(minutes=10, seconds=30),
    "the clock is ten minutes ahead": _clio_ahead(minutes=-10, seconds=-30),
    "the clock is days off": _clio_ahead(days=3),
    "signed in by login": _signed_in,
    "signed in, and the state can be read by others": _signed_in_and_read_by_others,
    "signed in, and the token cannot be renewed": _signed_in_and_locked_out,
    "not signed in": lambda world: world.settings.pop("CLIO_ACCESS_TOKEN"),
    "the token is refused": _set(CLIO_ACCESS_TOKEN="withdrawn"),
    "nobody listens where Clio should": _set(CLIO_BASE_URL=f"http://{NOBODY}"),
    "Clio knows no TLS": lambda world: world.settings.update(
        CLIO_BASE_URL=world.clio.url.replace("http://", "https://")
    ),
    "Clio does not say who is signed in": _untold_account,
    "matters may not be read": lambda world: world.clio.forbid("matters"),
    "contacts may not be read": lambda world: world.clio.forbid("contacts"),
    "custom fields may not be read": lambda world: world.clio.forbid("custom_fields"),
    "two clients are hidden": _hide_two,
    "boxes are withheld": lambda world: setattr(world.clio, "strip_values", True),
    "a box cannot be read": lambda world: world.closing(thank_you="perhaps"),
    "there are no records": _no_records,
    "there is no such field": _fields(lambda f: f.purge(OUT)),
    "the field's name is in other letters": _fields(lambda f: f.rename(OUT, OUT.lower())),
    "the field's name has a blank more": _fields(lambda f: f.rename(IN, f"{IN} ")),
    "the field is on the matter": _fields(lambda f: f.move(OUT, "Matter")),
    "the field is a line of text": _fields(lambda f: f.retype(IN, "text_line")),
    "the field was deleted": _fields(lambda f: f.delete(OUT)),
    "there are two such fields": _fields(lambda f: f.duplicate(OUT)),
    "the field is required": _fields(lambda f: f.change(IN, required=True)),
    "the field is not shown": _fields(lambda f: f.change(OUT, displayed=False)),
    "the rule can do without the field, and a name is near": _without_opt_out("broadly opt out"),
    "the rule can do without the field": _without_opt_out(None),
}
ACCEPTED: dict[str, Act] = {
    "nothing has changed": lambda world: None,
    "rule and address are changed": _new_rule_and_address,
    "a field was made anew": _made_anew,
    "another host": _new_host,
    "another account": _new_account,
    "Broadly refuses the key": _broadly(faults.answer(401)),
}


class _Checks:
    """Makes an office anew for each check; of what is found, the usual is shown once."""

    def __init__(self, make_world: MakeWorld, folder: Path) -> None:
        self._make_world = make_world
        self._folder = folder
        self._number = 0
        self._usual: list[str] = []

    def lines(self, acts: Mapping[str, Act], *options: str, synced: bool = False) -> str:
        """Return what is found after each act; the first of them leaves all as it usually is."""
        said: list[str] = []
        for name, act in acts.items():
            code, lines = self._checked(act, options, synced)
            unusual = [line for line in lines if line not in self._usual]
            self._usual += [] if said else lines
            usual = f"(and {len(lines) - len(unusual)} as usual)"
            said += [f"# {name} ({code})", *unusual, usual, ""]
        return "\n".join([*said, ""])

    def _checked(self, act: Act, options: tuple[str, ...], synced: bool) -> tuple[int, list[str]]:
        self._number += 1
        folder = self._folder / str(self._number)
        folder.mkdir()
        world = stand_still(self._make_world(folder))
        with world.sandbox:
            world.closing(opt_out=True)
            world.closing()
            if synced:
                assert world.sync().code == 0
                world.later(minutes=15)
            world.private = False
            act(world)
            ran = world.check(*options)
        return ran.code, settled(ran.out + ran.err, world).splitlines()


@pytest.fixture
def checks(make_world: MakeWorld, tmp_path: Path) -> _Checks:
    return _Checks(make_world, tmp_path)


def test_findings_here(checks: _Checks, golden: Golden) -> None:
    """Settings and addresses; after a first sync the state, its runs and its pins."""
    golden("check_here", checks.lines(HERE) + checks.lines(STATE, synced=True))


def test_findings_in_clio(checks: _Checks, golden: Golden) -> None:
    """The clock, the sign-in, what may be read, fields and boxes."""
    golden("check_clio", checks.lines(CLIO))


def test_what_is_taken_over(checks: _Checks, golden: Golden) -> None:
    """By `--accept`: what it took over comes first; what it refuses ends it."""
    before = {"before the first sync": lambda world: None}
    after = checks.lines(ACCEPTED, "--accept", synced=True)
    golden("check_accept", after + checks.lines(before, "--accept"))
