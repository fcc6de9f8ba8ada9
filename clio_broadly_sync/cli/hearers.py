"""Whoever hears of a `sync` beside the reader of what it prints: monitor, and NOTIFY_URLS.

What the addresses of NOTIFY_URLS are told is in `cli/notices.py`. It is asked only where there are
some, and apprise is loaded only where there is something to tell, in a process of its own.
"""

import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clio_broadly_sync.cli import app
from clio_broadly_sync.cli.alerts import is_news
from clio_broadly_sync.cli.options import Options
from clio_broadly_sync.cli.output import PROGRAM, with_firm
from clio_broadly_sync.domain.errors import (
    ATTENTION,
    OK,
    BusyError,
    ConfigError,
    is_failure,
)
from clio_broadly_sync.monitor import Monitor
from clio_broadly_sync.settings import Salvaged, Settings, settings_path
from clio_broadly_sync.store import Notes, Store

if TYPE_CHECKING:
    from clio_broadly_sync.cli.notices import Memory
    from clio_broadly_sync.cli.standing import Status

log = logging.getLogger(__name__)

_UNREAD: Final = "What NOTIFY_URLS is to be told could not be read ({})."
GREETING: Final = (
    "From now on this is where you are told what needs a person, and when it no longer does.",
)


class Hearers:
    """Those that these settings name; nobody where there are no settings.

    No method raises where somebody cannot be told: the run goes on as if there were nobody.
    """

    def __init__(self, known: Settings | Salvaged | None, options: Options) -> None:
        self._monitor = Monitor(None if known is None else known.ping_url)
        self._addresses = (known and known.notify_urls) or ()
        self._place = None if known is None else app.place_of(known)
        self._options = options
        self._weekly: int | None = None
        self._status: Status | None = None
        """How the state stands at the end of the run; None where that could not be seen."""

    def started(self) -> None:
        """Tell that a run begins."""
        self._monitor.started()

    def look(self, settings: Settings, store: Store) -> None:
        """Note how the state stands, before it is closed."""
        if self._addresses:
            from clio_broadly_sync.cli.standing import read_status

            self._weekly = settings.notify_weekly
            try:
                self._status = read_status(settings, store, app.our_clock())
            except Exception as error:  # noqa: BLE001  (whatever it is, the run has done its work)
                self._warn(_UNREAD.format(type(error).__name__), app.our_clock())

    def ended(self, code: int, said: Sequence[str], *, hangs: bool = False) -> None:
        """Tell how a run ended, by its exit code; the state must be free again.

        `said` is what there was to say of it, and `hangs` tells of a busy state whether the run
        that holds it seems to hang.
        """
        self._monitor.ended(code, [with_firm(line, self._options.firm) for line in said])
        counts = code in (OK, ATTENTION) or is_failure(code) or hangs
        if not (self._addresses and self._place and counts):
            return
        try:
            self._notify(self._place.notes("notified"), code, app.our_clock())
        except Exception as error:  # noqa: BLE001  (whatever it is, the run has done its work)
            self._warn(f"NOTIFY_URLS could not be told ({type(error).__name__}).", app.our_clock())

    def _notify(self, notes: Notes, code: int, now: datetime) -> None:
        """Tell the addresses what is new, and remember it once one of them took it.

        A memory that cannot be read or written ends no run: then it is told again.
        """
        from clio_broadly_sync.cli import notices

        before = notices.Memory()
        with suppress(OSError):
            before = notices.memory_in(notes.read())
        after, title, lines = self._to_tell(before, code, now)
        if lines and not self._send(title, lines, now):
            untold = {key: need for key, need in after.needs.items() if need.told is None}
            after = before._replace(needs={**untold, **before.needs})
        if after != before:
            with suppress(OSError):
                notes.write(notices.as_json(after))

    def _to_tell(
        self, before: "Memory", code: int, now: datetime
    ) -> tuple["Memory", str, list[str]]:
        """Return what is to be remembered, and title and lines of what is to be told, if any is."""
        from clio_broadly_sync import notify
        from clio_broadly_sync.cli import notices

        failed = {notices.key_of(code): 0} if code not in (OK, ATTENTION) else {}
        closings = notices.needs_in(self._status) if self._status else {}

        def ends(key: str) -> bool:
            if notices.is_ending(key):
                return not failed or key == notices.key_of(BusyError.exit_code)
            return self._status is not None

        news = notices.news(before.needs, failed | closings, ends, now)
        schemes = tuple(sorted(map(notify.scheme_of, self._addresses)))
        after = before._replace(needs=news.needs, schemes=schemes)
        title, lines = "", list[str]()
        if schemes != before.schemes:
            title, lines = "you are told here", [*GREETING]
        if self._status and notices.is_day_of_summary(self._status, self._weekly, before.summed_up):
            after = after._replace(summed_up=notices.today(self._status))
            title, lines = "the week", [*lines, *notices.summary(self._status)]
        if news.begun or news.over:
            title, lines = notices.title_of(news), [*notices.lines_of(news), *lines]
        return after, title, lines

    def _send(self, title: str, lines: Sequence[str], now: datetime) -> bool:
        """Send all addresses a message; tell whether one of them at least took it."""
        from clio_broadly_sync import notify

        told = with_firm("\n".join(lines), self._options.firm)
        body = f"{told}\n{self._where()}"
        worked = notify.send(self._addresses, f"{PROGRAM}: {title}", body)
        pairs = zip(self._addresses, worked, strict=True)
        missed = sorted({notify.scheme_of(address) for address, took in pairs if not took})
        if missed:
            why = f"could not be told ({', '.join(missed)}); see `{PROGRAM} check`."
            self._warn(f"NOTIFY_URLS {why}", now)
        return any(worked)

    def _warn(self, note: str, now: datetime) -> None:
        """Say a note on stderr; under cron, which mails it, once a day."""
        attended = self._options.verbose or app.has_terminal()
        alert_log = None if attended or self._place is None else app.alert_log_of(self._place)
        if is_news(alert_log, note, now):
            log.warning("%s", note)

    def _where(self) -> str:
        """Return where there is more to see, which also tells which office this is."""
        import shlex

        command = PROGRAM
        with suppress(ConfigError):
            path = settings_path(self._options.config_file, os.environ, Path.cwd())
            command += f" --config {shlex.quote(str(path))}" if os.path.exists(path) else ""
        firm = "" if self._options.firm is None else f" --firm {self._options.firm}"
        return f"More on {os.uname().nodename}: {command} status{firm}"
