"""The command line. A command's module and its libraries are loaded only when it is called."""

from clio_broadly_sync.cli.main import main

__all__ = ["main"]
