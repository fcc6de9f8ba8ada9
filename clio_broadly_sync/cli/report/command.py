"""`report`: reads the settings and the state, and asks nobody; but with `--by`, it asks Clio.

What the figures mean is said in `domain/funnel.py`; they are read in `report/reading.py`.
"""

import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

import click

from clio_broadly_sync import __version__
from clio_broadly_sync.cli import app, exports, names, output
from clio_broadly_sync.cli.options import DAY, ClioId, Options, json_option, of_a_firm
from clio_broadly_sync.cli.report import as_json as objects
from clio_broadly_sync.cli.report import files, rows
from clio_broadly_sync.cli.standing import Status, read_status
from clio_broadly_sync.domain.attention import Attention
from clio_broadly_sync.domain.grouping import By
from clio_broadly_sync.domain.model import Command
from clio_broadly_sync.report import reading, runs, table
from clio_broadly_sync.report.figures import Figures, Period
from clio_broadly_sync.report.reading import Given
from clio_broadly_sync.report.words import Names
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store import Store

if TYPE_CHECKING:
    from clio_broadly_sync.clio.source import Clio

LONGEST: Final = timedelta(days=3660)
"""A report goes back so far at most."""


class Wanted(NamedTuple):
    """What was asked for."""

    first: date | None
    """The first day; None: the usual period."""
    last: date | None
    """The last day; None: today."""
    csv: Path | None
    """The file for the closings; None where none was named."""
    html: Path | None
    """The file for the page; None where none was named."""
    listed: bool
    """Whether the closings are to be listed, instead of the figures."""
    by: Sequence[By] = ()
    """By what it is to be compared how many were asked."""
    yes: bool = False
    """Whether Clio may be asked for any number of closings."""
    names: bool = False
    """Whether the list shows names, which Clio is asked for."""

    @property
    def files(self) -> list[Path]:
        """The files that are to be made; standard output is none."""
        return [one for one in (self.html, self.csv) if one is not None and one != exports.STDOUT]


@click.command()
@click.option("--from", "first", type=DAY, metavar="DATE", help="The first day, e.g. 2026-01-01.")
@click.option("--to", "last", type=DAY, metavar="DATE", help="The last day; without it, today.")
@click.option("--list", "listed", is_flag=True, help="One line for each closed matter instead.")
@click.option(
    "--names", "named", is_flag=True, help="With --list on a terminal: show clients' names."
)
@click.option(
    "--html",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a page for the partners into this new file, to be opened in a browser or printed.",
)
@click.option(
    "--csv",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the list into this new file; - is standard output, as for --html.",
)
@click.option(
    "--by",
    type=click.Choice([one.value for one in By]),
    multiple=True,
    help="Compare how many were asked by attorney, by practice-area, or both. Reads the names from "
    "Clio, which are personnel data: mind who gets the report.",
)
@click.option("--yes", is_flag=True, help="With --by: look up over 2,000 matters, do not ask.")
@click.option(
    "--person",
    type=ClioId("contact"),
    metavar="ID",
    help="All that is stored about this contact instead, for a complaint or a privacy request.",
)
@json_option
@of_a_firm
def report(
    options: Options,
    first: datetime | None,
    last: datetime | None,
    listed: bool,
    named: bool,
    html: Path | None,
    csv: Path | None,
    by: Sequence[str],
    yes: bool,
    person: int | None,
    as_json: bool,
) -> None:
    """Say whom the firm asked, whom not, and why.

    Of last month (in the month of the first run: since then), or from DATE to DATE. A matter counts
    on its close date; without one, on the day it was noticed. What no run has seen yet is said to
    be not known. Changes nothing, and shows ids, not clients' names. Asks Clio only with --by and
    --names.

    Example: clio-broadly-sync report --from 2026-07-01 --to 2026-09-30
    """
    groups = [By(one) for one in dict.fromkeys(by)]
    days = first and first.date(), last and last.date()
    wanted = Wanted(*days, csv, html, listed, groups, yes, named)
    exports.check_usage(csv, as_json=as_json)
    if person is not None:
        _tell_of(person, options, wanted, as_json=as_json)
    _check(wanted, as_json=as_json)
    if wanted.names:
        _check_names(wanted, as_json=as_json)
    app.carry_out(partial(_find, options, wanted), str, objects.object_of, as_json=as_json)


def _tell_of(contact: int, options: Options, wanted: Wanted, *, as_json: bool) -> NoReturn:
    """Say what is stored about a contact; raise UsageError where a period is wanted as well."""
    if wanted.first or wanted.last or wanted.listed or wanted.by or wanted.html or wanted.names:
        raise click.UsageError(
            "--person tells all there is of one contact: name no days or list, and no page."
        )
    from clio_broadly_sync.cli.report import person

    find = partial(person.find, options, contact, wanted.csv)
    app.carry_out(find, str, person.object_of, as_json=as_json)


def _check(wanted: Wanted, *, as_json: bool) -> None:
    """Raise UsageError where the options do not go together."""
    if wanted.by and (wanted.listed or wanted.csv):
        raise click.UsageError("--by compares groups, and a list has none: leave one of them out.")
    if wanted.listed and wanted.csv is not None:
        raise click.UsageError("--list prints what --csv writes: leave one of them out.")
    if wanted.html is not None and (wanted.listed or wanted.csv == exports.STDOUT):
        raise click.UsageError("--html writes the figures, and you want the list: ask for one.")
    if wanted.html == exports.STDOUT and as_json:
        raise click.UsageError("--json and --html - both want standard output: name a file.")
    if wanted.first is None:
        if wanted.last is not None:
            raise click.UsageError("--to wants --from: say with which day to begin.")
        return
    if wanted.last is not None and wanted.first > wanted.last:
        raise click.UsageError("--from is later than --to: swap the two dates.")
    today = app.our_clock().date()
    # It is tomorrow already in some zone.
    if wanted.first > today + timedelta(days=1):
        raise click.UsageError("--from lies in the future: name a day up to today.")
    if wanted.first < today - LONGEST:
        raise click.UsageError("--from lies more than ten years ago: name a later day.")


