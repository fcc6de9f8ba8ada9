"""`python -m clio_broadly_sync`."""

from clio_broadly_sync.cli import main

main()
