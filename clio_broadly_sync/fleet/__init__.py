"""Many firms: what a worker does for each of them, and now and then for all."""
