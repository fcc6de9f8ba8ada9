"""`sync --matter`: a run for one matter, which says in the end what has become of that.

It says so as `explain` does.
"""

from typing import Any

import click

from clio_broadly_sync.cli import app, exports, report_words
from clio_broadly_sync.cli.explain import sentences
from clio_broadly_sync.cli.run import Run
from clio_broadly_sync.domain import rules
from clio_broadly_sync.domain.errors import SyncError
from clio_broadly_sync.pipeline.context import RunContext
from clio_broadly_sync.settings import Settings
from clio_broadly_sync.store.history import Story

_OPEN = (
    "Nothing was sent: matter {id} is not closed in Clio. Once it is, the next `sync` notices it."
)


class MatterRun(Run):
    """A run for the one matter with this id; the rest is as for a backfill."""

    def __init__(self, matter_id: int, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, matter_id=matter_id, **named)
        self._id = matter_id
        self._says: list[str] = []
        """What there is to say of the matter; nothing in a dry run that has decided on it."""

    def ended(self, settings: Settings, context: RunContext, error: SyncError | None) -> None:
        """Find out what has become of the matter.

        Raise UsageError where neither Clio nor the ledger knows it.
        """
        stories = context.store.history.of_matter(self._id)
        if not stories and not context.report.matters_read and error is None:
            raise click.UsageError(
                f"Clio shows no matter {self._id}: give the number in the address of its page in "
                "Clio. It may also be deleted, or hidden from this sign-in."
            )
        changed = [one for one in stories if one.steps and one.steps[-1].run == context.run]
        self.report.kept_back_says = ()  # what is said of the matter says that, too
        if self.dry_run and changed:
            return
        if not changed and context.report.is_open:
            self._says = [_OPEN.format(id=self._id)]
            return
        for story in changed or stories[:1]:
            self._says += _told(settings, context, story)

    def results(self, code: int) -> list[str]:
        """Return what there is to do, and what became of the matter.

        Of what it has decided on, a dry run says that in its table.
        """
        if self.dry_run and not self._says:
            return super().results(code)
        needs = report_words.needs(self.report, self._given)
        return [*needs, *exports.files_of(self.report), *self._says]

    def counters(self, code: int) -> dict[str, Any]:
        counted = super().counters(code) | {"command": app.called()}
        return counted | {"matter_id": self._id, "says": self._says}


def _told(settings: Settings, context: RunContext, story: Story) -> list[str]:
    """Return the sentence about a closing, and what helps."""
    given = sentences.given(settings, context.store, app.our_clock())
    now = context.source.now()
    story = story._replace(closing=rules.as_told(story.closing, given.policy, now, given.zone))
    helps = sentences.helps(story, given)
    return [sentences.sentence(story, given), *([] if helps is None else [helps])]
