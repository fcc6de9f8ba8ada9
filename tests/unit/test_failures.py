"""What is said of a status; which error it becomes is tested with the transport."""

import pytest

from clio_broadly_sync.transport import failures


def said(peer: str, status: int) -> str:
    return str(failures.of_status(peer, status, b"", None, None))


@pytest.mark.parametrize(
    ("peer", "status", "mend"),
    [
        ("Clio", 401, "run `clio-broadly-sync login`"),
        ("Clio", 403, "run `clio-broadly-sync check`, which says which"),
        ("Broadly", 401, "put the right key into BROADLY_API_KEY"),
        ("Broadly", 403, "ask Broadly to let the key in BROADLY_API_KEY hand over customers"),
    ],
)
def test_a_refused_sign_in_or_key_comes_with_its_mend(peer: str, status: int, mend: str) -> None:
    """`check` tells Clio's permissions apart; of Broadly's it learns nothing without a batch."""
    sentence = said(peer, status)
    assert sentence.startswith(f"{peer} ")
    assert f"({status}" in sentence
    assert mend in sentence
    assert ("check" in sentence) == ((peer, status) == ("Clio", 403))
