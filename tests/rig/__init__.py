"""The sandbox as the tests need it: with a history, hooks, and a script of what goes wrong."""

from rig import faults
from rig.server import Broadly, Clio, Exchange, Rigged, Sandbox

__all__ = ["Broadly", "Clio", "Exchange", "Rigged", "Sandbox", "faults"]
