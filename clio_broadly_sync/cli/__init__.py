"""The command line. Each command's module is loaded when it is called, its libraries then too."""

from clio_broadly_sync.cli.main import main

__all__ = ["main"]
