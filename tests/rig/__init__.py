"""The sandbox as the tests need it: with a history, with hooks, and with a script of faults."""

from rig import faults
from rig.server import Broadly, Clio, Exchange, Rigged, Sandbox, Webhook, at_request

__all__ = ["Broadly", "Clio", "Exchange", "Rigged", "Sandbox", "Webhook", "at_request", "faults"]
