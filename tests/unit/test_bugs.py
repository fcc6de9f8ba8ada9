"""What is said of a bug."""

import re

from golden_files import Golden

from clio_broadly_sync.cli import output


def test_a_bug_is_told_without_the_data_that_met_it(golden: Golden) -> None:
    """Where it is, and what kind of error."""
    said = []
    try:
        int("the name of a client")
    except ValueError as bug:
        said = output.bug_lines(bug)
    golden("bug", re.sub(r":\d+ in", ":N in", "\n".join(said)))
