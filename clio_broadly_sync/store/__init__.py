"""The state of one firm: what it was made with, how far it has come, and the ledger.

No personal data enters it: people are known by keyed hashes (`identities`).
"""

from clio_broadly_sync.store.database import locked
from clio_broadly_sync.store.ledger import Claim
from clio_broadly_sync.store.store import Store

__all__ = ["Claim", "Store", "locked"]
