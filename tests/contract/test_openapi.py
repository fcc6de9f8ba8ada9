"""The check of what Clio is asked by its own OpenAPI document can fail.

Every request of the tests here and end to end goes through it (`clio_contract.py`).
"""

import clio_contract
import pytest

pytestmark = pytest.mark.skipif(
    not clio_contract.CONTRACT.exists(), reason="no clio-contract.json beside the checkout"
)


@pytest.mark.parametrize(
    ("path", "pairs"),
    [
        ("/api/v4/matters.json", [("limit", "201")]),
        ("/api/v4/matters.json", [("order", "updated(asc)")]),
        ("/api/v4/matters.json", [("status", "Closed")]),
        ("/api/v4/matters.json", [("updated_since", "yesterday")]),
        ("/api/v4/matters.json", [("close_date[]", "2026-11-20")]),
        ("/api/v4/matters.json", [("state", "closed")]),
        ("/api/v4/contacts.json", [("ids[]", "x")]),
        ("/api/v4/matter.json", []),
    ],
)
def test_what_does_not_fit_is_told(path: str, pairs: list[tuple[str, str]]) -> None:
    """A wrong value, an unknown parameter, an unknown path: the check sees each."""
    assert clio_contract.problems("GET", path, pairs)
