"""The engine: the way of the data from a closed matter to a receipt."""

from clio_broadly_sync.pipeline.run import backfill, due, sync

__all__ = ["backfill", "due", "sync"]
