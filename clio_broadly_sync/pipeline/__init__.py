"""The engine: the way of the data from a closed matter to a receipt."""

from clio_broadly_sync.pipeline.run import backfill, decided, due, sync, sync_matter

__all__ = ["backfill", "decided", "due", "sync", "sync_matter"]
