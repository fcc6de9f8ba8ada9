"""What is said of a status; which error it becomes is tested with the transport."""

from golden_files import Golden

from clio_broadly_sync.transport import failures

STATUSES = (
    301, 400, 401, 402, 403, 404, 405, 407, 408, 409, 410, 413, 418, 422, 423, 425, 429, 451, 499,
    500, 502, 503, 511,
)  # fmt: skip


def said(peer: str, status: int) -> str:
    """Return the exit code and the sentence; Clio's own words for a refusal come later."""
    error = failures.of_status(peer, status, b"", None, None)
    assert error is not None
    return f"{error.exit_code} {error}"


def test_each_status_is_told_with_its_mend(golden: Golden) -> None:
    """`check` tells Clio's permissions apart; of Broadly's it learns nothing without a batch."""
    lines = [said(peer, status) for peer in ("Clio", "Broadly") for status in STATUSES]
    golden("statuses_of_answers", "\n".join(lines))
