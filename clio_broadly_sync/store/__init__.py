"""The state of one firm: what it was made with, how far it has come, and the ledger.

No personal data enters it: people are known by keyed hashes (`identities`).
"""

from clio_broadly_sync.store.crowd import Crowd
from clio_broadly_sync.store.database import at_work, locked
from clio_broadly_sync.store.ledger import Claim
from clio_broadly_sync.store.outbox import Listed, Selection
from clio_broadly_sync.store.state import Store
from clio_broadly_sync.store.tokens import SignIn

__all__ = ["Claim", "Crowd", "Listed", "Selection", "SignIn", "Store", "at_work", "locked"]
