"""The state of one firm: what it was made with, how far it has come, and the ledger.

No personal data is written to it: people are known by keyed hashes only (`store/people.py`).
"""

from clio_broadly_sync.store.database import at_work
from clio_broadly_sync.store.ledger import Claim
from clio_broadly_sync.store.lock import locked, look_beside
from clio_broadly_sync.store.outbox import Listed, Selection
from clio_broadly_sync.store.overview import SurgeFigures
from clio_broadly_sync.store.state import Store
from clio_broadly_sync.store.tokens import TokenStore

__all__ = [
    "Claim",
    "Listed",
    "Selection",
    "Store",
    "SurgeFigures",
    "TokenStore",
    "at_work",
    "locked",
    "look_beside",
]