def _check_names(wanted: Wanted, *, as_json: bool) -> None:
    """Raise UsageError where names are not for a list on a terminal."""
    if not wanted.listed:
        raise click.UsageError("--names is for --list: add that.")
    names.check_usage(as_json=as_json)


def _find(options: Options, wanted: Wanted, call: app.Call) -> Iterator[Any]:
    """Yield lines for a person, or what JSON is made of; write the files that were named."""
    settings = app.settings_of(options)
    for file in wanted.files:
        files.check_place(file, settings)
    now = app.our_clock()
    with app.opened(settings, writes=False) as store:
        store.check_watermark(now)
        given = given_by(settings, store, read_status(settings, store, now))
        period = _period(wanted, store, given)
        if wanted.listed or wanted.csv == exports.STDOUT:
            clio = names.clio_of(settings, store, call.stop) if wanted.names else None
            yield from _closings(wanted, store, period, given, call, clio)
        elif (figures := _read(wanted, settings, store, period, given, call)) is not None:
            lines = rows.csv_lines(reading.closings(store, period, given), given)
            yield from _given_out(wanted, figures, lines, call)


def _read(
    wanted: Wanted,
    settings: Settings,
    store: Store,
    period: Period,
    given: Given,
    call: app.Call,
) -> Figures | None:
    """Return the figures, compared if that is wanted; None where a person then said no."""
    figures = reading.read(store, period, given)
    if not wanted.by:
        return figures
    from clio_broadly_sync.cli.report import alike

    could = alike.could_be_asked(reading.closings(store, period, given))
    if not alike.agree(len(could), call.stop, yes=wanted.yes):
        output.say("Clio was not asked, and nothing is reported.", err=True)
        return None
    return figures._replace(alike=alike.of(could, wanted.by, settings, store, call.stop))


def given_by(settings: Settings, store: Store, status: Status) -> Given:
    """Return what a report says beside the closings, at the moment of `status`."""
    known, last, export = store.pins(), status.last_sync, status.export
    at_work = status.runs[0].run if status.at_work else None
    return Given(
        now=status.now,
        zone=status.zone,
        zone_name=None if status.zone is None else str(status.zone),
        version=__version__,
        host=settings.clio_base_url if known is None else known.host,
        rule=status.rule,
        names=Names(
            opt_in=settings.sync_opt_in_field,
            opt_out=settings.sync_opt_out_field,
            reask_days=settings.sync_reask_days,
            max_age_days=settings.sync_max_age_days,
        ),
        policy=app.policy(settings, Command.SYNC, store),
        attention=Attention(
            backfill_left=store.at_work != Command.BACKFILL,
            export_due=export is not None and export.is_due,
        ),
        at_work=at_work,
        last_failure=None if last is None or last.run == at_work else runs.failure(last),
        silent_since=last.started_at if last and status.cron_seems_to_run is False else None,
    )


def _period(wanted: Wanted, store: Store, given: Given) -> Period:
    if wanted.first is None:
        return reading.usual_period(store, given)
    last = given.today if wanted.last is None else min(wanted.last, given.today)
    return Period(min(wanted.first, last), last)


def _closings(
    wanted: Wanted,
    store: Store,
    period: Period,
    given: Given,
    call: app.Call,
    clio: "Clio | None",
) -> Iterator[Any]:
    found = reading.closings(store, period, given)
    if call.as_json:
        yield objects.Listing(period, reading.known(store, given.zone).of(period))
        yield from (rows.row_of(one, given) for one in found)
    elif wanted.csv == exports.STDOUT:
        yield from (line.decode().rstrip("\r\n") for line in rows.csv_lines(found, given))
    else:
        yield from rows.table_lines(found, given, clio)


def _given_out(
    wanted: Wanted, figures: Figures, lines: Iterator[bytes], call: app.Call
) -> Iterator[Any]:
    """Write the files that were named; yield what is printed beside them, or instead."""
    if wanted.csv is not None:
        files.write(wanted.csv, lines, call.stop)
    shown = _page(figures) if wanted.html is not None else ""
    if wanted.html is not None and wanted.html != exports.STDOUT:
        files.write(wanted.html, [shown.encode()], call.stop)
    if call.as_json:
        yield figures
    elif wanted.html == exports.STDOUT:
        yield shown
    elif not wanted.files:
        yield output.folded("\n".join(table.lines(figures)))
    elif sys.stdout.isatty():
        yield output.folded("\n".join(_made(wanted, figures)))


def _page(figures: Figures) -> str:
    """Return the page; what draws it is loaded only here."""
    from clio_broadly_sync.report.page import page

    return page(figures)


def _made(wanted: Wanted, figures: Figures) -> Iterator[str]:
    """Say on a terminal which files there are now."""
    closed = 0 if figures.counts is None else figures.counts.closed
    if wanted.html is not None:
        yield f"{wanted.html}: the report; open it in a browser."
    if wanted.csv is not None:
        yield f"{wanted.csv}: {output.count(closed, 'closed matter')}."
