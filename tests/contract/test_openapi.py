"""Every kind of request that is made to Clio, against Clio's own OpenAPI document."""

from datetime import UTC, datetime, timedelta

import clio_contract
import pytest
from parts import Tokens, transport
from rig import Sandbox

from clio_broadly_sync.clio.api import Api
from clio_broadly_sync.clio.source import Clio
from clio_broadly_sync.domain.model import FieldIds

pytestmark = pytest.mark.skipif(
    not clio_contract.CONTRACT.exists(), reason="no clio-contract.json beside the checkout"
)
NO_FIELDS = FieldIds(None, None)


def _ask_everything(clio: Clio, fields: FieldIds, now: datetime) -> None:
    today = now.date()
    pages = [
        *clio.closed_since(now - timedelta(days=900), fields),
        *clio.closed_between(today - timedelta(days=900), today, fields),
    ]
    closed = [matter for page in pages for matter in page.matters]
    clio.matters([matter.id for matter in closed][:100], fields)
    clio.contacts({matter.client_id or 0 for matter in closed[:100]}, fields)


def test_every_request_fits_the_document() -> None:
    """Lists, pages, ids, fields and boxes are asked for as documented, with pins and without."""
    with Sandbox(contacts=300, matters=900) as sandbox:
        api = Api(
            transport(),
            Tokens(sandbox.clio.token),
            sandbox.clio.url,
            wall_clock=lambda: datetime.now(UTC),
        )
        clio = Clio(api, region="us")
        clio.account()
        clio.custom_fields(all_of_them=True)
        boxes = {field.parent: field.id for field in clio.custom_fields()}
        for fields in (NO_FIELDS, FieldIds(boxes["Contact"], boxes["Matter"])):
            _ask_everything(clio, fields, clio.now())
        asked = [(e.method, e.path, e.request.pairs) for e in sandbox.clio.history]
    assert any("page_token" in dict(pairs) for _, _, pairs in asked), "no second page"
    assert len({path for _, path, _ in asked}) == 4
    assert [p for request in asked for p in clio_contract.problems(*request)] == []


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
