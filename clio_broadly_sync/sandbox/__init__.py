"""A Clio and a Broadly that run on this machine: for the demo, for practice, for the tests.

They speak real HTTP on loopback, need nothing but the standard library, and know nothing of the
program that talks to them. `Sandbox` starts both; `faults` holds what may go wrong on the way.
"""

from clio_broadly_sync.sandbox import faults
from clio_broadly_sync.sandbox.broadly import Accepted, Broadly
from clio_broadly_sync.sandbox.clio import Clio
from clio_broadly_sync.sandbox.firm import Firm
from clio_broadly_sync.sandbox.records import MISSING, Box
from clio_broadly_sync.sandbox.sandbox import Sandbox
from clio_broadly_sync.sandbox.wire import Exchange, Request, Response

__all__ = [
    "MISSING",
    "Accepted",
    "Box",
    "Broadly",
    "Clio",
    "Exchange",
    "Firm",
    "Request",
    "Response",
    "Sandbox",
    "faults",
]
